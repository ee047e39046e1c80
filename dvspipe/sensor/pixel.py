"""The DVS pixel array: intensity frames at known times -> events.

Between two frames the log intensity of a pixel is a straight line. The pixel compares it with the level it stored at
its last event and fires where the gap reaches its own ON or OFF threshold, as often as it does so. Non-idealities as in
Lichtsteiner et al. 2008 (the DVS128) and v2e (Hu et al. 2021): threshold mismatch, refractory period, leak, shot noise,
hot pixels, finite bandwidth. Every random number is a hash of (seed, pixel, how many that pixel has drawn), so the same
frames give the same events however the stream is cut. Knows nothing of where frames come from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvspipe.errors import ShapeError, UsageError
from dvspipe.events import Events

FIRST_CAPACITY = 4_096
# What a pixel carries from frame to frame: its log intensity, how far that is from the level stored at its last event,
# when it wakes up, when it next fires by noise (µs), how many random numbers it has drawn.
LEVEL, GAP, DEAD_UNTIL, NOISE_AT, DRAWN = range(5)
# What a pixel is born with.
ON_THRESHOLD, OFF_THRESHOLD, LEAK_PER_US, NOISE_PER_US = range(4)


@dataclass(frozen=True, slots=True)
class DvsSettings:
    """How the pixels behave. Thresholds are steps of natural-log intensity; rates are events per pixel and second.

    `mismatch` is the relative standard deviation of the thresholds over the pixels; `leak_hz` gives ON events only,
    `shot_hz` both polarities; a share `hot_share` of the pixels is noisy with `hot_hz`. `dark` is added to the
    intensity (full scale = 1) before the logarithm: the photocurrent that flows without light. `bandwidth_hz` is the
    pixel's low-pass corner, 0 for none. Raises UsageError for a value out of range.
    """

    on_threshold: float = 0.20
    off_threshold: float = 0.20
    mismatch: float = 0.08
    refractory_us: float = 300.0
    leak_hz: float = 0.05
    shot_hz: float = 0.05
    hot_share: float = 0.0005
    hot_hz: float = 20.0
    dark: float = 0.02
    bandwidth_hz: float = 0.0

    def __post_init__(self) -> None:
        for name in ("on_threshold", "off_threshold", "dark"):
            if not getattr(self, name) > 0:
                raise UsageError(f"sensor setting {name} = {getattr(self, name)}: must be above 0.")
        for name in ("refractory_us", "leak_hz", "shot_hz", "hot_hz", "hot_share", "bandwidth_hz"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"sensor setting {name} = {getattr(self, name)}: must not be negative.")
        if not 0 <= self.mismatch < 0.3:
            raise UsageError(f"sensor setting mismatch = {self.mismatch}: must be from 0 to below 0.3.")


@njit(cache=True)
def _uniform(seed: Any, pixel: Any, draw: Any) -> Any:
    """A number in (0, 1) that depends on nothing but the three arguments (SplitMix64's mixing function)."""
    z = np.uint64(seed) ^ (np.uint64(pixel) * np.uint64(0x9E3779B97F4A7C15))
    z = z + (np.uint64(draw) + np.uint64(1)) * np.uint64(0xD1342543DE82EF95)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 0x9E3779B97F4A7C15)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return (float(z >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@njit(cache=True)
def _manufacture(pixels: Any, state: Any, seed: Any, means: Any, mismatch: Any, hot_share: Any, hot_hz: Any) -> None:
    """Draws every pixel's thresholds and noise; `means` are the four columns' values without mismatch."""
    for i in range(len(pixels)):
        draw = 0
        for column in range(2):
            bell = -6.0
            for _ in range(12):  # twelve uniforms: a normal number from additions alone, so equal on every machine
                bell += _uniform(seed, i, draw)
                draw += 1
            pixels[i, column] = means[column] * (1.0 + mismatch * min(max(bell, -3.0), 3.0))
        hot = _uniform(seed, i, draw) < hot_share
        pixels[i, LEAK_PER_US] = means[LEAK_PER_US] * pixels[i, ON_THRESHOLD]
        pixels[i, NOISE_PER_US] = hot_hz * 1e-6 if hot else means[NOISE_PER_US]
        state[i, DRAWN] = draw + 1


@njit(cache=True)
def _wait_us(state: Any, pixels: Any, i: Any, seed: Any) -> Any:
    """Time to this pixel's next noise event: exponential, so noise is a Poisson process."""
    if pixels[i, NOISE_PER_US] <= 0.0:
        return math.inf
    state[i, DRAWN] += 1
    return -math.log(_uniform(seed, i, int(state[i, DRAWN]))) / pixels[i, NOISE_PER_US]


@njit(cache=True)
def _first_frame(frame: Any, logs: Any, state: Any, pixels: Any, seed: Any, t_us: Any) -> None:
    """Pixels settle on the first frame; a leaking pixel is somewhere on its way to its next leak event."""
    for i in range(len(pixels)):
        state[i, DRAWN] += 1
        phase = _uniform(seed, i, int(state[i, DRAWN]))
        state[i, LEVEL] = logs[frame[i]]
        state[i, GAP] = phase * pixels[i, ON_THRESHOLD] if pixels[i, LEAK_PER_US] > 0.0 else 0.0
        state[i, DEAD_UNTIL] = t_us
        state[i, NOISE_AT] = t_us + _wait_us(state, pixels, i, seed)


@njit(cache=True)
def _crossing(gap: Any, slope: Any, on: Any, off: Any) -> Any:
    """(time in µs until the gap reaches a threshold, is it the ON threshold)."""
    if gap >= on or slope > 0.0:
        return max(0.0, (on - gap) / slope) if slope > 0.0 else 0.0, True
    if gap <= -off or slope < 0.0:
        return max(0.0, (-off - gap) / slope) if slope < 0.0 else 0.0, False
    return math.inf, True


@njit(cache=True)
def _one_pixel(
    state: Any, pixels: Any, i: Any, seed: Any, t0: Any, t1: Any, slope: Any, refractory_us: Any, out: Any, n: Any
) -> Any:
    """Lets pixel i run from t0 to t1 while its gap changes by `slope` per µs.

    Appends its events to `out` [*, 3] (time, pixel, ON), of which n are filled; returns both, grown.
    """
    now = t0
    while True:
        if state[i, DEAD_UNTIL] > now:  # held in reset: it stores the level at which it wakes up
            state[i, GAP] = 0.0
            now = min(state[i, DEAD_UNTIL], t1)
        wait, on = _crossing(state[i, GAP], slope, pixels[i, ON_THRESHOLD], pixels[i, OFF_THRESHOLD])
        by_noise = state[i, NOISE_AT] < now + wait
        when = max(now, state[i, NOISE_AT]) if by_noise else now + wait
        if when >= t1:
            state[i, GAP] += slope * (t1 - now)
            return out, n
        if by_noise:
            state[i, NOISE_AT] = when + _wait_us(state, pixels, i, seed)
            state[i, DRAWN] += 1
            on = _uniform(seed, i, int(state[i, DRAWN])) < 0.5
            state[i, GAP] = 0.0
        else:
            state[i, GAP] += slope * wait - (pixels[i, ON_THRESHOLD] if on else -pixels[i, OFF_THRESHOLD])
        if n == len(out):
            out = np.concatenate((out, np.empty_like(out)))
        out[n, 0], out[n, 1], out[n, 2] = when, i, on
        n += 1
        state[i, DEAD_UNTIL] = when + refractory_us
        now = when


@njit(cache=True)
def _all_pixels(
    frame: Any, logs: Any, state: Any, pixels: Any, seed: Any, t0: Any, t1: Any, refractory_us: Any, share: Any
) -> Any:
    """Events [N, 3] (time, pixel, ON) of one frame interval, in pixel order.

    `logs` is the log intensity by frame value; `share` is how much of the way to it the bandwidth lets a pixel go.
    """
    out, n = np.empty((FIRST_CAPACITY, 3)), 0
    for i in range(len(pixels)):
        change = share * (logs[frame[i]] - state[i, LEVEL])
        slope = change / (t1 - t0) + pixels[i, LEAK_PER_US]
        quiet = abs(state[i, GAP]) + abs(slope) * (t1 - t0) < min(pixels[i, ON_THRESHOLD], pixels[i, OFF_THRESHOLD])
        if quiet and state[i, DEAD_UNTIL] <= t0 and state[i, NOISE_AT] >= t1:  # most pixels, most of the time
            state[i, GAP] += slope * (t1 - t0)
        else:
            out, n = _one_pixel(state, pixels, i, seed, t0, t1, slope, refractory_us, out, n)
        state[i, LEVEL] += change
    return out[:n]


class DvsPixels:
    """A sensor of `size` (W, H) pixels with its state: feed frames in time order, take events.

    Frames are uint8 or uint16 [H, W], linear intensity, full scale at the type's largest value. The same `seed` is the
    same camera: the same thresholds, hot pixels and noise.
    """

    def __init__(self, size: tuple[int, int], settings: DvsSettings | None = None, seed: int = 0) -> None:
        if not 0 <= seed < 2**64:
            raise UsageError(f"sensor seed {seed}: must be from 0 to 2^64 - 1.")
        self.size, self.settings, self.seed = size, settings or DvsSettings(), np.uint64(seed)
        self.t_us: int | None = None
        self._logs: dict[Any, NDArray[np.float64]] = {}
        self.pixels = np.empty((size[0] * size[1], 4))
        self.state = np.zeros((size[0] * size[1], 5))
        s = self.settings
        means = np.array([s.on_threshold, s.off_threshold, s.leak_hz * 1e-6, s.shot_hz * 1e-6])
        _manufacture(self.pixels, self.state, self.seed, means, s.mismatch, s.hot_share, s.hot_hz)

    def step(self, frame: NDArray[np.uint8] | NDArray[np.uint16], t_us: int) -> Events:
        """Events with t_before < t <= t_us, ordered in time; the first frame gives none.

        Raises ShapeError for a frame of another size or type, UsageError where time does not grow.
        """
        logs, flat = self._table(frame), frame.reshape(-1)
        before, self.t_us = self.t_us, t_us
        if before is None:
            _first_frame(flat, logs, self.state, self.pixels, self.seed, float(t_us))
            return Events.empty(self.size)
        if t_us <= before:
            self.t_us = before
            raise UsageError(f"frame at {t_us} us after one at {before} us: frames must come in growing time.")
        rate = 2.0 * math.pi * self.settings.bandwidth_hz * 1e-6
        share = -math.expm1(-rate * (t_us - before)) if rate > 0.0 else 1.0
        span, refractory = (float(before), float(t_us)), self.settings.refractory_us
        rows = _all_pixels(flat, logs, self.state, self.pixels, self.seed, *span, refractory, share)
        return self._ordered(rows, before)

    def _ordered(self, rows: NDArray[np.float64], before: int) -> Events:
        """Columns from the kernel's rows; ties in time stay in pixel order."""
        t = np.maximum(np.ceil(rows[:, 0]).astype(np.int64), before + 1)
        order = np.argsort(t, kind="stable")
        y, x = np.divmod(rows[order, 1].astype(np.int64), self.size[0])
        return Events.of(t[order], x, y, rows[order, 2], self.size)

    def _table(self, frame: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.float64]:
        """log(intensity + dark) by frame value: a logarithm per pixel would cost more than the sensor."""
        if frame.shape != self.size[::-1] or frame.dtype not in (np.uint8, np.uint16):
            raise ShapeError(
                f"frame {frame.dtype} {list(frame.shape)}: a {self.size[0]}x{self.size[1]} sensor wants uint8 or "
                f"uint16 [H, W] = {list(self.size[::-1])}."
            )
        if frame.dtype not in self._logs:
            full = np.iinfo(frame.dtype).max
            self._logs[frame.dtype] = np.array([math.log(i / full + self.settings.dark) for i in range(full + 1)])
        return self._logs[frame.dtype]
