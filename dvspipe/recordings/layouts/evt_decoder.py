"""`EvtDecoder`: bytes of Prophesee's EVT encodings to events, with everything that is carried from one call to the next.

For whoever has such bytes: RAW files, and ROS messages that carry a camera's words. Knows no file and no message.
Encodings: https://docs.prophesee.ai/stable/data/encoding_formats/. The compiled loops and what they do at damage are in
`evt_clock.py` and the three `evt*_words.py`. Brings numba: import it inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError, nearest
from dvspipe.events import Events
from dvspipe.recordings.columns import empty_columns
from dvspipe.recordings.layouts import evt2_words, evt3_words, evt21_words
from dvspipe.recordings.layouts.evt_clock import AT, BAD_AT, EARLY, FIRST_OUTSIDE, LOST_WORDS, new_state


class Encoding(NamedTuple):
    """The compiled loop of an encoding and the bytes of its words."""

    words: ModuleType
    word_bytes: int


ENCODINGS = {"evt2": Encoding(evt2_words, 4), "evt2.1": Encoding(evt21_words, 8), "evt3": Encoding(evt3_words, 2)}


class Piece(NamedTuple):
    """Events decoded at once and what was lost among them.

    `lost_bytes` is 0 where nothing was; otherwise `offset` is the first lost byte, counted from the first byte ever
    decoded, `before` the number of events that came before it, and `outside` whether it lay outside the sensor.
    """

    events: Events
    lost_bytes: int
    offset: int
    before: int
    outside: bool


class EvtDecoder:
    """Decodes one stream of "evt2", "evt2.1" or "evt3" words; bytes may be cut anywhere, also inside a word.

    The events do not depend on where the bytes are cut. Words behind a time that jumps are held back until the times
    behind them tell whether it is true (`evt_clock.py`); `finish` gives the last ones. Events outside `sensor_size`
    (W, H) are refused. `swapped_halves` is for EVT2.1 of the IMX636. t is the camera's clock in µs, plus `t0_us`.

    `lost_bytes` counts damage; `early_words` the words with events before the stream's first time or place: those have
    none, and that is no damage. Raises RecordingError for an unknown encoding.
    """

    def __init__(
        self,
        encoding: str,
        sensor_size: tuple[int, int],
        big_endian: bool = False,
        swapped_halves: bool = False,
        t0_us: int = 0,
    ) -> None:
        if encoding not in ENCODINGS:
            close, known = nearest(encoding, list(ENCODINGS)), ", ".join(ENCODINGS)
            raise RecordingError(f"unknown encoding {encoding!r}{close}, expected one of {known}.")
        self.words: Any
        self.words, self.word_bytes = ENCODINGS[encoding]
        self.sensor_size, self.swapped_halves, self.t0_us = sensor_size, swapped_halves, t0_us
        self.lost_bytes = 0
        self._type = np.dtype(f"{'>' if big_endian else '<'}u{self.word_bytes}")
        self._held, self._offset = b"", 0  # bytes held back, and the place of the first of them
        self._state = new_state()
        self._columns = empty_columns(self.words.PIECE_WORDS * self.words.WORD_EVENTS)

    @property
    def early_words(self) -> int:
        """Words with events so far that came before the stream's first time or place."""
        return int(self._state[EARLY])

    @property
    def held_bytes(self) -> int:
        """Bytes held back; after `finish`, those of a last word that is cut."""
        return len(self._held)

    def decode(self, data: bytes) -> Events:
        """The events that these bytes decide, those held back from earlier calls first."""
        return Events.concatenate([piece.events for piece in self.pieces(data)], self.sensor_size)

    def finish(self) -> Events:
        """The events still held back: for the end of the stream."""
        return Events.concatenate([piece.events for piece in self.pieces(b"", final=True)], self.sensor_size)

    def pieces(self, data: bytes, final: bool = False) -> Iterator[Piece]:
        """As `decode`, a piece at a time and with what was lost; `final` says that no bytes will follow."""
        self._held += data
        words, at, ends = self._native(), 0, False
        while at < len(words) and not ends:
            piece = words[at : at + self.words.PIECE_WORDS]
            ends = at + len(piece) == len(words)
            decoded = self._decode(piece, final and ends)
            at += int(self._state[AT])
            self._offset += int(self._state[AT]) * self.word_bytes
            yield decoded
        self._held = self._held[at * self.word_bytes :]

    def _native(self) -> NDArray[Any]:
        """The whole words held back, in this machine's byte order."""
        words = np.frombuffer(self._held, self._type, len(self._held) // self.word_bytes)
        words = words.astype(self._type.newbyteorder("="), copy=False)
        words = evt21_words.swapped(words) if self.swapped_halves else words
        words.flags.writeable = False  # as bytes in this order are; for others the loops would be compiled anew
        return words

    def _decode(self, words: NDArray[Any], final: bool) -> Piece:
        state = self._state
        state[LOST_WORDS] = 0
        count = self.words.decode(words, state, *self._columns, *self.sensor_size, final)
        state[BAD_AT] -= state[AT]
        t, x, y, p = self._columns
        events = Events(t[:count] + self.t0_us, x[:count].copy(), y[:count].copy(), p[:count].copy(), self.sensor_size)
        lost, word, before, outside = (int(each) for each in state[LOST_WORDS : FIRST_OUTSIDE + 1])
        self.lost_bytes += lost * self.word_bytes
        offset = self._offset + word * self.word_bytes
        return Piece(events, lost * self.word_bytes, offset, before, bool(outside))


def has_swapped_halves(sample: bytes, big_endian: bool = False) -> bool:
    """Whether the 32-bit halves of EVT2.1 words lie the other way round, as the IMX636 sends them; a few kB tell."""
    words = np.frombuffer(sample, ">u8" if big_endian else "<u8", len(sample) // 8)
    return evt21_words.has_swapped_halves(words.astype(np.uint64))
