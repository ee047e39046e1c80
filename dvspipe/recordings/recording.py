"""What a recording is: a finite stream of `Events` chunks in constant memory, and a report of damage.

The contract between the format files and everyone who reads. Knows no format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dvspipe.errors import DamagedRecordingError, RecordingError
from dvspipe.events import Events
from dvspipe.recordings.damage import Damage as Damage
from dvspipe.recordings.damage import OnDamage as OnDamage
from dvspipe.recordings.strays import steady

CHUNK_EVENTS = 65_536


@dataclass(slots=True)
class Recording:
    """One opened recording. Iterate for `Events` chunks; every iteration reads the file from its start.

    `damage` is None until an iteration has met damage; the first is kept, its `lost_bytes` grow with every later one.
    """

    path: Path
    format: str
    sensor_size: tuple[int, int]
    read: Callable[[Recording], Iterator[Events]]
    on_damage: OnDamage = "skip"
    damage: Damage | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Events]:
        self.damage = None
        return steady(self, self.read(self), CHUNK_EVENTS)

    def load(self) -> Events:
        """Every event at once: for files known to be small."""
        return Events.concatenate(self, self.sensor_size)

    def report(self, damage: Damage) -> bool:
        """Called by a format file at damage, after it delivered every event before it; True when reading may go on.

        Raises DamagedRecordingError when the caller wanted to fail.
        """
        held = self.damage
        size = self.path.stat().st_size  # damaged counts may say more; offsets inside compressed data reach beyond
        lost, offset = (held.lost_bytes if held else 0) + damage.lost_bytes, (held or damage).offset
        self.damage = replace(held or damage, lost_bytes=min(lost, size), offset=min(offset, size))
        if self.on_damage == "fail":
            raise DamagedRecordingError(
                f"{self.path}: {damage.kind} at byte {damage.offset}{f' ({damage.note})' if damage.note else ''}, "
                f"{damage.lost_bytes} bytes lost, last good event at {damage.last_good_t_us} us. "
                "Read with on_damage='skip' to get every event that is not damaged."
            )
        return self.on_damage == "skip"


@dataclass(frozen=True, slots=True)
class Format:
    """One file format. Every module of `recordings/formats/` defines one as `FORMAT`; there is no other registry.

    `matches(head, path)` looks at the first 4,096 bytes (and, where a format has no mark of its own, at the name).
    `guess` is True for formats without a mark: they are asked last. A format whose files hold several recordings gives
    `names(path)` and, instead of `open`, `open_named(path, name)` (name None: none was given). A format that leaves open
    what its addresses mean gives `open_as(path, convention)`.
    """

    name: str
    matches: Callable[[bytes, Path], bool]
    open: Callable[[Path], Recording] | None = None
    guess: bool = False
    names: Callable[[Path], list[str]] | None = None
    open_named: Callable[[Path, str | None], Recording] | None = None
    open_as: Callable[[Path, str], Recording] | None = None

    def open_part(self, path: Path, name: str | None) -> Recording:
        """Opens the file, or the recording of that name in it. Raises RecordingError where the format has no names."""
        if self.open_named is not None:
            return self.open_named(path, name)
        if name is not None or self.open is None:
            raise RecordingError(f"{path}: {self.name} holds one recording; leave out '#{name}'.")
        return self.open(path)
