import numpy as np
import pytest

from dvspipe.events import Events
from dvspipe.live.sources.part import Part
from dvspipe.recordings.recording import Recording


@pytest.fixture
def events_every():
    """Events of one pixel per `step_us`, walking over a 16x16 sensor."""

    def made(count, step_us=1000, first_us=0):
        t = first_us + step_us * np.arange(count)
        return Events.of(t, np.arange(count) % 16, np.arange(count) // 16 % 16, np.arange(count) % 2, (16, 16))

    return made


@pytest.fixture
def playlist():
    """A source of made recordings, each in chunks of `chunk` events."""

    class Playlist:
        title, is_camera, several = "made", False, True

        def __init__(self, recordings, chunk=50):
            self.skipped, self.recordings, self.chunk, self.closed = [], recordings, chunk, False

        def parts(self):
            for number, events in enumerate(self.recordings):
                recording = Recording("made", "made", (16, 16), lambda held: iter(()))
                yield Part(f"made {number}", (16, 16), self._chunks(events), recording)

        def _chunks(self, events):
            def chunks(from_us):
                kept = events if from_us is None else events[events.t >= from_us]
                for start in range(0, len(kept), self.chunk):
                    yield kept[start : start + self.chunk]

            return chunks

        def close(self):
            self.closed = True

    return Playlist
