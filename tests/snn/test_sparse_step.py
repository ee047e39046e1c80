"""The compiled step of one sample is the network's own step (law 4), for all it covers; the rest steps as ever."""

import copy
import logging
import tracemalloc
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from dvspipe.errors import ShapeError
from dvspipe.frames import to_frames
from dvspipe.recordings import open_recording
from dvspipe.snn.kernels import sparse_loops
from dvspipe.snn.kernels.sparse import DENSE_ABOVE, SparseConv, SparseLinear, WindowMaximum
from dvspipe.snn.lif import LIF
from dvspipe.snn.looking_on import Onlooker
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import PRESETS, integrate, integrate_adapted, make_neuron
from dvspipe.snn.resting import rested
from dvspipe.snn.sparse_step import SparseStep, covers, quickest_step

STEPS, CLASSES = 12, 5


def build(name="three-conv", size=(12, 16), lift=0.3, **changes):
    """A network that has seen data, every layer of it firing at some 5 to 30 %."""
    torch.manual_seed(0)
    settings = {"classes": CLASSES, "steps": STEPS, "width": 0.25, "size": size, "attention_bins": 5, "gate_gain": 2.0}
    network = build_network(name, **{**settings, **changes})
    for parameter in (each for part in network.modules() if hasattr(part, "gain") for each in part.parameters()):
        nn.init.normal_(parameter, std=0.2)  # attention that says something
    clips = frames(4, network.frame_shape)
    with torch.no_grad():
        for _ in range(2):
            network.train()(clips)
        for layer in network.layers.values():
            neuron = layer.spiking.lif.neuron
            if not isinstance(layer.norm, nn.Identity):
                layer.norm.bias += lift * neuron.v_th / neuron.gain
    return network.eval()


def frames(batch=1, shape=(2, 12, 16), density=0.3, steps=STEPS, seed=1):
    torch.manual_seed(seed)
    return torch.poisson(torch.full((steps, batch, *shape), density)).int()


def near(network, x):
    """Whether any membrane comes so near its threshold that the order of sums may decide; in double precision."""
    found, double = [], copy.deepcopy(network).double()
    for layer in double.layers.values():
        lif = layer.spiking.lif
        weigh = layer.spiking._membrane() or (lambda u: u)
        layer.spiking.lif.step = Watched(lif, weigh, found)
    walk(double, x.double())
    return min(found) < 1e-5


class Watched:
    """`LIF.step` that notes how near the potential comes to the threshold."""

    def __init__(self, lif, weigh, found):
        self.lif, self.weigh, self.found = lif, weigh, found

    def __call__(self, current, v=None, membrane=None):
        lif, before = self.lif, torch.zeros_like(current) if v is None else v
        rates, leak = lif._each_rates(current, 1)[0], lif._leak(current)
        if rates is None:
            u = integrate(current, before, lif.neuron, leak)
        else:
            u = integrate_adapted(current, before, *rates, lif.neuron.bias)
        self.found.append(float((self.weigh(u) - lif.neuron.v_th).abs().min()))
        return LIF.step(lif, current, v, membrane)


def walk(steps, x, state=None):
    outs = []
    with torch.inference_mode():
        for frame in x:
            out, state = steps.step(frame, state)
            outs.append(out)
    return torch.stack(outs), state


def check(network, x):
    """Single compiled steps against one whole call: the rates of all layers where both are the same; None where they are not
    and a membrane came near its threshold.
    """
    assert covers(network)
    rates = {}
    ours, state = walk(SparseStep(network), x)
    with torch.no_grad():
        whole, last = network(x, probe=lambda name, fired: rates.__setitem__(name, fired.mean().item()))
    close = partial(torch.allclose, rtol=1e-4, atol=1e-4)
    same = torch.equal(ours, whole) and all(map(close, flat(state), flat(last)))
    assert same or near(network, x)
    return rates if same else None


def flat(state):
    return [each for layer in state for each in (layer.v, *layer.memory)]


def check_any(network, shape=(2, 12, 16), density=0.3, seeds=range(1, 5)):
    """Some draws must be the same, or nothing was tested; and something must have fired."""
    checked = [each for seed in seeds if (each := check(network, frames(shape=shape, density=density, seed=seed)))]
    assert checked
    return max(rate for rates in checked for rate in rates.values())


ATTENTIONS = [
    ("none", "released", {}),
    ("relu", "released", {}),
    ("constant", "released", {}),
    *((variant, "causal", {}) for variant in ("TA", "CA", "SA", "CSA", "TCSA")),
    ("TCSA", "causal", {"relu": True}),
    ("TA", "causal", {"relu": True}),
    ("TA", "causal", {"attention_bins": 1, "t_ratio": 1}),
    ("CSA", "paper", {}),
    ("SA", "paper", {"relu": True}),
]


@pytest.mark.parametrize(("attention", "placement", "more"), ATTENTIONS)
def test_every_attention(attention, placement, more):
    assert check_any(build(attention=attention, placement=placement, **more)) > 0.02


@pytest.mark.parametrize("attention", ["none", "TCSA"])
@pytest.mark.parametrize("neuron", PRESETS)
def test_every_neuron(neuron, attention):
    if neuron == "dsr" and attention == "TCSA":
        pytest.skip(
            "it leaks little and resets by subtraction: gates up to 2 make potentials below 0 grow, and rounding too"
        )
    assert check_any(build(neuron=neuron, attention=attention, placement="causal", lift=0.6)) > 0.02


def test_neurons_that_learned_their_rates():
    network = build(neuron=make_neuron("spikingjelly", adapt="shared"))
    for layer in network.layers.values():
        nn.init.constant_(layer.spiking.lif.leak, 0.4)
        nn.init.constant_(layer.spiking.lif.gain, 0.2)
    assert check_any(network) > 0.02


@pytest.mark.parametrize("norm", ["bn", "tdbn"])
@pytest.mark.parametrize("name", ["five-conv-a", "five-conv-b"])
def test_other_networks(name, norm):
    network = build(name, (70, 66), norm=norm, width=0.1, attention="TCSA", placement="causal", c_ratio=2)
    check_any(network, (2, 70, 66), seeds=(1, 2))


@pytest.mark.parametrize("width", [0.1, 0.33, 0.6])
@pytest.mark.parametrize("size", [(13, 18), (4, 4), (7, 31)])
def test_any_size_and_width(size, width):
    check_any(build(size=size, width=width, attention="TCSA", placement="causal", c_ratio=4), (2, *size))


@pytest.mark.parametrize("density", [0.0, 0.02, 0.1, 0.5, 3.0])
@pytest.mark.parametrize("in_channels", [1, 2, 3])
def test_from_no_input_to_all_of_it(density, in_channels):
    check_any(build(in_channels=in_channels), (in_channels, 12, 16), density)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.bfloat16, torch.float64])
def test_frames_of_any_number_type(kind):
    network, x = build(), frames()
    assert torch.equal(walk(SparseStep(network), x.to(kind))[0], walk(SparseStep(network), x)[0])


def test_a_state_goes_on_where_another_step_left_it():
    """Restarted in the middle: from the network's own state, a copy of ours, after a rest, by another compiled step."""
    network, x = build(attention="TCSA", placement="causal"), frames(seed=2)
    fast = SparseStep(network)
    whole, _ = walk(fast, x)
    with torch.inference_mode():
        _, theirs = network(x[:5])
        _, ours = walk(fast, x[:5])
        copied = tuple(type(each)(each.v.clone(), tuple(part.clone() for part in each.memory)) for each in ours)
        assert torch.equal(walk(fast, x[5:], copied)[0], whole[5:])
        assert torch.equal(walk(SparseStep(network), x[5:], ours)[0], whole[5:]), "a state of another's is copied"
        assert torch.equal(walk(fast, x[5:], ours)[0], whole[5:])
        assert torch.equal(walk(fast, x[5:], theirs)[0], walk(network, x[5:], theirs)[0])
        _, ours = walk(fast, x[:5])
        slept, asleep = rested(fast, ours, 3), rested(network, theirs, 3)
        assert torch.equal(walk(fast, x[5:], slept)[0], walk(network, x[5:], asleep)[0])


def test_sessions_do_not_know_of_each_other():
    network = build(attention="TCSA", placement="causal")
    fast, first, second = SparseStep(network), frames(seed=1), frames(seed=2)
    alone, states, mixed = [walk(fast, x)[0] for x in (first, second)], [None, None], [[], []]
    with torch.inference_mode():
        for pair in zip(first, second):
            for which, frame in enumerate(pair):
                out, states[which] = fast.step(frame, states[which])
                mixed[which].append(out)
    assert all(torch.equal(torch.stack(found), expected) for found, expected in zip(mixed, alone))
    assert torch.equal(walk(fast, first)[0], alone[0]), "from rest again"


def test_outputs_stay_what_they_were():
    network, x = build(), frames()
    with torch.inference_mode():
        fast, state, outs = SparseStep(network), None, []
        for frame in x:
            out, state = fast.step(frame, state)
            outs.append((out, out.clone()))
    assert any(out.any() for out, _ in outs) and all(torch.equal(*pair) for pair in outs)


def test_the_weights_are_those_of_the_moment():
    network, x = build(), frames()
    fast = SparseStep(network)
    before, _ = walk(fast, x)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(walk(fast, x)[0], before) and not torch.equal(walk(SparseStep(network), x)[0], before)
    network.train()
    assert torch.equal(walk(fast, x)[0], before)


@pytest.mark.parametrize("name", ["three-conv", "five-conv-a"])
def test_probe_hears_what_it_always_heard(name):
    size = (12, 16) if name == "three-conv" else (32, 32)
    network = build(name, size, attention="TCSA", placement="causal")
    heard, x = {"ours": [], "theirs": []}, frames(shape=network.frame_shape)
    with torch.inference_mode():
        for who, steps in (("ours", SparseStep(network)), ("theirs", network)):
            state = None
            for frame in x:
                _, state = steps.step(frame, state, probe=lambda *told, who=who: heard[who].append(told))
    assert [name for name, _ in heard["ours"]] == [name for name, _ in heard["theirs"]]
    pairs = [(ours, theirs) for (_, ours), (_, theirs) in zip(heard["ours"], heard["theirs"])]
    assert all(ours.shape == theirs.shape and ours.dtype == theirs.dtype for ours, theirs in pairs)
    assert sum(torch.equal(*pair) for pair in pairs) > 0.95 * len(pairs)


def test_an_onlooker_sees_the_attention_of_every_step():
    network, x = build(attention="TCSA", placement="causal"), frames()
    seen = []
    for steps in (SparseStep(network), network):
        onlooker, state = Onlooker(network), None
        with torch.inference_mode():
            for number, frame in enumerate(x):
                onlooker.look(number % 3 == 0)
                _, state = steps.step(frame, state, onlooker.probe if number % 3 == 0 else None)
        onlooker.close()
        seen.append(onlooker)
    ours, theirs = seen
    assert set(ours.time) == set(network.layers) and set(ours.space) == {"conv1", "conv2", "conv3"}
    for layer, weights in theirs.time.items():
        np.testing.assert_allclose(ours.time[layer], weights, atol=1e-4)
    np.testing.assert_allclose(ours.space["conv1"], theirs.space["conv1"], atol=1e-4)
    assert ours.rates.keys() == theirs.rates.keys()


def test_other_hooks_and_batches_take_the_ordinary_way_and_the_log_says_so(caplog):
    network, x, heard = build(), frames(2), []
    fast = SparseStep(network)
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        both, state = fast.step(x[0])
        fast.step(x[1], state)
        assert torch.equal(both, network.step(x[0])[0])
    assert len(caplog.records) == 1 and "a batch of 2" in caplog.text
    hook = network.layers["conv2"].conv.register_forward_hook(lambda *told: heard.append(told))
    walk(fast, frames())
    hook.remove()
    assert len(heard) == STEPS


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("three-conv", {"attention": "TCSA"}),
        ("three-conv", {"attention": "ECA", "placement": "causal"}),
        ("three-conv", {"norm": "tebn"}),
        ("att-res-18", {"in_channels": 2, "size": (32, 32), "width": 0.1}),
    ],
)
def test_what_is_not_covered_steps_as_ever(name, changes, caplog):
    network = build_network(name, **{"classes": 3, "steps": 6, "width": 0.25, **changes}).eval()
    with caplog.at_level(logging.INFO):
        assert not covers(network) and quickest_step(network) is network
    assert ("no compiled step" in caplog.text) == network.live
    assert not covers(build().double()) and not covers(object())
    assert isinstance(quickest_step(build()), SparseStep)


def test_what_does_not_fit_is_named():
    network = build()
    fast, (_, state) = SparseStep(network), network(frames(2))
    with pytest.raises(ShapeError, match=r"\[B,2,12,16\]"):
        fast.step(torch.zeros(1, 2, 16, 12))
    with pytest.raises(ShapeError, match=r"state \[B,...\] = \[2, 16, 12, 16\]"):
        fast.step(frames()[0], state)
    with pytest.raises(ShapeError, match="state of 2 layers"):
        fast.step(frames()[0], state[:2])


def test_steps_make_nothing_of_a_maps_size(monkeypatch):
    network = build(size=(32, 32), attention="TCSA", placement="causal", width=1.0, lift=-0.5)
    x, smallest_map = frames(shape=(2, 32, 32), density=0.05).float(), 128 * 8 * 8 * 4
    with torch.inference_mode():
        fast = SparseStep(network)
        monkeypatch.setattr(SparseConv, "densely", None)  # torch's own convolution makes its result, where many fire
        _, state = walk(fast, x)
        addresses = [each.data_ptr() for each in flat(state)]
        tracemalloc.start()  # numpy tells it too
        _, state = walk(fast, x, state)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        with torch.autograd.profiler.profile(profile_memory=True, use_kineto=False) as made:
            _, state = walk(fast, x, state)
    assert max(each.cpu_memory_usage for each in made.function_events) < smallest_map / 10 and peak < smallest_map * 2
    assert [each.data_ptr() for each in flat(state)] == addresses


def test_a_real_recording(recordings_dir):
    path = sorted(recordings_dir.rglob("*.aedat"))[0]
    seen, _ = to_frames(open_recording(path, on_damage="skip"), 25_000, downsample=4)
    shown = torch.from_numpy(seen[:200])[:, None]
    network = build(size=tuple(shown.shape[-2:]), attention="TCSA", placement="causal", width=0.5)
    ours, _ = walk(SparseStep(network), shown)
    theirs, _ = walk(network, shown)
    assert (ours == theirs).all(2).float().mean() > 0.98


@pytest.mark.parametrize("density", [0.0, 0.01, DENSE_ABOVE * 0.9, DENSE_ABOVE * 1.2, 1.0])
@pytest.mark.parametrize(("channels", "stride", "side"), [((3, 5), 1, 3), ((20, 24), 2, 4), ((17, 8), 4, 6)])
def test_convolution(density, channels, stride, side):
    torch.manual_seed(0)
    conv = nn.Conv2d(*channels, side, stride, 1, bias=stride == 2)
    x = (torch.rand(1, channels[0], 11, 14) < density) * torch.randint(1, 9, (1, channels[0], 11, 14)).float()
    rows = x[0].permute(1, 2, 0).reshape(-1, channels[0]).contiguous().numpy()
    sparse = SparseConv(conv, (11, 14))
    with torch.no_grad():
        expected = conv(x)[0].permute(1, 2, 0).reshape(-1, channels[1]).numpy()
        for made in (sparse(rows), sparse.densely(rows)):
            np.testing.assert_allclose(made, expected, atol=1e-4)
    assert sparse.out_size[0] * sparse.out_size[1] == len(expected)


def test_full_layer_takes_features_in_the_order_of_torch():
    torch.manual_seed(0)
    linear = nn.Linear(6 * 3 * 4, 10)
    x = (torch.rand(1, 6, 3, 4) < 0.3).float()
    rows = x[0].permute(1, 2, 0).reshape(-1, 6).contiguous().numpy()
    np.testing.assert_allclose(SparseLinear(linear, (3, 4))(rows)[0], linear(x.flatten(1))[0].detach(), atol=1e-5)


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (2, 3)])
def test_maximum_of_windows(size):
    torch.manual_seed(0)
    x = torch.randn(1, 5, *size)
    rows = x[0].permute(1, 2, 0).reshape(-1, 5).contiguous().numpy()
    expected = nn.MaxPool2d(2)(x)[0].permute(1, 2, 0).reshape(-1, 5).numpy()
    assert np.array_equal(WindowMaximum(2, 5, size)(rows), expected)


@pytest.mark.parametrize("channels", [1, 15, 16, 40])
def test_list_of_what_is_active(channels):
    rng = np.random.default_rng(0)
    maps = (rng.random((9, channels)) < 0.2).astype(np.float32) * rng.integers(-3, 4, (9, channels)).astype(np.float32)
    maps[3], maps[4] = 0.0, np.nan
    starts, places = np.zeros(10, np.int32), np.zeros(maps.size + 1, np.int32)
    values = np.zeros(maps.size + 1, np.float32)
    count = sparse_loops.list_active(maps, starts, places, values)
    assert np.array_equal(places[:count], np.flatnonzero(maps))
    np.testing.assert_array_equal(values[:count], maps.ravel()[places[:count]])
    assert starts.tolist() == [0, *np.cumsum((maps != 0).sum(1)).tolist()]
