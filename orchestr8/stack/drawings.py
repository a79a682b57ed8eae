"""A stack's graph as text and pictures: for a terminal, for Markdown (mermaid), Graphviz (dot), programs (json) and pages
(svg, readable on dark and on light ground, without scripts, fonts or anything from outside).
"""

from __future__ import annotations

from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from orchestr8.stack.graph import Edge, Graph


def ascii_drawing(graph: Graph) -> str:
    """A tree for each service that nobody waits for; what stands in several places is opened once."""
    lines: list[str] = []
    shown: set[str] = set()
    for root in graph.roots:
        lines.append(root)
        _branches(graph, root, "", lines, shown)
        shown.add(root)
    for word, users in (("networks", graph.users(graph.networks)), ("volumes", graph.users(graph.volumes))):
        if users:
            lines.append("")
            everybody = list(graph.images)
            lines += [
                f"{word if number == 0 else '':<8}  {name}: {'all' if who == everybody else ', '.join(who)}"
                for number, (name, who) in enumerate(users.items())
            ]
    if graph.disabled:
        off = [f"{name} (profile {', '.join(profiles)})" for name, profiles in graph.disabled.items()]
        lines += ["", f"not started: {', '.join(off)}"]
    return "".join(f"{line}\n" for line in lines)


def _branches(graph: Graph, root: str, indent: str, lines: list[str], shown: set[str]) -> None:
    """The tree below `root`, without recursion: a chain may be as long as a stack is."""
    waiting = [(edge, indent, last) for edge, last in _reversed(graph.targets(root))]
    while waiting:
        edge, before, last = waiting.pop()
        targets = graph.targets(edge.target)
        again = edge.target in shown and bool(targets)
        lines.append(
            f"{before}{'└─' if last else '├─'} {edge.target} ─ {_words(edge)}{' (shown above)' if again else ''}"
        )  # fmt: skip
        if not again:
            shown.add(edge.target)
            below = before + ("   " if last else "│  ")
            waiting += [(each, below, at_end) for each, at_end in _reversed(targets)]


def _reversed(edges: list[Edge]) -> list[tuple[Edge, bool]]:
    return [(edge, number == 0) for number, edge in enumerate(reversed(edges))]


def _words(edge: Edge) -> str:
    return edge.condition + ("" if edge.required else ", not required") + (", restart" if edge.restart else "")


def mermaid(graph: Graph) -> str:
    """A flow chart; a dotted arrow is a dependency that is not required."""
    ids = {name: f"s{number}" for number, name in enumerate(graph.images)}
    lines = ["flowchart TD"]
    lines += [f'  {ids[name]}["{_mermaid_text(name)}"]' for name in graph.images]
    for edge in graph.edges:
        arrow = "-->" if edge.required else "-.->"
        lines.append(f"  {ids[edge.service]} {arrow}|{_mermaid_text(_words(edge))}| {ids[edge.target]}")
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    return text.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def dot(graph: Graph) -> str:
    """For Graphviz; a dashed edge is a dependency that is not required."""
    lines = [f"digraph {_dot_text(graph.name)} {{", "  rankdir=TB;", "  node [shape=box, style=rounded];"]
    lines += [f"  {_dot_text(name)} [tooltip={_dot_text(graph.images[name])}];" for name in graph.images]
    for edge in graph.edges:
        style = "" if edge.required else ", style=dashed"
        lines.append(
            f"  {_dot_text(edge.service)} -> {_dot_text(edge.target)} [label={_dot_text(_words(edge))}{style}];"
        )  # fmt: skip
    return "\n".join([*lines, "}"]) + "\n"


def _dot_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def json_drawing(graph: Graph) -> str:
    """One object: services in the order of their names, each with what it waits for and its row in a drawing."""
    import json

    row = {name: number for number, names in enumerate(graph.layers()) for name in names}
    services = [
        {
            "name": name, "image": graph.images[name], "row": row[name],
            "depends_on": [
                {"service": edge.target, "condition": edge.condition, "required": edge.required, "restart": edge.restart}
                for edge in graph.targets(name)
            ],
            "networks": graph.networks[name], "volumes": graph.volumes[name],
        }
        for name in graph.images
    ]  # fmt: skip
    content = {"name": graph.name, "services": services, "disabled": graph.disabled}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


_LETTER: Final = 8.0  # px; about a letter of 13px monospace
_BOX_HEIGHT: Final = 40.0
_ROW_HEIGHT: Final = 110.0
_GAP: Final = 40.0
_MARGIN: Final = 24.0
_SWEEPS: Final = 6
_MAX_BENDS: Final = 4000  # beyond, long edges go straight

_STYLE: Final = (
    "svg{background:#fff;color:#1b1f24}"
    ".box{fill:#f3f6fa;stroke:#57606a}.edge{fill:none;stroke:#57606a}.soft{stroke-dasharray:5 4}"
    ".tip{fill:#57606a}text{font:13px ui-monospace,monospace;fill:#1b1f24;text-anchor:middle}"
    ".label{font-size:11px;fill:#0550ae;paint-order:stroke;stroke:#fff;stroke-width:4px}"
    "@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.box{fill:#161b22;stroke:#8b949e}"
    ".edge{stroke:#8b949e}.tip{fill:#8b949e}text{fill:#e6edf3}.label{fill:#79c0ff;stroke:#0d1117}}"
)

_TIP: Final = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>'
)


class _Spot:
    """A box in a row, or a bend of an edge that passes through the row (`name` is "")."""

    __slots__ = ("above", "below", "name", "width", "x")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.width = max(60.0, len(name) * _LETTER + 24) if name else 8.0
        self.x = 0.0  # of its middle
        self.above: list[_Spot] = []
        self.below: list[_Spot] = []


def svg(graph: Graph) -> str:
    """Rows of boxes, edges downwards, a condition on each: the layered drawing of Sugiyama, by barycentres."""
    rows, paths = _laid_out(graph)
    width = max((spot.x + spot.width / 2 for row in rows for spot in row), default=0.0) + _MARGIN
    height = len(rows) * _ROW_HEIGHT - (_ROW_HEIGHT - _BOX_HEIGHT) + 2 * _MARGIN if rows else 2 * _MARGIN
    level = {id(spot): number for number, row in enumerate(rows) for spot in row}
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}">'
    )
    parts = [
        head,
        f"<title>Services of {_xml(graph.name)} and what they wait for</title>",
        f"<style>{_STYLE}</style>",
        _TIP,
    ]
    labels = []
    for edge, spots in zip(graph.edges, paths, strict=True):
        points = [(spot.x, _MARGIN + level[id(spot)] * _ROW_HEIGHT + _BOX_HEIGHT / 2) for spot in spots]
        points[0] = (points[0][0], points[0][1] + _BOX_HEIGHT / 2)
        points[-1] = (points[-1][0], points[-1][1] - _BOX_HEIGHT / 2)
        soft = "" if edge.required else " soft"
        parts.append(f'<path class="edge{soft}" marker-end="url(#tip)" d="{_curve(points)}"/>')
        (x1, y1), (x2, y2) = points[-2:]
        at = 0.45 if len(points) == 2 else 0.6
        labels.append(
            f'<text class="label" x="{x1 + (x2 - x1) * at:.1f}" y="{y1 + (y2 - y1) * at:.1f}">'
            f"{_xml(_words(edge).removeprefix('service_'))}</text>"
        )
    for number, row in enumerate(rows):
        top = _MARGIN + number * _ROW_HEIGHT
        parts += [_box(spot, top, graph.images[spot.name]) for spot in row if spot.name]
    return "\n".join([*parts, *labels, "</svg>"]) + "\n"


def _box(spot: _Spot, top: float, image: str) -> str:
    return (
        f'<g><title>{_xml(image)}</title><rect class="box" rx="6" '
        f'x="{spot.x - spot.width / 2:.1f}" y="{top:.1f}" width="{spot.width:.1f}" height="{_BOX_HEIGHT:.0f}"/>'
        f'<text x="{spot.x:.1f}" y="{top + _BOX_HEIGHT / 2 + 4.5:.1f}">{_xml(spot.name)}</text></g>'
    )


def _laid_out(graph: Graph) -> tuple[list[list[_Spot]], list[list[_Spot]]]:
    """The rows with every spot's place, and for each edge the spots that it goes through."""
    layers = graph.layers()
    spots = {name: _Spot(name) for row in layers for name in row}
    level = {name: number for number, row in enumerate(layers) for name in row}
    rows = [[spots[name] for name in row] for row in layers]
    bends = sum(level[edge.target] - level[edge.service] - 1 for edge in graph.edges)
    paths = []
    for edge in graph.edges:
        path = [spots[edge.service]]
        if bends <= _MAX_BENDS:
            for number in range(level[edge.service] + 1, level[edge.target]):
                path.append(_Spot())
                rows[number].append(path[-1])
        path.append(spots[edge.target])
        for upper, lower in pairwise(path):
            upper.below.append(lower)
            lower.above.append(upper)
        paths.append(path)
    _place(rows)
    return rows, paths


def _place(rows: list[list[_Spot]]) -> None:
    """Each spot near the middle of those it is tied to: down, and up again, a few times."""
    for row in rows:
        _spread(row)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            wanted = {}
            for spot in row:
                tied = spot.above if down else spot.below
                wanted[id(spot)] = sum(each.x for each in tied) / len(tied) if tied else spot.x
            row.sort(key=lambda spot: wanted[id(spot)])
            _spread(row, wanted)
    left = min((spot.x - spot.width / 2 for row in rows for spot in row), default=0.0)
    for row in rows:
        for spot in row:
            spot.x += _MARGIN - left


def _spread(row: list[_Spot], wanted: dict[int, float] | None = None) -> None:
    """Side by side, in order, none over another: where they want to be, then moved back as one to their middle."""
    end = float("-inf")
    for spot in row:
        here = wanted[id(spot)] if wanted else (0.0 if end == float("-inf") else end + _GAP + spot.width / 2)
        spot.x = max(here, end + _GAP + spot.width / 2) if end != float("-inf") else here
        end = spot.x + spot.width / 2
    if wanted and row:
        shift = sum(wanted[id(spot)] - spot.x for spot in row) / len(row)
        for spot in row:
            spot.x += shift


def _curve(points: list[tuple[float, float]]) -> str:
    text = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (y1 + y2) / 2
        text += f"C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
    return text


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


DRAWINGS: Final[dict[str, Callable[[Graph], str]]] = {
    "ascii": ascii_drawing,
    "mermaid": mermaid,
    "dot": dot,
    "json": json_drawing,
    "svg": svg,
}
