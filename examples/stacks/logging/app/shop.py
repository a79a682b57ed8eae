"""A shop that tells of its orders, and on stderr of those that it cannot deliver."""

import itertools
import sys
import time

for order in itertools.count(1):
    if order % 5:
        print(f"order {order} is delivered")
    else:
        print(f"order {order} is lost", file=sys.stderr)
    time.sleep(0.2)
