"""Pacing: bins come when they are due, and a slow reader loses the oldest, counted."""

import time

import numpy as np
import pytest

from dvspipe.frames.pacing import LiveBin, Ring, paced, unpaced


def frames(n, value=1):
    return [np.full((2, 1, 1), value, np.int32) for _ in range(n)]


def test_unpaced_gives_every_bin_in_order():
    assert [each.index for each in unpaced(frames(5))] == [0, 1, 2, 3, 4]


def test_paced_bins_are_never_early():
    start = time.perf_counter()  # the first bin is due when it has been read
    for each in paced(frames(5), bin_us=20_000, speed=2.0, ring=Ring()):
        assert time.perf_counter() - start >= each.index * 0.010


def test_what_opening_costs_drops_no_bin():
    """Half a second before the first bin is there: hundreds of bins would be overdue by then."""

    def opened_slowly():
        time.sleep(0.5)
        yield from frames(20)

    ring = Ring(size=2)
    found = list(paced(opened_slowly(), bin_us=20_000, speed=1.0, ring=ring))
    assert [each.index for each in found] == list(range(20))
    assert ring.dropped_bins == 0


def test_a_full_ring_drops_the_oldest_and_counts_it():
    ring = Ring(size=2)
    for index, frame in enumerate(frames(5, value=3)):
        ring.put(LiveBin(index, frame, 0.0))
    ring.close()
    assert [each.index for each in ring] == [3, 4]
    assert (ring.dropped_bins, ring.dropped_events) == (3, 18)


def test_a_slow_reader_loses_bins_but_none_uncounted():
    ring = Ring(size=2)
    seen = []
    for each in paced(frames(30), bin_us=1_000, speed=1.0, ring=ring):
        seen.append(each.index)
        time.sleep(0.01)
    assert ring.dropped_bins > 0
    assert len(seen) + ring.dropped_bins == 30
    assert seen == sorted(seen)
    assert seen[-1] == 29


def test_an_error_in_the_reader_reaches_the_consumer():
    def broken():
        yield from frames(2)
        raise OSError("camera gone")

    with pytest.raises(OSError, match="camera gone"):
        list(paced(broken(), bin_us=1_000, speed=10.0, ring=Ring()))


def test_leaving_early_ends_the_reader():
    import threading

    endless = (np.zeros((2, 1, 1), np.int32) for _ in iter(int, 1))
    for _ in paced(endless, bin_us=1_000, speed=1.0, ring=Ring()):
        break
    time.sleep(0.05)
    assert not [thread for thread in threading.enumerate() if thread.name == "dvspipe-reader"]
