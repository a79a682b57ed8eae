"""`exec` under load: a gigabyte both ways, a hundred at once, and clients that leave in the middle."""

import hashlib
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Final

import pytest

from e2e.checks import containers, state
from e2e.engine import COMMAND_S
from e2e.scenario import Scenario
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
STACK: Final = 'services: {web: {image: "rootfs:/", command: sleep infinity, stop_grace_period: 0s}}'
BLOCK: Final = random.Random(7).randbytes(1 << 20)
BLOCKS: Final = 1024


@pytest.fixture
def story(scenario: Tell) -> Scenario:
    story = scenario(STACK)
    story.step("up -d", state("web", "running"))
    return story


def begin(story: Scenario, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "orchestr8", "exec", "-T", "web", *words], cwd=story.directory,
        env=story.engine.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def block(number: int) -> bytes:
    """No two alike: one that is lost, doubled or out of place shows in the checksum."""
    return BLOCK[number:] + BLOCK[:number]


def feed(pipe: IO[bytes], told: "hashlib._Hash") -> None:
    with pipe:
        for number in range(BLOCKS):
            data = block(number)
            told.update(data)
            pipe.write(data)


def test_a_gigabyte_goes_both_ways_and_no_byte_is_lost(story: Scenario) -> None:
    sent, got, length = hashlib.sha256(), hashlib.sha256(), 0
    with begin(story, "cat") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        writer = threading.Thread(target=feed, args=(process.stdin, sent))
        writer.start()
        while data := process.stdout.read1(1 << 20):
            got.update(data)
            length += len(data)
        writer.join()
        assert process.stderr.read() == b""
        assert process.wait(COMMAND_S) == 0
    assert length == BLOCKS << 20
    assert got.digest() == sent.digest()


def test_a_hundred_at_once_each_get_their_own(story: Scenario) -> None:
    processes = [begin(story, "sh", "-c", f"cat; echo error {n} >&2; exit {n}") for n in range(100)]
    try:
        for number, process in enumerate(processes):
            out, err = process.communicate(f"input {number}\n".encode(), timeout=COMMAND_S)
            assert (process.returncode, out, err) == (
                number,
                f"input {number}\n".encode(),
                f"error {number}\n".encode(),
            )
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    story.step("ps", state("web", "running"))


def test_clients_that_leave_or_do_not_read_hold_up_nobody(story: Scenario) -> None:
    with begin(story, "sh", "-c", "yes >/dev/stdout") as idle, begin(story, "sh", "-c", "exec yes") as gone:
        assert gone.stdout is not None
        assert gone.stdout.read(1 << 16)
        gone.kill()
        story.step("exec -T web echo here")
        with begin(story, "cat") as busy:
            out, _ = busy.communicate(b"x" * (8 << 20), timeout=COMMAND_S)
            assert len(out) == 8 << 20
        idle.kill()
    story.step("down", containers())


@pytest.mark.parametrize("words", [("exec",), ("run", "--quiet", "--rm", "--no-deps")])
def test_who_is_given_no_input_leaves_it_to_the_caller(story: Scenario, words: tuple[str, ...]) -> None:
    """As in a loop of a shell that reads: what comes next is the loop's."""
    loop = 'while read -r line; do "$@" --interactive=false web sh -c "cat; echo $line"; done'
    done = subprocess.run(
        ["sh", "-c", loop, "sh", sys.executable, "-m", "orchestr8", *words], cwd=story.directory, input=b"one\ntwo\n",
        env=story.engine.environment, capture_output=True, timeout=COMMAND_S, check=False,
    )  # fmt: skip
    assert done.stdout == b"one\ntwo\n", done.stderr
