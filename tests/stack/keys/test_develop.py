"""`develop`: what is watched while the program is written, and what becomes of the container on changes."""

import pytest

EXEC = {"exec": {"command": None}}


def test_a_place_is_whole_and_what_is_ignored_a_list(key, project_dir) -> None:
    assert key.value("{watch: [{path: src, action: sync, target: /b, ignore: c}]}") == {
        "watch": [{"path": f"{project_dir}/src", "action": "sync", "target": "/b", "ignore": ["c"], **EXEC}]
    }
    written = "{watch: [{path: /a, action: sync+exec, target: /a, include: [x], initial_sync: true, exec: {command: a b, user: u}}]}"
    assert key.value(written)["watch"] == [
        {"path": "/a", "action": "sync+exec", "target": "/a", "include": ["x"], "initial_sync": True,
         "exec": {"command": ["a", "b"], "user": "u"}},
    ]  # fmt: skip
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    found = key.merged("{watch: [{path: /a, action: rebuild}]}", "{watch: [{path: /b, action: restart}]}")
    assert [each["path"] for each in found["watch"]] == ["/a", "/b"]


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("{path: x}", "`services.web.develop.watch[0]` has no `action`"),
        ("{action: rebuild}", "`services.web.develop.watch[0]` has no `path`"),
        ("{path: '', action: rebuild}", "`services.web.develop.watch[0].path` must be a path, found an empty text"),
        ("{path: x, action: copy}", ("`services.web.develop.watch[0].action` must be one of sync, rebuild, restart, sync+restart, "
         "sync+exec, found the text `copy`")),
        ("{path: x, action: rebuild, exec: {user: u}}", "`services.web.develop.watch[0].exec` has no `command`"),
    ],
)  # fmt: skip
def test_what_is_no_watch_is_an_error(key, written: str, error: str) -> None:
    assert [line.partition("] ")[2] for line in key.outcome(f"{{watch: [{written}]}}").errors] == [error]


def test_what_is_copied_has_somewhere_to_go(key) -> None:
    assert key.printed("{watch: [{path: x, action: sync}]}") == """\
error[O8-105]: `services.web.develop.watch[0]` has no `target`, and `sync` copies files into the container
 --> stack.yml:4:41
4 |     develop: {watch: [{path: x, action: sync}]}
  |                                         ^^^^
  = help: add `target:`, a path in the container
"""  # fmt: skip


def test_it_has_no_effect(key) -> None:
    assert key.acted_on("{watch: [{path: x, action: rebuild}]}") == [
        "stack.yml:4:5: warning[O8-111] `develop` has no effect (`services.*.develop`)"
    ]
