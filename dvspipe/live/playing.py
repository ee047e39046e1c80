"""A source's events -> bins on time: parts one after the other, each binned on its own clock, paced, sought, paused.

The one generator that feeds every live session; `in_thread` runs it beside the network.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from dvspipe.events import Events
from dvspipe.events.fitting import fit_sensor
from dvspipe.frames.binning import Binner, Frames
from dvspipe.live.bins import LiveBin
from dvspipe.live.controls import Controls
from dvspipe.live.pacing import Pacer
from dvspipe.live.ring import Ring
from dvspipe.live.sources.files import find_end
from dvspipe.live.sources.part import Part, Source

GRACE_US = (
    100_000  # how long a camera's events may be under way before silence closes their bin; events close it at once
)


@dataclass(slots=True)
class Counts:
    """Events that were in no bin played: late, before the bin that a seek went to, in a last bin that never closed."""

    binned: int = 0
    late: int = 0
    before: int = 0
    tail: int = 0

    def add(self, binner: Binner) -> None:
        """What `binner` counted until now."""
        report = binner.so_far()  # a seek leaves in the middle of a chunk
        for name in ("binned", "late", "before", "tail"):
            setattr(self, name, getattr(self, name) + getattr(report, name))


@dataclass
class Player:
    """Plays `source` as bins of `bin_us`, frames of `sensor_size` / `downsample`, as `controls` say.

    `find_ends` looks for every recording's end before it plays. `stretches` maps a bin's stretch to its part and the
    sensor time its index 0 begins at.
    """

    source: Source
    bin_us: int
    sensor_size: tuple[int, int]
    downsample: int
    controls: Controls
    ring: Ring | None = None
    find_ends: bool = False
    counts: Counts = field(default_factory=Counts)
    stretches: list[tuple[Part, int]] = field(default_factory=list)

    def bins(self) -> Iterator[LiveBin]:
        """Every bin of every part, when it is due."""
        for part in self.source.parts():
            if part.is_camera:
                yield from self._camera(part)
            else:
                yield from self._recording(part)
            if self.controls.stopped:
                return

    def _recording(self, part: Part) -> Iterator[LiveBin]:
        if self.find_ends and part.recording is not None:
            part.stop_us = find_end(part.recording)
        base, chunks = _first_bin(part.chunks(None), self.bin_us)
        start = base
        while base is not None and start is not None:
            self.stretches.append((part, base))
            yield from self._stretch(chunks, base, start)
            asked = self.controls.take_seek()
            if asked is None or self.controls.stopped:
                return
            start = base + max(0, asked - base) // self.bin_us * self.bin_us
            chunks = part.chunks(start)
            if self.ring is not None:
                self.ring.clear()

    def _stretch(self, chunks: Iterator[Events], base: int, start: int) -> Iterator[LiveBin]:
        """Bins from sensor time `start` to the end of the recording, or to the next seek."""
        binner, pacer, stretch = self._binner(start), Pacer(self.controls), len(self.stretches) - 1
        t_us = start
        try:
            for block in self._blocks(chunks, binner):
                for frame in block:
                    t_us += self.bin_us
                    ready = pacer.release(t_us)
                    if ready is None:
                        return
                    yield LiveBin(stretch, (t_us - base) // self.bin_us - 1, t_us, frame, ready)
        finally:
            self.counts.add(binner)

    def _blocks(self, chunks: Iterator[Events], binner: Binner) -> Iterator[Frames]:
        for chunk in chunks:
            yield from binner.push(fit_sensor(chunk, self.sensor_size))

    def _camera(self, part: Part) -> Iterator[LiveBin]:
        """Bins as events or silence close them: nobody but the camera sets the pace."""
        binner = self._binner(None)
        clock, stretch = _CameraClock(), len(self.stretches)
        try:
            for chunk in part.chunks(None):
                if self.controls.stopped:
                    return
                for block in self._arrived(binner, clock, chunk):
                    if len(self.stretches) == stretch:
                        self.stretches.append((part, binner.t0_us or 0))
                    ready = time.perf_counter()
                    first = binner.frames - len(block)
                    for index, frame in enumerate(block, first):
                        t_us = (binner.t0_us or 0) + (index + 1) * self.bin_us
                        yield LiveBin(stretch, index, t_us, frame, ready)
        finally:
            self.counts.add(binner)

    def _arrived(self, binner: Binner, clock: _CameraClock, chunk: Events) -> Iterator[Frames]:
        if len(chunk):
            clock.saw(int(chunk.t[-1]))
            yield from binner.push(fit_sensor(chunk, self.sensor_size))
        elif clock.running:
            yield from binner.advance(clock.now_us() - GRACE_US)

    def _binner(self, t0_us: int | None) -> Binner:
        return Binner(self.bin_us, self.sensor_size, t0_us, downsample=self.downsample)


class _CameraClock:
    """Sensor time by the wall clock: the last event's time and what has passed since it came, so that nothing drifts."""

    def __init__(self) -> None:
        self.running, self._t_us, self._wall_s = False, 0, 0.0

    def saw(self, t_us: int) -> None:
        self.running, self._t_us, self._wall_s = True, t_us, time.perf_counter()

    def now_us(self) -> int:
        return self._t_us + int((time.perf_counter() - self._wall_s) * 1e6)


def _first_bin(chunks: Iterator[Events], bin_us: int) -> tuple[int | None, Iterator[Events]]:
    """Where bin 0 begins: floor(t_first / bin_us) · bin_us; None for a recording without events. And the chunks again."""
    for chunk in chunks:
        if len(chunk):
            return int(chunk.t[0]) // bin_us * bin_us, chain([chunk], chunks)
    return None, chunks


def in_thread(player: Player, ring: Ring) -> Iterator[LiveBin]:
    """The player's bins through `ring`, read in a thread of their own. Leaving the iteration ends the thread."""
    player.ring = ring

    def read() -> None:
        try:
            for each in player.bins():
                if ring.closed:
                    return
                ring.put(each, "block" if player.controls.speed == 0 and not player.source.is_camera else None)
            ring.close()
        except BaseException as error:
            ring.close(error)

    reader = threading.Thread(target=read, name="dvspipe-reader", daemon=True)
    reader.start()
    left_early = True
    try:
        yield from ring
        left_early = False
    finally:
        if left_early:
            player.controls.stop()
        ring.close()
        reader.join(timeout=5)
