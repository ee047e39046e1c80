"""Attention on the current and neurons in one go: equal to attention first and neurons then, forward and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dvspipe.errors import ShapeError
from dvspipe.snn.attention import build_attention
from dvspipe.snn.kernels import attended, membrane
from dvspipe.snn.layers.spiking import LayerState, Spiking
from dvspipe.snn.lif import LIF
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import PRESETS, make_neuron
from dvspipe.snn.watching import watch

VARIANTS = ("relu", "constant", "TA", "CA", "SA", "TCA", "TSA", "CSA", "TCSA")
MAPS, FEATURES = (6, 3, 8, 7, 5), (6, 3, 10)
EVERY_PRESET = [name for name, neuron in PRESETS.items() if not neuron.learn_leak]


def layer(variant: str, shape: tuple[int, ...], dtype=torch.float64, neuron="ma-snn", **settings) -> Spiking:
    torch.manual_seed(1)
    attention = build_attention(
        variant, spatial=len(shape) == 5, steps=shape[0], channels=shape[2], c_ratio=2, t_ratio=2, **settings
    )
    return Spiking(LIF(make_neuron(neuron)), attention).to(dtype)


def inputs(shape: tuple[int, ...], dtype=torch.float64, whole=False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Current, potential before, and weights of spikes and last potential in the loss; `whole` numbers have equals."""
    torch.manual_seed(2)
    x = torch.randint(-2, 3, shape).to(dtype) if whole else 1.5 * torch.randn(shape, dtype=dtype)
    if len(shape) == 5:
        x = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, shape[:2])
    v = 0.3 * torch.randn(shape[1:], dtype=dtype)
    return x, v, torch.randn(shape, dtype=dtype), torch.randn(shape[1:], dtype=dtype)


def assert_membrane(variant: str, placement: str, **settings) -> None:
    """With attention on the membrane: one call per step against Norse's parts one after the other."""
    spiking, (x, v, by_spikes, by_v) = layer(variant, MAPS, placement=placement, **settings), inputs(MAPS)
    found = []
    for kernels in ("auto", "reference"):
        spiking.lif.kernels = kernels
        here, before = x.detach().requires_grad_(), v.detach().requires_grad_()
        spiking.zero_grad()
        assert membrane.takes(here, spiking.lif, spiking.attention) == (kernels == "auto")
        spikes, state = spiking(here, LayerState(before))
        ((spikes * by_spikes).sum() + (state.v * by_v).sum()).backward()
        weights = [each.grad.clone() for each in spiking.parameters()]
        found.append([spikes.detach(), state.v.detach(), here.grad, before.grad, *weights])
    assert_equal(*found, 1e-10)


def learn(spiking: Spiking, fused: bool, x: Tensor, v: Tensor, by_spikes: Tensor, by_v: Tensor) -> list[Tensor]:
    """Spikes, last potential and the gradients of the current, of the first potential and of every weight."""
    x, v = x.detach().requires_grad_(), v.detach().requires_grad_()
    spiking.zero_grad()
    if fused:
        assert attended.takes(x, spiking.lif, spiking.attention)
        spikes, state = spiking(x, LayerState(v))
        last = state.v
    else:
        spikes, last = spiking.lif(spiking.attention.weigh(x, ())[0], v)
    ((spikes * by_spikes).sum() + (last * by_v).sum()).backward()
    return [spikes.detach(), last.detach(), x.grad, v.grad, *(each.grad.clone() for each in spiking.parameters())]


def assert_equal(found: list[Tensor], wanted: list[Tensor], tolerance: float) -> None:
    assert torch.equal(found[0], wanted[0])
    for here, there in zip(found[1:], wanted[1:]):
        torch.testing.assert_close(here, there, rtol=tolerance, atol=tolerance * float(there.abs().max()))


@pytest.mark.parametrize(
    ("variant", "shape"),
    [(variant, shape) for variant in VARIANTS for shape in (MAPS, (6, 2, 4, 20, 19))]  # the second in several parts
    + [(variant, FEATURES) for variant in VARIANTS if "T" in variant or variant == "constant"],
)
def test_as_attention_and_then_neurons(variant, shape):
    spiking, given = layer(variant, shape), inputs(shape)
    assert_equal(learn(spiking, True, *given), learn(spiking, False, *given), 1e-10)


@pytest.mark.parametrize("placement", ["paper", "causal"])
@pytest.mark.parametrize("variant", ["CA", "SA", "TCA", "TSA", "CSA", "TCSA"])
def test_on_the_membrane(variant, placement):
    assert_membrane(variant, placement)


@pytest.mark.parametrize("settings", [{"relu": True}, {"gate_gain": 2.0, "gate_start": "neutral"}], ids=str)
def test_on_the_membrane_with_other_settings(settings):
    assert_membrane("TCSA", "causal", **settings)


@pytest.mark.parametrize("neuron", ["ms-resnet", "asnn", "norse"])
def test_on_the_membrane_of_other_neurons(neuron):
    assert_membrane("CSA", "paper", neuron=replace(PRESETS[neuron], adapt="none"))


@pytest.mark.parametrize("neuron", EVERY_PRESET)
def test_with_every_neuron(neuron):
    spiking, given = layer("TCSA", MAPS, neuron=replace(PRESETS[neuron], adapt="none")), inputs(MAPS)
    assert_equal(learn(spiking, True, *given), learn(spiking, False, *given), 1e-10)


@pytest.mark.parametrize("settings", [{"relu": False}, {"gate_gain": 2.0}, {"gate_start": "neutral"}], ids=str)
def test_with_other_settings(settings):
    spiking, given = layer("TCSA", MAPS, **settings), inputs(MAPS)
    assert_equal(learn(spiking, True, *given), learn(spiking, False, *given), 1e-10)


@pytest.mark.parametrize("variant", ["CA", "SA", "TCSA"])
def test_of_equal_maxima_the_first_has_the_gradient(variant):
    spiking, given = layer(variant, MAPS), inputs(MAPS, whole=True)
    assert_equal(learn(spiking, True, *given), learn(spiking, False, *given), 1e-10)


@pytest.mark.parametrize("shape", [(1, 2, 4, 3, 3), (6, 1, 4, 1, 1), (6, 2, 4, 33, 1), (7, 1, 3, 5, 2)], ids=str)
def test_odd_shapes(shape):
    spiking, given = layer("CSA", shape), inputs(shape)
    assert_equal(learn(spiking, True, *given), learn(spiking, False, *given), 1e-10)


def test_in_float32():
    spiking, given = layer("TCSA", MAPS, torch.float32), inputs(MAPS, torch.float32)
    assert_equal(learn(spiking, True, *given), learn(spiking, False, *given), 1e-5)


def test_contiguous_maps_and_channels_last_give_the_same():
    spiking, given = layer("TCSA", MAPS), inputs(MAPS)
    contiguous = learn(spiking, True, given[0].contiguous(), *given[1:])
    for here, there in zip(contiguous, learn(spiking, True, *given)):
        assert torch.equal(here, there)


def test_the_number_of_threads_changes_no_bit():
    shape = (6, 3, 16, 20, 19)
    # Without SA, whose convolution is torch's and sums by threads.
    spiking, given, found = layer("TCA", shape, torch.float32), inputs(shape, torch.float32), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(learn(spiking, True, *given))
    for here, there in zip(*found):
        assert torch.equal(here, there)


def test_under_autocast_it_is_nearer_to_the_truth_than_rounding_on_the_way():
    shape = (6, 3, 16, 12, 12)
    exact, rounded = layer("TCSA", shape), layer("TCSA", shape, torch.float32)
    x, v, *weights = inputs(shape, torch.float32)
    x = x.bfloat16()
    wanted = learn(exact, True, x.double(), v.double(), *(each.double() for each in weights))
    weights[0] = weights[0].bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found, unfused = (learn(rounded, fused, x, v, *weights) for fused in (True, False))

    def wrong(each: list[Tensor], at: int) -> float:
        return float((each[at].double() - wanted[at]).abs().mean())

    assert found[0].dtype == torch.bfloat16
    assert wrong(found, 0) <= wrong(unfused, 0)  # spikes
    assert wrong(found, 2) < 0.7 * wrong(unfused, 2)  # the current's gradient
    assert wrong(found, 0) < 1e-3


def test_a_state_of_another_batch_is_refused():
    spiking, (x, v, *_) = layer("TCSA", MAPS), inputs(MAPS)
    with pytest.raises(ShapeError, match=r"state \[B,...\] = \[2, 8, 7, 5\] does not fit"):
        spiking(x, LayerState(v[:2]))


def test_an_empty_batch_and_learned_leaks_take_the_ordinary_way():
    spiking, (x, *_) = layer("TCSA", MAPS), inputs(MAPS)
    assert not attended.takes(x[:, :0], spiking.lif, spiking.attention)
    assert not attended.takes(x, LIF(PRESETS["plif"]), spiking.attention)
    assert not attended.takes(x, LIF(PRESETS["ma-snn"], kernels="reference"), spiking.attention)


def test_differentiating_twice_is_an_error():
    spiking, (x, v, by_spikes, _) = layer("TCSA", MAPS), inputs(MAPS)
    x.requires_grad_()
    loss = (spiking(x, LayerState(v))[0] * by_spikes.requires_grad_()).sum()
    (grad,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_going_back_twice_gives_the_same_gradients():
    spiking, (x, v, by_spikes, _) = layer("TCSA", MAPS), inputs(MAPS)
    x.requires_grad_()
    loss = (spiking(x, LayerState(v))[0] * by_spikes).sum()
    first, second = (torch.autograd.grad(loss, [x, *spiking.parameters()], retain_graph=True) for _ in range(2))
    assert all(torch.equal(here, there) for here, there in zip(first, second))


def test_checkpointed_gradients_are_the_same():
    spiking, (x, v, by_spikes, _) = layer("TCSA", MAPS), inputs(MAPS)
    x.requires_grad_()
    plain = (spiking(x, LayerState(v))[0] * by_spikes).sum()
    again = torch.utils.checkpoint.checkpoint(lambda x: spiking(x, LayerState(v))[0], x, use_reentrant=False)
    wanted = torch.autograd.grad(plain, [x, *spiking.parameters()])
    found = torch.autograd.grad((again * by_spikes).sum(), [x, *spiking.parameters()])
    assert all(torch.equal(here, there) for here, there in zip(found, wanted))


def test_frozen_weights_get_no_gradient():
    spiking, (x, v, *_) = layer("TCSA", MAPS), inputs(MAPS)
    frozen = spiking.attention.channel.w0.weight.requires_grad_(False)
    spiking(x.requires_grad_(), LayerState(v))[0].sum().backward()
    assert frozen.grad is None and x.grad is not None and spiking.attention.channel.w1.weight.grad is not None


def test_who_watches_sees_the_factors():
    torch.manual_seed(0)
    network = build_network("three-conv", steps=6, classes=3, size=(8, 8), width=0.125, attention="TCSA").eval()
    seen = watch(network, torch.rand(6, 1, 2, 8, 8))
    assert seen.time and seen.channel and seen.space
