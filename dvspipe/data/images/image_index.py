"""The index of an image set: where every image lies, what it is labelled, which split it is of. One JSON document.

Images are never copied: the index names them. How one is made is `index`. Knows no folder and no pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple, Protocol

from dvspipe.errors import DatasetError

FORMAT = "dvspipe images 1"
Report = Callable[[int, int, str], None]
Files = dict[str, dict[str, list[str]]]
"""split -> class -> names relative to the root."""
WHOLE = "whole"  # the split of images that are still to be split


class ImageTable(Protocol):
    """[images] of a card."""

    @property
    def channels(self) -> int: ...
    @property
    def resize(self) -> int | None: ...
    @property
    def test_share(self) -> float: ...
    @property
    def seed(self) -> int: ...


class ImageCard(Protocol):
    """What is read of a card. `sensor_size` is (W, H) of what a network sees; `counts` holds images per split for
    every layout whose size was published.
    """

    @property
    def title(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def sensor_size(self) -> tuple[int, int]: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def counts(self) -> dict[str, dict[str, int]]: ...
    @property
    def images(self) -> ImageTable | None: ...


class Found(NamedTuple):
    """What a folder's layout says before any image is opened. `help_text`: how the folder should look."""

    layout: str
    classes: list[str]
    files: Files
    faults: list[str]
    notes: list[str]
    help_text: str


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """Every image of a set. The label of an image is the place of its class in `classes`; `files` is empty where the
    images lie in arrays (CIFAR, digits). `size` is (W, H) where all images have the same, None otherwise; `pixels`
    their sum over all images. `fingerprint`: twelve hex digits over names, sizes in bytes and labels, or over the
    arrays' bytes.
    """

    kind: str
    layout: str
    root: str
    classes: list[str]
    counts: dict[str, dict[str, int]]
    size: tuple[int, int] | None
    pixels: int
    fingerprint: str
    files: Files = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """One JSON document; `from_json` gives the same index back."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str, source: str = "index") -> ImageIndex:
        """Raises DatasetError when the text is no index of this version; `source` is named there."""
        try:
            table = json.loads(text)
            if table.pop("format") != FORMAT:
                raise ValueError("another version")
            size = table.pop("size")
            return cls(size=(size[0], size[1]) if size else None, **table)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(
                f"{source}: not an image index of this version ({error}). Make it again with dvspipe prepare."
            ) from error

    def totals(self) -> dict[str, int]:
        """Images per split."""
        return {split: sum(counts.values()) for split, counts in self.counts.items()}


def is_numbered(card: ImageCard) -> bool:
    """Whether the card says how many classes there are, not how they are called."""
    return card.classes == [f"class {number}" for number in range(len(card.classes))]


def check_is_of(index: ImageIndex, card: ImageCard) -> None:
    """Raises DatasetError when an index was made with another card."""
    named: Mapping[str, object] = {"kind": card.kind, "number of classes": len(card.classes)}
    held: Mapping[str, object] = {"kind": index.kind, "number of classes": len(index.classes)}
    if named != held or not (is_numbered(card) or card.classes == index.classes):
        raise DatasetError(
            f"{index.root}: indexed with another card ({index.kind}, {len(index.classes)} classes); {card.title} is of kind"
            f" {card.kind} with {len(card.classes)}. Run dvspipe prepare again, or rename the card's file."
        )
