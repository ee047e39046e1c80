"""The ring: what each policy does when the network is too slow, and that nothing is lost uncounted."""

import threading
import time

import numpy as np
import pytest

from dvspipe.live.bins import LiveBin
from dvspipe.live.ring import Ring


def bins(n, events=3, stretch=0):
    return [LiveBin(stretch, k, (k + 1) * 1000, np.full((2, 1, 1), events, np.int32), 0.0) for k in range(n)]


def filled(drop, n=5, size=2, events=3):
    ring = Ring(size, drop)
    for each in bins(n, events):
        ring.put(each)
    ring.close()
    return ring, list(ring)


def test_oldest_goes_first():
    ring, left = filled("oldest")
    assert [each.index for each in left] == [3, 4]
    assert (ring.dropped_bins, ring.dropped_events) == (3, 18)


def test_newest_is_left_out():
    ring, left = filled("newest")
    assert [each.index for each in left] == [0, 1]
    assert (ring.dropped_bins, ring.dropped_events) == (3, 18)


def test_merging_loses_no_event():
    ring, left = filled("merge")
    assert [each.index for each in left] == [0, 4]
    assert [each.merged for each in left] == [0, 3]
    assert sum(int(each.frame.sum()) for each in left) == 5 * 6
    assert (ring.dropped_bins, ring.dropped_events, ring.merged_bins) == (0, 0, 3)


def test_merging_never_mixes_two_recordings():
    ring = Ring(1, "merge")
    ring.put(bins(1)[0])
    ring.put(bins(1, stretch=1)[0])
    ring.close()
    assert [each.stretch for each in ring] == [1]
    assert (ring.dropped_bins, ring.dropped_events) == (1, 6)


def test_block_waits_for_room_and_loses_nothing():
    ring = Ring(2, "block")

    def fill():
        for each in bins(20):
            ring.put(each)
        ring.close()

    thread = threading.Thread(target=fill)
    thread.start()
    time.sleep(0.05)
    assert len(ring) == 2
    assert [each.index for each in ring] == list(range(20))
    thread.join()
    assert ring.dropped_bins == 0


def test_a_closed_ring_frees_a_waiting_writer():
    ring = Ring(1, "block")
    ring.put(bins(1)[0])
    thread = threading.Thread(target=ring.put, args=(bins(1)[0],))
    thread.start()
    ring.close()
    thread.join(timeout=2)
    assert not thread.is_alive()


def test_an_error_in_the_reader_reaches_the_consumer_after_the_bins():
    ring = Ring()
    for each in bins(2):
        ring.put(each)
    ring.close(OSError("camera gone"))
    with pytest.raises(OSError, match="camera gone"):
        list(ring)


def test_clearing_is_no_loss():
    ring = Ring(4)
    for each in bins(3):
        ring.put(each)
    ring.clear()
    assert (len(ring), ring.dropped_bins) == (0, 0)
