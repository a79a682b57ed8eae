"""The command line: short-lived, and light until a stack file must be read.

`table` says what commands and flags there are; `parser`, help and completion come from it. `main` runs one command and
turns its errors into text and an exit code. `context` is what a command works with: the engine's client, the stack's
name or document, the outputs. `commands/<verb>.py` holds one command each. What is true about a stack is the engine's
to say: nothing here decides, keeps state or opens what belongs to the engine, its log while it is down aside.

At the top of a module only light modules of the standard library, `errors`, `wire.client`, `stack` and this package:
tests/cli/test_imports.py holds the commands that only read to a list.
"""
