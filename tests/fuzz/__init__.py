"""The stack language under input that nobody would write: what each target promises, how inputs are mutated, past failures.

`python -m tests.fuzz TARGET --seconds 600` searches; what it finds stays in failures/ and is tried again by each test run.
"""
