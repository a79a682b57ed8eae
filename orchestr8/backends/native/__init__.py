"""The machine itself as a backend: images, storage, networks and the runtime put together, one Action at a time.

backend.py      the Backend protocol: which Action goes where; an engine's start and end
observing.py    what exists, as a snapshot
sweeping.py     what a former engine left and nobody owns
containers.py   one container from bundle to removal
making.py       what of it lies on disk
sandbox.py      what it runs in: shim, cgroup, network namespace, ports
runs.py         what its shim has told of the last run
stillness.py    its pauses, by the user and for a moment
execs.py        further programs in it
copies.py       files copied from and to it
layers.py       what of its file system is its own
committing.py   an image of it
probes.py       running a command inside and reading its output
figures.py      what containers use
networks.py     what is allotted of networks, and the names that containers have in DNS
"""

from orchestr8.backends.native.backend import NativeBackend

__all__ = ["NativeBackend"]
