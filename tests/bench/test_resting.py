"""What is read from the kernel about idle processes, from its own texts."""

import pytest

from bench import idle, leaks, memory
from bench.memory import Memory

STATUS = "Name:\torchestr8-shim\nPid:\t7\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n"


def test_both_kinds_of_context_switches_count() -> None:
    assert idle.parse_status(STATUS) == ("orchestr8-shim", 15)


def test_only_threads_that_woke_up_are_told() -> None:
    loop, worker, new = (idle.Thread("engine", 7, tid, "python3") for tid in (7, 8, 9))
    assert idle.difference({loop: 10, worker: 5}, {loop: 10, worker: 7, new: 2}) == {worker: 2, new: 2}


def test_wake_ups_are_summed_by_what_a_process_is() -> None:
    woken = {
        "ours": {},
        "docker compose": {idle.Thread("dockerd", 1, 1, "dockerd"): 8, idle.Thread("dockerd", 1, 2, "dockerd"): 1},
    }
    assert idle.render(woken, 60, 10) == (
        "context switches in 60 s, 10 idle containers  all  by\n"
        "ours                                            0\n"
        "docker compose                                  9  dockerd 9\n"
    )


def test_the_proportional_size_is_found_in_a_roll_up() -> None:
    assert memory.parse_pss_kib("7f00-7fff ---p 00000000 [rollup]\nRss:  900 kB\nPss:  412 kB\n") == 412


def test_a_roll_up_without_a_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="no Pss"):
        memory.parse_pss_kib("Rss: 900 kB\n")


def test_the_forkserver_is_counted_with_the_containers_and_the_engine_is_not() -> None:
    found = Memory(
        program="ours", containers=10, parts={"shims": 15360, "inits": 1024}, shared={"forkserver": 4096},
        daemons={"engine": 30720},
    )  # fmt: skip
    assert found.per_container_mib == 2.0
    assert memory.render([found]) == (
        "idle memory (PSS)  containers      each  of it, each              shared by all    daemons\n"
        "ours                       10  2.00 MiB  shims 1.50, inits 0.10  forkserver 4.00  engine 30.00\n"
    ).replace("of it, each              shared", "of it, each             shared")


def test_what_grew_is_a_leak_unless_it_may_grow() -> None:
    before = dict.fromkeys(leaks.LEAKS_NOTHING, 5) | {"engine PSS KiB": 100}
    after = before | {"mounts": 7, "links": 4, "engine PSS KiB": 900}
    assert leaks.leaked(before, after) == {"mounts": 2}
