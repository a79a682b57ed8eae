"""`build` of a service."""

import pytest


def build(service, text: str, rest: str = "") -> dict:
    return service(f"build: {text}", rest, acting=False).web["build"]


@pytest.mark.parametrize(
    ("text", "long"),
    [
        (".", {"context": "<dir>"}),
        ("{}", {"context": "<dir>"}),
        ("./app", {"context": "<dir>/app"}),
        ("https://host/app.git#main", {"context": "https://host/app.git#main"}),
        ("git@host:app.git", {"context": "git@host:app.git"}),
        ("{args: [A=1, HERE, NOT]}", {"context": "<dir>", "args": {"A": "1", "HERE": "there"}}),
        ("{labels: [a, b=c]}", {"context": "<dir>", "labels": {"a": "", "b": "c"}}),
        ("{ssh: [default, id=./key]}", {"context": "<dir>", "ssh": ["default", "id=<dir>/key"]}),
        ("{no_cache: 'yes', pull: true, privileged: false}", {"context": "<dir>", "no_cache": True, "pull": True}),
        ("{no_cache_filter: one}", {"context": "<dir>", "no_cache_filter": ["one"]}),
        ("{provenance: true, sbom: 'generator=x'}", {"context": "<dir>", "provenance": "true", "sbom": "generator=x"}),
        ("{shm_size: 1m, extra_hosts: {a: 1.2.3.4}}", {"context": "<dir>", "shm_size": "1048576", "extra_hosts": ["a=1.2.3.4"]}),
        ("{ulimits: {nproc: 5}, tags: [a, b, a]}", {"context": "<dir>", "ulimits": {"nproc": 5}, "tags": ["a", "b"]}),
        ("{additional_contexts: {a: ./a, b: 'docker-image://b'}}",
         {"context": "<dir>", "additional_contexts": {"a": "<dir>/a", "b": "docker-image://b"}}),
        ("{secrets: [s, {source: s, target: t, mode: 0400}]}",
         {"context": "<dir>", "secrets": [{"source": "s"}, {"source": "s", "target": "t", "mode": "0400"}]}),
    ],
)  # fmt: skip
def test_every_form_has_one_long_form(service, project_dir, text: str, long: dict) -> None:
    found = service(f"build: {text}", "secrets: {s: {file: x}}\n", acting=False, environ={"HERE": "there"}).web["build"]
    assert eval(repr(found).replace(str(project_dir), "<dir>")) == {"dockerfile": "Dockerfile", **long}


def test_an_inline_dockerfile_takes_the_place_of_a_file(service, project_dir) -> None:
    assert build(service, "{dockerfile_inline: FROM x}") == {"context": str(project_dir), "dockerfile_inline": "FROM x"}
    assert service("build: {dockerfile: D, dockerfile_inline: FROM x}", acting=False).errors == [
        "stack.yml:4:13: error[O8-204] `services.web.build`: dockerfile and dockerfile_inline exclude each other"
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("null", "12: error[O8-104] `services.web.build` must be the path of a build context, or a mapping, found nothing"),
        ("{contxt: .}", "13: error[O8-101] unknown key `contxt` in `services.web.build`"),
        ("{ssh: [key]}", "19: error[O8-305] `services.web.build.ssh[0]`: invalid ssh key `key`"),
        ("{additional_contexts: [a]}", "35: error[O8-305] `services.web.build.additional_contexts[0]`: `a` says no context"),
        ("{additional_contexts: {a: 'service:db'}}", "38: error[O8-203] no service is called `db`"),
        ("{secrets: [s]}", "23: error[O8-203] no secret is called `s`"),
        ("{no_cache: maybe}", "23: error[O8-104] `services.web.build.no_cache` must be true or false, found the text `maybe`"),
    ],
)  # fmt: skip
def test_what_is_no_build_is_an_error(service, text: str, error: str) -> None:
    assert service(f"build: {text}", acting=False).errors == [f"stack.yml:4:{error}"]


def test_later_files_add_to_it(stack, project_dir) -> None:
    found = stack(
        {"a.yml": "services: {web: {build: ./x}}", "b.yml": "services: {web: {build: {args: {A: 1}, target: t}}}"},
        files=["a.yml", "b.yml"], acting=False,
    )  # fmt: skip
    assert found.services["web"]["build"] == {
        "context": f"{project_dir}/x", "dockerfile": "Dockerfile", "args": {"A": "1"}, "target": "t",
    }  # fmt: skip
