"""`doctor`: what this machine can and cannot do, and what to do about it. It starts no engine."""

from __future__ import annotations

import json
import os

from orchestr8.cli.output import BOLD, GREEN, RED, YELLOW
from orchestr8.doctor.examine import examine
from orchestr8.doctor.findings import Finding, Host, Verdict
from orchestr8.kernel import capabilities
from orchestr8.wire.paths import socket_path

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.output import Output
    from orchestr8.cli.parser import Options

_COLOURS: Final = {Verdict.OK: GREEN, Verdict.WARNING: YELLOW, Verdict.MISSING: RED, Verdict.UNTRIED: YELLOW}


def run(context: Context, options: Options) -> int:
    found = examine(
        Host(
            root=context.root,
            socket=socket_path(context.root, context.environ),
            environ=context.environ,
            privileged="CAP_SYS_ADMIN" in capabilities.names_of(capabilities.read().effective) and os.geteuid() == 0,
        )
    )
    context.out.write(_json(found) if options.format == "json" else text(found, context.out))
    return int(any(each.verdict is Verdict.MISSING for findings in found.values() for each in findings))


def _json(found: Mapping[str, list[Finding]]) -> str:
    checks = [
        {"part": part, "name": each.name, "verdict": str(each.verdict), "found": each.found, "remedy": each.remedy}
        for part, findings in found.items()
        for each in findings
    ]
    return json.dumps({"checks": checks}, ensure_ascii=False) + "\n"


def text(found: Mapping[str, list[Finding]], output: Output) -> str:
    """A line for each thing, its remedy below it, and in the end how many there are of which kind."""
    everything = [each for findings in found.values() for each in findings]
    width = max(len(each.name) for each in everything)
    lines = []
    for part, findings in found.items():
        lines.append(output.paint(part, BOLD))
        for each in findings:
            verdict = output.paint(f"{each.verdict:<7}", _COLOURS[each.verdict])
            lines.append(f"  {verdict}  {each.name:<{width}}  {each.found}".rstrip())
            if each.remedy:
                lines.append(f"  {'':<7}  {'':<{width}}  = help: {each.remedy}")
    count = {verdict: sum(each.verdict is verdict for each in everything) for verdict in Verdict}
    told = [f"{count[verdict]} {_COUNTED[verdict]}" for verdict in Verdict if count[verdict]]
    lines.append(f"\n{', '.join(told)}")
    return "\n".join(lines) + "\n"


_COUNTED: Final = {
    Verdict.OK: "ok",
    Verdict.WARNING: "to be known",
    Verdict.MISSING: "missing",
    Verdict.UNTRIED: "not tried",
}
