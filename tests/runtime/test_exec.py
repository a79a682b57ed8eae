"""What a further program in a container is given: the container's own process with what the order changes."""

from typing import Any

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.kernel.capabilities import oci_capabilities
from orchestr8.runtime.exec import exec_process
from orchestr8.runtime.messages import Exec

PASSWD = b"root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
GROUP = b"extra:x:6:app\n"
BOUNDING = oci_capabilities(0)["bounding"]


def config(uid: int = 0, **process: Any) -> dict[str, Any]:
    return {
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": uid, "additionalGids": [uid]},
            "args": ["server"],
            "env": ["PATH=/bin", "A=1", "HOME=/srv"],
            "cwd": "/srv",
            "capabilities": oci_capabilities(uid),
            "noNewPrivileges": True,
            **process,
        }
    }


def made(base: dict[str, Any], **order: Any) -> dict[str, Any]:
    return exec_process(Exec(**{"argv": ["id"], **order}), base, PASSWD, GROUP)


def test_without_anything_said_all_but_the_command_is_the_containers() -> None:
    assert made(config()) == {**config()["process"], "args": ["id"]}


def test_the_containers_own_document_is_not_changed() -> None:
    base = config()
    made(base, user="app", environment=["A=2"], tty=True, working_dir="/x")
    assert base == config()


def test_the_environment_is_added_to_and_the_order_wins() -> None:
    assert made(config(), environment=["A=2", "B=3=4", "EMPTY="])["env"] == [
        *("PATH=/bin", "A=2", "HOME=/srv", "B=3=4", "EMPTY="),
    ]


def test_a_terminal_brings_its_type_unless_it_is_said() -> None:
    assert made(config(), tty=True)["env"][-1] == "TERM=xterm"
    assert made(config(), tty=True)["terminal"] is True
    assert made(config(env=["TERM=vt100"]), tty=True)["env"] == ["TERM=vt100"]


def test_another_user_has_its_groups_its_home_and_no_capability() -> None:
    process = made(config(), user="app")
    assert process["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [6, 1000]}
    assert process["capabilities"] == {"bounding": BOUNDING, "effective": [], "permitted": []}
    assert "HOME=/home/app" in process["env"]
    assert process["noNewPrivileges"] is True


def test_root_in_a_users_container_gets_what_the_bounding_set_holds_and_no_more() -> None:
    process = made(config(uid=1000), user="root")
    assert process["capabilities"] == {"bounding": BOUNDING, "effective": BOUNDING, "permitted": BOUNDING}
    narrow = config(uid=1000, capabilities={"bounding": ["CAP_CHOWN"]})
    assert made(narrow, user="0")["capabilities"]["effective"] == ["CAP_CHOWN"]
    assert made(config(uid=1000, capabilities={}), user="0")["capabilities"]["effective"] == []


def test_who_is_to_have_every_right_has_what_can_be_given() -> None:
    held = (*BOUNDING, "CAP_SYS_ADMIN")
    order = Exec(argv=["id"], privileged=True)
    process = exec_process(order, config(), PASSWD, GROUP, held)
    every = {"bounding": sorted(held), "effective": sorted(held), "permitted": sorted(held)}
    assert process["capabilities"] == every
    plain = exec_process(Exec(argv=["id"], privileged=True, user="app"), config(), PASSWD, GROUP, held)
    assert plain["capabilities"] == {"bounding": sorted(held), "effective": [], "permitted": []}
    assert (
        exec_process(Exec(argv=["id"], user="0"), config(), PASSWD, GROUP, held)["capabilities"]["effective"]
        == BOUNDING
    )


def test_nothing_is_ever_inheritable_or_ambient() -> None:
    base = config(capabilities={"bounding": BOUNDING, "inheritable": BOUNDING, "ambient": BOUNDING})
    assert set(made(base, user="app")["capabilities"]) == {"bounding", "effective", "permitted"}


def test_the_directory_is_the_orders_or_the_containers() -> None:
    assert made(config(), working_dir="/tmp")["cwd"] == "/tmp"
    assert made(config())["cwd"] == "/srv"


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"argv": []}, "there is no command to execute"),
        ({"working_dir": "x"}, "working directory `x` must be absolute"),
        ({"user": "nobody"}, "user `nobody` cannot be used: the image's /etc/passwd has no user `nobody`"),
        ({"user": "-1"}, "user `-1` cannot be used: the image's /etc/passwd has no user `-1`"),
    ],
)
def test_what_cannot_be_is_told(order: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        made(config(), **order)
    assert caught.value.message == message
