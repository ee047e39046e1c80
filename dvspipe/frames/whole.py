"""Whole recordings and labelled windows in one array: events -> frames [T,2,H,W]. The rule itself is `binning`'s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from dvspipe.errors import DvspipeError
from dvspipe.events import Events
from dvspipe.frames.axes import Box
from dvspipe.frames.binning import MAX_BIN_US, Binner, BinReport, Frames, within

MAX_RESULT_BYTES = 8 * 2**30


def to_frames(
    source: Events | Iterable[Events],
    bin_us: int,
    sensor_size: tuple[int, int] | None = None,
    t0_us: int | None = None,
    n_bins: int | None = None,
    downsample: int = 1,
    crop: Box | None = None,
) -> tuple[Frames, BinReport]:
    """Frames int32 [T,2,H,W] of a whole recording, and where its events went.

    With `n_bins` exactly that many frames from t0: a labelled window is known to last that long, so its last bin is
    closed. An empty source gives zero frames (or `n_bins` empty ones) of the same type. Raises DvspipeError as
    `Binner.push`, when the sensor size is not known, and when the result would take more than 8 GiB (use `Binner`,
    which streams).
    """
    size, chunks = _opened(source, sensor_size)
    stop_us = None
    if n_bins is not None:
        if t0_us is None:
            t0_us, chunks = _peek_t0(chunks, bin_us)
        stop_us = t0_us + within("n_bins", n_bins, 0, 2**31) * bin_us
    binner = _Collector(bin_us, size, t0_us, stop_us, downsample, crop)
    binner.reserve(n_bins or 0)
    for _ in chain(chain.from_iterable(map(binner.push, chunks)), binner.drain()):
        pass
    return binner.collected[: binner.frames], binner.finish()


class _Collector(Binner):
    """Bins into one array, so that a recording in one piece is neither held twice nor copied."""

    collected: Frames

    def reserve(self, frames: int) -> None:
        """Makes room for `frames` and two open ones. Raises DvspipeError over 8 GiB, before filling anything."""
        limit = MAX_RESULT_BYTES // self._open.nbytes
        if frames > limit:
            raise DvspipeError(
                f"{frames} frames of {self.frame_shape} from {self.t0_us} us on are over 8 GiB. Use longer bins, stream"
                " with Binner, or cut a corrupt time stamp out (Events.between)."
            )
        collected = np.empty((frames + 2, *self.frame_shape), np.int32)
        if self.frames:
            collected[: self.frames] = self.collected[: self.frames]
        self.collected = collected

    def push(self, events: Events) -> Iterator[Frames]:
        blocks = super().push(events)
        if len(events):
            clock = self._clock()
            self._make_room((min(int(events.t[-1]), clock.stop) - clock.t0) // self.bin_us + 2)
        return blocks

    def _make_room(self, rows: int) -> None:
        """Makes `collected` that long, at least doubling it."""
        if rows > len(self.collected):
            self.reserve(max(rows - 2, min(2 * len(self.collected), MAX_RESULT_BYTES // self._open.nbytes)))

    def _block(self, rows: int) -> Frames:
        self._make_room(self.frames + rows)  # times that run back at the end hide how many bins there are
        block = self.collected[self.frames : self.frames + rows]
        block[0] = self._open
        return block


Size = tuple[int, int]


def _opened(source: Events | Iterable[Events], sensor_size: Size | None) -> tuple[Size, Iterator[Events]]:
    """The sensor's size (given, the source's own, or its first chunk's) and the chunks."""
    chunks = iter([source] if isinstance(source, Events) else source)
    size = sensor_size or getattr(source, "sensor_size", None)
    if size is None:
        head = next(chunks, None)
        if head is None:
            raise DvspipeError("a source of no chunks at all has no sensor_size. Give sensor_size=(W, H).")
        size, chunks = head.sensor_size, chain([head], chunks)
    return size, chunks


def _peek_t0(chunks: Iterator[Events], bin_us: int) -> tuple[int, Iterator[Events]]:
    """Where bin 0 begins by the first event, 0 without any; and the chunks again."""
    for chunk in chunks:
        if len(chunk):
            bin_us = within("bin_us", bin_us, 1, MAX_BIN_US)
            return int(chunk.t[0]) // bin_us * bin_us, chain([chunk], chunks)
    return 0, chunks
