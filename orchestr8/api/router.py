"""From method and path to a handler, with every failure turned into an answer."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from orchestr8.api.errors import error_response
from orchestr8.api.values import json_response
from orchestr8.api.version import without_version
from orchestr8.errors import InvalidInput, NotFound, Orchestr8Error
from orchestr8.wire.http import Answer, Request

RouteHandler = Callable[..., Awaitable[Answer]]

_FIELD: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """`pattern`: literal segments and `{name}`, which stands for one segment and becomes a keyword argument."""

    method: str
    pattern: str
    handler: RouteHandler
    takes_body: bool = False  # it answers by a `wire.http.Intake`

    @property
    def regex(self) -> re.Pattern[str]:
        return re.compile(_FIELD.sub(r"(?P<\1>[^/]+)", self.pattern))


class Router:
    """Calls the route of a request. It is the `Handler` of `wire.http.HttpServer`, and never raises an error."""

    def __init__(self, routes: list[Route]) -> None:
        self._routes = [(route.method, route.regex, route.handler) for route in routes]
        self._intakes = [(route.method, route.regex) for route in routes if route.takes_body]

    def takes_body(self, method: str, path: str) -> bool:
        """For `wire.http.HttpServer`."""
        try:
            path = without_version(path)
        except InvalidInput:  # which is the answer, once it is asked for
            return False
        return any(each == method and regex.fullmatch(path) for each, regex in self._intakes)

    async def __call__(self, request: Request) -> Answer:
        try:
            return await self._dispatch(request)
        except Exception as failure:  # noqa: BLE001 - the border: whatever it is, the client gets an answer
            return error_response(failure)

    async def _dispatch(self, request: Request) -> Answer:
        path = without_version(request.path)
        method = "GET" if request.method == "HEAD" else request.method
        allowed = []
        for route_method, regex, handler in self._routes:
            found = regex.fullmatch(path)
            if found and route_method == method:
                return await handler(request, **found.groupdict())
            if found:
                allowed.append(route_method)
        if allowed:
            error = Orchestr8Error(f"{method} is not a method of {path}", code="O8-405")
            return json_response(error.to_json(), status=405, headers={"Allow": ", ".join(sorted(set(allowed)))})
        raise NotFound(f"page not found: {request.path}")
