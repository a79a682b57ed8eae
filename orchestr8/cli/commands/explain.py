"""`explain`: what an error code means and what to do about it. Offline, and without an engine."""

from __future__ import annotations

from orchestr8.cli.output import BOLD
from orchestr8.cli.parser import close_names
from orchestr8.codes import CODES
from orchestr8.errors import NotFound

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    if not options.codes:
        width = max(map(len, CODES))
        context.out.write("".join(f"{code:<{width}}  {title}\n" for code, (title, _) in CODES.items()))
        return 0
    texts = []
    for word in options.codes:
        code = _code(word)
        title, text = CODES[code]
        texts.append(f"{context.out.paint(f'{code}: {title}', BOLD)}\n\n{text}")
    context.out.write("\n".join(texts))
    return 0


def _code(word: str) -> str:
    """The code that was meant: `O8-101`, `o8-101`, `101`."""
    code = word.upper()
    code = code if code.startswith("O8-") else f"O8-{code}"
    if code not in CODES:
        helps = [*close_names(code, CODES), "orchestr8 explain, with no code, lists them all"]
        raise NotFound(f"there is no error code `{word}`", helps=helps)
    return code
