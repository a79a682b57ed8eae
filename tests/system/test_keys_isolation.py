"""Keys that say how a container is kept apart: rights, confinement, devices, kernel parameters, shared namespaces."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import err, log, state
from e2e.scenario import Scenario, eventually
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
IDLE = 'image: "rootfs:/", stop_grace_period: 0s'
SHOW = "cat /proc/self/status"


def status_of(story: Scenario, service: str) -> dict[str, str]:
    """What a program of the service that has ended printed of its /proc/self/status."""
    lines = (line.partition(":\t") for line in story.logs(service).splitlines())
    return {key: value.strip() for key, _, value in lines}


def sets(story: Scenario, service: str) -> tuple[int, int]:
    """The effective and the bounding set."""
    found = status_of(story, service)
    return int(found["CapEff"], 16), int(found["CapBnd"], 16)


def bit(number: int) -> int:
    return 1 << number


CHOWN, NET_ADMIN, SYS_ADMIN = bit(0), bit(12), bit(21)
DEFAULT = 0x00000000A80425FB


def test_capabilities_are_added_dropped_and_not_written_in_one_way_only(scenario: Tell) -> None:
    story = scenario(f"""
services:
  usual: {{{IDLE}, command: {SHOW}}}
  more: {{{IDLE}, command: {SHOW}, cap_add: [net_admin, CAP_SYS_ADMIN], cap_drop: [CHOWN]}}
  none: {{{IDLE}, command: {SHOW}, cap_drop: [ALL]}}
  one: {{{IDLE}, command: {SHOW}, cap_drop: [all], cap_add: [CHOWN]}}
  but: {{{IDLE}, command: {SHOW}, cap_add: [ALL], cap_drop: [NET_ADMIN]}}
  user: {{{IDLE}, command: {SHOW}, user: daemon}}
""")
    names = ("usual", "more", "none", "one", "but", "user")
    story.step("up -d", *(eventually(state(name, "exited")) for name in names))
    assert sets(story, "usual") == (DEFAULT, DEFAULT)
    assert sets(story, "more") == ((DEFAULT | NET_ADMIN | SYS_ADMIN) & ~CHOWN,) * 2
    assert sets(story, "none") == (0, 0)
    assert sets(story, "one") == (CHOWN, CHOWN)
    effective, bounding = sets(story, "but")
    assert effective == bounding
    assert effective & (NET_ADMIN | SYS_ADMIN | CHOWN) == SYS_ADMIN | CHOWN
    assert sets(story, "user") == (0, DEFAULT)
    assert {status_of(story, name)["CapInh"] for name in names} == {"0" * 16}  # CVE-2022-24769
    assert {status_of(story, name)["CapAmb"] for name in names} == {"0" * 16}


def test_a_capability_that_does_not_exist_is_told_with_its_line(scenario: Tell) -> None:
    story = scenario(f"services:\n  web: {{{IDLE}, cap_add: [NET_ADMINN]}}\n")
    story.step("up -d", err("stack.yml:2", "there is no capability `NET_ADMINN`", "NET_ADMIN"), code=1)


def test_a_privileged_container_has_all_rights_and_devices_and_nothing_is_hidden(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web:
    {IDLE.replace(", ", chr(10) + "    ")}
    privileged: true
    command:
      - sh
      - -ec
      - |
        mount -t tmpfs none /mnt
        test -w /proc/sys/kernel/hostname
        test -w /sys/kernel
        test "$$(stat -c %t:%T /dev/mem)" = 1:1 || test ! -e /dev/mem
        head -c 1 /dev/kmsg >/dev/null || true
        mknod /dev/mine c 1 7 && ! echo x >/dev/mine
        grep Seccomp: /proc/self/status
        echo all
""")
    story.step("up -d", eventually(state("web", "exited")))
    story.step("ps", log("web", "Seccomp:\t0", "all"))


def test_no_new_privileges_holds_for_every_program(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: sleep infinity, security_opt: ["no-new-privileges:true"]}}
  off: {{{IDLE}, command: sleep infinity, security_opt: ["no-new-privileges=false"]}}
""")
    story.step("up -d", state("web", "running"))
    assert "NoNewPrivs:\t1" in story.step("exec -T web cat /proc/self/status").out
    assert "NoNewPrivs:\t0" in story.step("exec -T off cat /proc/self/status").out


PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
        {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
        {"names": ["rmdir"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_BOOT"]}},
    ],
}


def test_a_seccomp_profile_is_read_beside_the_stack_file_and_holds(scenario: Tell) -> None:
    story = scenario(f"""
services:
  own: {{{IDLE}, command: sleep infinity, security_opt: ["seccomp=mine.json"]}}
  off: {{{IDLE}, command: sleep infinity, security_opt: ["seccomp:unconfined"]}}
""")
    profile = Path(story.directory, "mine.json")
    profile.write_text(json.dumps(PROFILE))
    story.step("up -d", state("own", "running"), state("off", "running"))
    story.step("exec -T own mkdir /made", err("Operation not supported"), code=1)
    story.step("exec -T own setarch linux32 true", code=1)
    story.step("exec -T own sh -c 'cd /tmp && setarch linux64 true'")
    assert "Seccomp:\t0" in story.step("exec -T off cat /proc/self/status").out
    profile.write_text(json.dumps({**PROFILE, "syscalls": []}))
    assert "security_opt.seccomp changed (stack.yml:3)" in story.step("plan").out
    story.step("up -d", state("own", "running"))
    story.step("exec -T own mkdir /made")
    profile.write_text('{"defaultAction": "SCMP_ACT_NO"}')
    story.step("up -d", err("defaultAction must be one of"), code=1)
    profile.unlink()
    story.step("up -d", err("stack.yml:3", "mine.json"), code=1)


def test_the_systems_paths_can_be_left_open(scenario: Tell) -> None:
    look = "sh -c 'test -w /proc/sys/kernel/hostname; echo $$?; grep -q . /proc/timer_list; echo $$?'"
    story = scenario(f"""
services:
  open: {{{IDLE}, command: {json.dumps(look)}, security_opt: ["systempaths=unconfined"]}}
  shut: {{{IDLE}, command: {json.dumps(look)}}}
""")
    story.step("up -d", eventually(state("open", "exited")), eventually(state("shut", "exited")))
    assert story.logs("open").split() == ["0", "0"]
    assert story.logs("shut").split() == ["1", "1"]


def test_groups_are_added_by_name_and_by_number(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: id -G, user: "1000:1000", group_add: [audio, 4321]}}
""")
    story.step("up -d", eventually(state("web", "exited")))
    assert story.logs("web").split() == ["1000", "29", "4321"]
    story = scenario(f"services: {{web: {{{IDLE}, command: id -G, group_add: [nosuchgroup]}}}}")
    story.step("up -d", err("the image's /etc/group has no group `nosuchgroup`"), code=1)


def test_kernel_parameters_of_the_container_are_set_and_others_refused(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web:
    {IDLE.replace(", ", chr(10) + "    ")}
    command: cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward /proc/sys/fs/mqueue/msg_max
    sysctls:
      kernel.msgmax: 7777
      net/ipv4/ip_forward: 1
      fs.mqueue.msg_max: 12
""")
    story.step("up -d", eventually(state("web", "exited")))
    assert story.logs("web").split() == ["7777", "1", "12"]
    story = scenario(f"services:\n  web:\n    {IDLE.replace(', ', chr(10) + '    ')}\n    sysctls: [kernel.panic=1]\n")
    story.step("up -d", err("stack.yml:5", "the kernel has one kernel.panic for all of the machine"), code=1)
    assert Path("/proc/sys/kernel/msgmax").read_text() != "7777\n"
    story = scenario(f"services: {{web: {{{IDLE}, ipc: host, command: 'true', sysctls: [kernel.msgmax=1]}}}}")
    story.step("up -d", err("shares its ipc namespace"), code=1)
    story = scenario(f"services: {{web: {{{IDLE}, command: 'true', sysctls: [net.ipv4.nosuch=1]}}}}")
    story.step("up -d", err("this kernel has no parameter net.ipv4.nosuch"), code=1)


def test_a_device_is_there_with_its_access_and_others_are_not(scenario: Tell, tmp_path: Path) -> None:
    story = scenario(f"""
services:
  web:
    {IDLE.replace(", ", chr(10) + "    ")}
    command: sleep infinity
    devices: ["/dev/fuse:/dev/words:r", {{source: /dev/null, target: /opt/nowhere}}]
""")
    story.step("up -d", state("web", "running"))
    story.step("exec -T web sh -c 'exec 3</dev/words'")
    story.step("exec -T web sh -c 'echo x >/dev/words'", code=2)
    story.step("exec -T web sh -c 'echo x >/opt/nowhere && test -c /opt/nowhere'")
    story.step("exec -T web sh -c 'mknod /opt/words c 10 229 && exec 3</opt/words'")  # by another name
    story.step("exec -T web sh -c 'mknod /opt/memory c 1 1 && cat /opt/memory'", err("Operation not permitted"), code=1)
    story = scenario(f"services: {{web: {{{IDLE}, command: 'true', devices: [/dev/nosuch]}}}}")
    story.step("up -d", err("device /dev/nosuch: No such file"), code=1)
    story = scenario(f"services: {{web: {{{IDLE}, command: 'true', devices: [/etc/passwd]}}}}")
    story.step("up -d", err("device /etc/passwd is a file, not a device"), code=1)


def test_names_of_host_and_domain(scenario: Tell) -> None:
    show = "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname"
    story = scenario(f"""
services:
  own: {{{IDLE}, command: {show}, hostname: web, domainname: example.org}}
  host: {{{IDLE}, command: {show}, uts: host}}
""")
    story.step("up -d", eventually(state("own", "exited")), eventually(state("host", "exited")))
    assert story.logs("own").split() == ["web", "example.org"]
    assert story.logs("host").split()[0] == Path("/proc/sys/kernel/hostname").read_text().strip()
    story = scenario(f"services: {{web: {{{IDLE}, command: 'true', uts: host, hostname: web}}}}")
    story.step("up -d", err("exclude each other"), code=1)


def test_processes_of_a_service_are_seen_by_one_that_shares_its_namespace_and_end_with_their_own_container(
    scenario: Tell,
) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: sleep 4711}}
  spy: {{{IDLE}, pid: "service:web", command: "sh -c 'sleep 4712 & (sleep 4713 &) ; sleep 4714'"}}
""")
    story.step("up -d", state("web", "running"), state("spy", "running"))
    seen = story.step("exec -T spy ps -eo args").out
    assert all(f"sleep {number}" in seen for number in (4711, 4712, 4713, 4714))
    assert "orchestr8-init" in seen.splitlines()[1]
    story.step("kill -s KILL spy", eventually(state("spy", "exited")))
    left = story.step("exec -T web ps -eo args").out
    assert "sleep 4711" in left
    assert not any(f"sleep {number}" in left for number in (4712, 4713, 4714))
    story.step("start spy", state("spy", "running"))
    story.step("stop web", eventually(state("web", "exited")), eventually(state("spy", "exited")))
    story.step("start spy", state("web", "running"), state("spy", "running"))


def test_a_container_of_another_stack_can_be_joined_by_its_name(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: sleep 4721, container_name: the-web}}
  spy: {{{IDLE}, pid: "container:the-web", command: ps -eo args, depends_on: [web]}}
""")
    story.step("up -d", eventually(state("spy", "exited")))
    assert "sleep 4721" in story.logs("spy")


def test_the_hosts_processes_are_seen_and_nothing_is_left_behind(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, pid: host, command: \"sh -c 'sleep 4731 & sleep 4732'\"}}}}")
    story.step("up -d", state("web", "running"))
    pid = int(story.step("exec -T web sh -c 'echo $$$$'").out)
    assert pid > 2
    story.step("kill -s KILL web", eventually(state("web", "exited")))
    everybody = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"sleep\x00473" in line for line in everybody)


def test_memory_and_queues_are_shared_by_who_shares_the_ipc_namespace(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: "sh -c 'ipcmk -Q >/dev/null; echo here >/dev/shm/word; sleep infinity'", ipc: shareable}}
  spy: {{{IDLE}, command: "sh -c 'ipcs -q; cat /dev/shm/word; echo back >/dev/shm/answer'", ipc: "service:web"}}
  own: {{{IDLE}, command: "sh -c 'ls /dev/shm; ipcs -q'"}}
  none: {{{IDLE}, command: "sh -c 'ls /dev/shm 2>/dev/null; grep -c /dev/shm /proc/mounts'", ipc: none}}
""")
    story.step("up -d", *(eventually(state(name, "exited")) for name in ("spy", "own", "none")))
    assert "here" in story.logs("spy")
    assert "0x" in story.logs("spy")
    assert "0x" not in story.logs("own")
    assert "word" not in story.logs("own")
    assert story.logs("none").split()[-1] == "0"
    assert story.step("exec -T web cat /dev/shm/answer").out == "back\n"


def test_each_container_has_clocks_of_its_own(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, command: sleep infinity}}}}")
    story.step("up -d", state("web", "running"))
    inside = {story.step(f"exec -T web readlink /proc/{pid}/ns/time").out for pid in ("self", "1")}
    assert len(inside) == 1
    assert inside != {f"{Path('/proc/self/ns/time').readlink()}\n"}
    assert story.step("exec -T web date +%s").out.strip().isdigit()
