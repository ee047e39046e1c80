"""The 40-bit records of N-MNIST, made byte by byte: overflows of the clock, cuts, other sensors, other files."""

import numpy as np
import pytest

from dvspipe.errors import RecordingError
from dvspipe.jobs.inspect import inspect_recording
from dvspipe.recordings import open_recording
from dvspipe.recordings.recording import CHUNK_EVENTS


def record(t, x, y, p):
    return bytes([x, y]) + (p << 23 | t).to_bytes(3, "big")


OVERFLOW = bytes([0, 240, 0, 0, 0])


def write(path, events):
    path.write_bytes(b"".join(record(*each) for each in events))
    return path


@pytest.fixture
def digits(made):
    return made.random_events(2_000, first=654, size=(34, 34))


def test_events_are_the_bytes(tmp_path, made, digits):
    recording = open_recording(write(tmp_path / "7.bin", digits))
    assert (recording.format, recording.sensor_size) == ("nmnist-bin", (34, 34))
    assert made.tuples(recording.load()) == digits
    assert recording.damage is None


def test_an_overflow_counts_for_all_behind_it(tmp_path, made):
    """Over the border of two chunks as well; the records with y = 240 are no events."""
    rows = made.random_events(CHUNK_EVENTS + 500, first=0, step=2, size=(34, 34))
    path = tmp_path / "long.bin"
    parts = [b"".join(record(*each) for each in rows[start:stop]) for start, stop in ((0, 400), (400, CHUNK_EVENTS))]
    rest = b"".join(record(*each) for each in rows[CHUNK_EVENTS:])
    path.write_bytes(OVERFLOW.join([*parts, rest]))
    expected = [
        (t + 8192 * ((index >= 400) + (index >= CHUNK_EVENTS)), x, y, p) for index, (t, x, y, p) in enumerate(rows)
    ]
    assert made.tuples(open_recording(path).load()) == expected


def test_larger_sensors_are_caltechs(tmp_path, made):
    recording = open_recording(write(tmp_path / "image_0001.bin", made.random_events(500, size=(240, 180))))
    assert recording.sensor_size == (240, 180)
    assert len(recording.load()) == 500


def test_a_cut_record_is_reported(tmp_path, made, digits):
    path = write(tmp_path / "7.bin", digits)
    path.write_bytes(path.read_bytes()[:-2])
    recording = open_recording(path)
    assert made.tuples(recording.load()) == digits[:-1]
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("truncated", 5 * (len(digits) - 1), 3)
    assert damage.last_good_t_us == digits[-2][0]


def test_pixels_outside_are_reported(tmp_path, digits):
    (t, x, _, p) = digits[1_000]
    recording = open_recording(write(tmp_path / "7.bin", [*digits[:1_000], (t, x, 200, p), *digits[1_000:]]))
    recording.sensor_size = (34, 34)
    assert len(recording.load()) == 2_000
    assert (recording.damage.kind, recording.damage.offset) == ("out-of-bounds", 5_000)


def test_other_bin_files_are_not_taken_for_it(tmp_path, digits):
    noise = tmp_path / "model.bin"
    noise.write_bytes(np.random.default_rng(0).bytes(5_000))
    short = tmp_path / "short.bin"
    short.write_bytes(b"\x01\x02")
    other = write(tmp_path / "7.dat", digits)
    for path in (noise, short, other):
        with pytest.raises(RecordingError, match=r"unknown format.*nmnist-bin"):
            open_recording(path)


def test_the_real_digit(recordings_dir):
    result = inspect_recording(recordings_dir / "nmnist_sample.bin")
    assert (result["format"], result["sensor_size"], result["damage"]) == ("nmnist-bin", [34, 34], None)
    assert (result["events"], result["t_first_us"], result["t_last_us"]) == (4_325, 654, 311_175)
    assert round(result["on_fraction"], 3) == 0.496
