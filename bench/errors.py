"""What keeps a measurement from being made. Never a slow result: nothing here fails by the clock."""


class Unmeasurable(Exception):
    """Something is missing, or a program that is measured has failed."""
