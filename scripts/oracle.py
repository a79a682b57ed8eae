"""Writes down what `docker compose config` answers to the reference files: `python -m scripts.oracle [COMMAND …]`.

COMMAND begins the peer's command line ("chroot DIR docker compose", if it lives in a directory of its own; the files
are then copied below DIR/tmp). Each question has five seconds: some inputs are there to hang a reader, or
to fill the machine's memory. The answers go to
tests/stack/oracle.json, which tests/stack/test_oracle.py compares ours with; no peer is needed for that.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.stack.oracle import ANSWERS, CORPUS, REFERENCE, WHERE, Answer, Question, questions, without_place

TIME_S: Final = 5
BOUNDED: Final = ("prlimit", f"--as={12 << 30}")  # bytes


def main(command: list[str]) -> int:
    root = command[1] if command[0] == "chroot" else ""
    folder = "/tmp/orchestr8-oracle" if root else str(REFERENCE)
    if root:
        shutil.copytree(REFERENCE, root + folder, dirs_exist_ok=True)
    try:
        answers = {each.id: answer_of(each, command, root, folder) for each in questions()}
    finally:
        if root:
            shutil.rmtree(root + folder)
    ANSWERS.write_text(as_lines(answers))
    refused = sum("error" in answer for answer in answers.values())
    print(f"{len(answers)} questions, {refused} of them refused: {ANSWERS}")
    return 0


def as_lines(answers: dict[str, Answer]) -> str:
    """A question a line, so that a new answer is one changed line."""
    lines = (f"{json.dumps(name)}: {json.dumps(answer, sort_keys=True)}" for name, answer in answers.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def answer_of(question: Question, command: list[str], root: str, folder: str) -> Answer:
    """What the peer prints, or why it refuses."""
    entered, program = (command[:2], command[2:]) if root else ([], command)  # the folder is the one in there
    words = [*BOUNDED, *entered, "env", "-C", folder, *program, *question.arguments, "--format", "json"]
    try:
        done = subprocess.run(
            words, check=False, env={**WHERE, **dict(question.environment)}, input=question.stdin,
            capture_output=True, text=True, timeout=TIME_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {TIME_S} s"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["nothing said"]
        return {"error": last[0].replace(folder, CORPUS)}
    return {"document": without_place(json.loads(done.stdout), folder)}


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    sys.exit(main(sys.argv[1:] or ["docker", "compose"]))
