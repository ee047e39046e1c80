"""Writing videos, picture by picture: mp4 (H.264), webm (VP9) and gif, encoded by PyAV. Constant memory.

Takes the best encoder that this PyAV has. Knows nothing of what the pictures show.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError, ShapeError, UsageError
from dvspipe.files import replacing

LARGEST_SIDE = 8192
Picture = NDArray[np.uint8]


class Kind(NamedTuple):
    """How one kind of video is made: its encoders, best first, with their options, and what rates players can show."""

    pixels: str
    encoders: dict[str, dict[str, str]]
    usual_fps: float
    most_fps: float


# VP9 in its real-time mode at full speed: a live view cannot wait. GIF pictures are whole, each with its own colours:
# ffmpeg's differences between pictures are wrong where the palette changes.
KINDS = {
    ".mp4": Kind(
        "yuv420p",
        {"libx264": {"crf": "18", "preset": "veryfast"}, "libopenh264": {}, "mpeg4": {"q": "3"}},
        usual_fps=50,
        most_fps=240,
    ),
    ".webm": Kind(
        "yuv420p",
        {"libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0", "row-mt": "1"}, "libvpx": {}},
        usual_fps=50,
        most_fps=240,
    ),
    ".gif": Kind("pal8", {"gif": {"gifflags": "-offsetting-transdiff"}}, usual_fps=20, most_fps=50),
}


def video_kind(path: str | Path) -> Kind:
    """The kind of video that a file's suffix names. Raises UsageError for an unknown one, naming the known."""
    suffix = Path(path).suffix.lower()
    if suffix not in KINDS:
        raise UsageError(
            f"{path}: no video can be written as {suffix or 'a file without suffix'!r}. Known: {_known()}."
        )
    return KINDS[suffix]


def _known() -> str:
    return ", ".join(KINDS)


class VideoWriter:
    """Context manager that writes pictures of `size` (W, H), `fps` a second, into `path`; its suffix says the kind.

    The file appears whole when the block ends well, else not at all. Odd sizes get a black column or row, as H.264 and
    VP9 want even ones. Raises UsageError for an unknown suffix, size or fps, RecordingError when the disk is full.
    """

    def __init__(self, path: str | Path, size: tuple[int, int], fps: float | None = None) -> None:
        self.path, self.size, self.kind = Path(path), size, video_kind(path)
        self.fps = self.kind.usual_fps if fps is None else fps
        if not 1 <= min(size) <= max(size) <= LARGEST_SIDE:
            raise UsageError(f"{path}: {size[0]}x{size[1]} pictures; a video has 1 to {LARGEST_SIDE} pixels a side.")
        if not 0 < self.fps <= self.kind.most_fps:
            raise UsageError(f"{path}: {self.fps:g} pictures a second; allowed is above 0, to {self.kind.most_fps:g}.")
        self.pictures = 0

    def __enter__(self) -> VideoWriter:
        self._context: AbstractContextManager[_Encoder] = _encoding(self.path, self.size, self.kind, self.fps)
        self._encoder = self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if error is None and not self.pictures:
            self.write(np.zeros((self.size[1], self.size[0], 3), np.uint8))  # without one it is no video
        return self._context.__exit__(kind, error, trace)

    def write(self, rgb: Picture) -> None:
        """Appends a picture, uint8 [H,W,3]. Raises ShapeError for another shape, RecordingError when the disk is full."""
        if rgb.dtype != np.uint8 or rgb.shape != (self.size[1], self.size[0], 3):
            raise ShapeError(
                f"{self.path}: picture {rgb.dtype} {list(rgb.shape)}, this video takes uint8 [H,W,3] = "
                f"{[self.size[1], self.size[0], 3]}."
            )
        try:
            self._encoder.add(rgb, self.pictures)
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be written: {error.strerror or error}. Free space.") from error
        self.pictures += 1


@contextmanager
def _encoding(path: Path, size: tuple[int, int], kind: Kind, fps: float) -> Iterator[_Encoder]:
    """An encoder whose file becomes `path` at the end."""
    with replacing(path, RecordingError) as beside:
        encoder = _Encoder(beside, path.suffix.lower()[1:], size, kind, fps)
        try:
            yield encoder
            encoder.finish()
        except BaseException:
            with suppress(OSError):  # closing what has failed may fail again
                encoder.close()
            raise
        encoder.close()


class _Encoder:
    """PyAV's container with its one stream."""

    def __init__(self, path: Path, container: str, size: tuple[int, int], kind: Kind, fps: float) -> None:
        import av

        path.open("wb").close()  # PyAV tells of a missing folder only at its first picture
        self.av, self.rate = av, Fraction(fps).limit_denominator(1001)
        self.paletted = kind.pixels == "pal8"
        name = next(filter(self._has, kind.encoders), None)
        if name is None:
            raise RecordingError(
                f"this PyAV has none of the encoders {', '.join(kind.encoders)}. Install av from PyPI."
            )
        self.container = av.open(f"file:{path}", "w", format=container)
        self.stream: Any = self.container.add_stream(name, rate=self.rate, options=kind.encoders[name])
        even = 1 if self.paletted else 2
        self.stream.width, self.stream.height = (-(-side // even) * even for side in size)
        self.stream.pix_fmt = kind.pixels

    def _has(self, encoder: str) -> bool:
        try:
            self.av.codec.Codec(encoder, "w")
        except ValueError:
            return False
        return True

    def add(self, rgb: Picture, index: int) -> None:
        """Encodes the picture number `index`."""
        frame = self._indexed(rgb) if self.paletted else self._padded(rgb)
        frame.pts, frame.time_base = index, 1 / self.rate
        self.container.mux(self.stream.encode(frame))

    def _padded(self, rgb: Picture) -> Any:
        right, below = self.stream.width - rgb.shape[1], self.stream.height - rgb.shape[0]
        if right or below:
            rgb = np.pad(rgb, ((0, below), (0, right), (0, 0)))
        return self.av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")

    def _indexed(self, rgb: Picture) -> Any:
        """The picture with a palette of its own: exact up to 256 colours."""
        from PIL import Image

        still = Image.fromarray(rgb).quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        held = np.array(still.getpalette("RGB"), np.uint8).reshape(-1, 3)
        argb = np.full((256, 4), 255, np.uint8)
        argb[: len(held), 1:] = held
        return self.av.VideoFrame.from_ndarray((np.asarray(still), argb), format="pal8")

    def finish(self) -> None:
        """Encodes what the encoder still holds."""
        self.container.mux(self.stream.encode(None))

    def close(self) -> None:
        """Writes what stands at a file's end."""
        self.container.close()
