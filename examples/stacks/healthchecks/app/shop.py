"""Asks the search once, at its start, and does not try again: it may rely on being started late enough."""

import signal
import urllib.request

with urllib.request.urlopen("http://search:8000/", timeout=5) as response:
    print(f"shop: the search answers at once: {response.read().decode().strip()}")
signal.pause()
