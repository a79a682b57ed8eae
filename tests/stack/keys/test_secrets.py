"""`secrets`: which secrets the program finds as files."""

import pytest

TOP = "secrets: {s: {file: ./s}, t: {environment: T}}\n"


def test_a_name_is_a_source_that_goes_to_the_folder_of_secrets(key) -> None:
    assert key.value("[s, {source: t, target: x, uid: '1', gid: '2', mode: 0440}]", TOP) == [
        {"source": "s", "target": "/run/secrets/s"},
        {"source": "t", "target": "x", "uid": "1", "gid": "2", "mode": "0440"},
    ]
    assert key.unsaid() is None


def test_one_target_has_one_secret_and_the_last_wins(key) -> None:
    assert key.value("[s, {source: t, target: /run/secrets/s}]", TOP) == [{"source": "t", "target": "/run/secrets/s"}]


def test_a_later_file_adds_to_it(key) -> None:
    assert [each["source"] for each in key.merged("[s]", "[t, s]", TOP)] == ["s", "t"]


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("[{target: x}]", "16: error[O8-105] `services.web.secrets[0]` has no `source`"),
        ("['']", "15: error[O8-104] `services.web.secrets[0]` must be the name of a secret, or {source: ..., target: ...}, found an empty text"),
        ("[{source: s, uid: 1}]", "32: error[O8-104] `services.web.secrets[0].uid` must be the number of a user, as text, found the number 1"),
    ],
)  # fmt: skip
def test_what_is_no_grant_is_an_error(key, written: str, error: str) -> None:
    assert key.outcome(written, TOP).errors == [f"stack.yml:4:{error}"]


def test_it_is_defined_at_the_top(key) -> None:
    assert key.printed("[x]", TOP) == """\
error[O8-203]: no secret is called `x`
 --> stack.yml:4:15
4 |     secrets: [x]
  |               ^
  = help: there is: s, t
  = help: or define it at the top of the file, under secrets:
"""  # fmt: skip


def test_what_it_holds_is_never_in_the_document(key) -> None:
    found = key.outcome("[t]", TOP, environ={"T": "hidden"})
    assert "hidden" not in str(found.document)
    assert found.loaded.contents == {"secrets.t": "hidden"}
