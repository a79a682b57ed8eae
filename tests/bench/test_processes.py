"""One process from start to end."""

import os
import sys

import pytest

from bench.errors import Unmeasurable
from bench.processes import run

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def test_what_a_program_says_and_what_it_took_are_told() -> None:
    sample, out = run([sys.executable, "-I", "-S", "-c", "print('here')"], ENVIRONMENT)
    assert out == "here\n"
    assert sample.wall_s > 0
    assert sample.max_rss_kib > 1024


def test_a_program_that_fails_is_an_error_with_its_words() -> None:
    with pytest.raises(Unmeasurable, match=r"(?s)`sh -c .*` ended with 3.*too bad"):
        run(["sh", "-c", "echo too bad >&2; exit 3"], ENVIRONMENT)


def test_a_program_that_does_not_end_is_killed() -> None:
    with pytest.raises(Unmeasurable, match="did not end within 0 s"):
        run(["sleep", "100"], ENVIRONMENT, limit_s=0.01)


def test_a_program_reads_the_file_that_is_given_to_it() -> None:
    assert run(["head", "-c", "3"], ENVIRONMENT, stdin=__file__)[1] == '"""'
