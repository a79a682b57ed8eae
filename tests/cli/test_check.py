"""`check` tells all, and `--fix` mends what is beyond doubt and nothing else."""

import errno
import json
import os
from pathlib import Path

import pytest

from orchestr8.cli.commands import check
from orchestr8.image.store import ImageStore
from tests.cli.conftest import Cli, Stdin

SICK = """\
version: "3.8"   # from an old project
name: shop
services:
  web:
    image: rootfs:/
    comand: sleep 1   # stays
    user: 10:20
    ports:
      - 22:22
    enviroment:
      TIMES: 5
    stop_signal: 5
    depends_on: [nowhere]
volumes:
  data:
    external:   # also stays
      name: pool
"""
MENDED = """\
# from an old project
name: shop
services:
  web:
    image: rootfs:/
    command: sleep 1   # stays
    user: "10:20"
    ports:
      - "22:22"
    environment:
      TIMES: 5
    stop_signal: "5"
    depends_on: [nowhere]
volumes:
  data:
    external: true   # also stays
    name: pool
"""
LEFT = """\
error[O8-203]: no service is called `nowhere`
  --> stack.yml:13:18
13 |     depends_on: [nowhere]
   |                  ^^^^^^^ in services.web.depends_on

1 error in stack.yml
"""


def test_what_is_right_is_said_to_be(cli: Cli) -> None:
    Path("stack.yml").write_text("services:\n  web:\n    image: rootfs:/\n")
    assert cli("check") == (0, "", "nothing is wrong: stack.yml\n")
    assert cli("check", "--fix") == (0, "", "nothing was mended\nnothing is wrong: stack.yml\n")


def test_findings_are_the_answer_and_counted(cli: Cli) -> None:
    Path("stack.yml").write_text("services:\n  web: {image: 'rootfs:/', colour: red}\n")
    code, out, err = cli("check")
    assert (code, err) == (1, "")
    assert out == (
        "error[O8-101]: unknown key `colour` in `services.web`\n"
        " --> stack.yml:2:28\n"
        "2 |   web: {image: 'rootfs:/', colour: red}\n"
        "  |                            ^^^^^^ not a service setting\n"
        "\n"
        "1 error in stack.yml\n"
    )


def test_what_up_would_not_find_is_told_at_its_place(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "work" / "token.txt").touch()
    (tmp_path / "trees" / "debian").mkdir(parents=True)
    Path("stack.yml").write_text(
        "services:\n"
        f"  web: {{image: 'rootfs:{tmp_path}/trees/debain', secrets: [t], configs: [c, v]}}\n"
        "  db: {image: postgres:16, security_opt: ['seccomp=./no.json']}\n"
        "  off: {image: nginx, profiles: [x]}\n"
        "  here: {image: 'rootfs:/'}\n"
        "secrets: {t: {file: ./tokn.txt}}\n"
        "configs:\n"
        "  c: {file: ./gone}\n"
        "  v: {environment: NO_SUCH_VARIABLE}\n"
    )
    code, out, _ = cli("--error-format", "concise", "check")
    assert (code, out.splitlines()) == (1, [
        f"stack.yml:2:16: error[O8-502] image rootfs:{tmp_path}/trees/debain: there is no directory {tmp_path}/trees/debain",
        "stack.yml:3:15: warning[O8-501] image postgres:16: none of this name was made here, and there are no registries yet; `orchestr8 up` will refuse it",
        f"stack.yml:3:43: error[O8-407] seccomp profile not found: {tmp_path}/work/./no.json",
        f"stack.yml:6:21: error[O8-406] file of secret `t` not found: {tmp_path}/work/tokn.txt",
        f"stack.yml:8:13: error[O8-406] file of config `c` not found: {tmp_path}/work/gone",
        "stack.yml:9:20: error[O8-406] variable NO_SUCH_VARIABLE is not set, and config `v` has its content from it",
    ])  # fmt: skip
    _, out, _ = cli("check")
    assert f"= help: did you mean rootfs:{tmp_path}/trees/debian?" in out
    assert f"= help: did you mean {tmp_path}/work/token.txt?" in out
    assert "= help: export NO_SUCH_VARIABLE=…, or write it into .env" in out


def test_images_that_commit_made_are_there_by_name_and_id_and_a_tag_that_is_not_names_those_that_are(
    cli: Cli, tmp_path: Path
) -> None:
    store = ImageStore(str(tmp_path / "root"))
    layer = store.blobs.put(b"layer")
    for tag in ("1.0", "1.1"):
        made = store.add({}, [(layer, layer.digest)], [], name=f"docker.io/library/shop:{tag}", created="", author=tag)
    Path("stack.yml").write_text(f"services: {{a: {{image: 'shop:1.0'}}, b: {{image: '{made.id}'}}}}\n")
    assert cli("check") == (0, "", "nothing is wrong: stack.yml\n")
    Path("stack.yml").write_text("services: {a: {image: shop}}\n")
    code, out, _ = cli("check")
    assert (code, "  = help: the tags of docker.io/library/shop here are 1.0, 1.1\n" in out) == (0, True)
    assert "image shop: none of this name was made here" in out


def test_images_that_this_user_may_not_see_are_not_said_to_be_missing(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: ImageStore) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(ImageStore, "words", refused)
    Path("stack.yml").write_text("services: {a: {image: shop}}\n")
    code, out, _ = cli("check")
    assert (code, "`orchestr8 up` will refuse it unless `orchestr8 commit` has made it" in out) == (0, True)


def test_an_image_that_only_the_engine_may_see_is_not_judged(cli: Cli, tmp_path: Path) -> None:
    Path("stack.yml").write_text(
        f"services:\n  web: {{image: 'rootfs:{tmp_path}/{'x' * 300}'}}\n"
    )  # ENAMETOOLONG, not ENOENT
    assert cli("check")[0] == 0


def test_a_warning_is_no_failure_unless_strict(cli: Cli) -> None:
    Path("stack.yml").write_text("services:\n  web:\n    image: rootfs:/\n    ports:\n      - 22:22\n")
    code, out, _ = cli("--error-format", "concise", "check")
    assert (code, out) == (0, "stack.yml:5:9: warning[O8-114] `22:22` is the number 1342 to other readers of YAML\n")
    code, out, _ = cli("--strict", "--error-format", "concise", "check")
    assert (code, out) == (1, "stack.yml:5:9: error[O8-114] `22:22` is the number 1342 to other readers of YAML\n")
    assert cli("check", "--strict")[0] == 1


def test_what_is_beyond_doubt_is_mended_and_the_rest_is_left(cli: Cli) -> None:
    Path("stack.yml").write_text(SICK)
    code, out, err = cli("check", "--fix")
    assert Path("stack.yml").read_text() == MENDED
    assert (code, out) == (1, LEFT)
    assert err == (
        'mended stack.yml:1:1: O8-109 remove `version: "3.8"`\n'
        "mended stack.yml:6:5: O8-101 write `command`\n"
        'mended stack.yml:7:11: O8-114 quote it: "10:20"\n'
        'mended stack.yml:9:9: O8-114 quote it: "22:22"\n'
        "mended stack.yml:10:5: O8-101 write `environment`\n"
        'mended stack.yml:12:18: O8-104 quote it: "5"\n'
        "mended stack.yml:17:7: O8-109 write `name:` and `external: true`\n"
    )


def test_a_second_time_changes_nothing(cli: Cli) -> None:
    Path("stack.yml").write_text(SICK)
    cli("check", "--fix")
    before = os.stat("stack.yml")
    assert cli("check", "--fix") == (1, LEFT, "nothing was mended\n")
    assert os.stat("stack.yml").st_ino == before.st_ino


def test_line_ends_a_mark_at_the_beginning_mode_and_a_link_stay(cli: Cli) -> None:
    Path("real.yml").write_bytes(b"\xef\xbb\xbf" + b"services:\r\n  web:\r\n    image: rootfs:/\r\n    comand: ['a']")
    Path("real.yml").chmod(0o640)
    Path("stack.yml").symlink_to("real.yml")
    assert cli("check", "--fix")[0] == 0
    assert Path("stack.yml").is_symlink()
    expected = b"\xef\xbb\xbf" + b"services:\r\n  web:\r\n    image: rootfs:/\r\n    command: ['a']"
    assert Path("real.yml").read_bytes() == expected
    assert Path("real.yml").stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir()) == ["real.yml", "stack.yml"]


def test_tabs_become_the_files_own_steps(cli: Cli) -> None:
    Path("stack.yml").write_text("services:\n    web:\n\t\timage: rootfs:/\n\t\ttty: true\n")
    code, _, err = cli("check", "--fix")
    assert (code, err.splitlines()[0]) == (0, "mended stack.yml:3:1: O8-102 indent with 4 spaces instead of a tab")
    assert Path("stack.yml").read_text() == "services:\n    web:\n        image: rootfs:/\n        tty: true\n"


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  web:\n  \timage: rootfs:/\n",  # tabs and spaces mixed: how wide was the tab?
        "services:\n  web:\n    image: rootfs:/\n    command: a\n    comand: b\n",  # which of the two?
        "services:\n  web:\n    image: rootfs:/\n    ? comand\n    : [a]\n    colour: red\n",
        'services:\n  web:\n    image: rootfs:/\n    "co\\u006dand": a\n',  # not written as it reads
    ],
)
def test_what_leaves_a_doubt_is_not_touched(cli: Cli, text: str) -> None:
    Path("stack.yml").write_text(text)
    code, _, err = cli("check", "--fix")
    after = Path("stack.yml").read_text()
    if "? comand" in text:
        assert (code, after) == (1, text.replace("comand", "command"))
    else:
        assert (code, err, after) == (1, "nothing was mended\n", text)


def test_standard_input_is_checked_and_never_mended(cli: Cli, stdin: Stdin) -> None:
    stdin(b"services:\n  web:\n    image: rootfs:/\n    comand: a")
    code, out, _ = cli("-f", "-", "--error-format", "concise", "check")
    assert (code, out) == (1, "<stdin>:4:5: error[O8-101] unknown key `comand` in `services.web`\n")
    stdin(b"services:\n  web:\n    image: rootfs:/\n    comand: a")
    code, _, err = cli("-f", "-", "check", "--fix")
    assert (code, err.splitlines()[0]) == (1, "error[O8-300]: standard input cannot be mended")


def test_a_file_that_changed_in_the_meantime_is_left_alone(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    Path("stack.yml").write_text("services:\n  web:\n    image: rootfs:/\n    comand: a\n")
    thought = check.mend

    def slow(*words):
        done = thought(*words)
        Path("stack.yml").write_text("services: {}\n")
        return done

    monkeypatch.setattr(check, "mend", slow)
    code, _, err = cli("check", "--fix")
    assert (code, err.split(" ")[0]) == (1, "error[O8-409]:")
    assert os.listdir() == ["stack.yml"]
    assert Path("stack.yml").read_text() == "services: {}\n"


def test_machines_read_the_findings_too(cli: Cli) -> None:
    Path("stack.yml").write_text("services:\n  web:\n    image: rootfs:/\n    comand: a\n")
    (line,) = cli("--error-format", "json", "check")[1].splitlines()
    edit = {"column": 5, "end_column": 11, "end_line": 4, "file": "stack.yml", "line": 4, "text": "command"}
    assert json.loads(line)["suggestions"] == [{"title": "write `command`", "safe": True, "edits": [edit]}]
    (run,) = json.loads(cli("check", "--error-format", "sarif")[1])["runs"]
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("O8-101", "error")
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "O8-101"


def test_sarif_reports_that_there_is_nothing_to_report(cli: Cli) -> None:
    Path("stack.yml").write_text("services:\n  web:\n    image: rootfs:/\n")
    assert json.loads(cli("--error-format", "sarif", "check")[1])["runs"][0]["results"] == []


def test_the_form_may_come_from_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("stack.yml").write_text("services:\n  web:\n    image: rootfs:/\n    colour: a\n")
    monkeypatch.setenv("ORCHESTR8_ERROR_FORMAT", "github")
    expected = (
        "::error file=stack.yml,line=4,endLine=4,col=5,endColumn=11,title=O8-101"
        "::unknown key `colour` in `services.web`\n"
    )
    assert cli("check") == (1, expected, "")
    assert cli("config") == (1, "", expected)
    monkeypatch.setenv("ORCHESTR8_ERROR_FORMAT", "loud")
    assert cli("check")[0] == 2


def test_a_file_of_somebody_else_is_told_of_and_not_mended(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    theirs = tmp_path / "shared" / "base.yml"
    theirs.write_text("services:\n  base:\n    image: rootfs:/\n    comand: a\n")
    Path("own").mkdir()
    Path("own/part.yml").write_text("services:\n  part:\n    image: rootfs:/\n    comand: a\n")
    Path("stack.yml").write_text(
        "include: [own/part.yml]\nservices:\n  web:\n    extends: {service: base, file: ../shared/base.yml}\n"
    )
    code, out, err = cli("check", "--fix")
    assert code == 1
    assert err == "mended own/part.yml:4:5: O8-101 write `command`\n"
    assert f"{theirs}:4:5" in out
    assert "comand" in theirs.read_text()
    assert Path("own/part.yml").read_text() == "services:\n  part:\n    image: rootfs:/\n    command: a\n"


def test_a_file_that_is_not_yaml_is_shown_from_top_to_bottom(cli: Cli) -> None:
    Path("stack.yml").write_text("services:\n  web:\n    command: [a, b\n    user: x\n")
    _, out, _ = cli("check")
    assert out == (
        "error[O8-102]: this is not YAML: did not find expected ',' or ']'\n"
        " --> stack.yml:4:9\n"
        "3 |     command: [a, b\n"
        "  |              - while parsing a flow sequence\n"
        "4 |     user: x\n"
        "  |         ^ did not find expected ',' or ']'\n"
        "\n"
        "1 error in stack.yml\n"
    )


def test_the_first_help_begins_with_what_to_do(cli: Cli) -> None:
    Path("stack.yml").write_text("services: {web: {image: 'rootfs:/', volumes: ['dta:/x'], secrets: [s]}}\n")
    _, out, _ = cli("check")
    assert "= help: define it: volumes: {dta: }\n" in out
    assert "= help: or, for a directory beside the stack file, write ./dta\n" in out
    assert "= help: define it at the top of the file, under secrets:\n" in out
    Path("stack.yml").write_text("services: {web: {image: 'rootfs:/', volumes: ['dta:/x']}}\nvolumes: {data: }\n")
    _, out, _ = cli("check")
    assert "= help: did you mean `data`?\n" in out
    assert "= help: or define it: volumes: {dta: }\n" in out


def test_where_there_is_no_stack_file_one_is_offered(cli: Cli) -> None:
    _, _, err = cli("check")
    assert "= help: name one with -f FILE\n" in err
    assert "= help: orchestr8 init writes a first one, from what lies here\n" in err
