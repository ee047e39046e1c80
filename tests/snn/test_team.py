"""Work on torch's own threads: all of it, once, beside each other; errors come out; elsewhere ordinary threads do it."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest
import torch

from dvspipe.snn.kernels import team, threads

PARTS = [(0, 3), (3, 6), (6, 9), (9, 10)]
LENT = pytest.mark.skipif(team._library() is None, reason="this torch has no GNU OpenMP threads to lend")


def counted(split):
    done = np.zeros(10, int)

    def work(start, stop):
        done[start:stop] += 1

    assert split(work)
    return done.tolist()


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or "OpenMP" not in torch.__config__.parallel_info(), reason="another system"
)
def test_torchs_wheels_for_linux_have_a_team():
    assert team._library() is not None


@LENT
def test_every_part_once_and_beside_each_other():
    assert counted(lambda work: team.run(work, PARTS)) == [1] * 10
    meeting = threading.Barrier(2, timeout=30)  # passed by two at once, or not at all
    assert team.run(lambda start, stop: meeting.wait(), PARTS[:2])


@LENT
def test_a_team_of_one_does_all_parts():
    """Inside a team, another one is no larger than its caller."""
    found = []
    assert team.run(lambda start, stop: found.append(counted(lambda work: team.run(work, PARTS))), PARTS[:2])
    assert found == [[1] * 10] * 2


@LENT
def test_an_error_comes_out_when_all_are_done():
    done = []

    def work(start, stop):
        if start == 0:
            raise KeyboardInterrupt("in the first part")
        time.sleep(0.05)
        done.append(start)

    with pytest.raises(KeyboardInterrupt, match="in the first part"):
        team.run(work, PARTS)
    assert sorted(done) == [3, 6, 9]


@pytest.mark.parametrize("lent", [True, False])
def test_split_with_and_without(lent, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    if not lent:
        monkeypatch.setattr(team, "_library", lambda: None)
    done = np.zeros(1000, int)
    threads.split(lambda start, stop: np.add(done[start:stop], 1, out=done[start:stop]), 1000, 10 * threads.SMALL)
    assert (done == 1).all()
