"""`python -m orchestr8`: the same as the `orchestr8` command."""

import sys

from orchestr8.cli.main import run

if __name__ == "__main__":
    sys.exit(run())
