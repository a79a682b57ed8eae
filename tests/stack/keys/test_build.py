"""`build`: how the image is made. The engine does not build: what it says is read, merged and shown."""

import pytest


@pytest.mark.parametrize(
    ("written", "long"),
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
def test_every_form_has_one_long_form(key, project_dir, written: str, long: dict) -> None:
    found = key.value(written, "secrets: {s: {file: x}}\n", environ={"HERE": "there"})
    assert eval(repr(found).replace(str(project_dir), "<dir>")) == {"dockerfile": "Dockerfile", **long}


def test_an_inline_dockerfile_takes_the_place_of_a_file(key, project_dir) -> None:
    assert key.value("{dockerfile_inline: FROM x}") == {"context": str(project_dir), "dockerfile_inline": "FROM x"}
    assert key.errors("{dockerfile: D, dockerfile_inline: FROM x}") == [
        "O8-204 `services.web.build`: dockerfile and dockerfile_inline exclude each other"
    ]


def test_a_later_file_adds_to_it(key, project_dir) -> None:
    assert key.merged("./x", "{args: {A: 1}, target: t}") == {
        "context": f"{project_dir}/x", "dockerfile": "Dockerfile", "args": {"A": "1"}, "target": "t",
    }  # fmt: skip
    assert key.merged("{args: {A: 1, B: 2}, cache_from: [a]}", "{args: [B=3], cache_from: [a, b]}") == {
        "context": str(project_dir), "dockerfile": "Dockerfile", "args": {"A": "1", "B": "3"},
        "cache_from": ["a", "a", "b"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("", "5: error[O8-104] `services.web.build` must be the path of a build context, or a mapping, found nothing"),
        ("{contxt: .}", "13: error[O8-101] unknown key `contxt` in `services.web.build`"),
        ("{additional_contexts: [a]}", "35: error[O8-305] `services.web.build.additional_contexts[0]`: `a` says no context"),
        ("{additional_contexts: {a: 'service:db'}}", "38: error[O8-203] no service is called `db`"),
        ("{secrets: [s]}", "23: error[O8-203] no secret is called `s`"),
        ("{no_cache: maybe}", "23: error[O8-104] `services.web.build.no_cache` must be true or false, found the text `maybe`"),
    ],
)  # fmt: skip
def test_what_is_no_build_is_an_error(key, written: str, error: str) -> None:
    assert key.outcome(written).errors == [f"stack.yml:4:{error}"]


def test_a_key_of_ssh_has_a_path(key) -> None:
    assert key.printed("{ssh: [key]}") == """\
error[O8-305]: `services.web.build.ssh[0]`: invalid ssh key `key`
 --> stack.yml:4:19
4 |     build: {ssh: [key]}
  |                   ^^^
  = help: write default, or ID=PATH
"""  # fmt: skip


def test_up_refuses_it(key) -> None:
    assert key.acted_on(".") == ["stack.yml:4:5: error[O8-110] `services.web.build` is not supported yet"]
