"""What this runtime can do, as OCI's features.md has it."""

from typing import Any

from orchestr8.kernel.capabilities import NAMES
from orchestr8.kernel.seccomp_profile import ACTIONS, OPERATORS
from orchestr8.oci.document import HOOKS, NAMESPACES
from orchestr8.runtime.sources import ATTRIBUTES, OPPOSITES, PROPAGATION

_MACHINES = ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"]


def features() -> dict[str, Any]:
    recursive = [f"r{name}" for name in (*ATTRIBUTES, *PROPAGATION)]
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.0",
        "hooks": list(HOOKS),
        "mountOptions": sorted(
            {
                *ATTRIBUTES,
                *OPPOSITES,
                *PROPAGATION,
                *recursive,
                "bind",
                "rbind",
                "defaults",
                "idmap",
                "ridmap",
                "tmpcopyup",
            }
        ),
        "linux": {
            "namespaces": sorted(NAMESPACES),
            "capabilities": list(NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": False},
            "seccomp": {
                "enabled": True,
                "actions": sorted(ACTIONS),
                "operators": sorted(OPERATORS),
                "archs": _MACHINES,
            },
            "apparmor": {"enabled": False},
            "selinux": {"enabled": False},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
        },
        "annotations": {},
    }
