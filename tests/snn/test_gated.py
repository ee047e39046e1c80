"""The compiled membrane attention (inference) is the loop over Norse's parts of a step: law 5, for every factor and reset."""

import copy

import pytest
import torch

from dvspipe.snn.attention.choice import build_attention
from dvspipe.snn.kernels import gated
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import PRESETS, make_neuron


def attention(factors, channels=12, **changes):
    torch.manual_seed(0)
    given = {"placement": "paper", "steps": 5, "channels": channels, "c_ratio": 3, "t_ratio": 2, "gate_gain": 2.0}
    made = build_attention(factors, **{**given, **changes})
    for parameter in made.parameters():  # scores of some size, so that every gate matters
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def current(*shape, seed=1):
    torch.manual_seed(seed)
    return torch.randn(*shape)


def near_the_threshold(x, lif, attended, v):
    """Samples [B] with a step so near the threshold that the order of sums may decide."""
    lif, attended = copy.deepcopy(lif).double(), copy.deepcopy(attended).double()
    near = torch.zeros(x.shape[1], dtype=torch.bool)
    v = None if v is None else v.double()
    for step in x.double():
        _, before = (None, torch.zeros_like(step)) if v is None else (None, v)
        u = attended.membrane(lif.neuron.keep * before + lif.neuron.gain * step + lif.neuron.bias)
        near |= ((u - lif.neuron.v_th).abs() < 1e-5).flatten(1).any(1)
        _, v = lif.step(step, v, attended.membrane)
    return near


def check(factors, neuron="ma-snn", shape=(5, 6, 12, 9, 7), v=None, **changes):
    lif, attended = LIF(make_neuron(neuron)), attention(factors, shape[2], **changes)
    x = current(*shape) * 3 * lif.neuron.v_th / lif.neuron.gain
    with torch.no_grad():
        assert gated.takes(x, lif, attended)
        spikes, after = gated.gated_scan(x, v, lif, attended)
        expected, last = lif(x, v, attended.membrane)
        clear = ~near_the_threshold(x, lif, attended, v)
    assert clear.sum() >= 2
    assert torch.equal(spikes[:, clear], expected[:, clear])
    assert torch.allclose(after[clear], last[clear], rtol=1e-4, atol=1e-5 * float(last.abs().max()))
    assert 0.02 < expected.mean() < 0.98


@pytest.mark.parametrize("factors", ["CA", "SA", "CSA"])
@pytest.mark.parametrize("relu", [False, True])
def test_every_factor(factors, relu):
    check(factors, relu=relu)


# Not dsr: it leaks little and resets by subtraction, so gates up to 2 make potentials below 0 grow, and rounding too.
@pytest.mark.parametrize(
    "neuron",
    [name for name, each in PRESETS.items() if not each.learn_leak and each.adapt == "none" and name != "dsr"],
)
def test_every_neuron(neuron):
    check("CSA", neuron)


@pytest.mark.parametrize("shape", [(1, 2, 1, 1, 1), (3, 2, 12, 1, 20), (3, 4, 12, 3, 2), (2, 3, 40, 16, 16)])
def test_any_shape(shape):
    lif, attended = LIF(make_neuron("ma-snn")), attention("CSA", shape[2], c_ratio=1)
    x = current(*shape)
    with torch.no_grad():
        spikes, after = gated.gated_scan(x, None, lif, attended)
        expected, last = lif(x, None, attended.membrane)
    agree = (spikes == expected).flatten(2).all(2).all(0)
    assert agree.float().mean() > 0.6
    assert torch.allclose(after[agree], last[agree], atol=1e-5)


def test_state_goes_in_and_comes_out():
    check("CSA", v=current(6, 12, 9, 7, seed=3))
    lif, attended, x = LIF(make_neuron("ma-snn")), attention("CSA"), current(6, 3, 12, 8, 8)
    v = current(3, 12, 8, 8, seed=4)
    before = v.clone()
    with torch.no_grad():
        whole, last = gated.gated_scan(x, v, lif, attended)
        first, middle = gated.gated_scan(x[:2], v, lif, attended)
        second, end = gated.gated_scan(x[2:], middle, lif, attended)
    assert torch.equal(v, before)
    assert torch.equal(torch.cat((first, second)), whole)
    assert torch.equal(end, last)


def test_memory_formats_change_nothing():
    lif, attended, x = LIF(make_neuron("ma-snn")), attention("CSA"), current(4, 2, 12, 8, 8)
    last = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (4, 2))
    with torch.no_grad():
        assert torch.equal(gated.gated_scan(x, None, lif, attended)[0], gated.gated_scan(last, None, lif, attended)[0])


def test_what_learns_goes_the_long_way():
    lif, attended, x = LIF(make_neuron("ma-snn")), attention("CSA"), current(2, 1, 12, 4, 4)
    assert not gated.takes(x, lif, attended)
    with torch.no_grad():
        assert gated.takes(x, lif, attended)
        assert not gated.takes(x.double(), lif, attended)
        assert not gated.takes(x, lif, None)
        assert not gated.takes(x, LIF(make_neuron("plif")), attended)
        assert not gated.takes(x, lif, attention("TA"))
        assert not gated.takes(x[:, :, :, 0, 0], lif, attended)


@pytest.mark.parametrize("steps", [1, 3, 9])
def test_recent_scores_without_gradients_are_those_with(steps):
    from dvspipe.snn.attention.temporal import RecentScore

    torch.manual_seed(0)
    recent = RecentScore(8, 3)
    mean, maximum = current(steps, 4), current(steps, 4, seed=2)
    memory = (current(7, 4, seed=3), current(7, 4, seed=4))
    for before in ((), memory):
        expected, after = recent(mean, maximum, before)
        with torch.no_grad():
            found, kept = recent(mean, maximum, before)
        assert expected.requires_grad and not found.requires_grad
        assert torch.allclose(found, expected, atol=1e-6)
        assert all(torch.equal(one, other) for one, other in zip(kept, after))
