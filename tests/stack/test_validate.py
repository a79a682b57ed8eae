"""What must hold between keys. Each error stands at the key or value at fault."""

import pytest


def test_names_that_nothing_bears_are_told_with_a_suggestion(stack) -> None:
    found = stack("""\
services:
  web:
    image: rootfs:/
    depends_on:
      - databse
    networks: [bakc]
    volumes: ["dta:/data"]
  database:
    image: rootfs:/
networks: {back: }
volumes: {data: }
""")
    assert (
        found.text
        == """\
error[O8-203]: no service is called `databse`
 --> stack.yml:5:9
5 |       - databse
  |         ^^^^^^^ in services.web.depends_on
  = help: did you mean `database`?

error[O8-203]: no network is called `bakc`
 --> stack.yml:6:16
6 |     networks: [bakc]
  |                ^^^^
  = help: did you mean `back`?
  = help: or define it: networks: {bakc: }

error[O8-203]: no volume is called `dta`
 --> stack.yml:7:15
7 |     volumes: ["dta:/data"]
  |               ^^^^^^^^^^^
  = help: did you mean `data`?
  = help: or define it: volumes: {dta: }
  = help: or, for a directory beside the stack file, write ./dta

3 errors in stack.yml
"""
    )


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("scale: 2\ndeploy: {replicas: 3}",
         "4:12: error[O8-204] `services.web`: scale is 2 and deploy.replicas is 3; they must agree"),
        ("container_name: c1\nscale: 2",
         "4:21: error[O8-204] `services.web`: a service with a container_name cannot have 2 replicas"),
        ("tmpfs: /a\nvolumes: ['./:/a/']",
         "5:15: error[O8-204] `services.web.volumes[0]`: target /a already mounted as services.web.tmpfs[0]"),
        ("mem_limit: 64m\ndeploy: {resources: {limits: {memory: 32m}}}",
         "4:16: error[O8-204] `services.web`: mem_limit and deploy.resources.limits.memory differ"),
        ("cpus: 1\ndeploy: {resources: {limits: {cpus: '0.5'}}}",
         "4:11: error[O8-204] `services.web`: cpus and deploy.resources.limits.cpus differ"),
        ("depends_on: [web]", "4:18: error[O8-201] dependency cycle: web -> web"),
        ("volumes: [{type: bind, target: /a}]", "4:15: error[O8-105] `services.web.volumes[0]`: a bind mount needs a `source`"),
    ],
)  # fmt: skip
def test_settings_that_do_not_agree_are_errors(service, lines: str, error: str) -> None:
    assert service(lines).errors == [f"stack.yml:{error}"]


def test_limits_that_agree_are_fine(service) -> None:
    assert (
        service("mem_limit: 64m\ncpus: 0.5\ndeploy: {resources: {limits: {memory: 65536k, cpus: '0.50'}}}").errors == []
    )


def test_a_service_needs_an_image(stack) -> None:
    found = stack("services:\n  web: {}\n  api:\n")
    assert found.errors == [
        "stack.yml:2:3: error[O8-205] `services.web` has neither an image nor a build context specified",
        "stack.yml:3:3: error[O8-104] `services.api` must be a mapping (a service), found nothing",
    ]


def test_a_misspelt_image_is_one_error_not_two(stack) -> None:
    assert stack("services: {web: {imgae: 'rootfs:/'}}").errors == [
        "stack.yml:1:18: error[O8-101] unknown key `imgae` in `services.web`"
    ]


def test_a_base_without_a_name_is_one_error_not_two(stack) -> None:
    assert stack({"stack.yml": "services:\n  web: {extends: {file: a.yml}}\n"}).errors == [
        "stack.yml:2:19: error[O8-105] `services.web.extends` has no `service`"
    ]


def test_a_container_name_may_be_used_once(stack) -> None:
    text = "services:\n  a: {image: 'rootfs:/', container_name: same}\n  b: {image: 'rootfs:/', container_name: same}\n"
    assert stack(text).errors == ["stack.yml:3:42: error[O8-204] `b` and `a` have the same container_name `same`"]
    assert stack(text.replace("name: same}\n  b: {", "name: same}\n  b: {profiles: [off], ")).errors == []


def test_waiting_for_the_health_of_a_service_without_a_check_is_an_error(stack) -> None:
    text = "services:\n  a: {image: x, depends_on: {b: {condition: service_healthy}}}\n  b: {image: x, healthcheck: {disable: true}}\n"
    assert stack(text).errors == [
        "stack.yml:2:30: error[O8-204] `b` must be healthy here, but its healthcheck is disabled"
    ]


def test_one_port_published_twice_is_warned_of(stack) -> None:
    text = "services:\n  a: {image: x, ports: ['8080:80']}\n  b: {image: x, ports: ['127.0.0.1:8080:80']}\n"
    assert stack(text).warnings == [
        "stack.yml:3:25: warning[O8-207] `b` and `a` publish the same port 8080; only one of them can have it"
    ]
    assert stack(text.replace("'8080:", "'127.0.0.2:8080:")).warnings == []
    assert stack(text.replace("'8080:", "'8080-8090:")).warnings == []


@pytest.mark.parametrize("three", ["scale: 3", "deploy: {replicas: 3}", "scale: 3, deploy: {replicas: 3}"])
def test_one_port_of_several_replicas_is_warned_of(stack, three: str) -> None:
    text = f"services:\n  a: {{image: x, ports: ['8080:80'], {three}}}\n"
    assert stack(text).warnings == [
        "stack.yml:2:25: warning[O8-207] `a` has 3 replicas that publish the same port 8080; only one of them can have it"
    ]
    assert stack(text.replace("8080:", "8080-8082:")).warnings == []
    assert stack(text.replace("8080:", "")).warnings == []
    assert stack(text.replace("3", "1")).warnings == []


@pytest.mark.parametrize(
    ("section", "told"),
    [("networks", "warning[O8-111] `{}` is external, so `labels` has no effect here"),
     ("volumes", "error[O8-204] `{}` is external, so `labels` cannot be set here")],
)  # fmt: skip
def test_an_external_resource_has_only_a_name(stack, section: str, told: str) -> None:
    base = "services: {web: {image: 'rootfs:/'}}\n"
    found = stack(f"{base}{section}:\n  x: {{external: true, labels: {{a: b}}}}\n")
    assert found.errors + found.warnings == [f"stack.yml:3:23: {told.format(f'{section}.x')}"]
    found = stack(f"{base}{section}:\n  x: {{external: {{name: old}}}}\n")
    assert found.warnings == [f"stack.yml:3:17: warning[O8-109] `{section}.x.external.name` is deprecated"]
    found = stack(f"{base}{section}:\n  x: {{name: old, external: {{name: old}}}}\n")
    assert found.warnings == [f"stack.yml:3:28: warning[O8-109] `{section}.x.external.name` is deprecated"]
    found = stack(f"{base}{section}:\n  x: {{name: new, external: {{name: old}}}}\n")
    assert found.errors == [
        f"stack.yml:3:7: error[O8-204] `{section}.x`: `name` and `external.name` conflict; only use `name`"
    ]
