"""The commands and their flags: the one table from which parser and help come.

Data only, and cheap to build, since every start of the CLI builds it. What a command does stands in
`commands/<module>.py`.
"""

from __future__ import annotations

from orchestr8.cli.words import Argument, Command, Flag

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Final

ERROR_FORMATS: Final = ("full", "concise", "json", "github", "sarif")
GLOBAL_FLAGS: Final = (
    Flag("-f", "--file", kind="list", metavar="FILE", dest="files", help="stack file; may be repeated, later ones win"),
    Flag("-p", "--project-name", kind="text", metavar="NAME", help="name of the stack"),
    Flag("--project-directory", kind="text", metavar="DIR", help="what relative paths start from"),
    Flag("--env-file", kind="list", metavar="FILE", dest="env_files", help="instead of .env; may be repeated"),
    Flag(
        "--profile", kind="list", metavar="NAME", dest="profiles", help="turn a profile on; may be repeated, * is all"
    ),
    Flag("--root", kind="text", metavar="DIR", help="the engine's state directory (also ORCHESTR8_ROOT)"),
    Flag("--ansi", kind="text", choices=("auto", "always", "never"), help="colours and live display"),
    Flag("--progress", kind="text", choices=("auto", "tty", "plain", "quiet", "json"), help="how progress is shown"),
    Flag("--strict", help="warnings about the stack file are errors"),
    Flag("--error-format", kind="text", choices=ERROR_FORMATS, help="how errors and warnings of files are shown"),
)
HELP: Final = Flag("-h", "--help", help="show this help")

SERVICES: Final = Argument("SERVICE", "services")
CONTAINERS: Final = Argument("SERVICE|CONTAINER", "services")
CONTAINER: Final = Argument("SERVICE|CONTAINER", "service", "one")
TIMEOUT: Final = Flag(
    "-t", "--timeout", kind="seconds", metavar="SECONDS", help="time to stop in, instead of stop_grace_period"
)
DRY_RUN: Final = Flag("--dry-run", help="print the plan and do nothing")
ENVIRONMENT: Final = Flag(
    "-e", "--env", kind="list", metavar="KEY=VALUE", help="set a variable; KEY alone passes the caller's on"
)
USER: Final = Flag("-u", "--user", kind="text", metavar="USER", help="run as this user: name, uid or uid:gid")
WORKDIR: Final = Flag("-w", "--workdir", kind="text", metavar="DIR", help="working directory in the container")
TTY: Final = Flag("-t", "--tty", help="a terminal, even if this is none")
NO_TTY: Final = Flag("-T", "--no-tty", help="no terminal, even if this is one")
INTERACTIVE: Final = Flag("-i", "--interactive", help="pass input on; so it is unless `--interactive=false`")
NO_COLOUR: Final = Flag("--no-color", help="log lines without colour")
NO_PREFIX: Final = Flag("--no-log-prefix", help="log lines without the container's name")
INDEX: Final = Flag("--index", kind="index", metavar="N", help="which container of the service")
WAIT: Final = Flag("--wait", help="leave once everything is running or healthy")
WAIT_TIMEOUT: Final = Flag("--wait-timeout", kind="seconds", metavar="SECONDS", help="how long --wait waits at most")
REMOVE_ORPHANS: Final = Flag("--remove-orphans", help="remove containers of services that the file no longer has")

ONE_OFFS: Final = "Without a name, those of all services. A one-off container of `run` is meant by its own name alone."
BY_NAME: Final = (
    "Without a name, those of all services. CONTAINER is a name that ps shows: a one-off of `run` has no other."
)

_COMMANDS: Final = (
    Command(
        "up",
        "create and start the stack, or bring it up to date",
        arguments=[SERVICES],
        flags=[
            Flag("-d", "--detach", help="leave once everything is started"),
            WAIT,
            WAIT_TIMEOUT,
            Flag("--scale", kind="list", metavar="SERVICE=N", help="run N containers of a service; may be repeated"),
            Flag("--force-recreate", help="make every container anew"),
            Flag("--no-recreate", help="leave containers that exist as they are"),
            Flag("--no-deps", help="the services that are named alone, without what they need"),
            Flag(
                "-V",
                "--renew-anon-volumes",
                help="containers that are made anew do not get their anonymous volumes again",
            ),
            REMOVE_ORPHANS,
            TIMEOUT,
            NO_COLOUR,
            NO_PREFIX,
            Flag("--timestamps", help="log lines with the time"),
            DRY_RUN,
        ],
        detail="Attached, it shows the logs: Ctrl-C stops the stack in order, a second one kills it, and Ctrl-\\ leaves\n"
        "it running.",
    ),
    Command(
        "down",
        "stop and remove the stack's containers and networks",
        flags=[
            Flag("-v", "--volumes", help="remove its volumes, too"),
            Flag(
                "--remove-orphans", help="also one-offs of `run` that still run, and what another directory brought up"
            ),
            TIMEOUT,
            DRY_RUN,
        ],
        detail="Without a stack file, -p alone says which stack is meant. As with compose, a one-off that still runs stays, and\n"
        "its networks: `orchestr8 stop NAME` ends it alone, --remove-orphans all of them.",
    ),
    Command(
        "ps",
        "list containers",
        arguments=[CONTAINERS],
        flags=[
            Flag("-a", "--all", help="those that do not run, too"),
            Flag("--format", kind="text", choices=("table", "json"), help="json: one object a line"),
            Flag("-q", "--quiet", help="only ids"),
        ],
    ),
    Command(
        "logs",
        "show what containers wrote: those of services, or single ones by the names that ps shows",
        arguments=[CONTAINERS],
        flags=[
            Flag("-f", "--follow", help="go on with what they write from now on"),
            Flag("-n", "--tail", kind="text", metavar="N", help="the last N lines of each container, or all"),
            Flag(
                "--since",
                kind="text",
                metavar="TIME",
                help="from a time on: 10m, 1h30m, 2026-01-31T12:00:00Z, Unix time",
            ),
            Flag("--until", kind="text", metavar="TIME", help="up to a time"),
            Flag("--index", kind="index", metavar="N", help="of this container of the service alone"),
            Flag("--grep", kind="text", metavar="REGEX", help="of those lines the ones in which it is found"),
            Flag("-t", "--timestamps", help="with the time of each line"),
            Flag("--format", kind="text", choices=("text", "json"), help="json: one object a line"),
            NO_PREFIX,
            NO_COLOUR,
        ],
    ),
    Command(
        "exec",
        "run a further program in a running container",
        arguments=[CONTAINER, Argument("COMMAND", "command", "rest")],
        flags=[
            INTERACTIVE,
            TTY,
            NO_TTY,
            ENVIRONMENT,
            USER,
            WORKDIR,
            Flag("-d", "--detach", help="leave it running; nobody reads what it writes"),
            Flag("--privileged", help="with every capability that the engine has"),
            INDEX,
        ],
        detail="Its exit code is the program's; 125: it could not be run, 126: not executable, 127: not found.",
        failure=125,
    ),
    Command(
        "run",
        "run a one-off container of a service",
        arguments=[Argument("SERVICE", "service", "one"), Argument("COMMAND", "command", "rest", optional=True)],
        flags=[
            Flag("--rm", help="remove the container at its end"),
            Flag("-d", "--detach", help="leave it running and print its name, by which stop, exec and attach know it"),
            INTERACTIVE,
            TTY,
            NO_TTY,
            ENVIRONMENT,
            USER,
            WORKDIR,
            Flag("--entrypoint", kind="text", metavar="COMMAND", help="instead of the service's entrypoint"),
            Flag("--name", kind="text", metavar="NAME", help="name of the container"),
            Flag("--no-deps", help="do not start what the service depends on"),
            Flag("-P", "--service-ports", help="publish the service's ports"),
            Flag(
                "-p",
                "--publish",
                kind="list",
                metavar="PORT",
                help="publish this port, as `ports:` has it; may be repeated",
            ),
            Flag(
                "-v",
                "--volume",
                kind="list",
                metavar="VOLUME",
                help="mount this, as `volumes:` has it; may be repeated",
            ),
            Flag("--use-aliases", help="with the service's aliases in its networks"),
            Flag(
                "--env-from-file", kind="list", metavar="FILE", help="set the variables of an env file; may be repeated"
            ),
            Flag("--cap-add", kind="list", metavar="NAME", help="add a capability; may be repeated"),
            Flag("--cap-drop", kind="list", metavar="NAME", help="drop a capability; may be repeated"),
            Flag("-l", "--label", kind="list", metavar="KEY=VALUE", dest="labels", help="add a label; may be repeated"),
            REMOVE_ORPHANS,
            Flag("-q", "--quiet", help="tell no progress"),
        ],
        detail="Without a COMMAND it runs the service's own. Its exit code is the program's; 125: it could not be run,\n"
        "126: not executable, 127: not found.",
        failure=125,
    ),
    Command(
        "attach",
        "connect with the program of a running container",
        arguments=[CONTAINER],
        flags=[
            Flag("--detach-keys", kind="text", metavar="KEYS", help="that leave it running; ctrl-p,ctrl-q unless said"),
            INDEX,
            Flag("--no-stdin", help="pass no input on"),
            Flag("--sig-proxy", kind="bool", help="pass signals on; so it does unless `--sig-proxy=false`"),
        ],
        detail="The keys are for terminals. Without one, Ctrl-C goes to the program, and the end of input ends nothing.",
    ),
    Command("start", "start containers that exist", arguments=[SERVICES], flags=[WAIT, WAIT_TIMEOUT, DRY_RUN]),
    Command(
        "stop",
        "stop containers without removing them",
        arguments=[SERVICES],
        flags=[TIMEOUT, DRY_RUN],
        detail=ONE_OFFS,
    ),
    Command("restart", "stop and start containers", arguments=[SERVICES], flags=[TIMEOUT, DRY_RUN]),
    Command(
        "kill",
        "send containers a signal",
        arguments=[CONTAINERS],
        flags=[Flag("-s", "--signal", kind="text", metavar="SIGNAL", help="instead of SIGKILL")],
        detail=BY_NAME,
    ),
    Command(
        "top",
        "show the processes of containers",
        arguments=[CONTAINERS],
        detail="With the numbers and names of users that this machine has for them.",
    ),
    Command(
        "port",
        "show where a container's port is published",
        arguments=[CONTAINER, Argument("PRIVATE_PORT", "private_port", "one")],
        flags=[
            INDEX,
            Flag("--protocol", kind="text", choices=("tcp", "udp"), help="tcp unless said; 80/udp says it, too"),
        ],
        detail="As one line for scripts, HOST:PORT. PRIVATE_PORT is the one in the container.",
    ),
    Command(
        "wait",
        "wait until containers have ended",
        arguments=[CONTAINERS],
        flags=[Flag("--down-project", help="once the first has ended, stop and remove the stack as `down` does")],
        detail="It exits with the code of the container that ended last, or first with --down-project. What has ended already\n"
        f"counts, too.\n{BY_NAME}",
    ),
    Command(
        "stats",
        "show what containers use: processors, memory, network, block devices",
        arguments=[CONTAINERS],
        flags=[
            Flag("-a", "--all", help="those that do not run, too"),
            Flag("--format", kind="text", choices=("table", "json"), help="json: one object a line"),
            Flag("--no-stream", help="once, instead of again each second"),
        ],
        detail="CPU %: of one processor. Memory is told without file pages that the kernel would give up first. THROTTLED: in how\n"
        "many of its periods a limit of processors held it back; OOM: how many processes were killed for lack of memory.\n"
        "--: not known, or not accounted for on this machine, which `orchestr8 doctor` tells.",
    ),
    Command(
        "inspect",
        "show all that is known of containers, with Docker's names",
        arguments=[Argument("CONTAINER", "names")],
        flags=[
            Flag(
                "-f",
                "--format",
                kind="text",
                metavar="PATHS",
                help="values of each: .State.Pid, '{{.Name}}: {{.State.Pid}}'",
            ),
        ],
        detail="CONTAINER is a service, or the name or id of a container; without any, all of the stack are shown.",
    ),
    Command(
        "cp",
        "copy files into or out of containers",
        arguments=[Argument("SOURCE", "source", "one"), Argument("DESTINATION", "destination", "one")],
        flags=[
            Flag(
                "-a",
                "--archive",
                help="keep owners, set-id bits and devices; else all is root's in there, yours out here",
            ),
            Flag("-L", "--follow-link", help="what the symlink SOURCE leads to, not the symlink"),
            INDEX,
            Flag("--all", dest="all_containers", help="into one-off containers of `run`, too"),
        ],
        detail="One of the two is SERVICE:PATH, or CONTAINER:PATH, the other a path here, or `-`: a tar archive on the standard\n"
        "input or output. What begins with `/` or `.` is a path here, colons or not: ./a:b. Into a service means into each of its containers, out of one means its first. What ends in\n"
        "`/.` means what is in that directory. Containers need not run.",
    ),
    Command(
        "diff",
        "show what a container has changed of its image's files",
        arguments=[CONTAINER],
        flags=[
            INDEX,
            Flag("--format", kind="text", choices=("text", "json"), help="json: one object a line"),
        ],
        detail="A: added, C: changed, D: deleted, as docker has it. The container need not run; what is mounted in it is not told.",
    ),
    Command(
        "export",
        "write a container's whole file system as a tar archive",
        arguments=[CONTAINER],
        flags=[
            Flag("-o", "--output", kind="text", metavar="FILE", help="write there, not to the standard output"),
            INDEX,
        ],
        detail="The container need not run. Volumes and what else is mounted in it are no part of it.",
    ),
    Command(
        "commit",
        "make an image of a container: what it has changed, upon what it was made from",
        arguments=[CONTAINER, Argument("IMAGE[:TAG]", "image", "one", optional=True)],
        flags=[
            Flag("-a", "--author", kind="text", metavar="AUTHOR", help="who made it"),
            Flag(
                "-c",
                "--change",
                kind="list",
                metavar="INSTRUCTION",
                dest="changes",
                help="of a Dockerfile: CMD, ENTRYPOINT, ENV, …; may be repeated",
            ),
            Flag("-m", "--message", kind="text", metavar="TEXT", help="what was done"),
            Flag(
                "-p",
                "--pause",
                kind="bool",
                help="let none of its processes run meanwhile; so it is unless `--pause=false`",
            ),
            INDEX,
        ],
        detail="It prints the image's id. `image: IMAGE` runs it, and it lies as an OCI image layout in the engine's root, in images/:\n"
        "skopeo and podman read it there. Volumes and what else is mounted are no part of it.",
    ),
    Command(
        "events",
        "show what happens to containers, as it happens",
        arguments=[SERVICES],
        flags=[
            Flag("--json", help="one object a line, with compose's fields"),
            Flag("--since", kind="text", metavar="TIME", help="first what happened since then: 10m, a date, Unix time"),
            Flag("--until", kind="text", metavar="TIME", help="leave at that time"),
        ],
        detail="The engine remembers the latest 1024 events of all stacks, for --since, until it ends.",
    ),
    Command("pause", "have no process of containers run", arguments=[CONTAINERS], flags=[DRY_RUN], detail=BY_NAME),
    Command("unpause", "have paused containers go on", arguments=[CONTAINERS], flags=[DRY_RUN], detail=BY_NAME),
    Command(
        "plan",
        "show what `up` would do, and why",
        arguments=[SERVICES],
        flags=[
            Flag("--detailed-exitcode", help="exit with 3 when there is something to do"),
            Flag("--format", kind="text", choices=("text", "json"), help="json: one object with all steps"),
            Flag("--scale", kind="list", metavar="SERVICE=N", help="as of `up`"),
            Flag("--force-recreate", help="as of `up`"),
            Flag("--no-recreate", help="as of `up`"),
            REMOVE_ORPHANS,
        ],
    ),
    Command(
        "config",
        "show the stack as it is understood",
        arguments=[SERVICES],
        flags=[
            Flag("--format", kind="text", choices=("yaml", "json"), help="yaml unless told otherwise"),
            Flag("-o", "--output", kind="text", metavar="FILE", help="write there, not to the standard output"),
            Flag("-q", "--quiet", help="only say what is wrong"),
            Flag("--services", dest="list_services", help="only the services' names"),
            Flag("--networks", dest="list_networks", help="only the networks' names"),
            Flag("--volumes", dest="list_volumes", help="only the volumes' names"),
            Flag("--models", dest="list_models", help="only the models' names"),
            Flag("--profiles", dest="list_profiles", help="only the profiles' names"),
            Flag("--images", dest="list_images", help="only the images"),
            Flag("--hash", kind="text", metavar="SERVICE,…", help="the hashes of services, * for all"),
            Flag("--environment", help="the variables that fill in the file's"),
            Flag("--variables", help="the variables that the file asks for, with their defaults"),
            Flag("--origin", help="file and line of every value, and the files read from elsewhere"),
            Flag("--no-interpolate", help="leave variables as they are written"),
            Flag("--no-normalize", help="without default network, full names and implied dependencies"),
            Flag("--no-path-resolution", help="leave relative paths as they are written"),
            Flag("--no-consistency", help="do not check what must hold between keys"),
            Flag("--no-env-resolution", help="do not read the services' env files"),
            Flag("--resolve-image-digests", help="name images by digest (no registry is supported yet)"),
            Flag("--lock-image-digests", help="a file that pins digests (no registry is supported yet)"),
        ],
    ),
    Command(
        "check",
        "tell everything that is wrong with the stack files",
        arguments=[SERVICES],
        flags=[Flag("--fix", help="mend what can be mended without a doubt; comments and layout stay")],
        detail="With --strict, a warning is an error too. Exit code 1: there are errors.",
    ),
    Command(
        "graph",
        "draw which service waits for which",
        arguments=[SERVICES],
        flags=[
            Flag(
                "--format",
                kind="text",
                choices=("ascii", "mermaid", "dot", "json", "svg"),
                help="ascii unless told otherwise",
            )
        ],
    ),
    Command(
        "init",
        "write a first stack file, from what lies in this folder",
        flags=[
            Flag("--demo", help="a small stack that runs on any machine"),
            Flag("-o", "--output", kind="text", metavar="FILE", help="write there, not to stack.yml"),
        ],
        detail="Nothing is ever overwritten.",
    ),
    Command(
        "schema",
        "print the JSON schema of stack files, for editors",
        flags=[Flag("--path", help="only where it lies")],
    ),
    Command(
        "explain",
        "explain an error code, or list them all",
        arguments=[Argument("CODE", "codes")],
    ),
    Command(
        "version",
        "show versions",
        flags=[
            Flag("--format", kind="text", choices=("pretty", "json"), help="json: one object"),
            Flag("--short", help="only this program's version"),
        ],
    ),
    Command(
        "engine",
        "look after the engine: status, start, stop, logs",
        arguments=[Argument("status|start|stop|logs", "action", "one")],
        flags=[
            Flag("--containers", help="stop: bring every stack down first; volumes are kept"),
            Flag("-f", "--follow", help="logs: go on with what it writes from now on"),
            Flag("-n", "--tail", kind="text", metavar="N", help="logs: the last N lines, or all"),
            Flag("--format", kind="text", choices=("text", "json"), help="status: json is one object"),
        ],
    ),
    Command(
        "doctor",
        "try what this machine can do, and say what to do about the rest",
        flags=[Flag("--format", kind="text", choices=("table", "json"), help="json: one object")],
        detail="It starts no engine and leaves nothing behind; --root says where containers would lie. Exit code 1: something\n"
        "is missing without which no container runs.",
    ),
    Command(
        "oci",
        "an OCI runtime, for podman, containerd and others",
        arguments=[Argument("COMMAND", "words", "rest")],
        detail="The same as orchestr8-oci, whose --help shows its commands.",
    ),
    Command("help", "show what a command does", arguments=[Argument("COMMAND", "services")]),
)

COMMANDS: Final = {command.name: command for command in _COMMANDS}
