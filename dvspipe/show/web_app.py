"""The page's files and the door: which addresses exist, who may come in, and what every answer says about itself.

A page of a stranger must neither watch nor control a run: not through a name that resolves to this machine (the Host is
checked: DNS rebinding), not through a WebSocket opened from elsewhere (the Origin is checked), not through a frame.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dvspipe.show import palette

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from dvspipe.show.web_viewers import Viewers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


def page_app(viewers: Viewers, host: str) -> Door:
    """The whole application: page, files and the WebSocket at /ws. `host` is what the server is bound to."""
    from starlette.applications import Starlette
    from starlette.routing import Route, WebSocketRoute

    app: Starlette = Starlette(
        routes=[
            Route("/", _file, methods=["GET"]),
            Route("/{name}", _file, methods=["GET"]),
            WebSocketRoute("/ws", viewers.watch),
        ]
    )
    return Door(app, host)


async def _file(request: Request) -> Response:
    from starlette.responses import PlainTextResponse, Response

    name = request.path_params.get("name", "index.html")
    if name not in files():
        return PlainTextResponse("There is no such file here.", 404)
    return Response(files()[name], media_type=_TYPES[PurePath(name).suffix])


@cache
def files() -> dict[str, bytes]:
    """Every file of the page by its name. What is not in here does not exist: no path is ever built from a request."""
    folder = resources.files("dvspipe.show").joinpath("live")
    found = {each.name: each.read_bytes() for each in folder.iterdir() if PurePath(each.name).suffix in _TYPES}
    return found | {"palette.css": palette_css().encode()}


def palette_css() -> str:
    """The house's colours as variables, so that they are written down once."""
    single = {
        "night": palette.BACKGROUND, "on": palette.ON, "off": palette.OFF, "idle": palette.IDLE,
    }  # fmt: skip
    lists = {"class": palette.CLASSES, "layer": palette.LAYERS, "balance": palette.BALANCE}
    numbered = {f"{name}-{index}": colour for name, all_ in lists.items() for index, colour in enumerate(all_)}
    lines = [f"  --{name}: {colour};" for name, colour in (single | numbered).items()]
    return "\n".join([":root {", *lines, "}", ""])


class Door:
    """ASGI: lets requests in that were meant for this server, and puts the headers on every answer."""

    def __init__(self, app: Any, host: str) -> None:
        self._app, self._host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._inside(scope)(scope, receive, send_marked)

    def _inside(self, scope: Scope) -> Any:
        from starlette.responses import PlainTextResponse
        from starlette.websockets import WebSocketClose

        headers = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
        address, origin = headers.get(b"host", ""), headers.get(b"origin")
        if scope["type"] == "websocket" and origin not in (f"http://{address}", f"https://{address}"):
            return WebSocketClose(1008)
        if expected(address, self._host):
            return self._app
        if scope["type"] == "websocket":
            return WebSocketClose(1008)
        return PlainTextResponse(f"This server does not answer to {address!r}.", 403)


def expected(address: str, bound: str) -> bool:
    """Whether a Host header names this server: localhost or what it is bound to; where it listens to a network, also
    any plain IP address or this machine's name. Any port, because tunnels change it.
    """
    try:
        name = urlsplit(f"//{address}").hostname or ""
    except ValueError:
        return False
    if not name:
        return False
    if name in ("localhost", "127.0.0.1", "::1", bound.lower()):
        return True
    if bound in ("localhost", "127.0.0.1", "::1"):
        return False
    return _is_ip(name) or name == socket.gethostname().lower()


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
