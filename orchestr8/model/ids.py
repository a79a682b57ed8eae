"""Names and ids as types, so that mypy tells a network's name from a service's."""

from typing import NewType

StackName = NewType("StackName", str)  # compose's project name: [a-z0-9][a-z0-9_-]*
ServiceName = NewType("ServiceName", str)  # the key under `services:`
ContainerName = NewType("ContainerName", str)  # "<stack>-<service>-<n>", or `container_name`
ContainerId = NewType("ContainerId", str)  # 12 hex digits
NetworkName = NewType("NetworkName", str)  # "<stack>_<key>", or the network's `name`
VolumeName = NewType("VolumeName", str)  # "<stack>_<key>", or the volume's `name`
