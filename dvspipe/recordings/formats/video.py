"""Videos (mp4, mov, webm, mkv, avi, gif) as recordings: the frames are shown to the simulator's sensor model.

Gray in linear light, shrunk by area to at most 346 pixels on the longer side (DAVIS346), default sensor settings, seed 0;
times count from the first frame, as the container gives them. Between two frames a pixel's log intensity is a straight
line (`sensor.pixel`): no motion is invented, as v2e does with an interpolating network, so what moves many pixels in a
frame interval leaves steps instead of edges. 100 frames a second and more look like a camera, 25 do not. A picture that
stands longer than a second stands until a second before the next. Decoding is `video_frames`, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings import guarded
from dvspipe.recordings.columns import Deliverer
from dvspipe.recordings.layouts.video_container import container_of, missing_bytes
from dvspipe.recordings.recording import Format, Recording
from dvspipe.recordings.tables import pieces
from dvspipe.sensor.pixel import DvsPixels

LONGEST_SIDE = 346
LONGEST_RAMP_US = 1_000_000
LONGEST_STAND_US = 3_600_000_000
LIMITS = guarded.Limits(seconds=10.0, memory_bytes=1 << 30)
DECODER = "dvspipe.recordings.layouts.video_frames"
Frame = tuple[int, NDArray[np.uint16]]


def _open(path: Path) -> Recording:
    with path.open("rb") as file:
        container = container_of(file.read(16))
    try:
        (facts, _), *_ = guarded.read(f"{DECODER}:probe", str(path), container, limits=LIMITS)
    except (guarded.GuardError, RecordingError) as error:
        raise RecordingError(
            f"{path}: no video that can be decoded ({error}). Copy it again, or convert it with ffmpeg -i."
        ) from error
    width, height = facts["size"]
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    details = {"container": container, "codec": facts["codec"], "fps": facts["fps"], "video_size": [width, height]}
    return Recording(path, "video", size, _read, details=details)


def _read(recording: Recording) -> Iterator[Events]:
    camera = _Camera(recording)
    for t_us, picture in camera.in_time():
        if not camera.out.going:
            return
        yield from camera.film(t_us, picture)
    if camera.out.going:
        camera.report_cut()


class _Camera:
    """The sensor before the screen: one way through one video."""

    def __init__(self, recording: Recording) -> None:
        self.recording, self.out = recording, Deliverer(recording)
        self.pixels = DvsPixels(recording.sensor_size)
        self.offset, self.size = 0, recording.path.stat().st_size
        self.shown: NDArray[np.uint16] | None = None

    def in_time(self) -> Iterator[Frame]:
        """The frames with growing times from 0; the stray ones are reported, and of two at one time the later is taken."""
        held: Frame | None = None
        last_us: int | None = None
        for t_us, picture in self._decoded():
            if held is not None and t_us <= held[0]:
                if t_us < held[0]:
                    self._report("corrupt", 0, f"times of frames go back, {held[0]} to {t_us} us")
                if last_us is not None and t_us <= last_us:
                    continue
            elif held is not None and t_us - held[0] > LONGEST_STAND_US:
                self._report("corrupt", 0, f"a frame {t_us - held[0]} us after the one before")
                continue
            elif held is not None:
                yield held
                last_us = held[0]
            held = t_us, picture
        if held is not None and not (self.recording.details["container"] == "gif" and self._missing()):
            yield held  # of a cut GIF the last picture is a part, which FFmpeg fills up

    def _decoded(self) -> Iterator[Frame]:
        """Frames as they come, times from the first one's; reports damaged packets and a decoder that fails."""
        first_us, next_us = None, 0
        path, container = str(self.recording.path), self.recording.details["container"]
        chunks = guarded.read(f"{DECODER}:frames", path, container, *self.recording.sensor_size, limits=LIMITS)
        try:
            for facts, columns in chunks:
                self.offset = facts["offset"] or self.offset  # what a decoder hands out last has no place of its own
                if not columns:
                    self._report(facts["kind"], facts["lost"], facts["damage"])
                    if not self.out.going:
                        return
                    continue
                t_us = next_us if facts["t_us"] is None else facts["t_us"]
                first_us, next_us = t_us if first_us is None else first_us, t_us + facts["step_us"]
                yield t_us - first_us, columns[0]
        except (guarded.GuardError, RecordingError) as error:
            self._report("corrupt", self.size - self.offset, f"the decoder: {error}")

    def _report(self, kind: str, lost: int, note: str) -> None:
        self.out.report(kind, self.offset, lost, note)

    def report_cut(self) -> None:
        """Reports a file that is shorter than it says."""
        if self._missing() and self.recording.damage is None:
            self.out.report("truncated", self.size, 0, f"{self._missing()} bytes or more are missing at the end")

    def _missing(self) -> int:
        return missing_bytes(self.recording.path, self.recording.details["container"])

    def film(self, t_us: int, picture: NDArray[np.uint16]) -> Iterator[Events]:
        """The events up to `t_us`, at which the sensor sees `picture`."""
        seen_us = self.pixels.t_us
        while seen_us is not None and self.shown is not None and t_us - seen_us > LONGEST_RAMP_US:
            seen_us = min(seen_us + LONGEST_RAMP_US, t_us - LONGEST_RAMP_US)
            yield from self._deliver(self.pixels.step(self.shown, seen_us))
        self.shown = picture
        yield from self._deliver(self.pixels.step(picture, t_us))

    def _deliver(self, events: Events) -> Iterator[Events]:
        for piece in pieces(len(events)):
            yield from self.out.deliver(events[piece])


def _matches(head: bytes, path: Path) -> bool:
    return container_of(head) is not None


FORMAT = Format("video", _matches, _open)
