"""Read-outs: who spiked first, by hand and by a plain search, and what a confidence is."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dvspipe.decision.readout import READOUTS, confidence, cumulative_rate, first_spike, first_spike_step, rate
from dvspipe.errors import UsageError


def trains(*classes):
    """Strings of 0 and 1, one per class -> [T,1,K]."""
    return torch.tensor([[[float(step) for step in steps]] for steps in zip(*classes)])


@pytest.mark.parametrize(
    ("classes", "winner", "step"),
    [
        (("0011", "0100", "0001"), 1, 1),
        (("0110", "0100", "0111"), 2, 1),  # the same first step: more spikes win
        (("0111", "1000", "0111"), 1, 0),  # earlier beats more
        (("0000", "0000", "0001"), 2, 3),  # the last step still counts
        (("0000", "0000", "0000"), 0, 4),
    ],
)
def test_the_first_spike_decides(classes, winner, step):
    out = trains(*classes)
    assert first_spike(out).argmax(1).tolist() == [winner] and first_spike_step(out).tolist() == [step]


def test_a_silent_class_scores_0_and_comes_last():
    scores = first_spike(trains("0000", "0001", "1000"))
    assert scores[0, 0] == 0 and scores[0, 0] < scores[0, 1] < scores[0, 2]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from([1, 2, 6, 60, 400]), st.sampled_from([torch.float32, torch.bfloat16]))
def test_scores_order_classes_as_a_plain_search(seed, steps, dtype):
    draw = torch.Generator().manual_seed(seed)
    out = (torch.rand(steps, 3, 5, generator=draw) < torch.rand(1, 3, 5, generator=draw) ** 3).to(dtype)
    for sample, scores in zip(out.unbind(1), first_spike(out)):
        rank = []
        for train in sample.float().T.tolist():
            first = train.index(1.0) if 1.0 in train else steps
            rank.append((-first, sum(train)))
        for a, one in enumerate(rank):
            for b, other in enumerate(rank):
                assert (one < other) == bool(scores[a] < scores[b])
        assert -max(rank)[0] == int(first_spike_step(sample[:, None])[0])


def test_votes_break_ties_by_their_sum():
    """What leaves a layer of votes is a share of spikes: the same first step, and one class was louder."""
    out = torch.tensor([[[0.2, 0.3, 0.0]], [[0.2, 0.0, 1.0]]])
    assert first_spike(out).argsort(1, descending=True).tolist() == [[0, 1, 2]]


def test_a_read_out_by_its_name():
    out = trains("0111", "1000")
    assert {name: int(read(out).argmax(1)) for name, read in READOUTS.items()} == {"mean": 0, "first-spike": 1}


@pytest.mark.parametrize("given", [torch.bfloat16, torch.float32, torch.float64])
def test_means_are_taken_in_full_precision(given):
    out = (torch.arange(3000) % 3 == 0).to(given)[:, None, None]
    wanted = torch.float64 if given == torch.float64 else torch.float32
    assert rate(out).dtype == cumulative_rate(out).dtype == wanted
    assert float(rate(out)) == pytest.approx(1 / 3) and float(cumulative_rate(out)[-1]) == pytest.approx(1 / 3)


def test_confidence_of_spikes_is_a_share_and_of_scores_a_probability():
    rates = torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.0, 0.0]])
    assert confidence(rates).tolist() == [0.5, 0.0]
    scores = torch.tensor([[2.0, -1.0, 0.5], [-3.0, -3.0, -3.0], [40.0, -90.0, 0.0]])
    found = confidence(scores, spikes=False)
    torch.testing.assert_close(found, (scores.exp() / scores.exp().sum(1, keepdim=True)).max(1).values)
    torch.testing.assert_close(confidence(scores + 100, spikes=False), found)
    assert found[1] == pytest.approx(1 / 3)


def test_scores_that_cannot_be_rates_are_refused():
    with pytest.raises(UsageError, match=r"smallest is -1, .* `spikes=False`"):
        confidence(torch.tensor([[2.0, -1.0]]))
