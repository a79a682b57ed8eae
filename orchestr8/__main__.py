"""`python -m orchestr8`: the same as the `orchestr8` command."""

from orchestr8.cli.entry import main

if __name__ == "__main__":
    main()
