"""From a video file to frames of linear light, decoded by PyAV (FFmpeg). Made to run in the process of `guarded`.

FFmpeg is told the container, so that it opens no playlist and no network, and which frames would be too large. Knows
no events.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.recordings.guarded import Chunk

MOST_PIXELS = 1 << 26
USUAL_RATE = Fraction(25)
# Decoders are to say what is wrong with a picture instead of patching it: a patch would become events.
STRICT = {"max_pixels": str(MOST_PIXELS), "err_detect": "crccheck+bitstream+buffer+explode"}


def probe(path: str, container: str) -> Iterator[Chunk]:
    """One chunk: `size` [W, H] as shown, `codec`, `fps`. Raises RecordingError for a file without a decodable frame."""
    for facts, frame in _decoded(path, container):
        if frame is not None:
            height, width = _gray(frame).shape
            yield Chunk({"size": [width, height], "codec": facts["codec"], "fps": facts["fps"]}, [])
            return
    raise RecordingError("holds no frame that can be decoded")


def frames(path: str, container: str, width: int, height: int) -> Iterator[Chunk]:
    """Every frame as a chunk {t_us or None, step_us, offset} with one array uint16 [H,W], linear light.

    A damaged packet is a chunk {kind, damage, offset, lost} without array.
    """
    import cv2

    light = _linear_light()
    cv2.setNumThreads(1)
    for facts, frame in _decoded(path, container):
        if frame is None:
            yield Chunk(facts, [])
            continue
        linear = light[_gray(frame)]
        if linear.shape != (height, width):
            linear = cv2.resize(linear, (width, height), interpolation=cv2.INTER_AREA)
        yield Chunk(facts, [linear])


def _decoded(path: str, container: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """(facts, frame), with None for the frame of a damaged packet."""
    import av

    video = av.open(f"file:{path}", format=container, metadata_errors="replace", options={"protocol_whitelist": "file"})
    if not video.streams.video:
        raise RecordingError("holds no video stream")
    stream = video.streams.video[0]
    coder: Any = stream.codec_context
    coder.options, coder.thread_count = STRICT, 1
    rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
    known = {"codec": coder.name, "fps": float(rate), "step_us": max(1, round(1_000_000 / rate))}
    packets = 0
    for packet in video.demux(stream):
        packets += packet.size > 0
        facts = known | {"offset": max(0, packet.pos or 0)}
        if packet.is_corrupt:  # the file ends inside it
            yield facts | {"kind": "truncated", "damage": "a frame is cut", "lost": packet.size}, None
            continue
        try:
            held = packet.decode()
        except av.FFmpegError as error:
            yield facts | {"kind": "corrupt", "damage": str(error), "lost": packet.size}, None
            continue
        for frame in held:
            if frame.is_corrupt:
                yield facts | {"kind": "corrupt", "damage": "a frame is damaged", "lost": packet.size}, None
            else:
                yield facts | {"t_us": _micros(frame)}, frame
    if container == "avi" and packets < stream.frames:  # it finds its way after damage, and does not say so
        missing = f"{stream.frames - packets} frames are missing"
        yield known | {"offset": 0, "kind": "corrupt", "damage": missing, "lost": 0}, None


def _micros(frame: Any) -> int | None:
    """When the frame is shown; None where the container does not say."""
    return None if frame.pts is None else round(frame.pts * frame.time_base * 1_000_000)


def _gray(frame: Any) -> NDArray[np.uint8]:
    """Luma, full range, uint8 [H,W], turned as the container says it is to be shown."""
    return np.rot90(frame.to_ndarray(format="gray"), frame.rotation // 90)


def _linear_light() -> NDArray[np.uint16]:
    """Linear intensity by luma (sRGB, IEC 61966-2-1), full scale 65,535."""
    luma = np.arange(256) / 255
    linear = np.where(luma <= 0.04045, luma / 12.92, ((luma + 0.055) / 1.055) ** 2.4)
    return np.round(65535 * linear).astype(np.uint16)
