"""The viewers of a live run: who is there, when each is told, and what they may ask for.

However many bins pass between two sends, a viewer gets the newest picture and the whole timeline; a slow one less
often, a stalled one is let go, and none makes another wait. Everything here runs in the server's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dvspipe.errors import DvspipeError
from dvspipe.show import wire
from dvspipe.show.board import Board, Seen
from dvspipe.show.feed import Feed
from dvspipe.show.moment import Remote

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

EVERY_S = 0.05  # between two sends
HEARTBEAT_S = 1.0  # a page that hears nothing for some of these takes the server for gone
SEND_S = 5.0  # a viewer that takes longer for one message is let go
MOST = 16  # viewers at a time
_COMMAND_S = 0.02  # between two commands of one viewer
_FULL, _GONE = 1013, 1001  # WebSocket's codes: try again later, going away


class Viewers:
    """Everyone who looks at one `feed`. `cut` ends a connection at once, given the (host, port) of its viewer."""

    def __init__(self, feed: Feed, remote: Remote, cut: Callable[[Any], None]) -> None:
        self._feed, self._remote, self._cut = feed, remote, cut
        self._board: Board | None = None
        self._fresh: dict[asyncio.Task[Any], asyncio.Event] = {}  # a viewer's task, and its news to wait for
        self._state: tuple[bool, float, str | None] | None = None
        self._due = 0.0
        self._closing = False

    async def serve(self) -> None:
        """Tells everyone what is new, twenty times a second, until cancelled."""
        while True:
            self.tick(asyncio.get_running_loop().time())
            await asyncio.sleep(EVERY_S)

    def tick(self, now_s: float) -> None:
        """Takes what the live loop left, and wakes the viewers if it is news."""
        news = self._feed.take()
        if news.stage is None:
            return
        if self._board is None or self._board.serial != news.serial:
            self._board, self._due = Board(news.stage, news.serial), now_s
        self._board.keep(news)
        state = (self._remote.paused, self._remote.speed, news.ended)
        if self._fresh and (news.moment is not None or state != self._state or now_s >= self._due):
            self._state, self._due = state, now_s + HEARTBEAT_S
            self._board.render(now_s, *state)
            for fresh in self._fresh.values():
                fresh.set()

    async def close(self) -> None:
        """Last news to everyone, as far as they take it within half a second."""
        self._closing = True
        self._due = 0.0
        self.tick(asyncio.get_running_loop().time())
        for fresh in self._fresh.values():
            fresh.set()
        if self._fresh:
            await asyncio.wait(list(self._fresh), timeout=0.5)

    async def watch(self, socket: WebSocket) -> None:
        """One viewer, from the first message to the last."""
        from starlette.websockets import WebSocketDisconnect

        await socket.accept()
        if len(self._fresh) >= MOST or self._closing:
            await socket.close(_FULL, f"{MOST} viewers are watching already: close one")
            return
        fresh = asyncio.Event()
        sending = asyncio.create_task(self._send(socket, fresh))
        hearing = asyncio.create_task(self._hear(socket))
        self._fresh[sending] = fresh
        self._due = 0.0  # do not let it wait for the next bin: the run may be paused
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._fresh[sending]
            sending.cancel()
            hearing.cancel()
            done = await asyncio.gather(sending, hearing, return_exceptions=True)
        for error in done:
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect | TimeoutError):
                raise error

    async def _send(self, socket: WebSocket, fresh: asyncio.Event) -> None:
        seen = Seen()
        while True:
            await fresh.wait()
            fresh.clear()
            try:
                async with asyncio.timeout(SEND_S):
                    await self._tell(socket, seen)
            except TimeoutError:
                self._cut(socket.client)
                return
            if self._closing:
                await socket.close(_GONE)
                return

    async def _tell(self, socket: WebSocket, seen: Seen) -> None:
        if self._board is None:
            return
        text, picture = self._board.unseen(seen)
        await socket.send_text(text)
        if picture:
            await socket.send_bytes(picture)

    async def _hear(self, socket: WebSocket) -> None:
        """Commands, no faster than a hand can give them; what is no command is ignored."""
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            asked = wire.command(message.get("text") or "")
            if asked is not None and self._board is not None and self._board.stage.can_seek:
                with contextlib.suppress(DvspipeError):  # the run would not: the page goes on showing what is so
                    self._obey(asked)
            await asyncio.sleep(_COMMAND_S)

    def _obey(self, asked: wire.Command) -> None:
        match asked.do:
            case "play":
                self._remote.play()
            case "pause":
                self._remote.pause()
            case "step":
                self._remote.step()
            case "seek":
                self._remote.seek(int(asked.value))
            case "speed":
                self._remote.set_speed(float(asked.value))
