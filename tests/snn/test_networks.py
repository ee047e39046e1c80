"""The three-conv network: counts (law 7), steps equal sequence (law 4), shapes, precision, checkpoints, errors."""

import copy
import pickle

import pytest
import torch

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.counting import count_network, kept_bytes
from dvspipe.snn.networks import build_network

STEPS, BATCH, CLASSES = 6, 3, 5
SMALL = {"classes": CLASSES, "steps": STEPS, "width": 0.25, "size": (12, 16)}


def build(attention="none", **changes):
    torch.manual_seed(0)
    network = build_network("three-conv", attention=attention, **{**SMALL, **changes})
    for layer in network.layers.values():  # let every layer fire well
        neuron = layer.spiking.lif.neuron
        torch.nn.init.constant_(layer.norm.bias, neuron.v_th / neuron.gain)
    return network


def frames(steps=STEPS, batch=BATCH, size=(12, 16)):
    torch.manual_seed(1)
    return torch.poisson(torch.full((steps, batch, 2, *size), 0.4)).int()


def settled(network):
    """In evaluation mode, with running statistics that come from data."""
    network.train()
    network(frames())
    return network.eval()


@pytest.mark.parametrize(
    ("attention", "params", "attention_params"),
    [
        ("none", 2_324_065, 0),
        ("relu", 2_324_065, 0),
        ("CA", 2_324_065 + 9_216, 9_216),
        ("TA", 2_324_065 + 7_200, 7_200),
        ("SA", 2_324_065 + 54, 54),
        ("TCSA", 2_324_065 + 16_470, 16_470),
    ],
)
def test_published_counts(attention, params, attention_params):
    with torch.device("meta"):
        counts = count_network(build_network("three-conv", classes=11, steps=60, attention=attention))
    assert (counts["params"], counts["attention_params"], counts["neurons"]) == (params, attention_params, 106_763)


def test_published_channel_attention_of_ratio_16():
    network = build_network("three-conv", classes=11, steps=60, attention="CA", c_ratio=16)
    assert count_network(network)["attention_params"] == 4_608


def test_macs_by_hand():
    counts = count_network(build_network("three-conv", classes=11, steps=60, attention="TCSA"))
    macs = {layer["name"]: layer["macs"] for layer in counts["layers"]}
    assert macs == {
        "conv1": 9 * 2 * 64 * 32 * 32,
        "conv2": 9 * 64 * 128 * 32 * 32,
        "conv3": 9 * 128 * 128 * 16 * 16,
        "fc1": 8192 * 256,
        "out": 256 * 11,
    }
    assert counts["macs_per_frame"] == sum(macs.values())
    first, _, _, fc, _ = counts["layers"]
    assert first["gate_macs"] == 2 * (1_440 + 1_024) + 18 * 32 * 32 and first["scale_macs"] == 3 * 65_536
    assert fc["gate_macs"] == 2 * 1_440 and fc["scale_macs"] == 256


@pytest.mark.parametrize(
    ("attention", "placement"),
    [
        ("none", "released"),
        ("TCSA", "released"),
        *((variant, "causal") for variant in ("TA", "CA", "SA", "CSA", "TCSA")),
        ("TCSA", "paper"),
    ],
)
def test_memory_estimate_is_near_what_autograd_keeps(attention, placement, kept_by_autograd):
    network = build(attention, size=(32, 32), placement=placement)
    kept = kept_by_autograd(network, frames(size=(32, 32)))
    assert kept_bytes(network, STEPS, BATCH, bits=False) == pytest.approx(kept, rel=0.25)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("attention", ["none", "relu"])
@pytest.mark.parametrize("neuron", ["ma-snn", "spikingjelly", "gac"])
def test_steps_equal_the_whole_sequence(neuron, attention, dtype):
    network, seen = settled(build(attention, neuron=neuron)).to(dtype), []
    x = frames()
    with torch.no_grad():
        whole, last = network(x)
        state = None
        for frame in x:
            out, state = network.step(frame, state, probe=lambda name, spikes: seen.append((name, spikes.shape[0])))
            seen.append(out)
    stepped = torch.stack([item for item in seen if isinstance(item, torch.Tensor)])
    assert network.live and whole.any()
    # A membrane that comes within rounding of the threshold may flip; in float64 none does.
    differing = (stepped != whole).any(0).any(1)
    assert not differing.any() if dtype == torch.float64 else differing.float().mean() <= 0.34
    if not differing.any():
        for ours, theirs in zip(state, last):
            torch.testing.assert_close(ours.v, theirs.v, rtol=1e-4, atol=1e-4)
    assert [name for name, _ in filter(lambda item: isinstance(item, tuple), seen)][:5] == list(network.layers)


@pytest.mark.parametrize("attention", ["none", "relu"])
def test_two_calls_that_pass_the_state_equal_one(attention):
    network, x = settled(build(attention)).double(), frames()
    with torch.no_grad():
        whole, _ = network(x)
        first, state = network(x[:2])
        second, _ = network(x[2:], state)
    assert torch.equal(torch.cat((first, second)), whole)


@pytest.mark.parametrize("attention", ["none", "TCSA"])
def test_shapes_probe_and_gradients(attention):
    network, seen = build(attention), {}
    out, state = network(frames(), probe=seen.__setitem__)
    assert out.shape == (STEPS, BATCH, CLASSES) and len(state) == 5
    assert {name: tuple(spikes.shape[2:]) for name, spikes in seen.items()} == {
        "conv1": (16, 12, 16), "conv2": (32, 6, 8), "conv3": (32, 3, 4), "fc1": (64,), "out": (CLASSES,),
    }  # fmt: skip
    assert all(set(spikes.unique().tolist()) <= {0.0, 1.0} for spikes in seen.values())
    out.mean(0).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_autocast_keeps_half_precision_and_channels_last_between_layers():
    network, seen = build("TCSA"), {}
    with torch.autocast("cpu", torch.bfloat16):
        _, state = network(frames(), probe=seen.__setitem__)
    for name in ("conv1", "conv2", "conv3"):
        assert seen[name].dtype == torch.bfloat16
        assert seen[name].flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    assert all(layer.v.dtype == torch.float32 for layer in state)


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.float64])
def test_any_number_type_of_frames_gives_the_same(kind):
    network = settled(build())
    assert torch.equal(network(frames().to(kind))[0], network(frames().float())[0])


def test_network_copies_pickles_and_reloads():
    network = settled(build("TCSA"))
    again = build("TCSA", gate_gain=1)
    again.load_state_dict(network.state_dict())
    again.eval()
    for other in (again, copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other(frames())[0], network(frames())[0])
    assert "layers.conv1.spiking.lif.v_th" in network.state_dict()


def test_settings_reach_their_layers():
    slot = {"attention": "TCA", "c_ratio": 4, "t_ratio": 2, "gate_gain": 2}
    network = build_network("three-conv", classes=7, steps=10, neuron="gac", **slot)
    spiking = network.layers["conv2"].spiking
    assert spiking.attention.gain == 2 and spiking.lif.neuron.v_th == 1.0
    assert tuple(spiking.attention.channel.w0.weight.shape) == (32, 128)
    assert tuple(network.layers["out"].spiking.attention.time.w0.weight.shape) == (5, 10)


def test_released_attention_cannot_step_and_says_so():
    network = build("CA")
    assert not network.live
    with pytest.raises(UsageError, match=r"placement 'released'.*sliding clip"):
        network.step(frames()[0])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((STEPS + 1, 2, 2, 12, 16), r"built for T = 6 steps.*T = 7"),
        ((STEPS, 2, 3, 12, 16), r"\[T,B,C,H,W\] = \[6, 2, 3, 12, 16\].*\[T,B,2,12,16\]"),
        ((STEPS, 2, 2, 16, 12), r"\[T,B,2,12,16\]"),
        ((STEPS, 2, 12, 16), r"\[T,B,2,12,16\]"),
        ((0, 2, 2, 12, 16), "no time step"),
    ],
)
def test_frames_that_do_not_fit_are_named(shape, message):
    with pytest.raises(ShapeError, match=message):
        build("TA")(torch.zeros(shape))


def test_state_that_does_not_fit_is_named():
    network = settled(build())
    _, state = network(frames())
    with pytest.raises(ShapeError, match="state of 2 layers"):
        network(frames(), state[:2])
    with pytest.raises(ShapeError, match=r"state \[B,...\]"):
        network(frames(batch=1), state)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("three-cov", {}, "did you mean 'three-conv'"),
        ("three-conv", {"classes": 3}, "needs the setting steps"),
        ("three-conv", {"classes": 3, "steps": 6, "atention": "TA"}, "did you mean 'attention'"),
        ("three-conv", {"classes": 0, "steps": 6}, "classes=0"),
        ("three-conv", {"classes": 3, "steps": 6, "size": (3, 32)}, "at least 4x4"),
        ("three-conv", {"classes": 3, "steps": 4, "attention": "TA"}, "t_ratio from 1 to 4"),
    ],
)
def test_wrong_settings_are_named(name, settings, message):
    with pytest.raises(UsageError, match=message):
        build_network(name, **settings)


def test_an_empty_batch_passes():
    out, _ = settled(build())(torch.zeros(STEPS, 0, 2, 12, 16))
    assert out.shape == (STEPS, 0, CLASSES)
