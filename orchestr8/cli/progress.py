"""How work is told while it goes on, on the standard error: plain lines, JSON lines, or nothing. `live` has the display.

What happens arrives as the engine's progress lines: {"type": "step", "kind": "Container", "name": …, "status": …}.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any, Final, Self

    from orchestr8.cli.output import Output

WORKING: Final = frozenset(
    {
        "Creating",
        "Starting",
        "Restarting",
        "Waiting",
        "Stopping",
        "Killing",
        "Removing",
        "Pulling",
        "Building",
        "Recreate",
    }
)
FAILED: Final = "Error"
WARNED: Final = frozenset({"Skipped", "Warning"})


class Progress:
    """Says nothing: `--progress quiet`, and what the other kinds have in common."""

    def __init__(self, output: Output) -> None:
        self.output = output

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, title: str) -> None:
        """A piece of work starts: `up shop`."""

    def planned(self, steps: int) -> None:
        """So many steps are to be done."""

    def step(self, event: dict[str, Any]) -> None:
        """Something about one thing has changed."""

    def say(self, text: str) -> None:
        """A line of conversation, such as a warning."""
        self.output.write(f"{text}\n")

    def published(self, service: str, address: str) -> None:
        """Where a service is to be found."""

    def above(self, output: Output, data: bytes) -> None:
        """Write to a stream that may be the same terminal, without mixing with what is drawn there."""
        output.write_bytes(data)

    def tick(self) -> float | None:
        """Draw what has to be drawn by now; in how many seconds to be called again at the latest."""
        return None

    def close(self) -> None:
        """The work is over, well or not. Everything is drawn for the last time."""


class PlainProgress(Progress):
    """One line for each change: for pipes, files and CI."""

    def step(self, event: dict[str, Any]) -> None:
        status = event.get("status", "")
        text = f" {event.get('kind', '')} {event.get('name', '')}  {status}"
        if status == FAILED or status in WARNED:
            text += f"  {cause(event)}".rstrip()
        self.output.write(f"{text}\n")

    def published(self, service: str, address: str) -> None:
        self.output.write(f" {service}  {address}\n")


class JsonProgress(Progress):
    """One object for each change, in the shape that compose gives them."""

    def step(self, event: dict[str, Any]) -> None:
        status = event.get("status", "")
        state = (
            "Working" if status in WORKING else {FAILED: "Error"}.get(status, "Warning" if status in WARNED else "Done")
        )
        line = {"id": f"{event.get('kind', '')} {event.get('name', '')}", "status": state, "text": status}
        details = cause(event) or event.get("reason", "")
        self._write({**line, "details": details} if details else line)

    def say(self, text: str) -> None:
        self._write({"level": "warning", "message": text})

    def published(self, service: str, address: str) -> None:
        self._write({"id": f"Service {service}", "status": "Done", "text": "Published", "details": address})

    def _write(self, line: dict[str, str]) -> None:
        import json  # 2 ms that only this form needs

        self.output.write(json.dumps(line, ensure_ascii=False) + "\n")


def cause(event: dict[str, Any]) -> str:
    """Why a step failed or was left out, in a line."""
    error = event.get("error") or {}
    return str(error.get("message") or event.get("reason") or "").partition("\n")[0]
