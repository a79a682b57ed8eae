"""`config` prints what compose prints, flag by flag, and says where each value comes from."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

STACK = """\
name: shop
services:
  web:
    image: "rootfs:${BASE:-/}"
    command: serve ${PORT:?}
    depends_on: [db]
    env_file: web.env
    environment:
      PLAIN: a
      TOKEN: ${TOKEN-}
      CALLER:
  db:
    image: rootfs:/db
    volumes: ["data:/data", "./seed:/seed"]
    networks: [back]
  mail:
    image: rootfs:/mail
    profiles: [mail]
volumes: {data: , unused: }
networks: {back: , spare: }
"""


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BASE", "TOKEN", "CALLER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORT", "80")
    Path("stack.yml").write_text(STACK)
    Path("web.env").write_text("# mine\nFROM_FILE=1\nexport PLAIN=b\n")
    Path("seed").mkdir()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--services"], "db\nweb\n"),
        (["--volumes"], "data\n"),
        (["--networks"], "back\ndefault\n"),
        (["--models"], ""),
        (["--profiles"], "mail\n"),
        (["--images"], "rootfs:/\nrootfs:/db\n"),
        (["--services", "db"], "db\n"),
        (["--no-interpolate", "--services"], "db\nmail\nweb\n"),
        (["--no-interpolate", "--volumes"], "data\nunused\n"),
        (["-q"], ""),
    ],
)
def test_lists(cli: Cli, flags: list[str], expected: str) -> None:
    assert cli("config", *flags) == (0, expected, "")


def test_variables_are_listed_as_compose_does_though_one_is_missing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT")
    assert cli("config", "--variables")[1] == (
        "NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE\n"
        "BASE                false               /                   \n"
        "PORT                true                                    \n"
        "TOKEN               false                                   \n"
    )
    found = json.loads(cli("config", "--variables", "--format", "json")[1])
    assert found["BASE"] == {"Name": "BASE", "DefaultValue": "/", "PresenceValue": "", "Required": False}
    assert found["PORT"] == {"Name": "PORT", "DefaultValue": "", "PresenceValue": "", "Required": True}


def test_the_environment_is_what_fills_in_variables(cli: Cli) -> None:
    Path(".env").write_text("TOKEN=t\nPORT=81\n")
    lines = cli("config", "--environment")[1].splitlines()
    assert {"COMPOSE_PROJECT_NAME=shop", "TOKEN=t", "PORT=80"} <= {*lines}
    assert lines == sorted(lines, key=lambda line: line.partition("=")[0])


def test_hashes_are_those_of_containers_and_follow_settings_not_form(cli: Cli) -> None:
    _, before, _ = cli("config", "--hash", "*")
    assert [line.split()[0] for line in before.splitlines()] == ["db", "web"]
    assert cli("config", "--hash", "web")[1] == before.splitlines(keepends=True)[1]
    assert cli("config", "--hash", "web,db")[1] == before
    code, _, err = cli("config", "--hash", "wbe")
    assert (code, "did you mean `web`?" in err) == (1, True)
    Path("other.env").write_text("PLAIN=c\nFROM_FILE='1'\n")  # another file, another order, the same variables
    Path("stack.yml").write_text(
        STACK.replace("web.env", "./other.env # moved").replace("\n    image", "\n\n    image")
    )
    assert cli("config", "--hash", "*")[1] == before
    Path("other.env").write_text("PLAIN=c\nFROM_FILE=2\n")
    assert cli("config", "--hash", "db")[1] + cli("config", "--hash", "web")[1] != before


def test_hashes_cover_what_secret_and_config_files_hold(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERT", "one")
    Path("stack.yml").write_text(
        "services:\n  web:\n    image: rootfs:/\n    secrets: [key, cert]\n    configs: [page]\n  db: {image: 'rootfs:/'}\n"
        "secrets:\n  key: {file: ./key}\n  cert: {environment: CERT}\n  other: {file: ./other}\n"
        "configs:\n  page: {content: hello}\n"
    )
    Path("key").write_text("1")
    Path("other").write_text("1")

    def hashes() -> dict[str, str]:
        return dict(line.split() for line in cli("config", "--hash", "*")[1].splitlines())

    before = hashes()
    assert hashes() == before
    Path("other").write_text("2")  # nobody uses it
    assert hashes() == before
    seen = [before["web"]]
    Path("key").write_text("2")
    seen.append(hashes()["web"])
    monkeypatch.setenv("CERT", "two")
    seen.append(hashes()["web"])
    Path("stack.yml").write_text(Path("stack.yml").read_text().replace("hello", "good-bye"))
    seen.append(hashes()["web"])
    Path("key").unlink()
    seen.append(hashes()["web"])
    assert len(set(seen)) == 5
    assert hashes()["db"] == before["db"]


def test_every_value_has_a_file_and_a_line(cli: Cli) -> None:
    code, out, err = cli("config", "--origin", "web")
    found = dict(line.split(None, 1) for line in out.splitlines())
    assert (code, err) == (0, "")
    assert {key: place for key, place in found.items() if key.startswith("services.web.env")} == {
        "services.web.env_file[0].path": "stack.yml:7",
        "services.web.env_file[0].required": "stack.yml:7",
        "services.web.environment.CALLER": "not set",
        "services.web.environment.FROM_FILE": "web.env:2",
        "services.web.environment.PLAIN": "stack.yml:9",
        "services.web.environment.TOKEN": "stack.yml:10",  # what it was made from is not for everybody's eyes
    }
    assert found["services.web.image"] == "stack.yml:4 from rootfs:${BASE:-/}"
    assert found["volumes.data"] == "stack.yml:19"
    assert not [key for key in found if key.startswith(("services.mail", "networks.spare"))]
    Path("stack.override.yml").write_text("services:\n  web:\n    environment:\n      PLAIN: z\n")
    values = json.loads(cli("config", "--origin", "--format", "json")[1])
    assert values["values"]["services.web.environment.PLAIN"] == {"file": "stack.override.yml", "line": 4}
    assert values["outside"] == []


def test_what_is_left_as_it_is_written(cli: Cli) -> None:
    document = json.loads(cli("config", "--format", "json", "--no-interpolate")[1])
    assert document["services"]["web"]["image"] == "rootfs:${BASE:-/}"
    assert document["services"]["web"]["env_file"] == [{"path": f"{Path.cwd()}/web.env", "required": True}]
    document = json.loads(cli("config", "--format", "json", "--no-path-resolution")[1])
    assert [each["source"] for each in document["services"]["db"]["volumes"]] == ["data", "./seed"]
    document = json.loads(cli("config", "--format", "json", "--no-normalize")[1])
    assert "networks" not in document["services"]["web"]
    Path("web.env").unlink()
    assert cli("config", "-q")[0] == 1
    assert cli("config", "-q", "--no-env-resolution")[0] == 0
    Path("stack.yml").write_text("services:\n  web: {image: 'rootfs:/', networks: [nope]}\n")
    assert cli("config", "-q")[0] == 1
    assert cli("config", "-q", "--no-consistency")[0] == 0


def test_yaml_leaves_out_what_says_nothing(cli: Cli) -> None:
    out = cli("config", "db")[1]
    assert out == (
        "name: shop\nservices:\n  db:\n    image: rootfs:/db\n    networks:\n      back: null\n    volumes:\n"
        "      - type: volume\n        source: data\n        target: /data\n        volume: {}\n"
        f"      - type: bind\n        source: {Path.cwd()}/seed\n        target: /seed\n        bind:\n"
        "          create_host_path: true\n"
        "networks:\n  back:\n    name: shop_back\nvolumes:\n  data:\n    name: shop_data\n"
    )


@pytest.mark.parametrize("flag", ["--resolve-image-digests", "--lock-image-digests"])
def test_digests_need_a_registry(cli: Cli, flag: str) -> None:
    code, out, err = cli("config", flag)
    assert (code, out) == (1, "")
    assert err.startswith(f"error[O8-110]: {flag} needs a registry, and there is none yet\n")


def test_the_output_goes_to_a_file(cli: Cli) -> None:
    assert cli("config", "--services", "-o", "out") == (0, "", "")
    assert Path("out").read_text() == "db\nweb\n"


def test_files_from_elsewhere_are_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "base.yml").write_text("services:\n  base:\n    image: rootfs:/\n    user: '7'\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "stack.yml").write_text("services:\n  cache:\n    image: rootfs:/cache\n")
    Path("own").mkdir()
    Path("own/part.yml").write_text("services:\n  part:\n    image: rootfs:/part\n")
    Path("stack.yml").write_text(
        "include: [../other/stack.yml, own/part.yml]\nservices:\n  web:\n    extends: {service: base, file: ../shared/base.yml}\n"
    )
    code, out, err = cli("config", "--origin")
    assert (code, err) == (0, "")
    found = dict(line.split(None, 1) for line in out.partition("\n\n")[0].splitlines())
    shared, other = str(tmp_path / "shared/base.yml"), str(tmp_path / "other/stack.yml")
    assert found["services.web.user"] == f"{shared}:4"
    assert found["services.cache.image"] == f"{other}:3"
    assert found["services.part.image"] == "own/part.yml:3"
    assert out.partition("\n\n")[2] == f"read from outside of the project:\n  {other}\n  {shared}\n"
    assert json.loads(cli("config", "--origin", "--format", "json")[1])["outside"] == [other, shared]


def test_variables_of_included_files_are_listed(cli: Cli) -> None:
    Path("own").mkdir()
    Path("own/part.yml").write_text("services:\n  part:\n    image: rootfs:/${PART:-x}\n")
    Path("stack.yml").write_text("include: [own/part.yml]\nservices:\n  web:\n    image: rootfs:/${WEB:?}\n")
    assert list(json.loads(cli("config", "--variables", "--format", "json")[1])) == ["PART", "WEB"]


@pytest.mark.usefixtures("shop")
def test_config_needs_no_engine(cli: Cli) -> None:
    code, out, err = cli("config")
    assert (code, err) == (0, "")
    assert out.startswith("name: shop\nservices:\n  db:\n")
    assert json.loads(cli("config", "--format", "json", "web")[1])["services"].keys() == {"db", "web"}  # web needs db
    assert cli("config", "-q") == (0, "", "")
    assert cli("config", "--services") == (0, "db\nweb\n", "")
    assert cli("--profile", "extra", "config", "--services") == (0, "db\nmail\nweb\n", "")
    assert cli("config", "--profiles") == (0, "extra\n", "")
    assert cli("config", "--networks") == (0, "default\n", "")
    assert cli("config", "--volumes") == (0, "", "")
    assert cli("config", "--images") == (0, "rootfs:/\n", "")
    assert cli("config", "-o", "out.yml") == (0, "", "")
    assert Path("out.yml").read_text() == out
    assert cli("config", "-o", "no/such/place")[0] == 1
