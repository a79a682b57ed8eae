"""Keys of a service that make a container what it is, each with the test on a real kernel that fails without it.

`python -m tests.system.keys [KEY…]` has the engine overlook each key in turn (those that have one of the words in them) and runs
its tests, which must fail; see `guards`, which does so with walls, for what that needs. `test_guards` sees to it that the
tests are there.
"""

import sys
from typing import Final

from tests.system.guards import Edit, Lesson, take_out_in_turn

_READ: Final = '    stack = StackName(_text(document, "name", "the document"))\n'
_EACH: Final = '    for service in (document.get("services") or {}).values():\n        '

WORDS: Final = "system/test_keys.py::"
APART: Final = "system/test_keys_isolation.py::"
LIMITS: Final = "system/test_keys_limits.py::"
MOUNTS: Final = "system/test_mounts.py::"
GRANTS: Final = "system/test_grants.py::"
IN_FORCE: Final = f"{LIMITS}test_each_limit_is_in_the_kernels_files_or_said_not_to_be_in_force"
SEEN: Final = f"{WORDS}test_a_program_finds_its_words_variables_place_user_and_host"


def _without(key: str, test: str, overlook: str = "") -> Lesson:
    """`overlook`: a statement that takes the key out of `service`; when it is no key of the service itself."""
    text = _EACH + (overlook or f'service.pop("{key}", None)') + "\n"
    return Lesson(key, "is not seen", (test,), (Edit("plan/desired.py", _READ, text + _READ),))


def _option(start: str, test: str) -> Lesson:
    """One of `security_opt`."""
    kept = f'[each for each in service.get("security_opt") or () if not each.startswith("{start}")]'
    return _without(f"security_opt {start}", test, f'service["security_opt"] = {kept}')


def _of_mounts(kind: str, key: str, test: str) -> Lesson:
    pops = f'[(each.get("{kind}") or {{}}).pop("{key}", None) for each in service.get("volumes") or ()]'
    return _without(f"{kind}.{key}", test, pops)


def _granted(part: str, key: str) -> Lesson:
    of_both = f'((service.get("deploy") or {{}}).get("resources") or {{}}).get("{part}") or {{}}'
    return _without(f"deploy.resources.{part}.{key}", IN_FORCE, f'({of_both}).pop("{key}", None)')


KEYS: Final = (
    _without("command", SEEN),
    _without("entrypoint", SEEN),
    _without("user", SEEN),
    _without("working_dir", SEEN),
    _without("environment", SEEN),
    _without("hostname", SEEN),
    _without("domainname", f"{APART}test_names_of_host_and_domain"),
    _without("uts", f"{APART}test_names_of_host_and_domain"),
    _without("group_add", f"{APART}test_groups_are_added_by_name_and_by_number"),
    _without("init", f"{WORDS}test_the_reaper_is_there_unless_it_is_not_wanted"),
    _without("read_only", f"{LIMITS}test_the_root_and_what_lies_over_it"),
    _without("tmpfs", f"{LIMITS}test_the_root_and_what_lies_over_it",
             'service["volumes"] = [each for each in service.get("volumes") or () if each["type"] != "tmpfs"]\n'
             '        service.pop("tmpfs", None)'),
    _without("shm_size", f"{MOUNTS}test_shared_memory_has_the_size_asked_for"),
    _without("devices", f"{APART}test_a_device_is_there_with_its_access_and_others_are_not"),
    _without("device_cgroup_rules", f"{LIMITS}test_a_rule_opens_a_device_that_is_made_inside"),
    _without("cap_add", f"{APART}test_capabilities_are_added_dropped_and_not_written_in_one_way_only"),
    _without("cap_drop", f"{APART}test_capabilities_are_added_dropped_and_not_written_in_one_way_only"),
    _without("privileged", f"{APART}test_a_privileged_container_has_all_rights_and_devices_and_nothing_is_hidden"),
    _option("no-new-privileges", f"{APART}test_no_new_privileges_holds_for_every_program"),
    _option("seccomp", f"{APART}test_a_seccomp_profile_is_read_beside_the_stack_file_and_holds"),
    _option("systempaths", f"{APART}test_the_systems_paths_can_be_left_open"),
    _without("sysctls", f"{APART}test_kernel_parameters_of_the_container_are_set_and_others_refused"),
    _without("ulimits", "examples/test_examples_run.py::test_limits_are_felt_and_named"),
    _without("pid", f"{APART}test_processes_of_a_service_are_seen_by_one_that_shares_its_namespace_and_end_with_their_own_container"),
    _without("ipc", f"{APART}test_memory_and_queues_are_shared_by_who_shares_the_ipc_namespace"),
    _without("cgroup", f"{LIMITS}test_groups_are_seen_as_asked_and_stand_below_whose_they_are"),
    _without("cgroup_parent", f"{LIMITS}test_groups_are_seen_as_asked_and_stand_below_whose_they_are"),
    _without("userns_mode", "system/test_userns.py::test_root_and_others_have_ids_that_nobody_else_has"),
    _without("oom_score_adj", "examples/test_examples_run.py::test_limits_are_felt_and_named"),
    *(_without(key, IN_FORCE) for key in (
        "oom_kill_disable", "mem_limit", "memswap_limit", "mem_reservation", "mem_swappiness", "cpus", "cpu_shares", "cpu_quota",
        "cpu_period", "cpu_rt_runtime", "cpu_rt_period", "cpuset", "pids_limit",
    )),
    *(_granted("limits", key) for key in ("cpus", "memory", "pids")),
    _granted("reservations", "memory"),
    _without("blkio_config.weight", IN_FORCE, '(service.get("blkio_config") or {}).pop("weight", None)'),
    *(_without(f"blkio_config.{key}", f"{LIMITS}test_rates_of_a_disk_are_in_the_kernels_files",
               f'(service.get("blkio_config") or {{}}).pop("{key}", None)')
      for key in ("device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops")),
    _without("storage_opt", f"{MOUNTS}test_a_layer_holds_what_it_may_and_no_more"),
    _without("secrets", f"{GRANTS}test_each_source_has_its_place_owner_and_mode"),
    _without("configs", f"{GRANTS}test_each_source_has_its_place_owner_and_mode"),
    _without("volumes_from", f"{MOUNTS}test_volumes_of_a_service_are_had_by_another_and_stay_with_it"),
    _of_mounts("volume", "subpath", f"{MOUNTS}test_a_part_of_a_volume_is_mounted_alone"),
    _of_mounts("bind", "propagation", f"{MOUNTS}test_mounts_propagate_as_asked"),
)  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(take_out_in_turn(KEYS, sys.argv[1:]))
