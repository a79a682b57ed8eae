"""`top`: the processes of containers, as the host sees them."""

from __future__ import annotations

from orchestr8.cli.containers import list_containers
from orchestr8.cli.render import table_text

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    head: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    for each in list_containers(context, options.services, stopped=False):
        if each["state"] != "running":
            continue  # it is about to be started again
        found = context.client.request("GET", f"/containers/{each['id']}/top")
        head = ("SERVICE", "#", *found["Titles"])
        number = each["name"] if each["oneoff"] else str(each["number"])
        rows += [(each["service"], number, *map(_printable, row)) for row in found["Processes"]]
    if rows:
        context.out.write(table_text(head, rows))
    return 0


def _printable(text: str) -> str:
    """What a process calls itself is its own to say: no control character gets to the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
