"""Playing: live bins are the offline frames whatever the speed, the chunks and the thread; seeking, pausing, stepping."""

import threading
import time

import numpy as np
import pytest

from dvspipe.errors import UsageError
from dvspipe.events import Events
from dvspipe.frames import to_frames
from dvspipe.live.controls import Controls
from dvspipe.live.playing import Player, in_thread
from dvspipe.live.ring import Ring

BIN_US = 10_000


def player(source, speed=0.0):
    return Player(source, BIN_US, (16, 16), 1, Controls(speed))


def offline(events):
    return to_frames(events, BIN_US, (16, 16))[0]


@pytest.mark.parametrize("chunk", [1, 7, 64, 10_000])
@pytest.mark.parametrize("speed", [0.0, 20.0])
def test_live_frames_are_offline_frames(playlist, events_every, chunk, speed):
    events = events_every(1500, 200, first_us=1_234_567)
    found = list(player(playlist([events], chunk), speed).bins())
    assert np.array_equal(np.stack([each.frame for each in found]), offline(events))
    assert [each.index for each in found] == list(range(len(found)))
    assert found[0].t_us == 1_230_000 + BIN_US


def test_a_thread_changes_nothing(playlist, events_every):
    events = events_every(1500, 200)
    found = list(in_thread(player(playlist([events])), Ring()))
    assert np.array_equal(np.stack([each.frame for each in found]), offline(events))
    assert not [thread for thread in threading.enumerate() if thread.name == "dvspipe-reader"]


def test_a_playlist_is_one_stretch_each(playlist, events_every):
    first, second = events_every(100), events_every(200, first_us=5_000_000)
    playing = player(playlist([first, Events.empty((16, 16)), second]))
    found = list(playing.bins())
    assert [each.stretch for each in found] == [0] * len(offline(first)) + [1] * len(offline(second))
    assert [part.title for part, _ in playing.stretches] == ["made 0", "made 2"]
    assert [base for _, base in playing.stretches] == [0, 5_000_000]


def test_bins_are_never_early(playlist, events_every):
    start = time.perf_counter()
    for each in in_thread(player(playlist([events_every(120)]), speed=1.0), Ring()):
        assert time.perf_counter() - start >= each.index * 0.010 - 1e-4


def test_what_opening_costs_drops_no_bin(playlist, events_every):
    class Slow(playlist):
        def parts(self):
            time.sleep(0.4)
            yield from super().parts()

    ring = Ring(size=2)
    found = list(in_thread(player(Slow([events_every(200)]), speed=1.0), ring))
    assert [each.index for each in found] == list(range(19))
    assert ring.dropped_bins == 0


def test_a_slow_network_loses_bins_but_none_uncounted(playlist, events_every):
    events, ring, seen = events_every(400), Ring(size=2), []
    for each in in_thread(player(playlist([events]), speed=10.0), ring):
        seen.append(each)
        time.sleep(0.004)
    assert ring.dropped_bins > 0
    assert len(seen) + ring.dropped_bins == len(offline(events))
    assert sum(int(each.frame.sum()) for each in seen) + ring.dropped_events == offline(events).sum()


def test_as_fast_as_possible_drops_nothing_however_slow_the_network(playlist, events_every):
    ring, seen = Ring(size=2), []
    for each in in_thread(player(playlist([events_every(300)])), ring):
        seen.append(each.index)
        time.sleep(0.002)
    assert seen == list(range(29))
    assert ring.dropped_bins == 0


def test_seeking_goes_on_there_with_the_same_frames(playlist, events_every):
    events = events_every(1000, first_us=500)
    playing, found = player(playlist([events])), []
    for each in playing.bins():
        found.append(each)
        if len(found) == 5:
            playing.controls.seek(804_321)
        if len(found) == 9:
            playing.controls.seek(-5)
    frames, jumped, back = offline(events), found[5:9], found[9:]
    assert [each.index for each in jumped] == [80, 81, 82, 83]
    assert {each.stretch for each in jumped} == {1}
    assert [each.index for each in back] == list(range(len(frames)))
    for each in found:
        assert np.array_equal(each.frame, frames[each.index])


def test_seeking_behind_the_end_ends(playlist, events_every):
    playing, found = player(playlist([events_every(100)])), []
    for each in playing.bins():
        found.append(each)
        playing.controls.seek(99_000_000)
    assert len(found) == 1


def test_pausing_holds_and_stepping_gives_one(playlist, events_every):
    playing, seen = player(playlist([events_every(3000)]), speed=1.0), []
    playing.controls.pause()
    reader = threading.Thread(target=lambda: seen.extend(each.index for each in playing.bins()))
    reader.start()
    time.sleep(0.08)
    assert not playing.controls.stopped
    playing.controls.step()
    playing.controls.step()
    time.sleep(0.08)
    playing.controls.set_speed(100.0)
    time.sleep(0.05)
    stepped = playing.ring is None and playing.controls.paused
    playing.controls.stop()
    reader.join(timeout=2)
    assert not reader.is_alive()
    assert stepped
    assert seen == [0, 1]


def test_the_clock_starts_anew_after_a_pause(playlist, events_every):
    """A second's pause must not make a second's bins overdue."""
    playing, times = player(playlist([events_every(300)]), speed=1.0), []

    def pause():
        time.sleep(0.05)
        playing.controls.pause()
        time.sleep(0.3)
        playing.controls.play()

    threading.Thread(target=pause).start()
    for _ in playing.bins():
        times.append(time.perf_counter())
    steps = np.diff(times)
    assert steps.max() > 0.25
    assert (steps < 0.004).sum() <= 2, "bins hurried after the pause"


def test_changing_the_speed_takes_effect_at_once(playlist, events_every):
    playing = player(playlist([events_every(3000)]), speed=1.0)
    start = time.perf_counter()
    for each in playing.bins():
        if each.index == 3:
            playing.controls.set_speed(100.0)
    assert 0.05 < time.perf_counter() - start < 1.5


def test_an_error_in_the_reader_reaches_the_consumer(playlist, events_every):
    class Broken(playlist):
        def parts(self):
            yield next(super().parts())
            raise OSError("camera gone")

    with pytest.raises(OSError, match="camera gone"):
        list(in_thread(player(Broken([events_every(50)])), Ring()))


def test_leaving_early_ends_the_reader(playlist, events_every):
    for _ in in_thread(player(playlist([events_every(100_000)]), speed=1.0), Ring()):
        break
    time.sleep(0.05)
    assert not [thread for thread in threading.enumerate() if thread.name == "dvspipe-reader"]


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf"), 1e9, 1e-9])
def test_a_speed_that_is_none(speed):
    with pytest.raises(UsageError, match="speed"):
        Controls(speed)
    controls = Controls()
    with pytest.raises(UsageError, match="speed"):
        controls.set_speed(speed)
    assert controls.speed == 1.0


def test_a_camera_cannot_be_controlled():
    controls = Controls(paced=False)
    controls.pause()
    controls.seek(5)
    controls.step()
    controls.set_speed(2)
    assert (controls.paused, controls.seeking, controls.speed) == (False, False, 1.0)
