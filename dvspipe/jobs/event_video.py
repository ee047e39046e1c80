"""Events as a video: one picture per time bin, with afterglow, at real time or slower. Knows no command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import UsageError
from dvspipe.events import Events
from dvspipe.frames.binning import Binner
from dvspipe.recordings.video_writer import VideoWriter, video_kind
from dvspipe.show.picture import EventPicture

SMALLEST_SIDE, LARGEST_SIDE = 256, 4096
GLOW_AFTER_20_MS = 0.6  # of the video, so that every rate shows the same trails


def film_events(
    path: Path, chunks: Iterable[Events], sensor_size: tuple[int, int], fps: float | None = None, speed: float = 1.0
) -> int:
    """Writes an mp4, webm or gif of the events, in constant memory; returns how many pictures it has.

    Every picture shows 1 / fps seconds of the video, so `speed` / fps seconds of the recording: 0.1 is ten times slow
    motion. Sensors with a side under 256 pixels are enlarged by a whole factor. Raises UsageError for a speed or fps out
    of range, DvspipeError for a gap of more than 1,000,000 pictures, RecordingError when the disk is full.
    """
    fps = video_kind(path).usual_fps if fps is None else fps
    bin_us = round(1_000_000 * speed / fps) if fps > 0 else 0
    if not speed > 0 or bin_us < 1:
        raise UsageError(f"--speed {speed:g} at {fps:g} pictures a second: must be above 0, at least 1 us a picture.")
    factor = enlargement(sensor_size)
    glowing = EventPicture(decay=GLOW_AFTER_20_MS ** (50 / fps))
    with VideoWriter(path, (sensor_size[0] * factor, sensor_size[1] * factor), fps) as video:
        for counts in _counts(chunks, Binner(bin_us, sensor_size)):
            glowing.add(counts)
            video.write(glowing.rgb().repeat(factor, axis=0).repeat(factor, axis=1))
        return video.pictures


def enlargement(sensor_size: tuple[int, int]) -> int:
    """The whole factor that makes the shorter side at least 256 pixels, unless the longer one would get too long."""
    return max(1, min(-(-SMALLEST_SIDE // min(sensor_size)), LARGEST_SIDE // max(sensor_size)))


def _counts(chunks: Iterable[Events], binner: Binner) -> Iterator[NDArray[np.int32]]:
    """Counts [2,H,W] of every bin, of the last one too, which nothing closes: a film shows what there is of it."""
    last = None
    for events in chunks:
        for block in binner.push(events):
            yield from block
        last = events if len(events) else last
    if last is not None:
        stop_us = (binner.t0_us or 0) + (binner.frames + 1) * binner.bin_us
        for block in binner.push(Events.of([stop_us], [0], [0], [0], last.sensor_size)):
            yield from block
