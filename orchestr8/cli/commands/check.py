"""`check`: everything that is wrong with the stack files; with --fix, what can be mended without a doubt is mended.

The findings are this command's answer, so they go to the standard output. A file is replaced whole, by a rename, so that
nobody ever sees half of it; its mode and owner stay.
"""

from __future__ import annotations

import os

from orchestr8.cli.output import GREEN
from orchestr8.errors import Conflict, InvalidInput, OperationFailed
from orchestr8.stack.check import changeable, examine, mend
from orchestr8.stack.render import render

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.stack.check import Mend, Report

_BOM: Final = b"\xef\xbb\xbf"


def run(context: Context, options: Options) -> int:
    load_options = context.load_options(options.services)

    def images() -> Collection[str] | None:
        return _images(context.root)

    report = examine(load_options, images)
    if options.fix:
        may, _ = changeable(load_options, report)
        if "-" in load_options.files:
            raise InvalidInput(
                "standard input cannot be mended", helps=["write it to a file, and name that with -f"]
            )  # fmt: skip
        originals = {path: _read(path) for path in may.values()}
        done = mend(load_options, may, images)
        for path, text in done.texts.items():
            _replace(path, originals[path], text)
        _tell_mended(context, done)
        report = done.report
    _tell(context, report)
    return 1 if report.failed else 0


def _images(root: str) -> Collection[str] | None:
    """What images were made for this root; None where that is nothing for this user to know."""
    from orchestr8.image.store import ImageStore  # few stacks have images that may be there

    try:
        return ImageStore(root).words()
    except (PermissionError, NotADirectoryError):
        return None


def _tell(context: Context, report: Report) -> None:
    text = render(
        report.diagnostics, report.sources, colour=context.out.colour, style=context.error_format, count=True
    )  # fmt: skip
    context.out.write(text)
    if not report.diagnostics and context.error_format == "full":
        context.err.write(f"nothing is wrong: {', '.join(report.sources)}\n")


def _tell_mended(context: Context, done: Mend) -> None:
    for each in done.mended:
        place = f"{each.place.file}:{each.place.line}:{each.place.column}: " if each.place else ""
        assert each.fix is not None
        context.err.write(f"{context.err.paint('mended', GREEN)} {place}{each.code} {each.fix.title}\n")
    if not done.mended:
        context.err.write("nothing was mended\n")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error


def _replace(path: str, original: bytes, text: str) -> None:
    """Put `text` in the place of the file, unless somebody wrote to it in the meantime."""
    path = os.path.realpath(path)  # a link stays one
    beside = f"{path}.orchestr8-{os.getpid()}"
    bom = _BOM if original.startswith(_BOM) else b""
    try:
        status = os.stat(path)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(bom + text.encode())
                if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fchmod(file.fileno(), status.st_mode & 0o7777)
                file.flush()
                os.fsync(file.fileno())
            if _read(path) != original:
                raise Conflict(f"{path} was changed by somebody else in the meantime", helps=["try again"])
            os.rename(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise OperationFailed(f"cannot write {path}: {error.strerror}") from error
