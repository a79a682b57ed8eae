"""The command line: what is measured, how often, and where the figures go."""

import argparse
import contextlib
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, Final

from bench import compare, config, files, idle, inside, leaks, memory, oci, runtimes, talk
from bench.compare import Contest
from bench.engine import OwnEngine, PeerProcesses
from bench.errors import Unmeasurable
from bench.figures import Figures
from bench.install import install
from bench.processes import Sample, run
from bench.programs import COMPOSE, DOCKER, OURS, compose, docker, ours
from bench.stacks import make_busybox_tree, parse_shape, write_stack
from e2e.network import own_network
from e2e.oci_peers import Peer

SHAPES: Final = ("fan1", "fan10", "fan30", "fan100", "chain10")
MEMORY_SHAPES: Final = ("fan10", "fan30")
PARTS: Final = ("lifecycles", "cold", "verbs", "memory", "idle", "inside", "oci", "config", "talk", "files", "leaks")
DEFAULT_PARTS: Final = PARTS[:-1]
WITHOUT_ENGINE: Final = {"inside", "oci", "config"}  # of its own, or none at all
FAILED: Final = 1


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    if os.geteuid() != 0:
        print("bench: containers need root", file=sys.stderr)
        return FAILED
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        try:
            program = os.path.abspath(options.program) if options.program else installed(directory)
            with own_network():  # not earlier: an installation asks the package registry
                return Bench(options, directory, program).run()
        except Unmeasurable as error:
            print(f"bench: {error}", file=sys.stderr)
            return FAILED


def installed(directory: str) -> str:
    print(f"bench: installing a wheel into {directory}", file=sys.stderr)
    return install(directory)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, epilog=f"parts: {', '.join(PARTS)}; without leaks unless --cycles"
    )
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help="what to measure, instead of all")
    add("-n", "--rounds", type=int, default=5, help="how often each work is done (5)")
    add("--shapes", type=_shapes, default=SHAPES, help=f"stacks of `lifecycles` ({','.join(SHAPES)})")
    add("--peer", default="docker compose", metavar="COMMAND", help="how docker compose is called; '' for none")
    add("--peer-docker", default="docker", metavar="COMMAND", help="how docker is called")
    add(
        "--peer-runtime",
        default="crun",
        metavar="COMMAND",
        help="how crun is called, for `inside` and `oci`; '' for none",
    )
    add("--peer-runc", default="runc", metavar="COMMAND", help="how runc is called, for `oci`; '' for none")
    add("--peer-root", default="", metavar="DIR", help="what the peers' commands see as /, for `files`")
    add("--peer-image", default="busybox", metavar="IMAGE", help="the peer's image (busybox)")
    add("--program", metavar="PATH", help="an installed orchestr8, instead of building and installing a wheel")
    add("--containers", type=int, default=10, help="how many containers `inside` makes (10)")
    add("--idle-seconds", type=float, default=60.0, help="how long `idle` watches (60)")
    add("--cycles", type=int, default=0, help="how often `leaks` brings quickstart up and down")
    add("--minutes", type=float, default=30.0, help="no further round begins after this time (30)")
    add("--json", metavar="FILE", help="write all samples there")
    options = parser.parse_args(argv)
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part}; one of: {', '.join(PARTS)}")
    if "leaks" in options.parts and not options.cycles:
        parser.error("leaks needs --cycles")
    options.parts = options.parts or [*DEFAULT_PARTS, *(["leaks"] if options.cycles else [])]
    return options


def _shapes(text: str) -> tuple[str, ...]:
    shapes = tuple(text.split(","))
    for shape in shapes:
        try:
            parse_shape(shape)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return shapes


class Bench:
    """One run, in the caller's network namespace, with all files below `directory`."""

    def __init__(self, options: argparse.Namespace, directory: str, program: str) -> None:
        self._options = options
        self._program = program
        self._directory = directory
        self._end: float = time.monotonic() + options.minutes * 60
        self._document: dict[str, Any] = {"parts": options.parts, "rounds": options.rounds}

    def run(self) -> int:
        options = self._options
        make_busybox_tree(f"{self._directory}/busybox")
        leaked: dict[str, int] = {}
        if set(options.parts) - WITHOUT_ENGINE:
            engine = OwnEngine(self._program, self._directory)
            with contextlib.ExitStack() as at_end:
                at_end.callback(self._finish, engine)
                engine.start()
                leaked = self._measure(engine)
        if "inside" in options.parts:
            self._inside()
        if "oci" in options.parts:
            self._oci()
        if "config" in options.parts:
            self._config()
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(self._document, file, indent=1)
                file.write("\n")
        return FAILED if leaked else 0

    def _measure(self, engine: OwnEngine) -> dict[str, int]:
        parts, options = self._options.parts, self._options
        if set(parts) - WITHOUT_ENGINE - {"leaks"}:
            self._compare(self._contest(engine), parts)
        return self._leaks(engine, options.cycles) if "leaks" in parts else {}

    def _compare(self, contest: Contest, parts: Sequence[str]) -> None:
        options, figures = self._options, Figures()
        compare.warm_up(contest, "fan1")
        if "lifecycles" in parts:
            compare.lifecycles(contest, options.shapes, figures)
        if "verbs" in parts:
            compare.verbs(contest, "fan10", figures)
        if "cold" in parts:
            compare.cold_starts(contest, "fan1", figures)
            compare.cold_starts(contest, "fan10", figures)
        if "talk" in parts:
            self._talk(contest, figures)
        if "files" in parts:
            self._files(contest, figures)
        if figures.samples:
            self._show("figures", figures.render(), figures.to_json())
        if "memory" in parts:
            found = compare.resting(contest, MEMORY_SHAPES)
            self._show("memory", memory.render(found), [each.to_json() for each in found])
        if "idle" in parts:
            woken = compare.wakeups(contest, "fan10", options.idle_seconds)
            self._show("idle", idle.render(woken, options.idle_seconds, 10), idle.to_json(woken))

    def _talk(self, contest: Contest, figures: Figures) -> None:
        self._tell("a gigabyte and a million lines")
        images = {OURS: f"rootfs:{self._directory}/busybox", COMPOSE: self._options.peer_image}
        made = {name: talk.write_stack(f"{self._directory}/stacks/{name}", image) for name, image in images.items()}
        stacks = {each.name: made[COMPOSE if each.name == DOCKER else each.name] for each in contest.programs}
        talk.measure(contest.programs, stacks, self._directory, contest.turns(contest.programs), figures)

    def _files(self, contest: Contest, figures: Figures) -> None:
        self._tell(f"{files.FILES:,} files")
        stacks = {
            each.name: contest.stacks[COMPOSE if each.name == DOCKER else each.name][files.SHAPE]
            for each in contest.programs
        }
        for measure in (files.measure, files.measure_layer):
            turns = contest.turns(contest.programs)
            measure(contest.programs, stacks, self._directory, self._options.peer_root, turns, figures)

    def _leaks(self, engine: OwnEngine, cycles: int) -> dict[str, int]:
        self._tell(f"{cycles} cycles of quickstart")
        done, before, after = leaks.cycle(engine, self._directory, cycles, self._go_on, self._tell)
        self._show("leaks", leaks.render(done, before, after), {"cycles": done, "before": before, "after": after})
        return leaks.leaked(before, after)

    def _inside(self) -> None:
        count = self._options.containers
        self._tell(f"{count} containers inside the engine")
        with contextlib.ExitStack() as at_end:
            command = self._options.peer_runtime
            peer = at_end.enter_context(Peer.opened("crun", command)) if self._works(command, "--version") else None
            self._inside_by_turns(count, peer)

    def _inside_by_turns(self, count: int, peer: Peer | None) -> None:
        """A round is `count` of ours and as many of the peer's, or the other way round, which needs a first of ours."""
        directory, environment, rootfs = self._directory, self._environment(), f"{self._directory}/busybox"
        found: list[dict[str, Any]] = []
        theirs: list[Sample] = []
        for turn in compare.turns(["ours", *(["peer"] if peer else [])], self._options.rounds, self._go_on, self._tell):
            for who in turn:
                if who == "ours":
                    found.append(inside.measure(self._program, directory, rootfs, count, environment))
                elif peer:
                    document = found[0]["document"]
                    theirs += runtimes.measure(peer, document, rootfs, directory, count, environment)
        result = inside.merged(found)
        table = inside.render(result, count)
        if theirs:
            table += inside.render_beside(result, "crun run", theirs)
            result["crun run"] = [each._asdict() for each in theirs]
        self._show("inside", table, result)

    def _oci(self) -> None:
        options, figures, runtimes = self._options, Figures(), [oci.ours(self._program)]
        for name, command in (("runc", options.peer_runc), ("crun", options.peer_runtime)):
            if self._works(command, "--version"):
                runtimes.append(oci.peer(name, command))
        self._tell("containers by the OCI command line")
        oci.compare(
            runtimes,
            f"{self._directory}/busybox",
            self._directory,
            self._environment(),
            lambda each: compare.turns(each, options.rounds, self._go_on, self._tell),
            figures,
        )
        self._show("oci", figures.render(), figures.to_json())

    def _config(self) -> None:
        options, figures, programs = self._options, Figures(), [ours(self._program, self._environment())]
        if self._works(options.peer):
            programs.append(compose(options.peer, self._environment()))
        self._tell("config -q and check")
        config.compare(
            programs,
            self._directory,
            lambda each: compare.turns(each, options.rounds, self._go_on, self._tell),
            figures,
        )
        self._show("config", figures.render(), figures.to_json())

    # --- who takes part -------------------------------------------------------------------------------------------

    def _contest(self, engine: OwnEngine) -> Contest:
        options, programs = self._options, [ours(engine.program, engine.environment)]
        peer: PeerProcesses | None = None
        if self._has_peer():
            programs += [
                compose(options.peer, self._environment()),
                docker(options.peer_docker, self._environment(), options.peer_image),
            ]
            peer = PeerProcesses(tuple(shlex.split(options.peer_docker)), self._environment())
        images = {OURS: f"rootfs:{self._directory}/busybox", COMPOSE: options.peer_image}
        shapes = {*options.shapes, *MEMORY_SHAPES, "fan1", "fan10"}
        stacks = {
            name: {shape: write_stack(f"{self._directory}/stacks/{name}", shape, image) for shape in shapes}
            for name, image in images.items()
        }
        return Contest(
            engine=engine, programs=programs, peer=peer, stacks=stacks, rounds=options.rounds, go_on=self._go_on,
            told=self._tell,
        )  # fmt: skip

    def _has_peer(self) -> bool:
        return self._works(self._options.peer) and self._works(self._options.peer_docker)

    def _works(self, peer: str, question: str = "version") -> bool:
        """Whether there is one that works; what does not is said, and ours measured alone."""
        if not peer:
            return False
        try:
            run([*shlex.split(peer), question], self._environment())
        except (Unmeasurable, OSError) as error:
            self._tell(f"no peer: {error}")
            return False
        return True

    def _environment(self) -> dict[str, str]:
        return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}

    # --- the run --------------------------------------------------------------------------------------------------

    def _go_on(self) -> bool:
        return self._end > time.monotonic()

    def _tell(self, text: str) -> None:
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def _show(self, part: str, table: str, document: Any) -> None:
        print(table, flush=True)
        self._document[part] = document

    def _finish(self, engine: OwnEngine) -> None:
        for line in engine.end():
            self._tell(f"left behind: {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
