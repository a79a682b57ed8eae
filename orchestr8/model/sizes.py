"""Numbers of bytes as people write them. Apart from what has limits, since shims and short-lived commands carry it."""


def size_text(size: int) -> str:
    """`64M`, `1536k`, `100`: by the largest unit that divides; `unlimited` for less than nothing."""
    if size < 0:
        return "unlimited"
    for exponent, unit in ((3, "G"), (2, "M"), (1, "k")):
        if size and size % (1 << 10 * exponent) == 0:
            return f"{size >> 10 * exponent}{unit}"
    return str(size)
