"""tonic's transforms by name: all run, only the key decides, wrong names and arguments are told at once."""

import numpy as np
import pytest

from dvspipe.data.augment import TRANSFORMS, Augmentation, from_tonic, to_tonic
from dvspipe.errors import RecipeError
from dvspipe.events import Events
from dvspipe.frames import to_frames

SIZE = (40, 30)
NEEDED = {
    "Denoise": {"filter_time": 10_000},
    "DropEvent": {"p": 0.3},
    "DropPixel": {"hot_pixel_frequency": 200},
    "RandomDropPixel": {"p": 0.2},
    "RefractoryPeriod": {"delta": 500},
    "SpatialJitter": {"var_x": 4, "var_y": 4},
    "TimeJitter": {"std": 300},
    "TimeSkew": {"coefficient": [0.9, 1.1]},
    "UniformNoise": {"n": 200},
}
RANDOM = [
    "DropEvent",
    "DropEventByArea",
    "DropEventByTime",
    "RandomDropPixel",
    "SpatialJitter",
    "TimeJitter",
    "TimeSkew",
    "UniformNoise",
]


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(3)
    n = 4_000
    t = 7_000_000 + np.sort(rng.integers(0, 900_000, n))
    return Events.of(t, rng.integers(0, SIZE[0], n), rng.integers(0, SIZE[1], n), rng.random(n) < 0.5, SIZE)


def augmentation(name):
    return Augmentation([{"name": name, **NEEDED.get(name, {})}], SIZE)


def same(one, two):
    return len(one) == len(two) and all(np.array_equal(getattr(one, name), getattr(two, name)) for name in "txyp")


def test_conversion_and_back(events):
    table = to_tonic(events, 7_000_000)
    assert table["t"].min() >= 0
    assert same(from_tonic(table, SIZE, 7_000_000), events)
    assert len(from_tonic(to_tonic(Events.empty(SIZE)), SIZE)) == 0


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_gives_ordered_events_of_the_sensor(events, name):
    before = events.t.copy(), events.x.copy()
    changed = augmentation(name)(events, 7_000_000, (0, 1, 2))
    assert changed.sensor_size == SIZE
    assert (changed.t.dtype, changed.x.dtype, changed.p.dtype) == (np.int64, np.uint16, bool)
    assert np.all(np.diff(changed.t) >= 0)
    assert changed.x.max() < SIZE[0]
    assert changed.y.max() < SIZE[1]
    assert len(changed) > 0
    frames, report = to_frames(changed, 15_000, t0_us=7_000_000, n_bins=60)
    assert frames.sum() > 0.4 * len(changed)
    assert report.late == 0
    np.testing.assert_array_equal(events.t, before[0])
    np.testing.assert_array_equal(events.x, before[1])


@pytest.mark.parametrize("name", RANDOM)
def test_the_key_alone_decides(events, name):
    augment = augmentation(name)
    np.random.seed(1)  # noqa: NPY002
    one = augment(events, 7_000_000, (0, 3, 5))
    np.random.seed(2)  # noqa: NPY002
    np.random.random(7)  # noqa: NPY002
    assert same(one, augment(events, 7_000_000, (0, 3, 5)))
    for key in ((1, 3, 5), (0, 4, 5), (0, 3, 6)):
        assert not same(one, augment(events, 7_000_000, key))


def test_numpys_global_generator_is_left_as_it_was(events):
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random(3)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    augmentation("DropEvent")(events, 0, (9, 9, 9))
    np.testing.assert_array_equal(np.random.random(3), expected)  # noqa: NPY002


def test_no_events_stay_no_events():
    chain = Augmentation([{"name": name, **NEEDED.get(name, {})} for name in TRANSFORMS], SIZE)
    assert len(chain(Events.empty(SIZE), 0, (0, 0, 0))) == 0


def test_time_transforms_count_from_the_clips_start(events):
    doubled = Augmentation([{"name": "TimeSkew", "coefficient": 2.0}], SIZE)(events, 7_000_000, (0, 0, 0))
    np.testing.assert_array_equal(doubled.t - 7_000_000, (events.t - 7_000_000) * 2)


def test_all_faults_at_once_with_the_nearest_name():
    tables = [
        {"name": "DropEvents", "p": 0.1},
        {"name": "DropEvent", "prob": 0.1},
        {"name": "TimeJitter"},
        {"name": "RandomFlipLR", "p": 3},
        {"name": "ToFrame", "n_time_bins": 3},
        {"p": 1},
        {"name": "DropEventByArea", "sensor_size": [1, 1, 2]},
    ]
    with pytest.raises(RecipeError) as caught:
        Augmentation(tables, SIZE)
    text = str(caught.value)
    assert "did you mean 'DropEvent'" in text
    assert "DropEvent: unknown argument 'prob'" in text
    assert "DropEvent: argument 'p' is missing" in text
    assert "TimeJitter: argument 'std' is missing" in text
    assert "RandomFlipLR" in text
    assert "unknown transform 'ToFrame'" in text
    assert "unknown transform None" in text
    assert "DropEventByArea: unknown argument 'sensor_size'" in text


def test_no_transforms_change_nothing(events):
    assert same(Augmentation([], SIZE)(events, 7_000_000, (0, 0, 0)), events)
