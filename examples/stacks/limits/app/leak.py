"""Takes 8 MiB more, again and again."""

held = []
while True:
    held.append(b"x" * (8 << 20))
    print(len(held) * 8, "MiB")
