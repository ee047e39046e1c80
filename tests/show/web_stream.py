"""A live run that is none, for the page's tests: a blob that moves, and a remote control that keeps what it was told."""

import threading
import time

import numpy as np

from dvspipe.errors import UsageError
from dvspipe.show.moment import Label, Looks, Moment, Stage

CLASSES = ("left arm", "right arm", "arm roll")
BIN_US = 25_000
SECONDS = 20


class Hand:
    """The `Remote`: every call is kept in `calls`."""

    def __init__(self):
        self.calls, self.paused, self.speed = [], False, 1.0

    def pause(self):
        self.calls.append("pause")
        self.paused = True

    def play(self):
        self.calls.append("play")
        self.paused = False

    def step(self):
        self.calls.append("step")
        self.paused = True

    def seek(self, t_us):
        self.calls.append(("seek", t_us))

    def set_speed(self, speed):
        self.calls.append(("speed", speed))
        if speed == 4:
            raise UsageError("not this one")
        self.speed = speed

    def stop(self):
        self.calls.append("stop")


def stage(classes=CLASSES, seconds=SECONDS, can_seek=True, title="walk.aedat", size=32):
    labels = tuple(
        Label(classes[index % len(classes)], 1_000_000 * index, 1_000_000 * index + 800_000) for index in range(SECONDS)
    )
    stop_us = None if seconds is None else seconds * 1_000_000
    return Stage(title, "runs/a", tuple(classes), BIN_US, (size, size), 0, stop_us, labels, can_seek, "causal")


def moment(index, of, size=32):
    """Bin `index`: the blob is a bit further, and the first class is decided in odd seconds, rightly or not."""
    rows, columns = np.mgrid[:size, :size]
    angle = index / 10
    near = np.hypot(rows - size * (0.5 + 0.3 * np.sin(angle)), columns - size * (0.5 + 0.3 * np.cos(angle))) < size / 8
    frame = np.zeros((2, size, size), np.int32)
    frame[0] = near & (columns < size * (0.5 + 0.3 * np.cos(angle)))
    frame[1] = near & ~frame[0].astype(bool)
    t_us = (index + 1) * BIN_US
    decided = of.classes[0] if t_us // 1_000_000 % 2 else None
    truth = next((label.name for label in of.labels if label.start_us < t_us <= label.stop_us), None)
    weights = 0.5 + 0.4 * np.sin(angle + np.arange(20) / 5)
    looks = Looks({"conv1": 0.1, "hidden": 0.05}, {"conv1": weights}, {"conv1": weights[:16].reshape(4, 4)}, 0.5)
    stats = {"event_rate": 8000.0, "latency_ms": 1.5, "p50_ms": 1.25, "p99_ms": 3.5, "queue": 1, "dropped_bins": 2,
             "dropped_events": 30, "speed": 1.0}  # fmt: skip
    evidence = dict.fromkeys(of.classes, 0.125) | {of.classes[0]: 0.75}
    return Moment(index, t_us, frame, evidence, decided, 0.75, truth, stats, looks)


class Player:
    """Context manager: shows a stage to a view in a thread, a bin every `every_s`, until it is left; starts again at
    the end. `costs`: seconds that every `update` took.
    """

    def __init__(self, view, of=None, every_s=0.01, size=32):
        self._view, self._stage, self._every_s, self._size = view, of or stage(), every_s, size
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self.costs = []

    def __enter__(self):
        self._view.open(self._stage)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._left.set()
        self._thread.join()

    def _play(self):
        index = 0
        while not self._left.wait(self._every_s):
            bin_ = moment(index % (SECONDS * 1_000_000 // BIN_US), self._stage, self._size)
            before = time.perf_counter()
            self._view.update(bin_)
            self.costs.append(time.perf_counter() - before)
            index += 1
