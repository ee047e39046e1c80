"""What a source is made of: parts, each one recording or one camera, with a clock of its own. Opens nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from dvspipe.events import Events
from dvspipe.recordings import Recording

Chunks = Callable[[int | None], Iterator[Events]]


@dataclass(slots=True)
class Part:
    """`chunks(from_us)` gives the events from that sensor time on, None from the start, every call anew.

    `recording` is None for a camera, whose chunks come when they come (an empty one says that there was silence) and
    whose losses stand in `losses`. `stop_us` is its last time, where somebody has looked for it (`find_end`).
    """

    title: str
    sensor_size: tuple[int, int]
    chunks: Chunks
    recording: Recording | None = None
    losses: dict[str, int] = field(default_factory=dict)
    stop_us: int | None = None

    @property
    def is_camera(self) -> bool:
        """Whether its own clock sets the pace."""
        return self.recording is None


class Source(Protocol):
    """Where live events come from. `title` is for people; `skipped` names what of it could not be played, and why; `several`
    says that more than one recording may come.
    """

    title: str
    skipped: list[str]
    is_camera: bool

    @property
    def several(self) -> bool: ...

    def parts(self) -> Iterator[Part]:
        """One after the other; each is opened when the one before has ended."""
        ...

    def close(self) -> None:
        """Releases what it holds, a socket for example."""
        ...
