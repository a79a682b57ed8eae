"""Errors as HTTP answers: one table from class to status, Docker's `{"message": …}` with our code and hints beside it."""

import json
import logging
from typing import Final

from orchestr8.errors import Conflict, InvalidInput, NotFound, Orchestr8Error, Unavailable, Unsupported
from orchestr8.wire.http import Response

log = logging.getLogger("orchestr8.api")

STATUS: Final[dict[type[Orchestr8Error], int]] = {
    InvalidInput: 400,
    NotFound: 404,
    Conflict: 409,
    Unsupported: 501,
    Unavailable: 503,
}
OTHER: Final = 500


def status_of(error: Orchestr8Error) -> int:
    """The status of the error's class, or of the nearest class it derives from."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), OTHER)


def as_error(failure: BaseException) -> Orchestr8Error:
    """`failure` as something to show. Of a group the first error of ours; what is none of ours is a bug, and logged."""
    if isinstance(failure, Orchestr8Error):
        return failure
    if isinstance(failure, BaseExceptionGroup):
        causes = _leaves(failure)
        known = [each for each in causes if isinstance(each, Orchestr8Error)]
        if known and len(known) == len(causes):
            return known[0]
    log.error("a request failed in a way it must not", exc_info=failure)
    return Orchestr8Error(
        f"the engine failed: {type(failure).__name__}: {failure}",
        helps=["this is a bug of orchestr8: its log has the details (orchestr8 engine logs)"],
    )


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for each in group.exceptions:
        found += _leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found


def error_response(failure: BaseException) -> Response:
    error = as_error(failure)
    return Response(status=status_of(error), body=json.dumps(error.to_json()).encode())
