"""One look at every image of a set before it is used: can it be read, how large is it, what must be converted.

Files are read by a pool of threads, because PIL decodes outside of Python's lock. Knows no classes and no splits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from dvspipe.data.images.decode import conversions, decode, size_of
from dvspipe.data.images.image_index import Report

DECODED_BELOW = 200_000  # images of a set: from here on only headers are read
CHUNK = 256


class Look(NamedTuple):
    """One image: its (W, H), bytes on disk, what `decode` does to it; `fault` where it cannot be used."""

    name: str
    size: tuple[int, int]
    n_bytes: int
    steps: list[str]
    fault: str


@dataclass(slots=True)
class Seen:
    """What was seen of a set. Sizes and conversions are of the usable images alone."""

    headers_only: bool
    pixels: int = 0
    bytes: dict[str, int] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    sizes: dict[tuple[int, int], tuple[int, str]] = field(default_factory=dict)  # size -> (images, the first one)
    steps: dict[str, tuple[int, str]] = field(default_factory=dict)  # conversion -> (images, the first one)

    @property
    def size(self) -> tuple[int, int] | None:
        """(W, H) where all images have the same."""
        return next(iter(self.sizes)) if len(self.sizes) == 1 else None

    def add(self, looks: Iterable[Look]) -> None:
        """Counts images in."""
        for name, size, n_bytes, steps, fault in looks:
            if fault:
                self.faults[name] = fault
                continue
            self.bytes[name] = n_bytes
            self.pixels += size[0] * size[1]
            for counted, key in ((self.sizes, size), *((self.steps, step) for step in steps)):
                count, first = counted.get(key, (0, name))  # type: ignore[attr-defined]
                counted[key] = count + 1, first  # type: ignore[index]

    def notes(self, size: tuple[int, int], resize: int | None) -> list[str]:
        """What happens to images before a network of `size` (W, H) sees them, and how far they were looked at."""
        found = [f"{count:,} images: {step} (first {name})" for step, (count, name) in sorted(self.steps.items())]
        others = [held for each, held in self.sizes.items() if each != size or resize is not None]
        if others:
            how = (
                f"not of {size[0]}x{size[1]} pixels: stretched to it (to keep proportions set resize in [images])"
                if resize is None
                else f"shorter side resized to {resize}, the middle {size[0]}x{size[1]} pixels taken"
            )
            found.append(f"{sum(count for count, _ in others):,} images: {how} (first {others[0][1]})")
        if self.headers_only:
            found.append(
                f"only headers were read, because there are {len(self.bytes):,} images: pixels are not checked"
            )
        return found


def look(root: Path, names: Sequence[str], channels: int, report: Report) -> Seen:
    """Looks at every image; `names` are relative to `root`. Decodes them fully in sets below `DECODED_BELOW`."""
    seen = Seen(headers_only=len(names) >= DECODED_BELOW)
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]

    def look_at(chunk: Sequence[str]) -> list[Look]:
        return [_look(root, name, channels, not seen.headers_only) for name in chunk]

    pool, done = ThreadPoolExecutor(), 0
    try:
        for looks in pool.map(look_at, chunks):
            seen.add(looks)
            done += len(looks)
            report(done, len(names), looks[-1].name)
    finally:
        pool.shutdown(cancel_futures=True)
    return seen


def _look(root: Path, name: str, channels: int, whole: bool) -> Look:
    path = root / name
    try:
        with Image.open(path) as image:
            size, steps = size_of(image), conversions(image, channels)
            if whole:
                decode(image, channels)
        n_bytes = path.stat().st_size
    except Exception as error:  # a decoder may raise anything on a broken file
        return Look(name, (0, 0), 0, [], f"{name}: {unreadable(error)}")
    if min(size) < 2:
        return Look(name, size, n_bytes, [], f"{name}: {size[0]}x{size[1]} pixels are no picture. Remove the file")
    return Look(name, size, n_bytes, steps, "")


def unreadable(error: Exception) -> str:
    """What is wrong with an image file, and what to do."""
    if isinstance(error, ValueError) and "Save it" in str(error):
        return str(error)
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image, or of no format that PIL reads. Remove it or copy it again"
    return f"cannot be read ({error or type(error).__name__}). Copy it again or remove it"
