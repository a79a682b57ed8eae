"""The lessons of other runtimes, each with the guard that we drew from it and the test that fails without that guard.

`python -m tests.system.guards [WORD…]` takes each guard out in turn (those whose lesson has one of the words), runs its
tests, which must fail, and puts the file back as it was. It needs root, edits the checkout whose .venv runs it, and takes
some minutes, so it is run by hand, after a change of what it names; `test_guards` sees to it that all it names is there.

Where two guards stand behind each other, both are taken out: what counts is that the tests see the hole. Ids from memory
of those who wrote about them: the lesson stands, whatever its number.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

TOP: Final = Path(__file__).parent.parent.parent


class Edit(NamedTuple):
    """In a file of the package: what the guard is, which stands there once, and what would be there without it."""

    file: str
    guard: str
    without: str


class Lesson(NamedTuple):
    ids: str
    what: str
    tests: tuple[str, ...]  # below tests/: FILE::TEST
    edits: tuple[Edit, ...]


ESCAPES: Final = "system/test_escapes.py::"
LOOKING: Final = "system/test_looking_in.py::"
PLACES: Final = "system/test_hostile_places.py::"
COPIES: Final = "system/test_cp_hostile.py::"

LESSONS: Final = (
    Lesson(
        "CVE-2019-5736", "the runtime's own program is overwritten through /proc/PID/exe",
        (f"{ESCAPES}test_a_program_that_is_the_runtime_itself_finds_nothing_to_overwrite",),
        (Edit("kernel/memfd.py", "    os.fchmod(fd, 0o555)\n    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)\n",
              "    os.fchmod(fd, 0o777)\n"),),
    ),
    Lesson(
        "CVE-2019-5736", "the same, for the interpreter that runs as it lies on the machine",
        ("system/test_runtime_processes.py::test_every_process_runs_from_a_sealed_memfd_that_nobody_can_write_to",),
        (Edit("runtime/sealed.py", 'executable=f"/proc/self/fd/{interpreter.fd}",\n', "executable=interpreter.argv0,\n"),),
    ),
    Lesson(
        "CVE-2024-21626", "a descriptor of the host is open, and a working directory lies behind it",
        (f"{ESCAPES}test_a_working_directory_behind_a_descriptor_is_refused",),
        (
            Edit("runtime/program.py", 'if not here.startswith("/"):', "if False:"),
            Edit("runtime/init.py",
                 "program.keep_only(sync.fileno(), birth.reaper_fd, *shared, birth.user_namespace)",
                 'os.open("/", os.O_PATH)'),
            Edit("runtime/exec.py", "program.keep_only(sync.fileno(), init_pidfd if container.id_count else -1)",
                 "pass"),
        ),
    ),
    Lesson(
        "CVE-2024-21626", "a program finds descriptors that are not its own",
        (f"{ESCAPES}test_no_descriptor_but_stdio_is_open_in_any_program",),
        (Edit("runtime/init.py", "    ours, theirs = socket.socketpair",
              '    os.set_inheritable(os.open("/", os.O_PATH), True)\n    ours, theirs = socket.socketpair'),
         Edit("runtime/init.py", "    try:\n        os.execve(image",
              '    os.set_inheritable(os.open("/", os.O_PATH), True)\n    try:\n        os.execve(image')),
    ),
    Lesson(
        "CVE-2016-9962", "a program of the container traces a process on its way in",
        (f"{LOOKING}test_an_exec_is_not_there_before_it_is_one_of_the_container",),
        (Edit("runtime/exec.py", "        prctl.set_dumpable(False)\n", "        prctl.set_dumpable(True)\n"),),
    ),
    Lesson(
        "CVE-2016-9962", "the same at a start, in a pid namespace that is shared",
        (f"{LOOKING}test_one_that_shares_the_pid_namespace_is_not_there_before_it_is_confined",),
        (Edit("runtime/init.py", "        prctl.set_dumpable(False)", "        prctl.set_dumpable(True)"),
         Edit("runtime/setup.py", "    prctl.set_dumpable(False)  # again", "    prctl.set_dumpable(True)  # again")),
    ),
    Lesson(
        "CVE-2016-9962", "a tracer among the container's programs sees the host through an exec",
        (f"{LOOKING}test_an_exec_is_not_there_before_it_is_one_of_the_container",),
        (
            Edit("runtime/exec.py", "        joining.take_over(successor)\n        os.setsid()", "        os.setsid()"),
            Edit("runtime/exec.py", "        joining.join(init_pidfd, _JOINED |",
                 "        joining.join(init_pidfd, CloneFlag.NEWPID)\n        joining.take_over(successor)\n"
                 "        joining.join(init_pidfd, _JOINED |"),
        ),
    ),
    Lesson(
        "CVE-2016-9962", "the same through a container that shares its pid namespace",
        (f"{LOOKING}test_one_that_shares_the_pid_namespace_is_not_there_before_it_is_confined",),
        (
            Edit("runtime/init.py", "            birth.successor.take_over()\n", ""),
            Edit("runtime/init.py", "        program.new_session_keyring()\n",
                 '        if "pid" in birth.joined:\n            birth.successor.take_over()\n'
                 "        program.new_session_keyring()\n"),
        ),
    ),
    Lesson(
        "CVE-2020-15257", "control sockets are abstract, so that the host's network namespace is enough to reach them",
        (f"{ESCAPES}test_the_shims_own_pipes_are_not_reachable_and_no_socket_is_abstract",),
        (Edit("runtime/engines.py", "        self._listener.setblocking(False)\n",
              "        self._other = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
              '        self._other.bind(f"\\0{path}")\n        self._listener.setblocking(False)\n'),),
    ),
    Lesson(
        "CVE-2021-30465, CVE-2024-45310", "the target of a mount is resolved on the host, while it is swapped for a link",
        (f"{ESCAPES}test_a_target_that_is_swapped_for_a_symlink_never_leads_out_of_the_root",),
        (Edit("kernel/openat2.py", "Resolve.IN_ROOT | Resolve.NO_MAGICLINKS | resolve)",
              "Resolve.NO_MAGICLINKS | resolve)"),),
    ),
    Lesson(
        "CVE-2021-30465", "a target that was checked is resolved once more, to mount on it",
        (f"{ESCAPES}test_a_target_that_is_swapped_for_a_symlink_never_leads_out_of_the_root",),
        (Edit("runtime/rootfs.py",
              "        target = self._open_target(destination, directory=directory)\n        try:\n",
              "        os.close(self._open_target(destination, directory=directory))\n"
              "        target = os.open(self._path + destination, os.O_PATH)\n        try:\n"),),
    ),
    Lesson(
        "CVE-2024-45310", "a missing target is made by its path",
        (f"{ESCAPES}test_a_target_that_is_swapped_for_a_symlink_never_leads_out_of_the_root",),
        (Edit("runtime/rootfs.py", "            target = make_in_root(self._root_fd, destination, directory=directory)\n",
              "            os.makedirs(self._path + destination, exist_ok=True)\n"
              "            target = make_in_root(self._root_fd, destination, directory=directory)\n"),),
    ),
    Lesson(
        "CVE-2017-1002101, CVE-2021-25741", "a part of a volume is swapped for a link",
        ("system/test_mounts.py::test_a_part_of_a_volume_that_is_swapped_for_a_link_never_shows_what_is_outside",),
        (Edit("runtime/sources.py", "        return open_beneath(root_fd, path)",
              "        return openat2(root_fd, path, os.O_PATH)"),),
    ),
    Lesson(
        "CVE-2017-1002101", "the source of a bind leads through another process",
        ("runtime/test_sources.py::test_a_path_of_the_host_leads_through_links_but_not_through_processes",),
        (Edit("runtime/sources.py", "os.O_PATH, resolve=Resolve.NO_MAGICLINKS)", "os.O_PATH)"),),
    ),
    Lesson(
        "CVE-2025-31133", "what masks files is the container's /dev/null, which is something else",
        (f"{PLACES}test_what_is_to_mask_files_is_a_null_device_or_nothing_starts",),
        (Edit("runtime/rootfs.py", "if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _NULL_DEVICE:",
              "if False:"),),
    ),
    Lesson(
        "CVE-2025-31133", "the same, found by its path",
        (f"{PLACES}test_masks_and_stdin_do_not_come_from_a_dev_that_is_a_volume",),
        (Edit("runtime/rootfs.py", 'mounts.open_tree("null", dir_fd=self._dev_fd) if self._dev_fd >= 0',
              'mounts.open_tree(f"{self._path}/dev/null") if self._dev_fd >= 0'),),
    ),
    Lesson(
        "CVE-2025-52565", "the console is bound from a /dev/pts of others",
        (f"{PLACES}test_there_is_no_terminal_where_terminals_are_a_volumes",),
        (Edit("runtime/rootfs.py", "        if self._pts_fd < 0 or self._dev_fd < 0:\n",
              "        if self._pts_fd < 0:\n"
              '            self._pts_fd = os.open(f"{self._path}/dev/pts", os.O_PATH)\n'
              "        if self._dev_fd < 0:\n"),),
    ),
    Lesson(
        "CVE-2025-52565", "a terminal is made by what a container has put in the multiplexer's place",
        ("runtime/test_rootfs.py::test_a_terminal_is_only_made_by_a_multiplexer",),
        (Edit("runtime/rootfs.py", "not stat.S_ISCHR(status.st_mode) or status.st_rdev != _PTMX_DEVICE", "False"),),
    ),
    Lesson(
        "CVE-2019-16884, CVE-2019-19921, CVE-2025-52881", "a mount over /proc takes what is written there",
        (f"{ESCAPES}test_nothing_is_mounted_over_or_below_proc",),
        (Edit("runtime/rootfs.py", "        elif status.st_dev == self._proc_device:\n", "        elif False:\n"),),
    ),
    Lesson(
        "CVE-2023-27561, CVE-2026-41579", "/proc, /sys or /dev of the image is a link",
        (f"{ESCAPES}test_a_kernel_directory_of_the_image_that_is_no_directory_is_refused",),
        (Edit("runtime/rootfs.py", "os.O_PATH | os.O_DIRECTORY, resolve=Resolve.NO_SYMLINKS)\n        except",
              "os.O_PATH | os.O_DIRECTORY)\n        except"),),
    ),
    Lesson(
        "CVE-2026-41579", "a device is made where a link of the image leads",
        (f"{PLACES}test_a_device_whose_place_leads_out_of_the_image_is_made_in_it",),
        (Edit("runtime/rootfs.py", 'parent = make_in_root(self._root_fd, folder, directory=True) if folder != "/"',
              'parent = os.open(self._path + folder, os.O_PATH) if folder != "/"'),),
    ),
    Lesson(
        "CVE-2023-25809", "the container's own cgroup files can be written to",
        ("system/test_runtime_container.py::test_cgroup_files_cannot_be_written_to_from_inside",),
        (Edit("runtime/oci_mounts.py", '"type": "cgroup", "source": "cgroup", "options": [*_SAFE, "ro"]}',
              '"type": "cgroup", "source": "cgroup", "options": [*_SAFE]}'),),
    ),
    Lesson(
        "CVE-2022-24769, CVE-2022-29162", "capabilities are inherited by whatever is executed",
        (f"{ESCAPES}test_nothing_is_inheritable_or_ambient",),
        (Edit("kernel/capabilities.py", "    fields = (sets.effective, sets.permitted, sets.inheritable)",
              "    fields = (sets.effective, sets.permitted, sets.bounding)"),),
    ),
    Lesson(
        "CVE-2022-36109, CVE-2023-25173", "supplementary groups are the engine's",
        ("system/test_runtime_container.py::test_ids_and_home_are_read_from_the_images_own_files",),
        (Edit("runtime/program.py", "    os.setgroups(groups)\n", "    os.setgroups((0,))\n"),),
    ),
    Lesson(
        "CVE-2022-36109", "a user gives up its primary group, and what that is denied",
        ("runtime/test_users.py::test_the_primary_group_is_among_the_groups",),
        (Edit("runtime/users.py", "        groups = {gid, *(", "        groups = {*("),),
    ),
    Lesson(
        "CVE-2024-40635, CVE-2026-30892", "the number of a user overflows",
        (f"{ESCAPES}test_a_user_that_cannot_be_read_is_an_error_and_never_root",),
        (Edit("runtime/users.py", "if not _is_number(digits) or int(digits) > _MAX_ID:", "if not _is_number(digits):"),),
    ),
    Lesson(
        "CVE-2024-40635, CVE-2026-30892", "a user half parses",
        (f"{ESCAPES}test_a_user_that_cannot_be_read_is_an_error_and_never_root",),
        (Edit("runtime/users.py", 'if text and (not name or (colon and not group_name) or ":" in group_name):', "if False:"),),
    ),
    Lesson(
        "CVE-2025-9566", "the target of a secret or config leads out of the image",
        ("system/test_grants.py::test_a_target_that_is_a_link_of_the_image_stays_in_it",),
        (Edit("kernel/openat2.py", "Resolve.IN_ROOT | Resolve.NO_MAGICLINKS | resolve)",
              "Resolve.NO_MAGICLINKS | resolve)"),),
    ),
    Lesson(
        "CVE-2022-23648", "a volume is filled from where a link of the image leads",
        ("storage/test_volumes.py::test_a_link_in_the_image_cannot_lead_out_of_it",),
        (Edit("storage/volumes.py", "        source_fd = open_in_root(root_fd, target, _DIRECTORY)",
              "        source_fd = os.open(target.lstrip('/'), _DIRECTORY, dir_fd=root_fd)"),),
    ),
    Lesson(
        "CVE-2022-23648", "what is copied into a volume is swapped for a link",
        ("storage/test_copy.py::test_what_is_swapped_for_a_link_while_it_is_copied_is_never_followed",),
        (
            Edit("storage/copy.py", "_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW",
                 "_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY"),
            Edit("storage/copy.py", "            if identity(os.fstat(from_fd)) != identity(status):  #",
                 "            if False:  #"),
        ),
    ),
    Lesson(
        "CVE-2021-41089, CVE-2021-41091", "users of the machine reach the engine's root",
        (f"{PLACES}test_users_of_the_machine_reach_nothing_of_the_engine",),
        (Edit("engine/paths.py", "os.makedirs(self.root, mode=0o710, exist_ok=True)",
              "os.makedirs(self.root, mode=0o755, exist_ok=True)"),),
    ),
    Lesson(
        "CVE-2021-41091", "users of the machine reach volumes, and setuid programs in them, in a root made by others",
        ("storage/test_volumes.py::test_volumes_are_closed_to_users_of_the_machine",),
        (Edit("storage/volumes.py", "mode=0o700", "mode=0o755"),),
    ),
    Lesson(
        "CVE-2025-54388", "rules that somebody flushed do not come back",
        ("system/test_network_engine.py::test_rules_that_somebody_flushed_come_back",),
        (Edit("network/firewall/watch.py", "        if table == own_table and verb != NEWCHAIN:\n            return True\n", ""),),
    ),
    Lesson(
        "-", "the host's tree stays mounted below the container's",
        ("system/test_runtime_container.py::test_the_mounts_are_dockers",),
        (Edit("runtime/rootfs.py", '        mounts.unmount(".", mounts.MNT_DETACH)\n', ""),),
    ),
    Lesson(
        "-", "the shared memory of another container is a link",
        (f"{LOOKING}test_shared_memory_that_has_become_a_link_is_not_followed",),
        (Edit("runtime/sharing.py", "resolve=Resolve.NO_SYMLINKS)", "resolve=Resolve(0))"),),
    ),
    Lesson(
        "-", "the /proc of whose processes are shared is not theirs",
        (f"{LOOKING}test_a_proc_that_is_not_theirs_is_not_taken_for_it",),
        (Edit("runtime/sharing.py",
              'if mount.filesystem_type(tree) != _PROC_MAGIC or os.readlink("1/ns/pid", dir_fd=tree) != theirs:',
              "if False:"),),
    ),
    Lesson(
        "-", "the same, where what stands there names theirs by a link",
        (f"{LOOKING}test_a_proc_that_is_not_theirs_is_not_taken_for_it",),
        (Edit("runtime/sharing.py", "if mount.filesystem_type(tree) != _PROC_MAGIC or os", "if os"),),
    ),
    Lesson(
        "-", "the name of a kernel parameter is a path to another one",
        (f"{PLACES}test_a_parameters_name_is_no_path_to_another_one",),
        (Edit("model/sysctl.py", 'return "" if any(part in {"", ".", ".."} for part in path.split("/")) else path',
              "return path"),),
    ),
    Lesson(
        "-", "root of a container with a user namespace is root of the machine",
        ("system/test_userns.py::test_its_root_has_no_rights_over_the_machine",),
        (Edit("runtime/userns.py", "        setns(self.fd, CloneFlag.NEWUSER)\n        become_root()\n", ""),),
    ),
    Lesson(
        "-", "what was mounted for it can be unmounted by root of a user namespace",
        ("system/test_userns.py::test_its_root_has_no_rights_over_the_machine",),
        (Edit("runtime/userns.py", "            self.join()\n            unshare(CloneFlag.NEWNS)\n", "            self.join()\n"),),
    ),
    Lesson(
        "-", "files that it makes belong to nobody whom the host knows",
        ("system/test_userns.py::test_files_keep_the_ids_that_they_have_in_image_volume_and_bind",),
        (Edit("runtime/userns.py", "            mounts.set_id_map(tree, self.fd, recursive=recursive)", "            pass"),),
    ),
    Lesson(
        "-", "a container that is being set up can be traced by those whose processes it will share",
        ("system/test_oci_command.py::test_a_container_is_set_up_out_of_sight_of_those_whose_processes_it_shares",),
        (
            Edit("oci/create.py", "            pid, pidfd = clone(_born", "            if 'pid' in joined: birth.setns(joined['pid'], CloneFlag.NEWPID)\n            pid, pidfd = clone(_born"),
        ),
    ),
    Lesson(
        "-", "what is executed in a container that is not built yet finds the host's files",
        ("system/test_oci_command.py::test_nothing_is_executed_in_a_container_that_is_not_built_yet",),
        (Edit("oci/state.py", '        if os.path.exists(self.unborn):\n            return "creating"\n', '        if os.path.exists(self.unborn):\n            return "created"\n'),),
    ),
    Lesson(
        "CVE-2018-15664", "a path of a copy is looked up on the machine, not in the container",
        (f"{COPIES}test_no_symlink_of_a_container_leads_out",),
        (Edit("runtime/copying.py", "self._fd = open_in_root(view, path, flags)",
              'self._fd = os.open(f"/proc/self/fd/{view}/{path}", flags)'),),
    ),
    Lesson(
        "CVE-2018-15664", "a name in an archive is looked up through what the archive has brought before",
        ("storage/test_archive_hostile.py::test_no_symlink_of_the_archive_leads_out",
         "storage/test_archive_hostile.py::test_no_hard_link_leads_out"),
        (Edit("storage/extract.py", "return openat2(self._root_fd, os.fsdecode(path), flags, resolve=self._resolve)",
              "return os.open(path, flags, dir_fd=self._root_fd)"),),
    ),
    Lesson(
        "CVE-2018-15664", "the same of a layer that is unpacked, and of what it deletes",
        ("system/test_image_layers.py::test_no_link_leads_out_of_a_layer",),
        (Edit("storage/extract.py", "return openat2(self._root_fd, os.fsdecode(path), flags, resolve=self._resolve)",
              "return os.open(path, flags, dir_fd=self._root_fd)"),),
    ),
    Lesson(
        "-", "a layer deletes its own root, or what is above",
        ("system/test_image_layers.py::test_no_name_leads_out_of_a_layer",),
        (Edit("image/unpack.py", 'if gone in {b"", b".", b".."}:', "if False:"),),
    ),
    Lesson(
        "-", "a layer is not what its digest says",
        ("system/test_image_layers.py::test_a_damaged_layer_is_not_there",),
        (Edit("image/unpack.py", 'if f"sha256:{found.hexdigest()}" != blob.digest:', "if False:"),),
    ),
    Lesson(
        "-", "a name in an archive has as many levels as it likes",
        ("storage/test_archive_hostile.py::test_depth_has_a_limit",),
        (Edit("storage/extract.py", "if len(parts) > self._depth_max:", "if False:"),),
    ),
    Lesson(
        "-", "records of an archive fill the memory",
        ("storage/test_archive_hostile.py::test_records_for_the_whole_archive_have_a_limit",),
        (Edit("storage/tarread.py", "if sum(len(key) + len(value) for key, value in self._globals.items()) > _GLOBALS_BYTES_MAX:",
              "if False:"),),
    ),
    Lesson(
        "CVE-2019-14271, CVE-2026-41567", "a copying process loads a library, or runs a program, out of the container",
        (f"{COPIES}test_a_copy_executes_nothing_of_a_container",),
        (Edit("runtime/copying.py",
              "            setns(own, CloneFlag.NEWNS)  # which makes this the namespace's root: the engine's may be another\n"
              '            os.fchdir(root)\n            os.chroot(".")\n            os.fchdir(here)\n',
              "            pass\n"),),
    ),
    Lesson(
        "CVE-2026-42306", "for a copy, a volume is mounted where a container's symlink leads on the machine",
        (f"{COPIES}test_a_volume_is_mounted_in_the_container_wherever_its_place_leads_now",),
        (Edit("runtime/rootfs.py", "            target = make_in_root(self._root_fd, destination, directory=directory)",
              "            place = self._path + destination\n"
              "            there = os.path.exists(place)\n"
              "            target = os.open(place, os.O_PATH) if there else make_in_root(self._root_fd, destination, directory=directory)"),),
    ),
)  # fmt: skip

# Rows that teach about what is not here yet.
NOT_YET: Final = {
    "CVE-2024-23651, CVE-2024-23652, CVE-2024-23653, CVE-2024-1753, CVE-2024-9407, CVE-2024-9675": "images are not built",
    "decompression bombs, digests of what was compressed": "there are no registries: each layer was made here, by a commit",
    "CVE-2024-29018": "there are no internal networks",
}


def without(lesson: Lesson) -> dict[Path, str]:
    """File → its text without the guard. ValueError when the guard does not stand there exactly once."""
    changed: dict[Path, str] = {}
    for edit in lesson.edits:
        path = TOP / "orchestr8" / edit.file
        text = changed.get(path) or path.read_text(encoding="utf-8")
        if text.count(edit.guard) != 1:
            raise ValueError(f"{edit.file} has {text.count(edit.guard)} times: {edit.guard}")
        changed[path] = text.replace(edit.guard, edit.without)
    return changed


def seen(lesson: Lesson) -> tuple[bool, str]:
    """Whether its tests fail without the guard, and what they said."""
    changed = without(lesson)
    before = {path: path.read_bytes() for path in changed}
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", "--timeout", "60"]
    try:
        for path, text in changed.items():
            path.write_text(text, encoding="utf-8")
        tests = [f"tests/{test}" for test in lesson.tests]
        done = subprocess.run([*words, *tests], cwd=TOP, capture_output=True, text=True, check=False)
    finally:
        for path, content in before.items():
            path.write_bytes(content)
    return done.returncode == 1, done.stdout  # 1: tests were run, and one of them failed (pytest's exit codes)


def take_out_in_turn(lessons: Sequence[Lesson], words: Sequence[str]) -> int:
    """Exit code: whether there is a lesson whose tests do not see what is missing."""
    blind = 0
    for lesson in lessons:
        if words and not any(word in f"{lesson.ids} {lesson.what}" for word in words):
            continue
        fails, said = seen(lesson)
        reason = next((line for line in said.splitlines() if line.startswith("E  ")), said[-300:])
        print(f"{'seen ' if fails else 'BLIND'} {lesson.ids}: {lesson.what}\n      {reason.strip()}", flush=True)
        blind += not fails
    return 1 if blind else 0


if __name__ == "__main__":
    raise SystemExit(take_out_in_turn(LESSONS, sys.argv[1:]))
