"""Writing AEDAT 3.1: round trips, the bytes of the IBM layout, refusals that leave nothing behind."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvspipe.errors import DvspipeError, RecordingError
from dvspipe.events import Events
from dvspipe.recordings import open_recording
from dvspipe.recordings.formats.aedat31 import write_aedat31


@given(
    steps=st.lists(st.sampled_from([0, 1, 40, 10**6, 1 << 31, 1 << 33]), max_size=60),
    seed=st.integers(0, 9),
    size=st.sampled_from([(128, 128), (346, 260), (50, 40)]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read(tmp_path, same, steps, seed, size):
    rng = np.random.default_rng(seed)
    count = len(steps)
    t = np.cumsum(np.array(steps, np.int64)) if steps else []
    events = Events.of(
        t, rng.integers(0, size[0], count), rng.integers(0, size[1], count), rng.integers(0, 2, count), size
    )
    path = tmp_path / "made.aedat"
    assert write_aedat31(path, [events], size) == count
    recording = open_recording(path)
    assert same(recording.load(), events)
    assert (recording.sensor_size, recording.damage) == (size, None)


def test_bytes_are_those_of_the_format(tmp_path, made, events_of):
    path = tmp_path / "made.aedat"
    events = events_of(5_000)
    write_aedat31(path, [events])
    rows = made.tuples(events)
    assert path.read_bytes() == made.header() + made.packet(rows[:4096]) + made.packet(rows[4096:])


@pytest.mark.parametrize(
    "t, x, words", [([5, 4], [0, 0], "go back"), ([-1, 4], [0, 0], "go back"), ([1, 2], [0, 128], "outside the sensor")]
)
def test_bad_events_are_refused_and_nothing_is_left(tmp_path, t, x, words):
    good = Events.of([0], [0], [0], [1], (128, 128))
    with pytest.raises(RecordingError, match=words):
        write_aedat31(tmp_path / "made.aedat", [good, Events.of(t, x, [0, 0], [0, 1], (128, 128))])
    assert list(tmp_path.iterdir()) == []


def test_failing_source_leaves_the_old_file(tmp_path, events_of):
    path = tmp_path / "made.aedat"
    path.write_bytes(b"old")

    def source():
        yield events_of(10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_aedat31(path, source())
    assert [each.name for each in tmp_path.iterdir()] == ["made.aedat"]
    assert path.read_bytes() == b"old"


def test_full_disk_is_said_and_nothing_is_left(tmp_path, events_of, small_disk):
    with small_disk(10_000), pytest.raises(DvspipeError, match="cannot be written"):
        write_aedat31(tmp_path / "made.aedat", [events_of(100_000)])
    assert list(tmp_path.iterdir()) == []
