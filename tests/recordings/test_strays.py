"""Stray times: what only rises is never refused, in any chunks; what the times around it contradict is, and is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvspipe.errors import DamagedRecordingError
from dvspipe.events import Events
from dvspipe.recordings import strays
from dvspipe.recordings.recording import CHUNK_EVENTS, Recording

SIZE = (128, 128)
SECOND = 1_000_000


def through(path, t, step=1_000, on_damage="skip"):
    """The recording of these times, in chunks of `step` events."""
    path.touch()

    def read(recording):
        for start in range(0, len(t), step):
            part = np.asarray(t[start : start + step])
            yield Events.of(part, part % 128, part % 97, part % 2, SIZE)

    return Recording(path, "made", SIZE, read, on_damage)


def dense(count=3_000, first=SECOND, seed=0):
    return first + np.cumsum(np.random.default_rng(seed).integers(0, 500, count))


@given(steps=st.lists(st.sampled_from([0, 1, 40, 10**6, 10**7, 10**10]), max_size=60), chunk=st.integers(1, 70))
@settings(max_examples=200, deadline=None)
def test_times_that_only_rise_are_never_refused(tmp_path_factory, steps, chunk):
    t = np.cumsum(np.array(steps, np.int64))
    recording = through(tmp_path_factory.getbasetemp() / "made", t, chunk)
    assert recording.load().t.tolist() == t.tolist()
    assert recording.damage is None


SMOOTH = [0, 1, 40, -40, SECOND, -SECOND]


@given(
    steps=st.one_of(
        st.lists(st.sampled_from(SMOOTH), min_size=10, max_size=30),
        st.lists(st.just(0), min_size=10, max_size=30),
        st.lists(st.sampled_from([*SMOOTH, SECOND + 1, -SECOND - 1]), min_size=1, max_size=40),
    ),
    first=st.sampled_from([0, 1, -5, 40, 10**15, -(10**15), 2**60 - 1, 2**60, 2**61, -(2**62)]),
    at_end=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_a_smooth_start_is_judged_quickly_as_it_would_be_at_length(steps, first, at_end):
    t = np.cumsum(np.array([first, *steps], np.int64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strays, "BELIEVED", 16)
        quick = strays.judge(t, at_end=at_end)
        patch.setattr(strays, "_sound_start", lambda t: False)
        slow = strays.judge(t, at_end=at_end)
    assert quick.decided == slow.decided
    np.testing.assert_array_equal(quick.stray, slow.stray)


def test_a_smooth_start_is_judged_quickly(monkeypatch):
    monkeypatch.setattr(strays, "_Runs", None)  # would fail if asked
    t = dense(strays.BELIEVED)
    assert strays.judge(t).decided == len(t)


STRAY = {
    "one ahead": (500, [10**9]),
    "three ahead": (500, [10**9, 2 * 10**9, 3 * 10**9]),
    "one behind": (500, [0]),
    "one below 0": (500, [-(10**15)]),
    "no time at all": (500, [2**62]),
    "first": (0, [10**9]),
    "first, long ago": (0, [-(10**15)]),
    "random": (700, np.random.default_rng(1).integers(10**8, 2**32, 400)),
    "a packet": (700, 2**31 + np.arange(137) * 50),
    "last, in years": (3_000, [10**15]),
}


@pytest.mark.parametrize("step", [7, 250, 100_000])
@pytest.mark.parametrize("case", STRAY)
def test_a_stray_time_costs_itself(tmp_path, case, step):
    place, stray = STRAY[case]
    good = dense(first=5 * SECOND)
    recording = through(tmp_path / "made", np.insert(good, place, stray), step)
    assert recording.load().t.tolist() == good.tolist()
    assert recording.damage.kind == "corrupt"
    assert recording.damage.last_good_t_us == (good[place - 1] if place else None)


@pytest.mark.parametrize("step", [7, 250, 100_000])
def test_a_clock_set_back_and_zeroed_bytes_cost_no_event_before(tmp_path, step):
    first, again = dense(first=60 * SECOND), dense(first=0, seed=1)
    recording = through(tmp_path / "made", np.append(first, again), step)
    assert recording.load().t.tolist() == [*first.tolist(), *again.tolist()]
    zeroed = through(tmp_path / "made", np.append(first, np.zeros(2_000, np.int64)), step)
    assert zeroed.load().t[:3_000].tolist() == first.tolist()


def test_stop_ends_before_it_and_fail_says_so(tmp_path):
    good = dense()
    dirty = np.insert(good, 500, 10**9)
    assert through(tmp_path / "made", dirty, on_damage="stop").load().t.tolist() == good[:500].tolist()
    delivered = []
    with pytest.raises(DamagedRecordingError, match="contradict"):
        delivered.extend(chunk for chunk in through(tmp_path / "made", dirty, on_damage="fail"))
    assert [t for chunk in delivered for t in chunk.t] == good[:500].tolist()


def test_little_is_held_back_and_chunks_stay_small(tmp_path):
    """Behind a pause at most 16,384 events are waited for; after that they come on as they are."""
    t = np.append(dense(1_000), dense(200_000, first=100 * SECOND))
    asked = 0

    def read(recording):
        nonlocal asked
        for start in range(0, len(t), 5_000):
            asked += 1
            yield Events.of(t[start : start + 5_000], *np.zeros((3, len(t[start : start + 5_000]))), SIZE)

    (tmp_path / "made").touch()
    chunks = iter(Recording(tmp_path / "made", "made", SIZE, read))
    assert len(next(chunks)) == 20_000 and asked == 4
    assert len(next(chunks)) == 5_000 and asked == 5
    whole = list(through(tmp_path / "made", t, 200_000))
    assert max(len(chunk) for chunk in whole) <= CHUNK_EVENTS
    assert Events.concatenate(whole, SIZE).t.tolist() == t.tolist()
