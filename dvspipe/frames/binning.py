"""The one binning rule, as streams need it: chunks of events -> blocks of frames of counts. `whole` bins into one array.

Bins run on the sensor's clock: bin k = [t0 + k·bin_us, t0 + (k+1)·bin_us), and t0 = floor(t_first / bin_us)·bin_us
unless given. Empty bins are emitted; the partial last bin is not. An event older than a bin that an earlier event (in
file order) has closed is late. Every event that is in no emitted frame is counted with its reason. Knows nothing
about files, labels or tensors.

(tonic's ToFrame starts at the first event and drops what it does not bin, uncounted:
`tonic.slicers.slice_events_by_time`.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import DvspipeError
from dvspipe.events import Events
from dvspipe.frames.axes import Box, make_axes
from dvspipe.frames.kernels import ADDED, BEFORE, CROPPED, LATE, TAIL, Clock, Kernel, chosen

BLOCK_FRAMES = 256
BLOCK_BYTES = 4 * 2**20  # larger blocks leave the cache and were slower
MAX_GAP_BINS = 1_000_000
MAX_BIN_US = 2**40  # 13 days
FAR_US = 2**61  # 73,000 years: bin 0 must begin nearer than that, so that adding bins cannot overflow int64

Frames = NDArray[np.int32]


class BinReport(NamedTuple):
    """Where the events went. `binned` = the sum of all emitted frames.

    `late`: older than an already closed bin. `before`: before t0. `tail`: in a last bin that never closed, or after
    the end. `cropped`: in time, but outside the box.
    """

    binned: int
    late: int
    before: int
    tail: int
    frames: int
    t0_us: int | None
    cropped: int = 0


class Binner:
    """Bins a stream of chunks. Any chunking of the same events gives bit-identical frames.

    `t0_us` is where bin 0 begins, default floor(t_first / bin_us)·bin_us. With `stop_us` the window ends there:
    events at or after it are tail and close no bin, and `drain` emits every bin that ends by then, because the window
    is known to have lasted. `crop` (left, top, width, height) keeps a box of the sensor; events outside it move the
    clock as all do, so the frames are those of the whole sensor with the box cut out. `downsample` then divides
    coordinates (integer division); where it does not divide the box, the last column and row of the frame cover fewer
    pixels, and no event is lost. Memory: one block, at most 256 frames and about 4 MiB (never less than one frame).
    """

    kernel: Kernel = staticmethod(chosen())

    def __init__(
        self,
        bin_us: int,
        sensor_size: tuple[int, int],
        t0_us: int | None = None,
        stop_us: int | None = None,
        downsample: int = 1,
        crop: Box | None = None,
    ) -> None:
        self.bin_us, self.sensor_size, self.t0_us = within("bin_us", bin_us, 1, MAX_BIN_US), sensor_size, t0_us
        downsample = within("downsample", downsample, 1, max(sensor_size))
        self._axes, (width, height) = make_axes(sensor_size, downsample, crop)
        self._open = np.zeros((2, height, width), np.int32)
        self._rows = max(1, min(BLOCK_FRAMES, BLOCK_BYTES // self._open.nbytes))
        self._stop_us = stop_us
        self._counts = np.zeros(5, np.int64)
        self.frames, self._busy = 0, False

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(2, H, W): channel 0 counts OFF events, channel 1 ON, as in tonic."""
        return self._open.shape  # type: ignore[return-value]

    def push(self, events: Events) -> Iterator[Frames]:
        """Blocks of frames int32 [n,2,H,W] that these events close, n <= 256; iterate to the end before the next
        call.

        Raises DvspipeError for events outside the sensor and for a jump of more than 1,000,000 bins (a corrupt time
        stamp would otherwise emit empty frames for ever).
        """
        if self._busy:
            raise RuntimeError("push: the blocks of the previous chunk were not all taken")
        self._check(events)
        if len(events) and self.t0_us is None:
            self.t0_us = int(events.t[0]) // self.bin_us * self.bin_us
        if self.t0_us is not None and abs(self.t0_us) >= FAR_US:
            raise DvspipeError(
                f"bin 0 would begin at {self.t0_us} us: allowed is within ±{FAR_US}. The time stamp is corrupt."
            )
        self._busy = True
        return self._blocks(events)

    def _check(self, events: Events) -> None:
        if len(events) == 0:
            return
        width, height = self.sensor_size
        right, bottom = int(events.x.max()), int(events.y.max())
        if right >= width or bottom >= height:
            raise DvspipeError(
                f"an event at x {right} or y {bottom} lies outside the {width}x{height} sensor."
                " Give the right sensor_size, or crop."
            )

    def _blocks(self, events: Events) -> Iterator[Frames]:
        contiguous = np.ascontiguousarray  # the kernel is compiled once per memory layout
        columns = contiguous(events.t), contiguous(events.x), contiguous(events.y), contiguous(events.p)
        first = 0
        while first < len(events):
            clock = self._clock()
            # Only a guess at how many bins will close: time may run back, and then the block is just short.
            rows = max(1, min(self._rows, (min(int(events.t[-1]), clock.stop) - clock.low) // self.bin_us))
            block = self._block(rows + 1)
            first, closed, jumped = self.kernel(columns, first, block, self._axes, clock, self._counts)
            self._open = block[closed]
            self.frames += closed
            if closed:
                yield block[:closed]
            if jumped:
                self._busy = False
                self._refuse(int(events.t[first]))
        self._busy = False

    def _block(self, rows: int) -> Frames:
        """Room for `rows` frames, the first of them the open bin; the rest hold anything."""
        block = np.empty((rows, *self.frame_shape), np.int32)
        block[0] = self._open
        return block

    def _clock(self) -> Clock:
        t0 = self.t0_us or 0
        if self._stop_us is None:
            stop = np.iinfo(np.int64).max
        else:
            stop = t0 + max(0, self._stop_us - t0) // self.bin_us * self.bin_us
        return Clock(t0, t0 + self.frames * self.bin_us, self.bin_us, int(stop), MAX_GAP_BINS * self.bin_us)

    def _refuse(self, t_us: int) -> None:
        clock = self._clock()
        bins = (t_us - clock.low) // self.bin_us
        raise DvspipeError(
            f"event at {t_us} us lies {bins} bins of {self.bin_us} us after the open bin at {clock.low} us;"
            f" at most {MAX_GAP_BINS} are emitted for one gap. If the time stamp is corrupt, cut it out"
            " (Events.between); else give t0_us or use longer bins."
        )

    def drain(self) -> Iterator[Frames]:
        """With `stop_us`: the blocks still owed, the open bin first and then empty ones. Without: nothing."""
        if self.t0_us is not None and self._stop_us is not None:
            yield from self._close_until(self._clock().stop)

    def advance(self, t_us: int) -> Iterator[Frames]:
        """Blocks of the bins that end at or before `t_us`, though no event has closed them: for a camera whose silence is
        known to be silence. Events that belong there and come later are late.
        """
        if self.t0_us is not None:
            yield from self._close_until(min(t_us, self._clock().stop))

    def _close_until(self, t_us: int) -> Iterator[Frames]:
        while (owed := (t_us - self._clock().low) // self.bin_us) > 0:
            block = self._block(min(self._rows, owed))
            block[1:] = 0
            self._open = np.zeros_like(self._open)
            self.frames += len(block)
            yield block

    def finish(self) -> BinReport:
        """The counts so far; may be called at any time between two chunks. Events in the open bin count as tail."""
        if self._busy:
            raise RuntimeError("finish: the blocks of the last chunk were not all taken")
        return self.so_far()

    def so_far(self) -> BinReport:
        """As `finish`, but may be called between two blocks too; events of blocks not yet taken are not counted."""
        waiting, counts = int(self._open.sum()), [int(count) for count in self._counts]
        return BinReport(
            binned=counts[ADDED] - waiting,
            late=counts[LATE],
            before=counts[BEFORE],
            tail=counts[TAIL] + waiting,
            frames=self.frames,
            t0_us=self.t0_us,
            cropped=counts[CROPPED],
        )


def within(name: str, value: int, least: int, most: int) -> int:
    """The value, if it is a whole number in that range. Raises DvspipeError otherwise."""
    if not least <= value <= most or value != int(value):
        raise DvspipeError(f"{name} = {value}: allowed is a whole number from {least} to {most}.")
    return int(value)
