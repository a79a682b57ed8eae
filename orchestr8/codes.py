"""What every error code means: the one registry, from which `orchestr8 explain` and docs/errors.md are made.

A code is a promise: once released it keeps its meaning, and a test holds this table equal to the codes that are raised.
Numbers go by where the remedy lies: `errors` has the ranges. Imports nothing: `explain` is a light command.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# code -> what is wrong, in a line; what it means and what to do, in Markdown of the plainest kind: paragraphs, and
# blocks indented by four that show text as it stands in a file or on a command line.
CODES: Final[dict[str, tuple[str, str]]] = {
    "O8-100": ("the stack files are not right", """\
Stands for a run that found more than one thing wrong. Each of them is shown with a code of its own; look those up.
"""),
    "O8-101": ("unknown key", """\
The key is none that the Compose format has at this place. It is most often misspelt, or indented one step too far or
too little, so that it belongs to another mapping than was meant:

    services:
      web:
        image: rootfs:/
        enviroment:          # no such key: environment
          LOG_LEVEL: debug

Keys that begin with `x-` are yours: no one but you gives them a meaning, and they may stand anywhere. When there is no
doubt about what was meant, `orchestr8 check --fix` puts it right.
"""),
    "O8-102": ("the file is not YAML, or not a mapping, or too large", """\
The text cannot be read as YAML at all, so nothing can be said about what it holds. Usual reasons: a tab in the
indentation (YAML wants spaces), a value that holds `: ` and is not quoted, a bracket or quote that is never closed, an
alias (`*name`) of an anchor (`&name`) that comes later or never.

    command: echo ready: yes       # wrong: a second `: ` in one line
    command: "echo ready: yes"     # right

A stack file is a mapping at its top, and needs `services:`. Files of more than 100,000 values, 400,000 with their
aliases expanded, or 100 levels are refused: such a file would eat the memory of whatever reads it.
"""),
    "O8-103": ("a key stands twice", """\
One mapping has the same key twice. YAML readers disagree on which of the two counts, so neither does. Keep one, or put
what both hold under one of them. (A later file may set a key again: that is merging, and right.)
"""),
    "O8-104": ("a value of the wrong kind", """\
This place takes another kind of value: text where a list is wanted, a list where a mapping is, a number that should be
text. A frequent one is a value that YAML reads as a number or as true or false although text was meant:

    user: 1000          # a number
    user: "1000"        # text

The message says what was expected and what was found. A variable gives text, whatever it looks like.
"""),
    "O8-105": ("a key is missing", """\
A mapping lacks a key without which it has no meaning, such as `services` at the top, or the `source` of a bind mount.
"""),
    "O8-106": ("files or services that lead back to themselves", """\
A file includes one that includes it in turn, or a service extends one that extends it; so there is no end to what they
are made of. The places of the circle are shown: take one step out of it, or move what both sides need to a file or
service of its own. Ways that are endless without being circles are cut off too: more than 50 files that include each
other, more than 1,000 that are read in one run.
"""),
    "O8-107": ("a stack file is not there, or cannot be read", """\
Without -f, the working directory and every one above it is searched for stack.yml, stack.yaml, compose.yaml,
compose.yml, docker-compose.yml and docker-compose.yaml, in this order, and for an override file beside the one found.
COMPOSE_FILE names files as -f does. Where one directory holds several of them, the first is used and this warning
says so.
"""),
    "O8-108": ("a name that cannot be one", """\
A project name is lower-case letters, digits, `_` and `-`, and begins with a letter or digit. It comes from -p, from
COMPOSE_PROJECT_NAME, from `name:` in the file, or else from the directory; of these two the other characters are left
out, which for `name:` is a warning. Services, networks, volumes, configs and
secrets are named by letters, digits, `.`, `_` and `-`.
"""),
    "O8-109": ("a form that is obsolete", """\
The format once had this, and it is still understood. `version:` has no effect whatsoever; `external: {name: x}` is
written as `name: x` and `external: true` today. `orchestr8 check --fix` rewrites both.
"""),
    "O8-110": ("not supported", """\
The file asks for something that the format has and this engine does not do. It would change what runs, or how well it
is shut in, so it is never left out in silence. docs/keys.md lists every key with what becomes of it here. A null, an
empty list or the default value asks for nothing, and is no error.
"""),
    "O8-111": ("a key that has no effect here", """\
The key is right, and nothing happens because of it on this engine; the note says what it would do elsewhere. The stack
runs without it. With `--strict`, this is an error. docs/keys.md has the list. So it is with a tag of YAML that a stack
file does not have: `!overide [a]` is `[a]`, added to what is there, where `!override` was meant.
"""),
    "O8-112": ("a number that does not stay as it was written", """\
YAML reads the value as a number, and a number made text again looks different: 010 becomes 8, 1_000 becomes 1000,
1.10 becomes 1.1. For an environment variable or a label that is rarely meant. Quote it:

    environment:
      VERSION: 1.10      # the program gets 1.1
      VERSION: "1.10"    # the program gets 1.10
"""),
    "O8-113": ("a command that looks like shell, and is not run by one", """\
`command:` and `entrypoint:` are split into words as a shell would split them, but no shell runs them: pipes,
redirections and `&&` are not understood, and what follows them is left out. To have a shell, say so:

    command: ["sh", "-c", "migrate && exec serve"]
"""),
    "O8-114": ("a number to the base of sixty, to other readers", """\
YAML 1.1 reads digits with colons between them as a number to the base of sixty, as in hours and minutes: 22:22 is 1342.
compose and orchestr8 read text; podman-compose and many editors do not. In quotes it is text to everybody:

    ports:
      - "22:22"

Only `orchestr8 check` tells of it, and `orchestr8 check --fix` writes the quotes.
"""),
    "O8-115": ("the same stands in a list twice", """\
In this list each item counts once, so a second one says nothing, and is most often meant to be another. Remove it, or
write what was meant. (Lists of ports, mounts, names of servers and the like may repeat themselves; one is kept.)
"""),
    "O8-201": ("services depend on each other in a circle", """\
Each service of the circle waits for the next, so none could ever start. Services reach each other by name without
`depends_on`; it only orders starting and stopping. Delete the edge whose order does not matter.
"""),
    "O8-202": ("the parts of a stack that are asked for do not fit", """\
A service needs another one that the chosen profiles leave out, or more containers of a service are asked for than can
be. Turn the profile on with --profile, write `required: false` in `depends_on`, or leave out what forbids it.
"""),
    "O8-203": ("a name that nothing bears", """\
A service, network, volume, config, secret or model is used that is not defined. It may be misspelt, or lack its section
at the top of the file:

    services:
      web:
        networks: [front]
    networks:
      front:
"""),
    "O8-204": ("two settings contradict each other", """\
Each is right alone, and together they cannot be had: `scale` and another `deploy.replicas`, two mounts on one target,
two services with one `container_name`, an external resource with settings of its own. Both places are shown; change
one.
"""),
    "O8-205": ("a service that says nothing to run", """\
A service needs an `image`, or a `build` that makes one.
"""),
    "O8-206": ("a health check without a test", """\
The service sets intervals or retries of a health check, and no `test`. The image's own test is used where it has one;
where it has none, nothing is checked.
"""),
    "O8-207": ("one port is published twice", """\
Two services, or the replicas of one, ask for the same port of this machine. Only one of them can have it, so the
others would fail to start. Publish them elsewhere, or a range, or leave `published` out to have a free one chosen.
"""),
    "O8-208": ("a mount that another one hides", """\
The same target is mounted more than once in one service, and the last one is used. Remove the other.
"""),
    "O8-209": ("a network that must be made anew is in use", """\
The settings of a network changed, so it has to be removed and made again; a container that this command must not stop
still runs on it: a one-off somebody sits at, or a container of another stack. End that first.
"""),
    "O8-300": ("what was given cannot be used", """\
A flag, a name or a value on the command line, or in a request to the engine, is not right. The message says which.
"""),
    "O8-301": ("a required variable has no value", """\
The file says `${NAME:?}` or `${NAME?}`: it does not go on without this variable. It is looked for in the shell that
calls orchestr8, then in --env-file, or else in `.env` beside the stack file. What `env_file:` and `environment:` give
to a container is for that container alone, and never fills in a variable of the file.

    echo 'DB_PASSWORD=...' >> .env
    DB_PASSWORD=... orchestr8 up
"""),
    "O8-302": ("a variable is not set", """\
`$NAME` is used and has no value, so nothing stands in its place. Set it, or say that nothing is meant: `${NAME:-}`. A
dollar that is meant as one is doubled: `$$HOME` reaches the container as `$HOME`.
"""),
    "O8-303": ("a `$` that starts no variable", """\
After `${` comes a name of letters, digits and `_`, then `}` or one of `:-` `-` `:?` `?` `:+` `+` and what belongs to
it. A dollar that is meant as one is doubled: `$$`.
"""),
    "O8-304": ("an env file is not there, or not right", """\
A line of an env file is `NAME=value`, `NAME: value`, `export NAME=value`, a comment after `#`, or blank. A quoted value
may go over several lines, and its quote must be closed. A file that may be missing is written as
`{path: ./local.env, required: false}`.
"""),
    "O8-305": ("a value that cannot be", """\
The value has the right kind, and none of the meanings that this place knows: a duration without a unit, a port above
65535, a word that is not in the list. The message says what is taken.
"""),
    "O8-306": ("not a size", """\
A size is a number with `b`, `k`, `m`, `g` or `t` (powers of 1024), such as 512m.
"""),
    "O8-307": ("not permission bits", """\
Permission bits are an octal number, such as 0755, or the same as text.
"""),
    "O8-308": ("not a restart policy", """\
`restart:` is one of no, always, unless-stopped, on-failure and on-failure:MAX.
"""),
    "O8-309": ("not a port", """\
A document that was sent to the engine has a port that is none. Stack files are checked before; this comes from a
client.
"""),
    "O8-310": ("not a health check's test", """\
The list begins with CMD (a program and its arguments), CMD-SHELL (one text for the shell), or NONE. A text alone is for
the shell.
"""),
    "O8-400": ("the engine does not answer", """\
The command speaks with the engine through a socket, and starts one when none answers. This one could not be reached, or
broke off. `orchestr8 engine status` tells whether it runs, `orchestr8 engine logs` what it said last.
"""),
    "O8-401": ("a port cannot be published", """\
Something on this machine holds the port already (the note names it where it can be seen), the address is none of this
machine's, or the engine may not bind a port this low. Publish another port, or leave `published` out.
"""),
    "O8-402": ("a bind source does not exist", """\
The path on this machine that a mount names is not there. The short form makes a directory in its place, as compose
does, which is rarely what is wanted for a file; the long form with `create_host_path: false` makes nothing and fails.
Paths start from the directory of the first stack file.
"""),
    "O8-403": ("nftables is missing", """\
Published ports and the separation of networks are made by the kernel's packet filter, through libnftables. Install
nftables from your distribution.
"""),
    "O8-404": ("there is nothing of that name", """\
The container, stack, service or command that was named does not exist. `orchestr8 ps -a` lists what there is.
"""),
    "O8-405": ("a method that the path does not have", """\
A client sent the engine a request with the wrong HTTP method. The command line never does.
"""),
    "O8-406": ("the content of a secret or config is not to be had", """\
Secrets and configs that services are given are read before anything is done: from the file that `file:` names (paths
start at the directory of the stack file), or from the variable that `environment:` names, of the shell or of `.env`.
What could not be read, or is larger than a mebibyte, is told with its place.
"""),
    "O8-407": ("a seccomp profile cannot be read", """\
`security_opt: [seccomp=FILE]` names a file of this machine, from the project's directory, that holds a profile as
Docker has them: a JSON object with `defaultAction` and `syscalls`.
"""),
    "O8-409": ("not in this state", """\
What is asked for cannot be done as things are now: a container that runs cannot be started, a second engine cannot use
the directory of the first. The message says what has to change before.
"""),
    "O8-410": ("this machine lacks something that containers need", """\
A library or a facility of the kernel is not there: libseccomp, or a mounted cgroup hierarchy. The help says how to
get it.
"""),
    "O8-411": ("the kernel refuses a limit", """\
A limit has a value that this kernel or machine cannot set: processors that there are not, a device that cannot be
limited, more open files than any process may have. The message names the limit, a note what the kernel was given.
"""),
    "O8-412": ("a device does not exist", """\
The path on this machine that a setting names as a device is not there, or is something else. `lsblk -p` lists disks.
"""),
    "O8-500": ("not the name of an image", """\
An image is named as `rootfs:` and the absolute path of a directory. `rootfs:/` is this machine's own root, with what is
private covered. What `orchestr8 commit` makes has a name in lower-case letters and digits, perhaps with a tag
(`shop/web:1.2`), and is known by its id as well (`sha256:…`).
"""),
    "O8-501": ("an image of a kind that is not supported", """\
There are no registries yet, so a name is that of an image that `orchestr8 commit SERVICE NAME` has made on this
machine, for the same --root. Any other one: unpack it into a directory, and name that by `rootfs:/that/directory`.
"""),
    "O8-502": ("the image is not there", """\
There is no directory at the path that `rootfs:` names, or it is one that cannot be an image, such as the engine's own.
"""),
    "O8-504": ("a change of an image's settings that cannot be", """\
`commit --change` takes instructions of Dockerfiles that set what an image says of its program: CMD, ENTRYPOINT, ENV,
EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR.

    orchestr8 commit -c 'CMD ["serve", "--port", "80"]' -c 'ENV MODE=live' web shop:1
"""),
    "O8-505": ("there is no room for an image", """\
`commit` packs what a container has changed, and the first time its image's directory as well, which for `rootfs:/` is
this whole machine. It stops before the disk is full, and leaves nothing behind. Make room, or let the engine have
another --root.

An image stays when its name goes to a newer one, and single images cannot be removed yet. To be rid of all of them,
bring down the stacks that use them (`orchestr8 down`), end the engine, and delete three folders of its root, which
`orchestr8 engine status` shows. Other containers go on meanwhile:

    orchestr8 engine stop
    rm -r /var/lib/orchestr8/images /var/lib/orchestr8/layers /var/lib/orchestr8/bases
"""),
    "O8-506": ("an image in the store is damaged", """\
A blob of the image layout in the engine's root (`images/`) is missing, or is not what its name says. Commit the image
again; containers that were made from it have their layers unpacked and go on.
"""),
    "O8-507": ("an image has too many layers", """\
Each `commit` of a container puts a layer upon those of its image, and the kernel mounts no more of them at once than
fit in a page. Make one layer of all, and go on from there:

    mkdir /srv/shop && orchestr8 export web | tar -x -C /srv/shop      # then image: rootfs:/srv/shop
"""),
    "O8-600": ("a step failed", """\
Something on this machine failed while a container was made, started, stopped or removed. The notes have the reason as
the system gave it, and `orchestr8 engine logs` what led to it.
"""),
    "O8-601": ("a container could not be set up or started", """\
The process behind the container could not make what was asked for. The message says which step, and the kernel's
reason.
"""),
    "O8-602": ("a container does not die", """\
Its first process was sent SIGKILL and is still there: it hangs inside of the kernel, most often on a disk or network
file system that does not answer.
"""),
    "O8-603": ("a user namespace of the container's own cannot be", """\
`userns_mode: private` gives a container 65,536 user ids of its own, and shows its image, volumes and binds with them.
Their file systems must have id-mapped mounts: ext4, xfs, btrfs and others do, tmpfs from Linux 6.3 on; overlay, 9p and
most network ones do not.
"""),
    "O8-604": ("a dependency did not become what was waited for", """\
A service waits for another by `depends_on`, and that one became unhealthy, ended, or failed. The notes have the last
words of its health check or of its log.
"""),
    "O8-605": ("a dependency failed to start", """\
A service waits for another by `depends_on`, and that one ended, was removed, or never started. Its exit code is in the
message, and `orchestr8 logs SERVICE` has what it wrote.
"""),
    "O8-606": ("the stack is not ready in time", """\
`--wait` gives up after `--wait-timeout`. What still had to become ready is in the notes; it goes on without being
waited for.
"""),
    "O8-607": ("healthy is waited for, and nothing checks it", """\
`condition: service_healthy` needs a `healthcheck` in the service that is waited for, or in its image.
"""),
    "O8-610": ("a user that the image does not have", """\
`user:` is a name or number, and may have a group after a colon. Names are looked up in the image's own /etc/passwd and
/etc/group; numbers need not stand there.
"""),
    "O8-611": ("there is nothing to execute", """\
The service has neither `command` nor `entrypoint`, and its image says none.
"""),
    "O8-612": ("a working directory must be absolute", """\
`working_dir` is a path in the container, from its root: /app, not app.
"""),
    "O8-613": ("no such signal", """\
A signal is named as in `kill -l`, with or without SIG, or by its number.
"""),
    "O8-614": ("a seccomp profile that cannot be used", """\
`security_opt: [seccomp=FILE]` names a profile in Docker's JSON, relative to the project's directory. The message says
what of it is wrong.
"""),
    "O8-615": ("a kernel parameter that is not the container's own", """\
`sysctls` sets what the kernel keeps for each container: kernel.msg*, kernel.sem, kernel.shm*, fs.mqueue.* and net.*,
unless the container shares the namespace that they belong to. All others are the machine's: set them there.
"""),
    "O8-616": ("a device that cannot be given", """\
`devices` names device files of this machine, or a directory of them, such as /dev/fuse or /dev/snd.
"""),
    "O8-617": ("a namespace to share is not there", """\
`pid`, `ipc` and `network_mode` share a namespace of a container that runs: `service:NAME` of the same stack, or
`container:NAME`. Start that one first; a dependency on the service does so.
"""),
    "O8-620": ("a bind mount failed", """\
The kernel refused to show the path of this machine in the container. The message has its reason.
"""),
    "O8-621": ("a mount's target cannot be", """\
A mount goes on a path below the container's root, never on `/`, /proc or below it; a file is mounted on a file and a
directory on a directory.
"""),
    "O8-622": ("an image that leads mounts elsewhere", """\
The image has a symbolic link or a file where the kernel's own file systems are mounted (/proc, /sys, /dev). Following
it would put them in places that the image chose.
"""),
    "O8-623": ("a terminal could not be made", """\
The container's /dev or /dev/pts is not the container's own, so that it can have no terminal. Do not mount on them.
"""),
    "O8-624": ("/dev/null is not the null device", """\
Something replaced /dev/null of this machine by another file. Nothing is given to containers in its place:
`rm /dev/null && mknod -m 666 /dev/null c 1 3`.
"""),
    "O8-626": ("the program cannot be executed", """\
It is there, and is no program that may run: it lacks the x bit, is a directory, is for another processor, or names an
interpreter that is not in the image. Exit code 126, as of a shell.
"""),
    "O8-627": ("the program is not found", """\
There is no such file in the container, or in any directory of its PATH. Exit code 127, as of a shell.
"""),
    "O8-628": ("the content of a secret or config is not there any more", """\
What secrets hold is sent by `up` and `run`, and kept in memory alone, so that it reaches no disk: a restart of the
machine takes it away, and a container that needs it cannot start until `orchestr8 up` has brought it again.
"""),
    "O8-629": ("the size of a container's layer cannot be limited", """\
`storage_opt.size` puts the container's own layer into an ext4 file system of that size, in a file. That takes mkfs.ext4
(e2fsprogs) and loop devices (/dev/loop-control). Without the key the layer may fill the disk.
"""),
    "O8-630": ("Python cannot be run from a safe copy", """\
Containers get a copy of the interpreter that they cannot change. This interpreter runs from no such copy: use the
distribution's python3.
"""),
    "O8-631": ("the receiver of a container's log cannot be reached", """\
`logging.driver` sends the container's output to a syslog server or to journald, and there was no connection to it: the
address is wrong, nothing listens there, a name is not known, or TLS does not accept the certificate, or does
not find a file. That is an error at a container's first start only, when it is most likely a mistake:

    services:
      web:
        logging:
          driver: syslog
          options: {syslog-address: "tcp://logs.example:601"}

A container that has run once starts without its receiver, too. What it writes waits in a queue (`max-buffer-size`), and
is sent when there is a connection again. What the queue has no room for is not sent: `logs`, which reads the engine's
own copy, still shows it, and says how much it was.
"""),
    "O8-640": ("a file cannot be copied", """\
Something on the way between a container's files and the caller's is not as it must be: a directory where a file is to
be or the other way round, no room, no right, a path that is not there, or one that changes all the time because a
program in the container keeps replacing it. The message names the file. What was copied before stays.
"""),
    "O8-641": ("what was sent is no tar archive", """\
`cp -` and the engine's HTTP interface take tar archives: POSIX's and GNU's, as they are or compressed by gzip, bzip2 or
xz. This one is something else, is cut off or damaged, or has names that lead out of it (`..`). What came before that
place was unpacked.
"""),
    "O8-642": ("a container's files are read-only there", """\
The service says `read_only: true`, or the place lies in a volume or bind mount that says so. Copy to a place that can
be written, a volume without `read_only` for one, or do without these words.
"""),
    "O8-650": ("what a container has in its files cannot be read", """\
`diff`, `export` and `commit` read a container's own layer. It nests directories deeper than anybody can name, or has
more than a million files in one and those above it, or a directory was moved while it was read (pause the container
meanwhile), or the kernel stores layers in a way of its own, with `redirect_dir` or `metacopy` of overlayfs on by
default. The message says which. The last two can be turned off for containers that are made later:

    echo N > /sys/module/overlay/parameters/redirect_dir
"""),
    "O8-651": ("a file cannot be in an archive", """\
`cp`, `export` and `commit` write tar archives, and this file could be written into one, but not be unpacked again,
neither here nor by podman or docker: its path has more than 4,095 bytes (as all below 2,047 directories have); its
extended attributes have more than 128 KiB, or one of them has a "=" in its name; or it has tens of thousands of holes
and would be many times as large without them; or it is one of a million with further names elsewhere, all of which
would have to be kept in mind. The message names the file. Nothing is made: move the file further up, take attributes
away (`setfattr -x NAME FILE`), or delete it, and do it again.
"""),
    "O8-700": ("a network does not exist", """\
A container is to join a network that is gone, or was never made. Bring the stack up again.
"""),
    "O8-701": ("a port of a kind that cannot be published", """\
TCP ports at IPv4 addresses can be published, up to a limit for each container.
"""),
    "O8-702": ("networking could not be set up", """\
The kernel refused a step that all networks need. The notes have its reason; the engine needs root, or CAP_NET_ADMIN
in a network namespace of its own.
"""),
    "O8-703": ("a network could not be made or removed", """\
The kernel refused a step for this network. The notes have its reason.
"""),
    "O8-704": ("a container's network could not be made", """\
The kernel refused a step for the network of this container. The notes have its reason.
"""),
    "O8-705": ("a container's ports could not be published", """\
The packet filter refused the rules for this container's ports. The notes have its reason.
"""),
    "O8-706": ("a network is in use", """\
Containers still run on the network that is to be removed; the message names them.
"""),
    "O8-707": ("a volume is in use", """\
Containers still use the volume that is to be removed; the message names them.
"""),
    "O8-708": ("no address is free", """\
A network's subnet overlaps another's, all address pools are taken by networks and routes of this machine, or a network
has no address left for a further container. Give the network a larger or another subnet: `ipam.config[0].subnet`.
"""),
    "O8-710": ("an external network is not there", """\
`external: true` says that another stack made the network. Bring that one up first, or remove `external`.
"""),
    "O8-711": ("a network's name is another stack's", """\
A stack never takes over what another made. To share the network say `external: true`, or give it another `name`.
"""),
    "O8-712": ("an external volume is not there", """\
`external: true` says that another stack made the volume. Bring that one up first, or remove `external`.
"""),
    "O8-900": ("a defect of orchestr8", """\
Something happened that nobody foresaw, or the engine died while it started. Please report it with the file that the
note names; it holds no variables of your stack.
"""),
    "O8-901": ("a message between processes is too large", """\
A container's settings do not fit in one message to the process behind it: an environment or a command of many hundred
kilobytes, most often. Put such data into a file and mount it.
"""),
    "O8-902": ("processes do not understand each other", """\
The engine and a process behind a container, or the one that starts them, do not speak the same protocol. It is a
defect, or files of orchestr8 were replaced while the engine ran: `orchestr8 engine stop`, then try again.
"""),
    "O8-903": ("the process behind a container is gone", """\
Each container has a process that holds its ends and writes its log. This one died or was killed, and its container with
it. Start the service again.
"""),
    "O8-904": ("a step went to the wrong place", """\
A defect: please report it.
"""),
    "O8-911": ("the engine's state is of a newer release", """\
The directory was last used by a newer orchestr8, whose records this one cannot read. Use that one, or another --root.
"""),
    "O8-912": ("the engine's state cannot be used", """\
The file state.db in the engine's root could not be opened or written: no space, no permission, or a damaged disk.
"""),
    "O8-913": ("the engine's state is damaged", """\
A record in state.db is not what the engine writes. Restore it, or start with another --root; containers that run are
found and removed by it as left over.
"""),
}  # fmt: skip
