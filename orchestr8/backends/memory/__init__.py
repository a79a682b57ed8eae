"""A backend that keeps everything in memory: for tests, and for an engine without a kernel to do it for (API, CLI).

It is a verified fake: it passes the contract tests that the native backend passes (`tests/backends/contract/`), and
refuses what a kernel would refuse, so that a plan which only works on paper fails here too.

backend.py      the Backend protocol: which Action goes where, and what exists
containers.py   one container: what is seen of it, its program, who is connected to it, its log
networks.py     subnets, addresses and host ports, handed out as an engine would
programs.py     what the programs of tests do
files.py        files that are copied from and to containers
"""

from orchestr8.backends.memory.backend import MemoryBackend

__all__ = ["MemoryBackend"]
