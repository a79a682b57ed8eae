"""Does one job after another, and breaks on some: its third, and from then on every fifteenth."""

import os
import sys
import time

from client import ask

PAUSE_S = float(os.environ["PAUSE_S"])

while True:
    job = int(ask("ADD started 1"))
    if job % 15 == 3:
        sys.exit(f"worker: job {job} broke it")
    print(f"worker: job {job} done, {ask('ADD jobs 1')} so far")
    time.sleep(PAUSE_S)
