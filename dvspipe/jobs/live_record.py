"""What stays of a live session: a video of its screen, and what its report needs. Neither makes the network wait."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from types import TracebackType

from dvspipe.jobs.live_session import Session
from dvspipe.recordings.video_writer import VideoWriter
from dvspipe.show.moment import Moment, Stage
from dvspipe.show.screen import Screen

FPS, SIZE = 25.0, (1280, 720)
WAITING = 8  # pictures that may wait to be drawn


class Recorder:
    """A view that draws every picture of the screen into a video, in a thread of its own.

    A bin's pictures are shown for as long as the bin lasts, so the video runs in sensor time. When drawing is slower than
    the network, a session in real time skips pictures (they are repeated, and counted in `skipped`); at speed 0 it waits.
    """

    def __init__(self, path: Path, session: Session) -> None:
        self.path, self.waits, self.skipped = path, session.controls.speed == 0, 0
        self._waiting: deque[Stage | Moment | None] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._writer = VideoWriter(path, SIZE, FPS if path.suffix.lower() != ".gif" else None)

    def __enter__(self) -> Recorder:
        self._writer.__enter__()
        self._thread = threading.Thread(target=self._draw, name="dvspipe-recorder", daemon=True)
        self._thread.start()
        return self

    def open(self, stage: Stage) -> None:
        """Another recording begins."""
        self._put(stage)

    def update(self, moment: Moment) -> None:
        """Takes one bin. Raises what stopped the video, a full disk for example."""
        if self._error is not None:
            raise self._error
        with self._changed:
            if self.waits:
                self._changed.wait_for(lambda: len(self._waiting) < WAITING or self._error is not None)
            if len(self._waiting) >= WAITING:
                self.skipped += 1
                return
        self._put(moment)

    def finish(self, why: str) -> None:
        """No moment will come any more."""

    def _put(self, news: Stage | Moment | None) -> None:
        with self._changed:
            self._waiting.append(news)
            self._changed.notify_all()

    def _draw(self) -> None:
        try:
            self._draw_all()
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _draw_all(self) -> None:
        screen: Screen | None = None
        start_us, shown, stage = 0, 0, None
        while (news := self._take()) is not None:
            if isinstance(news, Stage):
                screen, stage, start_us, shown = Screen(news, *SIZE), news, news.start_us, 0
                continue
            assert screen is not None and stage is not None  # a stage comes first
            if news.t_us < start_us:  # somebody went back
                start_us, shown = news.t_us - stage.bin_us, 0
            due = int((news.t_us - start_us) * 1e-6 * self._writer.fps)
            if due - shown > 2 * self._writer.fps:  # somebody went ahead: a video has no gaps
                start_us, shown, due = news.t_us - stage.bin_us, 0, 1
            picture = screen.draw(news)
            for _ in range(due - shown):
                self._writer.write(picture)
            shown = max(due, shown)

    def _take(self) -> Stage | Moment | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            news = self._waiting.popleft()
            self._changed.notify_all()
            return news

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._put(None)
        self._thread.join()
        if self._error is not None and error is None:
            kind, error = type(self._error), self._error
        self._writer.__exit__(kind, error, trace)
        if self._error is not None and self._error is error:
            raise self._error
