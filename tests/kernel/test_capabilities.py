import subprocess
import sys
from pathlib import Path

import pytest

from orchestr8.kernel import capabilities
from orchestr8.kernel.capabilities import DEFAULT, NAMES, CapabilitySets, mask, names_of, oci_capabilities


def test_numbers_are_the_kernels() -> None:
    known = {"CAP_CHOWN": 0, "CAP_SETPCAP": 8, "CAP_SYS_ADMIN": 21, "CAP_SYS_RESOURCE": 24, "CAP_MKNOD": 27}
    known |= {"CAP_SETFCAP": 31, "CAP_MAC_OVERRIDE": 32, "CAP_AUDIT_READ": 37, "CAP_CHECKPOINT_RESTORE": 40}
    assert {name: NAMES.index(name) for name in known} == known


def test_the_default_is_dockers_fourteen() -> None:
    assert f"{mask(DEFAULT):016x}" == "00000000a80425fb"  # as /proc/self/status shows it in Docker's containers


def test_names_and_masks_are_each_others_inverse() -> None:
    assert set(names_of(mask(DEFAULT))) == set(DEFAULT)
    assert names_of(mask(NAMES)) == NAMES
    assert mask(("CAP_CHOWN", "CAP_CHOWN")) == 1


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        mask(["CAP_EVERYTHING"])


def test_root_starts_with_its_capabilities_and_nothing_to_inherit() -> None:
    sets = CapabilitySets.from_oci(oci_capabilities(0))
    everything = mask(DEFAULT)
    assert sets == CapabilitySets(bounding=everything, effective=everything, permitted=everything)


def test_another_user_starts_with_none() -> None:
    assert CapabilitySets.from_oci(oci_capabilities(1000)) == CapabilitySets(bounding=mask(DEFAULT))


def test_sets_that_the_bundle_lacks_are_empty() -> None:
    assert CapabilitySets.from_oci({}) == CapabilitySets()


def test_the_kernel_and_proc_agree_on_what_this_process_has() -> None:
    with open("/proc/thread-self/status", encoding="utf-8") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if line.startswith("Cap"))
    sets = capabilities.read()
    assert [f"{each:016x}" for each in (sets.inheritable, sets.permitted, sets.effective)] == [
        status["CapInh"],
        status["CapPrm"],
        status["CapEff"],
    ]


def test_what_forked_children_use_imports_next_to_nothing() -> None:
    """Neither asyncio, nor the model, nor libseccomp's wrapper may come along into the forkserver."""
    code = (
        "import sys; sys.path.append(sys.argv[1]); from orchestr8.kernel import capabilities, cgroup_enter, seccomp_install;"
        "print(*sorted(name for name in sys.modules if name.startswith('orchestr8') or name in"
        " ('asyncio', 'dataclasses', 'inspect', 'json')))"
    )
    root = str(Path(capabilities.__file__).parents[2])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, root], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        *("orchestr8", "orchestr8.kernel", "orchestr8.kernel.capabilities", "orchestr8.kernel.cgroup_enter"),
        *("orchestr8.kernel.libc", "orchestr8.kernel.prctl", "orchestr8.kernel.seccomp_install"),
    ]
