"""Says what it may, and stays."""

import resource
import signal

print("open files:", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
with open("/proc/self/oom_score_adj", encoding="ascii") as score:
    print("victim's score:", score.read().strip())
signal.pause()
