"""The machine itself as a backend: images, storage, networks and the runtime put together, one Action at a time.

backend.py      the Backend protocol: which Action goes where, observing, adopting what a former engine left
containers.py   one container from bundle to removal
networks.py     networks and volumes: what is allotted, and the names that containers have in DNS
probes.py       running a command inside and reading its output
"""

from orchestr8.backends.native.backend import NativeBackend

__all__ = ["NativeBackend"]
