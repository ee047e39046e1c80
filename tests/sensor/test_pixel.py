"""Laws of the DVS pixel."""

import math
from hashlib import sha256

import numpy as np
import pytest

from dvspipe.errors import ShapeError, UsageError
from dvspipe.events import Events
from dvspipe.sensor.pixel import DvsPixels, DvsSettings

IDEAL = {
    "mismatch": 0.0,
    "refractory_us": 0.0,
    "leak_hz": 0.0,
    "shot_hz": 0.0,
    "hot_share": 0.0,
    "dark": 0.01,
    "on_threshold": 0.13,
    "off_threshold": 0.17,
}
SIZE = (12, 9)


def plain(value, size=SIZE):
    return np.full(size[::-1], value, np.uint8)


def level(value):
    return math.log(value / 255 + IDEAL["dark"])


def run(settings, frames, size=SIZE, seed=3):
    pixels = DvsPixels(size, settings, seed)
    return Events.concatenate([pixels.step(frame, t_us) for t_us, frame in frames], size)


def digest(events):
    hashed = sha256()
    for column in (events.t, events.x, events.y, events.p):
        hashed.update(column.tobytes())
    return hashed.hexdigest()


@pytest.mark.parametrize(("before", "after"), [(60, 200), (200, 60), (10, 11), (255, 0), (128, 128)])
def test_a_step_of_contrast_gives_floor_of_contrast_over_threshold_events_of_its_polarity(before, after):
    events = run(DvsSettings(**IDEAL), [(0, plain(before)), (4_000, plain(after))])
    contrast = level(after) - level(before)
    expected = math.floor(abs(contrast) / (IDEAL["on_threshold"] if contrast > 0 else IDEAL["off_threshold"]))
    assert len(events) == expected * SIZE[0] * SIZE[1]
    assert (events.p == (contrast > 0)).all()


def test_the_rest_of_a_step_counts_for_the_next_one():
    """Many small steps and one large one of the same contrast give equally many events."""
    values = [30, 50, 61, 90, 140, 141, 220]
    small = run(DvsSettings(**IDEAL), [(k * 1_000, plain(v)) for k, v in enumerate(values)])
    large = run(DvsSettings(**IDEAL), [(0, plain(values[0])), (6_000, plain(values[-1]))])
    assert len(small) == len(large) > 0


def test_times_are_interpolated_within_the_frame_interval():
    events = run(DvsSettings(**IDEAL), [(0, plain(60)), (1_000_000, plain(200))])
    at_first_pixel = events.t[(events.x == 0) & (events.y == 0)]
    per_threshold = 1e6 * IDEAL["on_threshold"] / (level(200) - level(60))
    assert np.allclose(at_first_pixel, per_threshold * np.arange(1, len(at_first_pixel) + 1), atol=1.0)


def test_a_constant_scene_without_noise_gives_no_event():
    assert len(run(DvsSettings(**IDEAL), [(k * 5_000, plain(77)) for k in range(50)])) == 0


def test_times_are_ordered_and_lie_in_their_frame_interval():
    rng = np.random.default_rng(0)
    pixels = DvsPixels(SIZE, DvsSettings(shot_hz=50.0), 1)
    pixels.step(rng.integers(0, 256, SIZE[::-1]).astype(np.uint8), 1_000)
    for t_us in (1_001, 5_000, 5_003, 40_000):
        before = pixels.t_us
        events = pixels.step(rng.integers(0, 256, SIZE[::-1]).astype(np.uint8), t_us)
        assert len(events) and (np.diff(events.t) >= 0).all()
        assert before < events.t[0] and events.t[-1] <= t_us
        assert events.sensor_size == SIZE and events.x.max() < SIZE[0] and events.y.max() < SIZE[1]


def test_no_pixel_fires_twice_within_the_refractory_time():
    rng = np.random.default_rng(1)
    frames = [(k * 4_000, rng.integers(0, 256, SIZE[::-1]).astype(np.uint8)) for k in range(40)]
    events = run(DvsSettings(refractory_us=700.0, shot_hz=20.0), frames)
    pixel = events.y.astype(int) * SIZE[0] + events.x
    gaps = [np.diff(events.t[pixel == i]).min() for i in range(SIZE[0] * SIZE[1])]
    assert min(gaps) >= 699
    free = run(DvsSettings(refractory_us=0.0, shot_hz=20.0), frames)
    assert len(free) > len(events)


@pytest.mark.parametrize(("name", "rate"), [("shot_hz", 4.0), ("leak_hz", 4.0), ("hot_hz", 40.0)])
def test_noise_comes_at_its_rate_and_polarity(name, rate):
    size, seconds = (64, 64), 10
    noise = {**IDEAL, name: rate, "hot_share": 1.0 if name == "hot_hz" else 0.0}
    events = run(DvsSettings(**noise), [(k * 100_000, plain(90, size)) for k in range(10 * seconds + 1)], size)
    assert len(events) / (seconds * 64 * 64) == pytest.approx(rate, rel=0.03)
    assert events.p.mean() == pytest.approx(1.0 if name == "leak_hz" else 0.5, abs=0.02)


def test_hot_pixels_are_as_many_as_asked_for():
    size = (128, 128)
    noise = {**IDEAL, "hot_share": 0.02, "hot_hz": 100.0}
    events = run(DvsSettings(**noise), [(0, plain(90, size)), (1_000_000, plain(90, size))], size)
    fired = len(np.unique(events.y.astype(int) * 128 + events.x))
    assert fired / 128**2 == pytest.approx(0.02, rel=0.2)


def test_mismatch_spreads_the_thresholds():
    pixels = DvsPixels((128, 128), DvsSettings(mismatch=0.1, on_threshold=0.2, off_threshold=0.3), 5)
    for column, mean in ((0, 0.2), (1, 0.3)):
        assert pixels.pixels[:, column].mean() == pytest.approx(mean, rel=0.01)
        assert pixels.pixels[:, column].std() == pytest.approx(0.1 * mean, rel=0.05)
    assert abs(np.corrcoef(pixels.pixels[:, 0], pixels.pixels[:, 1])[0, 1]) < 0.05


def test_bandwidth_delays_events():
    frames = [(0, plain(60)), *((4_000 * k, plain(200)) for k in range(1, 30))]
    fast = run(DvsSettings(**IDEAL), frames)
    slow = run(DvsSettings(**IDEAL, bandwidth_hz=20.0), frames)
    assert len(slow) == len(fast)
    assert slow.t.mean() > fast.t.mean() + 5_000


def test_the_same_seed_is_the_same_camera_and_another_seed_is_not():
    rng = np.random.default_rng(2)
    frames = [(k * 4_000, rng.integers(60, 100, SIZE[::-1]).astype(np.uint8)) for k in range(30)]
    settings = DvsSettings(shot_hz=5.0)
    assert digest(run(settings, frames, seed=1)) == digest(run(settings, frames, seed=1))
    assert digest(run(settings, frames, seed=1)) != digest(run(settings, frames, seed=2))


def test_noise_does_not_depend_on_the_frame_rate():
    """On a constant scene, noise is drawn by time, not by frame."""
    settings = DvsSettings(shot_hz=20.0, leak_hz=3.0)
    often = run(settings, [(k * 1_000, plain(90)) for k in range(1_001)])
    seldom = run(settings, [(k * 50_000, plain(90)) for k in range(21)])
    assert len(often) > 100
    assert (often.t == seldom.t).all() and (often.p == seldom.p).all()


def test_eight_and_sixteen_bits_mean_the_same_light():
    narrow = run(DvsSettings(**IDEAL), [(0, plain(60)), (4_000, plain(200))])
    wide = run(
        DvsSettings(**IDEAL), [(0, plain(60).astype(np.uint16) * 257), (4_000, plain(200).astype(np.uint16) * 257)]
    )
    assert digest(narrow) == digest(wide)


def test_bad_frames_times_and_settings_are_refused():
    pixels = DvsPixels(SIZE)
    with pytest.raises(ShapeError, match="uint8"):
        pixels.step(np.zeros(SIZE[::-1]), 0)
    with pytest.raises(ShapeError, match=r"\[9, 12\]"):
        pixels.step(np.zeros(SIZE, np.uint8), 0)
    pixels.step(plain(3), 10)
    with pytest.raises(UsageError, match="growing"):
        pixels.step(plain(3), 10)
    assert len(pixels.step(plain(255), 20))  # a refused frame leaves the sensor usable
    for wrong in ({"on_threshold": 0.0}, {"leak_hz": -1.0}, {"mismatch": 0.5}, {"dark": float("nan")}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            DvsSettings(**wrong)
    with pytest.raises(UsageError, match="seed"):
        DvsPixels(SIZE, seed=-1)
