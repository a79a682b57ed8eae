"""A process gives up its rights for good, on the real kernel."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from orchestr8.kernel import capabilities
from orchestr8.kernel.capabilities import DEFAULT, NAMES, CapabilitySets, mask, oci_capabilities

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

InChild = Callable[[Callable[[], Any]], Any]
EVERYTHING = f"{mask(DEFAULT):016x}"
NOTHING = f"{0:016x}"


def status() -> dict[str, str]:
    with open("/proc/self/status", encoding="utf-8") as file:
        return dict(line.strip().split(":\t", 1) for line in file if line.startswith("Cap"))


def become(sets: CapabilitySets, uid: int) -> dict[str, str]:
    capabilities.limit(sets)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    capabilities.apply(sets)
    return status()


def test_root_keeps_the_default_set_and_can_inherit_nothing(in_child: InChild) -> None:
    sets = CapabilitySets.from_oci(oci_capabilities(0))
    assert in_child(lambda: become(sets, 0)) == {
        "CapInh": NOTHING,
        "CapPrm": EVERYTHING,
        "CapEff": EVERYTHING,
        "CapBnd": EVERYTHING,
        "CapAmb": NOTHING,
    }


def test_another_user_has_none_and_a_program_of_its_image_can_gain_no_more_than_the_default(in_child: InChild) -> None:
    sets = CapabilitySets.from_oci(oci_capabilities(65534))
    assert in_child(lambda: become(sets, 65534)) == {
        "CapInh": NOTHING,
        "CapPrm": NOTHING,
        "CapEff": NOTHING,
        "CapBnd": EVERYTHING,
        "CapAmb": NOTHING,
    }


def test_another_user_can_be_given_a_capability(in_child: InChild) -> None:
    one = mask(["CAP_NET_BIND_SERVICE"])
    sets = CapabilitySets(bounding=one, effective=one, permitted=one, inheritable=one, ambient=one)
    assert in_child(lambda: become(sets, 65534)) == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), f"{one:016x}"
    )


def test_what_was_inherited_or_ambient_before_is_gone(in_child: InChild) -> None:
    def child() -> dict[str, str]:
        have = capabilities.read()
        capabilities.apply(have._replace(inheritable=have.permitted, ambient=1))
        assert status()["CapAmb"] != NOTHING
        return become(CapabilitySets.from_oci(oci_capabilities(0)), 0)

    after = in_child(child)
    assert (after["CapInh"], after["CapAmb"]) == (NOTHING, NOTHING)


def test_who_may_drop_nothing_is_told_so_unless_it_is_dropped_already(in_child: InChild) -> None:
    def child() -> list[str]:
        default = CapabilitySets.from_oci(oci_capabilities(0))
        capabilities.limit(default)
        capabilities.apply(default._replace(effective=0, permitted=0))
        capabilities.limit(default)
        try:
            capabilities.limit(default._replace(bounding=0))
        except OSError as error:
            return [str(error), status()["CapBnd"]]
        return []

    assert in_child(child) == ["prctl 24: Operation not permitted", EVERYTHING]


def test_a_capability_that_was_dropped_cannot_come_back(in_child: InChild) -> None:
    def child() -> list[str]:
        become(CapabilitySets.from_oci(oci_capabilities(0)), 0)
        refused = []
        for name in ("CAP_SYS_ADMIN", "CAP_NET_ADMIN"):
            try:
                capabilities.apply(CapabilitySets(effective=mask([name]), permitted=mask([name])))
            except OSError as error:
                refused.append(f"{name}: {error.strerror}")
        return refused

    assert in_child(child) == [f"CAP_{name}: Operation not permitted" for name in ("SYS_ADMIN", "NET_ADMIN")]


def test_every_capability_of_this_kernel_has_a_name() -> None:
    with open("/proc/sys/kernel/cap_last_cap", encoding="utf-8") as file:
        assert int(file.read()) < len(NAMES)
