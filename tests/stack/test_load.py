"""The whole way, from files to the canonical document."""

import json

import pytest

from orchestr8.errors import NotFound

SHOP = """\
name: shop
x-common: &common
  restart: on-failure:3
  labels: {team: till}
services:
  web:
    <<: *common
    image: ${IMAGE:-rootfs:/}
    command: python3 -m http.server 80
    environment: [PORT=80, TOKEN, "GREETING=costs $$5"]
    depends_on:
      api: {condition: service_healthy}
    ports: ["127.0.0.1:8080:80", "9000-9001:90-91", 443]
    volumes:
      - ./site:/srv:ro
      - data:/data
      - {type: tmpfs, target: /cache, tmpfs: {size: 1m, mode: 0755}}
    tmpfs: /run:size=64m
    networks: {default: , back: {aliases: [front]}}
  api:
    <<: *common
    image: rootfs:/
    entrypoint: []
    healthcheck: {test: curl -f localhost, interval: 90s}
    networks: [back]
    mem_limit: 512m
    cpus: "0.5"
    pids_limit: 100
    deploy: {replicas: 2}
    stop_grace_period: 2s
  tool: {image: 'rootfs:/', profiles: [tools]}
networks:
  back: {ipam: {config: [{subnet: 10.9.0.0/24}]}, labels: {a: 1}}
  unused:
volumes:
  data:
  outside: {external: true}
"""


def test_a_stack_becomes_its_canonical_document(stack, project_dir) -> None:
    (project_dir / "site").mkdir()
    found = stack(SHOP, environ={"TOKEN": "t"})
    assert found.warnings == []
    assert found.document == {
        "name": "shop",
        "services": {
            "api": {
                "command": None,
                "cpus": 0.5,
                "deploy": {"resources": {}, "placement": {}, "replicas": 2},
                "entrypoint": [],
                "healthcheck": {"test": ["CMD-SHELL", "curl -f localhost"], "interval": "1m30s"},
                "image": "rootfs:/",
                "labels": {"team": "till"},
                "mem_limit": "536870912",
                "networks": {"back": None},
                "pids_limit": 100,
                "restart": "on-failure:3",
                "stop_grace_period": "2s",
            },
            "web": {
                "command": ["python3", "-m", "http.server", "80"],
                "depends_on": {"api": {"condition": "service_healthy", "required": True}},
                "entrypoint": None,
                "environment": {"GREETING": "costs $5", "PORT": "80", "TOKEN": "t"},
                "image": "rootfs:/",
                "labels": {"team": "till"},
                "networks": {"default": None, "back": {"aliases": ["front"]}},
                "ports": [
                    {"mode": "ingress", "host_ip": "127.0.0.1", "target": 80, "published": "8080", "protocol": "tcp"},
                    {"mode": "ingress", "target": 90, "published": "9000", "protocol": "tcp"},
                    {"mode": "ingress", "target": 91, "published": "9001", "protocol": "tcp"},
                    {"mode": "ingress", "target": 443, "protocol": "tcp"},
                ],
                "restart": "on-failure:3",
                "tmpfs": ["/run:size=64m"],
                "volumes": [
                    {"type": "bind", "source": str(project_dir / "site"), "target": "/srv", "read_only": True,
                     "bind": {"create_host_path": True}},
                    {"type": "volume", "source": "data", "target": "/data", "volume": {}},
                    {"type": "tmpfs", "target": "/cache", "tmpfs": {"size": "1048576", "mode": 0o755}},
                ],
            },
        },
        "networks": {
            "back": {"name": "shop_back", "ipam": {"config": [{"subnet": "10.9.0.0/24"}]}, "labels": {"a": "1"}},
            "default": {"name": "shop_default", "ipam": {}},
        },
        "volumes": {"data": {"name": "shop_data"}},
        "x-common": {"restart": "on-failure:3", "labels": {"team": "till"}},
    }  # fmt: skip
    assert found.loaded.services_disabled == {"tool": ["tools"]}
    assert found.loaded.working_dir == str(project_dir)
    assert found.loaded.config_files == [str(project_dir / "stack.yml")]


def test_the_document_is_json_and_does_not_depend_on_the_order_of_services(stack) -> None:
    one = stack("services: {a: {image: x, user: u}, b: {user: v, image: y}}")
    two = stack("services: {b: {image: y, user: v}, a: {user: u, image: x}}")
    assert json.dumps(one.document) == json.dumps(two.document)


def test_a_loaded_document_printed_and_loaded_again_is_the_same(stack, project_dir, write) -> None:
    from orchestr8.stack.dump import to_json, to_yaml

    first = stack(SHOP, environ={"TOKEN": "t"}).document
    assert stack(to_yaml(first)).document == first
    assert stack(to_json(first)).document == first


def test_all_errors_of_all_files_come_in_one_run_in_order(stack) -> None:
    found = stack({
        "a.yml": "services:\n  web:\n    imag: x\n    scale: many\n    networks: [nowhere]\n",
        "b.yml": "services:\n  api: {image: x, external_links: [x], restart: sometimes}\nvolume: {}\n",
    }, files=["a.yml", "b.yml"])  # fmt: skip
    assert found.errors == [
        "a.yml:3:5: error[O8-101] unknown key `imag` in `services.web`",
        "a.yml:4:12: error[O8-104] `services.web.scale` must be an integer, found the text `many`",
        "a.yml:5:16: error[O8-203] no network is called `nowhere`",
        "b.yml:2:19: error[O8-110] `services.api.external_links` is not supported yet",
        (
            "b.yml:2:49: error[O8-305] `services.api.restart` must be no, always, unless-stopped, on-failure or "
            "on-failure:N, found the text `sometimes`"
        ),
        "b.yml:3:1: error[O8-101] unknown key `volume` at the top of the file",
    ]


def test_values_and_keys_that_cannot_be_hide_no_other_errors(stack) -> None:
    text = (
        'services:\n  web:\n    image: a\n    image: b\n    cpus: .inf\n    user: "a\\0"\n    prots: []\n'
        "    labels: {<<: 5, 3: x}\n    tty: !!int x\n"
    )
    assert stack({"stack.yml": text}).errors == [
        "stack.yml:4:5: error[O8-103] the key `image` stands here twice",
        "stack.yml:5:11: error[O8-104] .inf is not a number that can be passed on",
        "stack.yml:6:11: error[O8-104] a text cannot hold the character NUL: no program can be given it",
        "stack.yml:7:5: error[O8-101] unknown key `prots` in `services.web`",
        "stack.yml:8:18: error[O8-104] `<<` takes a mapping, or a list of mappings",
        "stack.yml:8:21: error[O8-104] a key must be text; `3` is not",
        "stack.yml:9:10: error[O8-104] `x` is not what its tag `!!int` says",
    ]


def test_an_included_file_with_a_key_that_stands_twice_is_still_looked_at(stack) -> None:
    files = {
        "stack.yml": "include: [inner.yml]\nservices:\n  web: {image: a, depends_on: [inner]}\n",
        "inner.yml": "services:\n  inner: {image: a, image: b, prots: []}\n",
    }
    assert stack(files).errors == [
        "inner.yml:2:21: error[O8-103] the key `image` stands here twice",
        "inner.yml:2:31: error[O8-101] unknown key `prots` in `services.inner`",
    ]


def test_what_stands_in_the_wrong_place_is_told_with_the_right_one(stack) -> None:
    text = "app: {image: a}\nservices:\n  web:\n  image: a\n  api: {image: a, cap_add: ALL, depends_on: web}\n"
    shown = stack({"stack.yml": text}).text
    assert "= help: a service stands below `services:`, as `services: {app: ...}`" in shown
    assert "= help: `image` is a service setting: indent it below the name that it is for" in shown
    assert "= help: write [ALL]" in shown
    assert "= help: write [web]" in shown


def test_a_name_with_more_to_it_is_no_item_of_a_list(stack) -> None:
    shown = stack({"stack.yml": "services:\n  web: {image: a, depends_on: [{web: {restart: true}}]}\n"}).text
    assert "= help: in a list, write `- web`; in a mapping, write `web: ...` without the dash" in shown


def test_every_broken_file_is_told_before_anything_else(stack) -> None:
    found = stack({"a.yml": "services: [\n", "b.yml": "a: b: c\n"}, files=["a.yml", "b.yml"])
    assert [error.partition(":")[0] for error in found.errors] == ["a.yml", "b.yml"]


def test_strict_turns_warnings_into_errors(service) -> None:
    assert len(service("logging: {}\nhostname: $NO").warnings) == 1
    found = service("logging: {driver: x}\nhostname: h$NO", "", strict=True)
    assert [error.partition("error")[2][:8] for error in found.errors] == ["[O8-111]", "[O8-302]"]
    assert "= note: a warning, which --strict makes an error" in found.text


def test_a_key_without_effect_is_warned_of_once_with_its_other_places(stack) -> None:
    text = "".join(f"  s{number}:\n    image: x\n    annotations: {{a: x}}\n" for number in range(3))
    assert (
        stack("services:\n" + text).text
        == """\
warning[O8-111]: `annotations` has no effect (`services.*.annotations`)
 --> stack.yml:4:5
4 |     annotations: {a: x}
  |     ^^^^^^^^^^^
  = note: they are notes for another runtime
  = note: also at stack.yml:7, stack.yml:10
"""
    )


def test_an_unknown_service_on_the_command_line_is_told(stack) -> None:
    with pytest.raises(NotFound, match=r"^no such service: databse$") as caught:
        stack("services: {database: {image: x}}", services=["databse"])
    assert caught.value.helps == ["did you mean `database`?"]


def test_standard_input_is_a_file(stack, project_dir) -> None:
    found = stack({}, files=["-"], stdin=lambda: "services: {web: {image: x, scale: [1]}}")
    assert found.errors == ["<stdin>:1:35: error[O8-104] `services.web.scale` must be an integer, found a list"]
    assert stack({}, files=["-"], stdin=lambda: "services: {web: {image: x}}").document["name"] == "shop"


def test_paths_of_every_file_stand_on_the_first_ones_directory(stack, project_dir) -> None:
    found = stack({"a/one.yml": "services: {web: {image: x, volumes: ['./x:/x', '~/y:/y']}}",
                   "b/two.yml": "services: {web: {volumes: ['../z:/z', {type: bind, source: w, target: /w}]}}"},
                  files=["a/one.yml", "b/two.yml"], environ={"HOME": "/home/ana"})  # fmt: skip
    assert [mount["source"] for mount in found.services["web"]["volumes"]] == [
        f"{project_dir}/a/x", "/home/ana/y", f"{project_dir}/z", f"{project_dir}/a/w",
    ]  # fmt: skip


def test_a_path_that_is_absolute_stays_as_it_is_written(stack) -> None:
    text = "services: {web: {image: x, volumes: ['/link/../y/:/y']}}"
    (mount,) = stack({"stack.yml": text}).services["web"]["volumes"]
    assert mount["source"] == "/link/../y/"


def test_the_obsolete_version_only_warns(stack) -> None:
    found = stack("version: '3.8'\nservices: {web: {image: x}}")
    assert found.warnings == ["stack.yml:1:1: warning[O8-109] `version` is obsolete and has no effect"]
    assert "version" not in found.document


def test_a_stack_of_which_nothing_is_there_is_an_error(stack) -> None:
    assert stack("").errors == ["stack.yml:1:1: error[O8-102] the stack file is empty"]
    assert stack("# nothing\n---\n{}\n").errors == ["stack.yml:1:1: error[O8-102] the stack file is empty"]
    found = stack({"a.yml": "# nothing\n", "b.yml": "services: {web: {image: x}}"}, files=["a.yml", "b.yml"])
    assert list(found.services) == ["web"]


def test_a_stack_without_services_is_an_error(stack) -> None:
    assert stack("x-a: 1").errors == ["stack.yml:1:1: error[O8-105] the stack has no `services`"]


def test_external_networks_and_volumes_keep_their_names(stack) -> None:
    found = stack(
        "services: {web: {image: x, networks: [n, m], volumes: ['v:/v']}}\n"
        "networks: {n: {external: true}, m: {external: true, name: their}}\nvolumes: {v: {name: mine}}\n"
    )
    assert found.document["networks"] == {
        "m": {"name": "their", "external": True, "ipam": {}},
        "n": {"name": "n", "external": True, "ipam": {}},
    }
    assert found.document["volumes"] == {"v": {"name": "mine"}}
