import pytest

from orchestr8.errors import Diagnostic, Span
from orchestr8.model.secrecy import is_secret, without_user_part
from orchestr8.stack.masking import mask_line, secrets_in
from orchestr8.stack.nodes import hide
from orchestr8.stack.render import render


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("  POSTGRES_PASSWORD: hunter2", "  POSTGRES_PASSWORD: *******"),
        ("  POSTGRES_PASSWORD: 'hun ter2'  # why", "  POSTGRES_PASSWORD: **********  # why"),
        ("  - API_TOKEN=abc", "  - API_TOKEN=***"),
        ('  - "API_TOKEN=abc"', '  - "API_TOKEN=***"'),
        ("export AWS_SECRET_ACCESS_KEY=a b", "export AWS_SECRET_ACCESS_KEY=***"),
        ("e: {SECRET_KEY: ab, B: c}", "e: {SECRET_KEY: **, B: c}"),
        ("  A: ${DB_PASSWORD:-hunter2}", "  A: ${DB_PASSWORD:-*******}"),
        ("  A: ${DB_PASSWORD:?}", "  A: ${DB_PASSWORD:?}"),
        ("  DB_PASSWORD: ${DB_PASSWORD}", "  DB_PASSWORD: ${DB_PASSWORD}"),
        ("  DSN: pg://u:pw@h/d", "  DSN: pg://u:**@h/d"),
        ("  DSN: pg://u:${PW}@h/d", "  DSN: pg://u:${PW}@h/d"),
        ("  TOKEN: [a]", "  TOKEN: [a"[:9] + "**]"),
        ("secrets: [db_password]", "secrets: [db_password]"),
        ("  db_password: {file: ./pw}", "  db_password: {file: ./pw}"),
        ("  db_password:", "  db_password:"),
        ("  privileged: true", "  privileged: true"),
        ("  AUTHOR: me", "  AUTHOR: me"),
        ("  KEYBOARD: de", "  KEYBOARD: de"),
        ("  - db_password", "  - db_password"),
    ],
)
def test_lines(line: str, masked: str) -> None:
    assert mask_line(line) == masked
    assert len(masked) == len(line)


def test_names_and_urls() -> None:
    assert [name for name in ("PWD", "MYSQL_PWD", "secrets", "Token", "PATH") if is_secret(name)] == [
        "MYSQL_PWD",
        "Token",
    ]
    assert without_user_part("a b://c:d@e f://g@h") == "a b://c:***@e f://g@h"
    assert secrets_in("TOKEN=ab") == []  # found everywhere, so not looked for


@pytest.mark.parametrize("style", ["full", "concise", "json", "github", "sarif"])
def test_no_form_shows_a_secret_that_a_message_quotes(style: str) -> None:
    text = "services:\n  DB_PASSWORD: hunter2\n"
    found = Diagnostic(
        "O8-104", "`x` must be a list, found the text `hunter2`", [Span("f", 2, 16, 23)], notes=["not hunter2"], helps=["hunter2?"]
    )  # fmt: skip
    out = render([found], {"f": text}, style=style)
    assert out
    assert "hunter2" not in out


def test_a_part_of_a_secret_variable_is_not_quoted(stack) -> None:
    text = 'services:\n  web:\n    image: a\n    ports: ["${API_TOKEN}:80"]\n    volumes: ["${API_TOKEN}:/a:/b:/c"]\n'
    outcome = stack({"stack.yml": text, ".env": "API_TOKEN=hunter2\n"})
    assert "stack.yml:4:13: error[O8-305] `services.web.ports[0]`: invalid hostPort: ***" in outcome.errors
    assert "hunter2" not in outcome.text


@pytest.mark.parametrize("before", ["", "a", "a" * 20])
def test_a_secret_that_is_too_long_for_a_message_is_not_shown_in_part(stack, before: str) -> None:
    long = "hunter2" * 20
    text = (
        f"services:\n  DB_PASSWORD: {long}\n  TOKEN: [a]\n  web:\n    image: a\n    ports: ['{before}${{API_TOKEN}}:80']\n"
        f"    volumes: ['https://u:{long}@h/:x:y:z']\n    cpus: ${{API_TOKEN}}\n"
    )
    outcome = stack({"stack.yml": text, ".env": f"API_TOKEN={long}\n"})
    assert len(outcome.errors) == 5
    assert "hunt" not in outcome.text


def test_what_a_message_cuts_off_is_found_by_its_beginning() -> None:
    assert (
        hide("`abcdef...` and xabc... and ab... and abcdefgh", ["abcdefgh"]) == "`***...` and x***... and ab... and ***"
    )
