"""The live view as a page in a browser, served from a thread of its own: `http://127.0.0.1:PORT`.

The live loop only leaves its newest bin in a `Feed` and goes on; the thread does everything else. Knows how a server
starts and stops; what it says is `wire`'s, whom it says it to `web_viewers`', and who may come in `web_app`'s.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dvspipe.errors import UsageError
from dvspipe.show.feed import Feed
from dvspipe.show.moment import Moment, Remote, Stage
from dvspipe.show.web_app import page_app
from dvspipe.show.web_viewers import Viewers
from dvspipe.show.wire import COMMAND_BYTES

if TYPE_CHECKING:
    from uvicorn import Server

_BUFFER = 1 << 17  # bytes per viewer that the system may hold: what a slow one sees is at most this old
_CLOSING_S = 0.3  # after which a connection that is still there when the server closes is cut
_PATIENCE_S = 5.0
_EVERYWHERE = ("0.0.0.0", "::", "")


def _announce(url: str) -> None:
    print(f"watch at {url}", file=sys.stderr)


class WebView:
    """A `View`. Context manager: serves from `__enter__` to `__exit__`; `url` is where, and `on_url` is told.

    `port` 0 takes any free one. Raises `UsageError` where the address cannot be had. Whoever reaches the address may
    watch, and control the run: with another `host` than 127.0.0.1, everyone in the network.
    """

    def __init__(
        self, remote: Remote, host: str = "127.0.0.1", port: int = 0, on_url: Callable[[str], None] = _announce
    ) -> None:
        self.url = ""
        self._host, self._port, self._on_url = host, port, on_url
        self._feed = Feed()
        self._viewers = Viewers(self._feed, remote, self._cut)
        self._ended = False
        self._started, self._thread = Event(), Thread()
        self._server: Server
        self._loop: asyncio.AbstractEventLoop
        self._leave: asyncio.Event

    def __enter__(self) -> WebView:
        door = listening(self._host, self._port)
        self.url = f"http://{_shown(self._host)}:{door.getsockname()[1]}"
        self._server = _server(self._viewers, self._host)  # its imports take a third of a second: not while bins wait
        self._thread = Thread(target=asyncio.run, args=(self._serve(door),), name="dvspipe-web", daemon=True)
        self._thread.start()
        self._started.wait()
        self._on_url(self.url)
        return self

    def open(self, stage: Stage) -> None:
        """Another recording: the page starts anew."""
        self._ended = False
        self._feed.open(stage)

    def update(self, moment: Moment) -> None:
        """One bin: left for the server to fetch, some tens of microseconds at most."""
        self._feed.put(moment)

    def finish(self, why: str) -> None:
        """The page says that the run has ended, and keeps its last picture."""
        self._ended = True
        self._feed.finish(why)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ended:
            self.finish("stopped" if kind is None else f"stopped by {kind.__name__}")
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._leave.set)
            self._thread.join(_PATIENCE_S)

    async def _serve(self, door: socket.socket) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        telling = asyncio.create_task(self._viewers.serve())
        serving = asyncio.create_task(self._server.serve(sockets=[door]))
        self._started.set()
        await self._leave.wait()
        telling.cancel()
        await self._viewers.close()
        self._server.should_exit = True
        for connection in list(self._server.server_state.connections):
            self._loop.call_later(_CLOSING_S, _abort, connection)
        await asyncio.wait({telling, serving})
        for task in (telling, serving):
            if not task.cancelled():
                task.result()

    def _cut(self, viewer: Any) -> None:
        """Ends a connection whose other side does not read: closing it politely would wait for what it never takes."""
        connections: list[Any] = list(self._server.server_state.connections)
        for connection in connections:
            if connection.client == tuple(viewer):
                _abort(connection)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at the address. Raises `UsageError` where that cannot be had."""
    if not 0 <= port <= 65535:
        raise UsageError(f"port {port}: must be 0 to 65535 (0 takes any free one)")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        door = socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} on {host} is in use: another run may be serving its page there; choose another port, "
                "or 0 for any free one"
            ) from error
        raise UsageError(f"cannot serve a page at {host}, port {port}: {error.strerror or error}") from error
    door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return door


def _server(viewers: Viewers, host: str) -> Server:
    from uvicorn import Config, Server

    return Server(
        Config(
            page_app(viewers, host), loop="asyncio", http="h11", ws="websockets-sansio", lifespan="off",
            ws_max_size=4 * COMMAND_BYTES, ws_per_message_deflate=False, ws_ping_interval=10.0, ws_ping_timeout=10.0,
            log_config=None, log_level="critical", access_log=False, proxy_headers=False, server_header=False,
            limit_concurrency=64, timeout_graceful_shutdown=1,
        )
    )  # fmt: skip


def _abort(connection: Any) -> None:
    if connection.transport is not None:
        connection.transport.abort()


def _shown(host: str) -> str:
    """As a browser on this machine would write it."""
    if host in _EVERYWHERE:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
