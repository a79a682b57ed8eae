"""The default profile on the real kernel, installed as a container's program has it."""

import ctypes
import errno
import os
import platform
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from orchestr8.kernel import capabilities, prctl, seccomp_install
from orchestr8.kernel.capabilities import CapabilitySets, oci_capabilities
from orchestr8.kernel.libc import syscall
from orchestr8.kernel.seccomp import compile_default

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="uses x86_64 numbers"),
]

InChild = Callable[[Callable[[], Any]], Any]


def attempt(number: int, *arguments: int) -> str:
    """What a raw system call says: "ok" or the name of its errno."""
    ctypes.set_errno(0)
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    if syscall(number, *(ctypes.c_ulong(each) for each in padded)) != -1:
        return "ok"
    return errno.errorcode[ctypes.get_errno()]


def filtered(*calls: tuple[int, ...]) -> Callable[[], list[str]]:
    def child() -> list[str]:
        seccomp_install.install(compile_default())
        return [attempt(*call) for call in calls]

    return child


def test_allowed_calls_work_denied_ones_are_eperm_and_unknown_ones_enosys(in_child: InChild) -> None:
    mseal = (462, 0, 0, 0)  # of nothing: newer than the libseccomp of Debian 12, and than some kernels
    calls = {
        (39,): "ok",  # getpid
        mseal: attempt(*mseal),  # as without the filter: "ok" from Linux 6.10 on
        (165, 0, 0, 0, 0, 0): "EPERM",  # mount
        (425, 1, 0): "EPERM",  # io_uring_setup
        (321, 0, 0, 0): "EPERM",  # bpf
        (250, 0, 0, 0): "EPERM",  # keyctl
        (272, 0x10000000): "EPERM",  # unshare of a user namespace
        (435, 0, 0): "ENOSYS",  # clone3
        (600,): "ENOSYS",
        (123456,): "ENOSYS",
    }
    assert in_child(filtered(*calls)) == list(calls.values())


def test_arguments_decide_where_the_call_alone_does_not(in_child: InChild) -> None:
    def child() -> list[str]:
        seccomp_install.install(compile_default())
        results = []
        for family in (socket.AF_INET, socket.AF_UNIX, socket.AF_ALG, socket.AF_VSOCK):
            try:
                socket.socket(family, socket.SOCK_STREAM if family != socket.AF_ALG else socket.SOCK_SEQPACKET).close()
                results.append("ok")
            except OSError as error:
                results.append(errno.errorcode[error.errno or 0])
        # The kernel takes 32 bits of the family: more of them must not get AF_ALG past the filter.
        return [*results, attempt(41, 38 | 1 << 32, 5, 0), attempt(135, 0xFFFFFFFF), attempt(135, 0x0040000)]

    assert in_child(child) == ["ok", "ok", "EPERM", "EPERM", "EPERM", "ok", "EPERM"]


def test_processes_and_threads_start_under_the_filter_and_inherit_it(in_child: InChild) -> None:
    def child() -> list[str]:
        seccomp_install.install(compile_default())
        script = "import threading, os; t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()"
        done = subprocess.run(["/usr/bin/env", "python3", "-c", script], capture_output=True, text=True, check=False)
        mount = subprocess.run(["mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True, check=False)
        return [done.stdout, str(mount.returncode != 0)]

    assert in_child(child) == ["thread\n", "True"]


def test_rights_can_be_given_up_after_the_filter_is_on(in_child: InChild) -> None:
    """Without no_new_privs the filter needs CAP_SYS_ADMIN, so it comes first."""

    def child() -> str:
        sets = CapabilitySets.from_oci(oci_capabilities(1000))
        capabilities.limit(sets)
        seccomp_install.install(compile_default())
        os.setgroups([])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        capabilities.apply(sets)
        with open("/proc/self/status", encoding="utf-8") as file:
            return dict(line.strip().split(":\t", 1) for line in file if line.startswith("Seccomp"))["Seccomp"]

    assert in_child(child) == "2"


def test_a_user_without_capabilities_installs_it_with_no_new_privs(in_child: InChild) -> None:
    def child() -> list[str]:
        program = compile_default([])
        os.setresuid(65534, 65534, 65534)
        try:
            seccomp_install.install(program)
        except OSError as error:
            first = errno.errorcode[error.errno or 0]
        prctl.set_no_new_privileges()
        seccomp_install.install(program)
        return [first, attempt(161, 0)]

    assert in_child(child) == ["EACCES", "EPERM"]


def test_the_profile_of_a_container_with_every_capability_is_taken_by_the_kernel(in_child: InChild) -> None:
    def child() -> str:
        seccomp_install.install(compile_default(capabilities.NAMES))
        return attempt(272, 0)  # unshare of nothing

    assert in_child(child) == "ok"
