"""`secrets` and `configs`: at the top, and of a service."""

import pytest

TOP = "secrets: {s: {file: ./s}, t: {environment: T}}\nconfigs: {c: {content: hello}}\n"


def test_short_and_long_forms(service) -> None:
    found = service(
        "secrets: [s, {source: t, target: x, uid: '1', gid: '2', mode: 0440}]\nconfigs: [c, {source: c, target: /c2, mode: '0444'}]",
        TOP, acting=False, environ={"T": "hidden"},
    )  # fmt: skip
    assert found.web["secrets"] == [
        {"source": "s", "target": "/run/secrets/s"},
        {"source": "t", "target": "x", "uid": "1", "gid": "2", "mode": "0440"},
    ]
    assert found.web["configs"] == [{"source": "c"}, {"source": "c", "target": "/c2", "mode": "0444"}]
    assert "hidden" not in str(found.document)
    assert found.loaded.contents == {"secrets.t": "hidden"}


def test_the_top_level_has_names_and_whole_paths(service, project_dir) -> None:
    found = service("secrets: [s]\nconfigs: [c]", TOP, acting=False).document
    assert found["secrets"] == {"s": {"name": "shop_s", "file": f"{project_dir}/s"}}
    assert found["configs"] == {"c": {"name": "shop_c", "content": "hello"}}


def test_one_target_has_one_grant_and_the_last_wins(service) -> None:
    found = service("secrets: [s, {source: t, target: /run/secrets/s}]", TOP, acting=False)
    assert found.web["secrets"] == [{"source": "t", "target": "/run/secrets/s"}]


@pytest.mark.parametrize(
    ("lines", "rest", "error"),
    [
        ("secrets: [x]", "", "stack.yml:4:15: error[O8-203] no secret is called `x`"),
        ("configs: [x]", "", "stack.yml:4:15: error[O8-203] no config is called `x`"),
        ("secrets: [{target: x}]", "", "stack.yml:4:16: error[O8-105] `services.web.secrets[0]` has no `source`"),
        ("secrets: [5]", "", ("stack.yml:4:15: error[O8-104] `services.web.secrets[0]` must be the name of a secret, or "
         "{source: ..., target: ...}, found the number 5")),
        ("tty: true", "secrets: {s: {}}\n", "stack.yml:5:14: error[O8-105] `secrets.s` has no source of its content"),
        ("tty: true", "configs: {c: {file: x, content: y}}\n", ("stack.yml:5:15: error[O8-204] `configs.c`: file and content "
         "exclude each other")),
        ("tty: true", "configs: {c: x}\n", ("stack.yml:5:14: error[O8-104] `configs.c` must be a mapping (a config), found the "
         "text `x`")),
    ],
)  # fmt: skip
def test_what_is_no_grant_is_an_error(service, lines: str, rest: str, error: str) -> None:
    assert service(lines, rest, acting=False).errors == [error]
