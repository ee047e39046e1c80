"""The filters' compiled loops against their twins in numpy, on streams that touch every border."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvspipe.events import Events, filters, kernels, reference
from dvspipe.recordings import open_recording

SIZE = (6, 5)
NEVER = np.iinfo(np.int64).min


@st.composite
def columns(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 90))
    t = np.cumsum(rng.integers(-3, 20, n))
    return t, *(rng.integers(0, size, n).astype(np.uint16) for size in SIZE), rng.random(n) < 0.5


def same(one, two):
    for left, right in zip(one, two, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


def border(latest):
    return np.pad(latest, 1, constant_values=NEVER)


@given(columns(), st.integers(0, 60), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_support_and_what_was_before(held, support_us, seed):
    before = border(np.random.default_rng(seed).choice([NEVER, -5, 30], (SIZE[1], SIZE[0])))
    after = before.copy(), before.copy()
    same(kernels.supported(held, after[0], support_us), reference.supported(held, after[1], support_us))
    np.testing.assert_array_equal(*after)


@given(columns(), st.integers(0, 5), st.integers(0, 4), st.integers(1, 6), st.integers(1, 5))
@settings(deadline=None)
def test_inside_a_box(held, left, top, width, height):
    same(kernels.inside(held, left, top, width, height), reference.inside(held, left, top, width, height))


@given(columns(), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_pixels_left_out_and_counted(held, seed):
    pixels = np.random.default_rng(seed).random((SIZE[1], SIZE[0])) < 0.3
    same(kernels.sparing(held, pixels), reference.sparing(held, pixels))
    counts = np.full((2, SIZE[1], SIZE[0]), 3)
    kernels.count(*held[1:3], counts[0])
    reference.count(*held[1:3], counts[1])
    np.testing.assert_array_equal(*counts)
    assert counts[0].sum() == len(held[0]) + 3 * counts[0].size


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 8)])
def test_median_of_eight_neighbours(shape):
    padded = np.random.default_rng(0).integers(0, 9, (shape[0] + 2, shape[1] + 2))
    np.testing.assert_array_equal(kernels.middle(padded), reference.middle(padded))
    around = [
        padded[dy : dy + shape[0], dx : dx + shape[1]] for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)
    ]
    np.testing.assert_array_equal(kernels.middle(padded), 2 * np.median(np.stack(around), axis=0))


def test_filters_by_either_on_a_real_recording(recordings_dir, monkeypatch):
    events = open_recording(recordings_dir / "dvs128_garfield.mat").load()

    def filtered():
        kept, latest = filters.denoise(events, 3_000)
        hot = filters.find_hot_pixels(filters.count_pixels(kept), factor=3.0, least=5)
        assert hot.any()
        last = filters.crop(filters.remove_pixels(kept, hot), 10, 20, 90, 70)
        assert 0 < len(last) < len(kept) < len(events)
        return last.t, last.x, last.y, last.p, latest

    compiled = filtered()
    monkeypatch.setattr(filters, "loops", reference)
    same(compiled, filtered())


def test_a_column_with_gaps_in_memory_is_filtered_like_any(monkeypatch):
    rng = np.random.default_rng(1)
    both = Events.of(np.arange(60), rng.integers(0, 6, 60), rng.integers(0, 5, 60), rng.random(60) < 0.5, SIZE)
    gaps = both[::2]
    assert not gaps.t.flags.c_contiguous
    dense = Events.of(gaps.t, gaps.x, gaps.y, gaps.p, SIZE)
    assert filters.denoise(gaps, 9)[0].t.tolist() == filters.denoise(dense, 9)[0].t.tolist()


def test_without_a_compiler_numpy_filters_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    assert filters.chosen() is reference
    assert "filtered by numpy" in caplog.text
