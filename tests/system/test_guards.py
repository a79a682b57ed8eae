"""What `guards` and `keys` name is there: each guard once in its file, each test in its own. Whether the tests see: see there."""

import ast

import pytest

from tests.system.guards import LESSONS, TOP, Lesson, without
from tests.system.keys import KEYS


@pytest.mark.parametrize("lesson", [*LESSONS, *KEYS], ids=lambda lesson: f"{lesson.ids} {lesson.what}")
def test_a_guard_stands_where_it_is_said_to_and_its_tests_exist(lesson: Lesson) -> None:
    for path, text in without(lesson).items():
        assert text != path.read_text(encoding="utf-8")
        ast.parse(text)
    for test in lesson.tests:
        file, _, name = test.partition("::")
        tree = ast.parse((TOP / "tests" / file).read_text(encoding="utf-8"))
        functions = {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions
