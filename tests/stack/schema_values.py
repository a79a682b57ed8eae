"""Values, as YAML, that some kind of key takes or nearly takes. Each is tried in every kind: most take few of them."""

from typing import Final

from tests.stack.scalar_questions import VALUES as SCALARS

VALUES: Final = (
    *(each.format() for each in SCALARS if each not in (".inf", "-.inf", ".nan")),  # which no document can have
    # lists, mappings, pairs
    "{a: b}", "{a: 1}", "{a: true}", "{a: null}", "{a: 1.5}", "{a: [b]}", "{a: {b: c}}", "[a]", "[a, a]", "[[a]]",
    "[{a: b}]", "[true]", "[null]", "[1.5]", '["a=b"]', '["=b"]', '["a =b"]', '["a"]', '["a:b"]', '["a=b","a=c"]',
    '{"": x}', '{" a": x}', '[""]', '["a","b:c"]',
    # ports
    '"80"', '"0:80"', '"x:80"', '"70000"', '"65535"', '"80/xyz"', '"80/UDP"', '"1-3:1-2"', '"1-3:4-6"', '"9-3"',
    '"127.0.0.1:80"', '"127.0.1:80:80"', '"[::1]:80:80"', '"::1:80:80"', '"fe80::1%eth0:1:1"', '"0"', "80", "70000",
    '" 80"',
    # mounts
    '"/a:/b"', '"/a:/b:ro:x"', '"/a::ro"', "a:d", "/a", '"C:\\\\a:/b"', '"/a:/b:ro,"', '"/a:/b:"',
    # command lines, modes
    '"a b"', '"a \\"b"', "\"a 'b\"", '"a \\\\"', '"a; \\"b"', "service:x", "host", '"--- "',
    # numbers as text, and at bounds
    '"1_000"', '" 5"', '"5 "', '"+5"', '"-5"', '"-1"', '"1.5"', '"1e3"', '"nan"', '"inf"', '"0x1F"', '"1."', '".5"',
    '"-.5"', '"5.0"', '"-1001"', '"1001"', '"1000"', '"101"', '"100"', "1001", "1000", "100", "101", "-1000", "-1001",
    '"1.0"',
    # sizes
    '"512m"', '"1.5gb"', '"1,5g"', '"5 m"', '"5  m"', '" 5m"', '"-1m"', '"5mib"', '"5x"', "-2", '"-2"', "2.5",
    '"2.5"',
    # durations, permission bits
    '"30s"', '"1m 30s"', '"-5s"', '"1.5h"', '"5"', '"1h30"', '".5s"', '"5.s"', '"1M"', '"0o440"', '"999"', '"17777"',
    "4096", "511", '"4_4"', "9999",
    # flags
    '"Yes"', '"OFF"', '"maybe"', '"t"', '"1"', '"01"',
    # words: restart, stop_signal, gpus
    "all", '"all "', "always", "on-failure", "on-failure:3", "on-failure:x", "unless-stopped", "SIGINT", "sigint",
    "9", '"9"', '"99"', '"USR1"',
    # words of choices
    "raw", "z", "enabled", "tcp", "ingress", "start-first", "service_started", "bind", "volume", "rebuild",
    # pairs with rules of their own: ssh, contexts
    "default", '"id=./k"', '"key"', '["default"]', '["id=./k"]', '["key"]', "{default: null}", "{id: ./k}",
    '["a=b=c"]', '["a="]', '{a: ""}',
    # extra_hosts
    '"a:1.2.3.4"', '["a:1.2.3.4"]', '["a=::1"]', "{a: [1.2.3.4]}", "{a: [1]}", "{a: []}", '["=x"]', '[":x"]',
    # devices, subnets, addresses
    '["/dev/a"]', '["/dev/a:/dev/b:rwm"]', '["a:b:c:d"]', '["a:"]', '"10.0.0.0/24"', '"10.0.0.1/24"', '"garbage"',
    '"10.0.0.0"', '"fd00::/64"', '"300.0.0.0/8"', '"10.0.0.0/33"', '"10.0.0.0/255.0.0.0"', '"1.2.3.4"', '"::1"',
    '"01.2.3.4"',
    # tmpfs
    '"/run"', '"run"', '"/run:size=big"', '"/run:size=1m,mode=755"', '"/run:mode=9"', '"/run:size=50%"', '["/run"]',
    '["run"]',
    # tests of a healthcheck
    "[CMD, a]", "[CMD]", "[CMD-SHELL, a]", "[CMD-SHELL, a, b]", "[NONE]", "[NONE, x]", "[curl]", "[CMD, 1]",
    # ulimits
    "{nofile: 1}", "{nofile: {soft: 1}}", "{nofile: {soft: 1, hard: 2}}", "{NOFILE: 1}", "{nofile: x}",
    "{no-file: 1}",
    # logging, provider
    "{driver: x, options: {a: 1}}", "{driver: x, options: {a: true}}", "{type: x}",
    "{type: x, options: {a: [1, true]}}", "{type: x, options: {a: [[1]]}}", "{options: {a: null}}",
    # depends_on
    "{condition: x}", "{b: {condition: service_started}}", "{b: {condition: x}}", "{b: null}",
    "{b: {required: true}}", '["b"]',
    # env_file, include
    "{path: x}", "[{path: x}]", '{path: ""}', "{path: x, required: maybe}", "[{path: x, format: raw}]",
    "[{path: x, format: z}]", "[{required: true}]",
    # extends
    "{service: x}", "{file: x}", "{service: x, file: y}",
    # hooks
    "[{command: x}]", "[{command: null}]", "[{command: [a, 1]}]", "[{user: x}]", "[{image: x}]",
    '[{command: "a \\"b"}]',
    # develop
    "{watch: [{path: x, action: rebuild}]}", "{watch: [{path: x, action: sync}]}",
    '{watch: [{path: x, action: sync, target: ""}]}', "{watch: [{path: x, action: sync, target: /a}]}",
    "{watch: [{path: x, action: nope}]}", "{watch: [{action: rebuild}]}", '{watch: [{path: "", action: rebuild}]}',
    "{watch: [{path: x, action: rebuild, ignore: a, include: [b], exec: {command: x}}]}",
    "{watch: [{path: x, action: sync+exec, target: /b, exec: {user: x}}]}",
    # device requests
    "[{capabilities: [gpu]}]", "[{count: 1}]", "[{capabilities: [gpu], count: all}]",
    "[{capabilities: [gpu], count: x}]", "[{capabilities: [gpu], count: 1, device_ids: [a]}]",
    "[{capabilities: [gpu], count: null}]", '[{capabilities: [gpu], count: "3"}]',
    "[{capabilities: [gpu], count: true}]", "[{capabilities: [gpu], count: -1}]",
    # secrets and configs
    "[{source: s}]", '[{source: s, target: t, uid: "1", gid: "1", mode: 0440}]', "[{target: t}]", '[{source: ""}]',
    '[{source: s, mode: "9"}]', "[{source: s, uid: 1}]", '["s"]',
    # devices in their long form
    "[{source: /dev/a, target: /dev/b, permissions: rw}]", "[{source: /dev/a}]", '[{source: "", target: x}]',
    "[{source: /dev/a, target: /dev/b, permissions: qq}]",
    # ports in their long form
    "[{target: 80}]", "[{target: 80, published: 8080}]", '[{target: 80, published: "8000-8010"}]', '[{target: "80"}]',
    '[{target: "80-81"}]', "[{target: 0}]", "[{published: 80}]", "[{target: 80, host_ip: nope}]",
    '[{target: 80, host_ip: "::1"}]', "[{target: 80, protocol: TCP}]", "[{target: 80, protocol: udp}]",
    '[{target: 80, published: ""}]', "[{target: 80, published: 70000}]", "[{target: 80, published: 0}]",
    "[{target: 80.0}]", "[{target: 80, published: 8.5}]", "[{target: 80, mode: x, name: n, app_protocol: h}]",
    '[{target: 80, published: "9-3"}]', "[{target: 80, foo: 1}]", "[{target: 80, published: null}]",
    '[{target: 80, host_ip: ""}]',
    # mounts in their long form
    "[{type: bind, source: /a, target: /b}]", "[{type: bind, target: /b}]", '[{type: bind, source: "", target: /b}]',
    "[{type: volume, target: /b}]", "[{type: volume}]", "[{type: tmpfs, target: /b, source: x}]",
    '[{type: tmpfs, target: /b, source: ""}]', "[{type: tmpfs, target: /b, tmpfs: {size: -1}}]",
    "[{type: tmpfs, target: /b, tmpfs: {size: 1m, mode: 0700}}]", "[{type: nope, target: /b}]", "[{target: /b}]",
    '[{type: volume, target: ""}]', "[{type: volume, target: /b, bind: {propagation: x}}]",
    "[{type: bind, source: /a, target: /b, bind: {recursive: x}}]",
    "[{type: bind, source: /a, target: /b, bind: {selinux: z, create_host_path: no}}]",
    "[{type: volume, source: a, target: /b, volume: {nocopy: maybe}}]",
    "[{type: image, source: a, target: /b, image: {subpath: a}}]",
    "[{type: bind, source: /a, target: /b, bind: null}]", '["/a:/b"]', '["::"]',
    "[{type: bind, source: /a, target: /b, consistency: x, read_only: true}]",
    '[{type: volume, target: /b, tmpfs: {mode: "9"}}]',
    # deploy.resources
    '{limits: {cpus: "0.5", memory: 1g, pids: 5}}', "{limits: {memory: 5}}",
    "{reservations: {devices: [{capabilities: [gpu]}]}}",
    "{reservations: {generic_resources: [{discrete_resource_spec: {kind: a, value: 1}}]}}",
    # deploy
    "{resources: {limits: {cpus: -1}}}", "{replicas: 2}", "{replicas: -1}", "{update_config: {order: x}}",
    "{update_config: {order: start-first, delay: 5s, parallelism: 2, max_failure_ratio: 0.5}}",
    "{placement: {preferences: [{spread: x}]}}",
    "{restart_policy: {condition: x, delay: 1s, max_attempts: 2, window: 1m}}", "{mode: 5}", "{labels: [a]}",
    # build
    "{context: .}", "{context: ., args: [A=1, B]}", "{ssh: [key]}", "{ssh: [default]}", "{ssh: default}",
    "{additional_contexts: [a]}", "{additional_contexts: [a=b]}", "{additional_contexts: {a: 1}}",
    "{no_cache: maybe}", "{provenance: true}", "{provenance: 1}", "{dockerfile: a, dockerfile_inline: b}",
    "{ulimits: {nproc: 5}}", "{shm_size: 1m}", "{tags: [a], platforms: [b], cache_from: [c]}", "{secrets: [s]}",
    # blkio_config
    "{weight: 10}", "{weight: 1001}", "{device_read_bps: [{path: a, rate: 1k}]}",
    "{device_read_bps: [{path: a, rate: x}]}", "{device_read_bps: [{path: a, rate: -1}]}",
    "{weight_device: [{path: a, weight: 5}]}",
    # healthcheck
    "{test: a}", "{test: [curl]}", "{interval: 5}", "{retries: x}", "{retries: -1}", "{retries: 1.5}",
    "{disable: true}", "{tests: a}",
    # at the top: networks, volumes, secrets, configs, models
    "{external: true}", "{external: {name: x}}", '{external: {name: ""}}', "{external: true, name: x}",
    "{external: true, driver: x}", "{external: true, labels: {a: b}}", "{external: false, driver: x}",
    '{external: "true", driver: x}', '{external: "yes", driver: x}', "{external: maybe}", "{external: true, x-a: 1}",
    "{external: {name: x}, driver: y}", "{external: {}, name: y}", '{name: ""}', "{name: x}", "{file: 1}",
    "{environment: X}", "{content: x}", "{driver: x}", "{driver_opts: {a: 1}}", "{driver_opts: {a: true}}",
    "{driver_opts: {a: null}}", "{driver_opts: [a=b]}", "{internal: yes}", "{enable_ipv6: 1}", '{attachable: "on"}',
    "{ipam: {config: [{subnet: 10.0.0.0/24}]}}", "{ipam: {config: [{subnet: garbage}]}}",
    "{ipam: {driver: x, options: {a: b}}}", "{ipam: null}", "{ipam: {config: [{aux_addresses: {a: 1.2.3.4}}]}}",
    "{ipam: {config: [{aux_addresses: {a: 1}}]}}", "{labels: {a: null}}", "{model: x}",
    "{model: x, context_size: -1}", "{model: x, runtime_flags: [a]}", "{name: x, context_size: 5}",
    # networks of a service
    "{a: {aliases: [b]}}", "{a: {priority: 1}}", "{a: {priority: 1.5}}", "{a: {ipv4_address: x}}",
    "{a: {link_local_ips: [x]}}", "{a: {nope: 1}}", '{"a b": {}}', "{a: {endpoint_var: X, model_var: Y}}",
    # lists of numbers and texts
    '["1-2/tcp"]', "[-1]", "[1.0]", "[{a: 1}]",
    # what is nearly right, and nearly wrong
    "[1, 1]", "[1.0, 1]", "[x, {a: b}, x]", "{b: [x, x]}", '"-0"', '"+1.5"', '"5."', '"1e1"', '"0.5"', '"a\\nb"',
    "[{path: x}, {path: x}]", "[{path: [x, x]}]", '["a=1", "a=1"]', '"::ffff:1.2.3.4"', '"1:2:3:4:5:6:7:8"',
    '"1:2:3:4:5:6:7::"', '"1::2::3"', '"::1:2:3:4:5:6:7:8"', '"::1:2:3:4:5:6:7"', '"12345::"', '"[::1]:80"', '"::/0"',
    '"::1/129"', '"[::1:80:80"', '"1.2.3.4%e:1:1"', '"80/"', '"80-8_1"', '":80"', '"::80"', '"+5s"', '"s"',
    '"my-app"', '"---"', '"My App"',
)  # fmt: skip
