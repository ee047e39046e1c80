"""Stepping: what a network sees when bins come one by one."""

import numpy as np
import torch

from dvspipe.decision.readout import cumulative_rate, rate, strict_majority
from dvspipe.decision.stepping import SlidingClip, Stepwise, stepper


class Adder:
    """A 'network' whose state is the sum of all frames and whose output says what it was given."""

    def __init__(self, live):
        self.live, self.seen = live, []

    def __call__(self, frames, state=None, probe=None):
        self.seen.append(frames.clone())
        return frames.flatten(2).sum(2, keepdim=True), None

    def step(self, frame, state=None, probe=None):
        state = (0 if state is None else state) + frame.sum()
        return state.reshape(1, 1), state


def frame(value):
    return np.full((2, 2, 2), value, np.int32)


def halved(network, state, steps):
    """What `rested` is to a real network."""
    return state * 0.5**steps


def test_stepwise_carries_state_and_lets_it_leak_over_dropped_bins():
    steps = Stepwise(Adder(live=True), halved)
    assert steps.score(frame(1)) == [8]
    assert steps.score(frame(2), skipped=3) == [17]
    steps.reset()
    assert steps.score(frame(1)) == [8]


def test_sliding_clip_holds_the_last_bins_with_empty_ones_before():
    network = Adder(live=False)
    clip = SlidingClip(network, n_bins=3)
    for value in (1, 2, 3, 4):
        clip.score(frame(value))
    means = [seen.flatten(1).mean(1).tolist() for seen in network.seen]
    assert means == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_sliding_clip_keeps_time_over_dropped_bins():
    network = Adder(live=False)
    clip = SlidingClip(network, n_bins=4)
    clip.score(frame(1))
    clip.score(frame(2), skipped=2)
    assert network.seen[-1].flatten(1).mean(1).tolist() == [1, 0, 0, 2]
    clip.score(frame(3), skipped=99)
    assert network.seen[-1].flatten(1).mean(1).tolist() == [0, 0, 0, 3]


def test_the_network_chooses():
    assert isinstance(stepper(Adder(live=True), 3, halved), Stepwise)
    assert isinstance(stepper(Adder(live=False), 3, halved), SlidingClip)


def test_readouts():
    out = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]], [[1.0, 1.0]]])
    assert torch.allclose(rate(out), torch.tensor([[2 / 3, 1 / 3]]))
    assert torch.allclose(cumulative_rate(out)[:, 0, 0], torch.tensor([1.0, 0.5, 2 / 3]))
    assert torch.equal(cumulative_rate(out)[-1], rate(out))
    votes = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]]) > 0
    assert strict_majority(votes).tolist() == [False, True]
