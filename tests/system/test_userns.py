"""`userns_mode: private`: root of the container is nobody of the machine, and files keep the ids that they have."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import err, log, state
from e2e.scenario import Scenario, eventually
from tests.requires import requires
from tests.system.busybox import needs_busybox

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "id_mapped_tmp", "program:nft"), needs_busybox]

Tell = Callable[..., Scenario]
IDLE = "stop_grace_period: 0s, userns_mode: private"
FIRST = 524288


def pid_of(story: Scenario, service: str) -> int:
    """The program's process, as the machine sees it."""
    marked = f"ORCHESTR8_TEST_MARK={story.directory}/{service}\0".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marked in path.read_bytes():
                return int(path.parent.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    raise AssertionError(f"no process of {service}")


def test_root_and_others_have_ids_that_nobody_else_has(scenario: Tell, mapped_image: str) -> None:
    story = scenario("services: {}", environment={})
    mark = f"environment: {{ORCHESTR8_TEST_MARK: {story.directory}/%s}}"
    story = scenario(f"""
services:
  one: {{image: '{mapped_image}', {IDLE}, command: sleep infinity, {mark % "one"}}}
  two: {{image: '{mapped_image}', {IDLE}, command: sleep infinity, user: daemon, {mark % "two"}}}
""")
    story.step("up -d", state("one", "running"), state("two", "running"))
    uids = {name: os.stat(f"/proc/{pid_of(story, name)}").st_uid for name in ("one", "two")}
    bases = sorted(uid - uid % 65536 for uid in uids.values())
    assert bases[0] >= FIRST
    assert bases[0] != bases[1]
    assert uids["one"] % 65536 == 0
    assert uids["two"] % 65536 == 1
    assert story.step("exec -T one id -u").out == "0\n"
    assert story.step("exec -T -u daemon one id -un").out == "daemon\n"
    assert story.step("exec -T one cat /proc/self/uid_map").out.split()[::2] == ["0", "65536"]


def test_files_keep_the_ids_that_they_have_in_image_volume_and_bind(scenario: Tell, mapped_image: str) -> None:
    story = scenario(f"""
services:
  web:
    image: '{mapped_image}'
    {IDLE.replace(", ", chr(10) + "    ")}
    volumes: ["data:/data", "./here:/here"]
    tmpfs: ["/scratch:uid=1000,gid=1000,mode=700"]
    command:
      - sh
      - -ec
      - |
        stat -c '%u:%g %n' / /etc/passwd /dev /dev/null /dev/shm /scratch /data /here /here/theirs
        touch /root/mine /data/mine /here/mine
        chown 1000:1000 /data/mine /here/mine
        stat -c '%u:%g %n' /root/mine /data/mine
        echo fine >/dev/stdout
  other: {{image: '{mapped_image}', command: stat -c %u:%g /data/mine, volumes: ["data:/data"], depends_on: {{web: {{condition: service_completed_successfully}}}}}}
volumes: {{data: }}
""")
    here = Path(story.directory, "here")
    here.mkdir()
    Path(here, "theirs").touch()
    os.chown(here / "theirs", 33, 34)
    story.step("up -d", eventually(state("other", "exited")))
    assert story.logs("web").split("\n") == [
        "0:0 /", "0:0 /etc/passwd", "0:0 /dev", "0:0 /dev/null", "0:0 /dev/shm", "1000:1000 /scratch", "0:0 /data", "0:0 /here",
        "33:34 /here/theirs", "0:0 /root/mine", "1000:1000 /data/mine", "fine", "",
    ]  # fmt: skip
    assert story.logs("other") == "1000:1000\n"
    mine = (here / "mine").stat()
    assert (mine.st_uid, mine.st_gid) == (1000, 1000)


def test_it_comes_back_with_the_same_ids_and_files(scenario: Tell, mapped_image: str) -> None:
    show = "sh -c 'cut -c11-21 /proc/self/uid_map; ls /root/kept 2>&1; touch /root/kept'"
    story = scenario(f"services: {{web: {{image: '{mapped_image}', {IDLE}, command: {show}}}}}")
    story.step("up -d", eventually(state("web", "exited")))
    story.step("start web", eventually(log("web", "No such file", "/root/kept\n")))
    bases = [line for line in story.logs("web").splitlines() if line.strip().isdigit()]
    assert len(bases) == 2
    assert len(set(bases)) == 1


def test_its_root_has_no_rights_over_the_machine(scenario: Tell, mapped_image: str) -> None:
    story = scenario(
        f"services: {{web: {{image: '{mapped_image}', {IDLE}, command: sleep infinity, cap_add: [ALL], security_opt: ['seccomp=unconfined']}}}}"
    )
    story.step("up -d", state("web", "running"))
    refused = (
        "umount /proc/kcore || umount /sys/firmware || umount /proc/bus",
        "mount -o remount,bind,rw /proc/sys",
        "mknod /tmp/disk b 7 0 && head -c1 /tmp/disk",
        "hostname other",
        "dmesg -n 1",
        "date -s @0; test $(date +%Y) = 1970",  # busybox exits with 0
        "chroot /proc/1/root /bin/true && kill -0 -1 && false",
    )
    for command in refused:
        assert story.run("exec", "-T", "web", "sh", "-c", command).code != 0, command
    assert story.step("exec -T web sh -c 'mount -t tmpfs none /tmp && echo its own'").out == "its own\n"


def test_signals_terminals_and_limits_work_as_without(scenario: Tell, mapped_image: str) -> None:
    story = scenario(f"""
services:
  web: {{image: '{mapped_image}', {IDLE.replace("0s", "5s")}, command: [sh, -c, "trap 'echo ended; exit 3' TERM; echo up; while :; do sleep 0.1; done"], tty: true, ulimits: {{nofile: 99}}}}
""")
    story.step("up -d", eventually(log("web", "up")))
    assert story.step("exec -T web sh -c 'ulimit -n; stat -c %u /dev/console /dev/pts/0'").out.split() == [
        "99",
        "0",
        "0",
    ]
    story.step("stop web", log("web", "ended"), state("web", "exited"))


def test_all_of_the_hosts_rights_and_a_namespace_without_them_contradict_each_other(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{image: 'rootfs:/', {IDLE}, command: 'true', privileged: true}}}}")
    story.step("up -d", err("exclude each other"), code=1)
    story = scenario("services:\n  web: {image: 'rootfs:/', userns_mode: keep-id}\n")
    story.step("up -d", err("stack.yml:2", "must be one of host, private, auto"), code=1)
