"""Over dropped bins the membrane leaks as if no current had come; attention forgets; and looking on changes nothing."""

import pytest
import torch

from dvspipe.snn.looking_on import Onlooker
from dvspipe.snn.networks import build_network
from dvspipe.snn.resting import rested

STEPS, CLASSES = 6, 5
SMALL = {"classes": CLASSES, "steps": STEPS, "width": 0.25, "size": (12, 16), "attention_bins": 4}


def build(attention="TCSA", **changes):
    torch.manual_seed(0)
    given = {**SMALL, **changes} if attention != "none" else {**SMALL, **changes, "attention_bins": None}
    given = {name: value for name, value in given.items() if value is not None}
    return build_network(
        "three-conv", attention=attention, placement="causal", c_ratio=2, t_ratio=2, gate_gain=2, **given
    ).eval()


def silent(network):
    """Without bias and offset no frame is no current."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return network


def frames(steps):
    torch.manual_seed(1)
    return torch.poisson(torch.full((steps, 2, 2, 12, 16), 0.4))


def leaves(state):
    if state is None:
        return []
    if isinstance(state, torch.Tensor):
        return [state]
    return [leaf for part in state for leaf in leaves(part)]


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@torch.no_grad()
def test_without_current_resting_is_stepping(steps):
    """Potentials below the threshold, no attention on the membrane: then the closed form is exact."""
    network = silent(build("none"))
    _, state = network(frames(4), None)
    stepped = state
    for _ in range(steps):
        _, stepped = network.step(torch.zeros(2, 2, 12, 16), stepped)
    for found, expected in zip(leaves(rested(network, state, steps)), leaves(stepped)):
        assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 9])
@torch.no_grad()
def test_attention_remembers_silence(steps):
    network = silent(build("TA"))
    _, state = network(frames(6), None)
    stepped = state
    for _ in range(steps):
        _, stepped = network.step(torch.zeros(2, 2, 12, 16), stepped)
    for found, expected in zip(rested(network, state, steps), stepped):
        for one, other in zip(found.memory, expected.memory):
            assert torch.allclose(one, other, atol=1e-6)


@torch.no_grad()
def test_nothing_skipped_changes_nothing():
    network = build()
    _, state = network(frames(2), None)
    assert rested(network, state, 0) is state
    assert rested(network, None, 5) is None


@torch.no_grad()
def test_the_potential_is_gone_after_long():
    network = build()
    _, state = network(frames(4), None)
    assert max(float(leaf.abs().max()) for leaf in leaves(rested(network, state, 200))) < 1e-12


@pytest.mark.parametrize(
    "name", ["five-conv-b", "ms-resnet-18-cifar", "sew-resnet-18-cifar", "spikformer", "att-res-18"]
)
@torch.no_grad()
def test_any_network_can_rest(name):
    torch.manual_seed(0)
    network = build_network(name, classes=3, steps=2, in_channels=2, size=(64, 64)).eval()
    clip = torch.rand(2, 1, 2, 64, 64)
    _, state = network(clip, None)
    quiet = rested(network, state, 3)
    assert [leaf.shape for leaf in leaves(quiet)] == [leaf.shape for leaf in leaves(state)]
    out, _ = network(clip, quiet)
    assert torch.isfinite(out).all()


@torch.no_grad()
def test_looking_on_changes_nothing_and_sees_what_was_used():
    network, clip = build(), frames(STEPS)[:, :1]
    for layer in network.layers.values():  # let every layer fire well
        torch.nn.init.constant_(layer.norm.bias, 3 * layer.spiking.lif.neuron.v_th)
    plain, state = [], None
    for frame in clip:
        out, state = network.step(frame, state)
        plain.append(out)
    onlooker, state = Onlooker(network), None
    onlooker.look(True)
    for frame, expected in zip(clip, plain):
        out, state = network.step(frame, state, onlooker.probe)
        assert torch.equal(out, expected)
    assert set(onlooker.time) == {"conv1", "conv2", "conv3", "fc1", "out"}
    assert all(weights.shape == (STEPS,) for weights in onlooker.time.values())
    assert {name: plane.shape for name, plane in onlooker.space.items()}["conv1"] == (12, 16)
    assert all(0 <= rate <= 1 for rate in onlooker.rates.values())
    assert onlooker.rates["conv1"] > 0
    onlooker.look(False)
    onlooker.space.clear()
    network.step(clip[0], None)
    assert onlooker.space == {}, "nobody looked"
    onlooker.reset()
    assert onlooker.time == {}
    onlooker.close()
    network.step(clip[0], None)
    assert onlooker.time == {}


def test_without_attention_there_is_nothing_neutral():
    assert Onlooker(build("none")).neutral is None
    assert Onlooker(build()).neutral == pytest.approx(1.0)
