from pathlib import Path

import pytest

from orchestr8.stack.check import mend
from orchestr8.stack.project import LoadOptions


def test_the_second_is_told_with_the_first(service) -> None:
    assert (
        service("group_add:\n  - a\n  - b\n  - a", acting=False).text
        == """\
error[O8-115]: `services.web.group_add[2]` stands in the list before
 --> stack.yml:7:9
7 |       - a
  |         ^ again here
5 |       - a
  |         - first here
  = help: remove one
  = fix:  orchestr8 check --fix   (remove `- a`)
"""
    )


@pytest.mark.parametrize("key", ["depends_on", "networks", "volumes_from", "external_links"])
def test_names_stand_once(service, key: str) -> None:
    found = service(f"{key}: [x, x]", "networks: {x: }\n")
    assert f"error[O8-115] `services.web.{key}[1]` stands in the list before" in "\n".join(found.errors)


@pytest.mark.parametrize(
    "key", ["ports: ['80:80', '80:80']", "dns: [1.1.1.1, 1.1.1.1]", "command: [a, a]", "expose: [1, '1']"]
)
def test_what_compose_puts_up_with_is_no_error(service, key: str) -> None:
    assert service(key, acting=False).errors == []


def test_numbers_and_texts_are_not_the_same(service) -> None:
    assert service("group_add: [1, '1']", acting=False).errors == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    group_add: [a, b, a] # c\n", "    group_add: [a, b] # c\n"),
        ("    group_add:\n      - a\n      # c\n      - 'a'\n    tty: true\n", "    group_add:\n      - a\n      # c\n    tty: true\n"),
        ("    group_add: [a, a, a]\n", "    group_add: [a]\n"),
    ],
)  # fmt: skip
def test_the_second_is_removed_and_the_rest_stays(project_dir: Path, before: str, after: str) -> None:
    head = "services:\n  web:\n    image: rootfs:/\n"
    path = project_dir / "stack.yml"
    path.write_text(head + before)
    options = LoadOptions(environ={}, working_dir=str(project_dir))
    done = mend(options, {"stack.yml": str(path)})
    assert done.texts == {str(path): head + after}
    assert not done.report.failed


def test_an_item_with_an_anchor_is_left_to_a_person(project_dir: Path) -> None:
    path = project_dir / "stack.yml"
    path.write_text("services:\n  web:\n    image: rootfs:/\n    group_add: [&g a, *g]\n    user: a\n")
    done = mend(LoadOptions(environ={}, working_dir=str(project_dir)), {"stack.yml": str(path)})
    assert (done.texts, [each.code for each in done.report.diagnostics if each.severity == "error"]) == ({}, ["O8-115"])
