import re
import sys

import pytest

from orchestr8.cli.elsewhere import DONE_BY, FLAGS, NOT_YET, SAME_AS
from orchestr8.cli.parser import UsageError, help_text, parse, split
from orchestr8.cli.table import COMMANDS, GLOBAL_FLAGS
from tests.cli.conftest import Cli

LAST = "" if sys.version_info >= (3, 13) else ", COMMAND"  # since 3.13 argparse does not ask for the rest of a line


def given(line: str) -> tuple[str, dict[str, object]]:
    """The command and what was given, without what was not."""
    command, options = parse(line.split())
    return command.name, {name: value for name, value in vars(options).items() if value not in (None, False, [], ())}


@pytest.mark.parametrize(
    ("line", "command", "options"),
    [
        ("up", "up", {}),
        ("up -d web api", "up", {"detach": True, "services": ["web", "api"]}),
        ("up web -d api", "up", {"detach": True, "services": ["web", "api"]}),
        ("-p x -f a --file b up", "up", {"project_name": "x", "files": ["a", "b"]}),
        ("-px -fa up", "up", {"project_name": "x", "files": ["a"]}),
        ("--file=a up --file b", "up", {"files": ["a", "b"]}),
        ("up -t 1m30s", "up", {"timeout": 90.0}),
        ("ps -aq", "ps", {"all": True, "quiet": True}),
        ("ps --progress plain", "ps", {"progress": "plain"}),
        ("logs -f -n 3 web", "logs", {"follow": True, "tail": "3", "services": ["web"]}),
        ("-f a logs -f", "logs", {"files": ["a"], "follow": True}),
        ("exec web ls -la -T", "exec", {"service": "web", "command": ["ls", "-la", "-T"]}),
        ("exec -T -e A=1 -e B web env -i", "exec",
         {"no_tty": True, "env": ["A=1", "B"], "service": "web", "command": ["env", "-i"]}),
        ("exec --index 0 web ls", "exec", {"service": "web", "command": ["ls"]}),
        ("exec --interactive=false --no-tty=true web ls --all=false", "exec",
         {"turned_off": {"interactive"}, "no_tty": True, "service": "web", "command": ["ls", "--all=false"]}),
        ("run --rm=false -i=f -i=t -e A=1 web", "run",
         {"turned_off": {"rm"}, "interactive": True, "env": ["A=1"], "service": "web"}),
        ("up web --detach=true --wait=0", "up", {"detach": True, "turned_off": {"wait"}, "services": ["web"]}),
        ("attach --sig-proxy web", "attach", {"sig_proxy": True, "service": "web"}),
        ("run --rm web -- sh -c x", "run", {"rm": True, "service": "web", "command": ["sh", "-c", "x"]}),
        ("run web --help", "run", {"service": "web", "command": ["--help"]}),
        ("--profile a config --profiles --profile b", "config", {"profiles": ["a", "b"], "list_profiles": True}),
        ("--version", "version", {}),
        ("", "help", {}),
        ("--help", "help", {}),
        ("-p x --help up", "help", {"project_name": "x", "services": ["up"]}),
        ("exec --help", "help", {"services": ["exec"]}),
        ("up web -h", "help", {"services": ["up"]}),
    ],
)  # fmt: skip
def test_words_become_a_command_and_its_options(line: str, command: str, options: dict[str, object]) -> None:
    assert given(line) == (command, options)


@pytest.mark.parametrize(
    ("line", "message", "help"),
    [
        ("dwon", "there is no command `dwon`", "did you mean `down`?"),
        ("scale web=2", "there is no command `scale`", "orchestr8 up -d --scale SERVICE=N"),
        ("rmi shop", "there is no command `rmi` yet", NOT_YET["rmi"]),
        ("list", "there is no command `list` yet", NOT_YET["ls"]),
        ("up --detatch", "`up` has no flag `--detatch`", "did you mean `--detach`?"),
        ("up -d --build", "`up` has no flag `--build`", FLAGS["--build"]),
        ("ps --status=exited", "`ps` has no flag `--status`", FLAGS["--status"]),
        ("--fiel x ps", "there is no flag `--fiel` before the command", "did you mean `--file`?"),
        ("-d up", "there is no flag `-d` before the command", "it is one of `up`: orchestr8 up -d"),
        ("docker ps", "there is no command `docker`", "leave that word out: orchestr8 up"),
        ("down web", "`down` takes no argument `web`", "see orchestr8 down --help"),
        ("exec", f"the following arguments are required: SERVICE|CONTAINER{LAST}", "see orchestr8 exec --help"),
        ("up -t soon", "argument -t/--timeout: `soon` is not a time, such as 10 or 1m30s", "see orchestr8 up --help"),
        ("exec --index x web ls", "argument --index: `x` is not a whole number", "see orchestr8 exec --help"),
        ("run --rm=maybe web", "--rm: `maybe` is neither true nor false", "see orchestr8 run --help"),
        ("ps --format yaml", "argument --format: `yaml` is none of table, json", "see orchestr8 ps --help"),
        ("up --scale", "argument --scale: expected one argument", "see orchestr8 up --help"),
        ("-p", "argument -p/--project-name: expected one argument", "see orchestr8 --help"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_says_what_would_be_right(line: str, message: str, help: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line.split())
    assert caught.value.message == message
    assert caught.value.helps[0] == help


def test_what_is_named_instead_of_a_command_that_is_not_there_is_there() -> None:
    assert not COMMANDS.keys() & {*DONE_BY, *NOT_YET, *SAME_AS}
    assert not DONE_BY.keys() & NOT_YET.keys()
    assert {*SAME_AS.values()} <= {*DONE_BY, *NOT_YET}
    for text in {*DONE_BY.values(), *NOT_YET.values(), *FLAGS.values()}:
        for name, words in re.findall(r"orchestr8 (?:-p NAME )?([a-z]+)((?: (?:-[-a-z]+|[A-Z=0]+))*)", text):
            known = {word for flag in COMMANDS[name].flags for word in flag.names}
            assert known >= {word for word in words.split() if word.startswith("-")}, text


def test_help_of_a_command_that_is_not_there_says_what_is_there_instead(cli: Cli) -> None:
    code, out, err = cli("help", "images")
    assert (code, out) == (2, "")
    assert "there is no command `images` yet" in err
    assert NOT_YET["images"] in err


def test_what_stands_before_the_command_is_told_from_it() -> None:
    assert split(["-f", "up", "--strict", "ps", "-f"]) == (["-f", "up", "--strict"], "ps", ["-f"])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_parses_and_helps(name: str) -> None:
    command, _ = parse([name, "--help"])
    assert command.name == "help"
    text = help_text(COMMANDS[name])
    assert text.startswith(f"Usage: orchestr8 {name}")
    for flag in COMMANDS[name].flags:
        assert flag.long in text
        assert flag.help in text


def test_the_help_names_every_command_and_global_flag() -> None:
    text = help_text(None)
    for command in COMMANDS.values():
        assert f"  {command.name}" in text
        assert command.summary in text
    assert all(flag.long in text for flag in GLOBAL_FLAGS)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda each: each.name)
def test_no_flag_of_a_command_shares_its_destination_with_another(command) -> None:
    names = [flag.dest for flag in (*command.flags, *GLOBAL_FLAGS)] + [each.dest for each in command.arguments]
    assert len(names) == len(set(names))


def test_an_argument_that_may_be_left_out_is_shown_so() -> None:
    assert help_text(COMMANDS["run"]).startswith("Usage: orchestr8 run [flags] SERVICE [COMMAND…]\n")
    assert help_text(COMMANDS["exec"]).startswith("Usage: orchestr8 exec [flags] SERVICE|CONTAINER COMMAND…\n")


@pytest.mark.parametrize("before", [[], ["--env-file", "first"]])
def test_a_global_flag_that_may_be_repeated_stands_after_any_command(before: list[str]) -> None:
    for command in ("exec", "run", "logs", "up", "ps"):
        _, options = parse(
            [
                *before,
                command,
                "--env-file",
                "x",
                "--env-file",
                "y",
                *(["web", "env"] if command in {"exec", "run"} else []),
            ]
        )
        assert list(options.env_files) == [*before[1:], "x", "y"], command


def test_flags_of_all_commands_stand_on_either_side_unless_the_command_has_its_own() -> None:
    assert parse(["up", "-f", "a.yml", "-d", "-p", "shop"])[1].files == ["a.yml"]
    assert parse(["-f", "a.yml", "ps", "-f", "b.yml"])[1].files == ["a.yml", "b.yml"]
    assert parse(["exec", "-f", "a.yml", "web", "ls", "-p", "x"])[1].project_name is None
    options = parse(["-f", "a.yml", "logs", "-f", "web"])[1]
    assert (options.files, options.follow, options.services) == (["a.yml"], True, ["web"])
