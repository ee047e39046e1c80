"""Peers do the work that the gate says they do, and the gate notices where they do not."""

from dataclasses import replace

import pytest
import torch

from dvspipe.bench.gate import check_neurons, ties
from dvspipe.bench.inputs import event_frames, gesture_network, used_to_events
from dvspipe.bench.peers.choice import LIBRARIES, library, peers
from dvspipe.bench.peers.neurons import NEURONS, RECTANGLE, TRIANGLE
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.skeleton import Silent, Skeleton
from dvspipe.bench.steps import FP32, check, make_work
from dvspipe.snn.lif import LIF

TINY = BenchSettings(width=0.125)
FOUND, NOTES = peers()


def current(dtype=torch.float32):
    draw = torch.Generator().manual_seed(0)
    return (0.3 * torch.randn(20, 2, 8, 8, 8, generator=draw) + 0.1).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("surrogate", list(NEURONS))
@pytest.mark.parametrize("name", [*FOUND, "ours"])
def test_a_peer_s_neurons_are_the_common_neuron(name, surrogate, dtype):
    neuron = NEURONS[surrogate]
    if name == "ours":
        verdict = check_neurons(lambda x: LIF(neuron)(x)[0], current(dtype), neuron)
    else:
        verdict = check_neurons(FOUND[name].make(neuron), current(dtype), FOUND[name].reference(neuron))
    assert verdict.equal, verdict.words


@pytest.mark.parametrize("change", [{"keep": 0.35}, {"v_th": 0.31}, {"surrogate_scale": 1.1}, {"detach_reset": True}])
def test_the_gate_notices_another_neuron(change):
    other = replace(TRIANGLE, **change)
    verdict = check_neurons(lambda x: LIF(other)(x)[0], current(), TRIANGLE)
    assert not verdict.equal
    assert "not equal work" in verdict.words


def test_ties_are_neurons_near_the_threshold_or_a_rectangle_s_edge():
    x = torch.tensor([[[0.3, 0.3 + 5e-6, 0.2, 0.05]], [[0.0, 0.0, 0.0, 0.0]]])
    assert ties(x, TRIANGLE).tolist() == [[True, True, False, False]]
    assert ties(x, RECTANGLE).tolist() == [[True, True, False, True]]  # 0.05 is 0.25 below


@pytest.mark.parametrize("name", list(FOUND))
def test_steps_of_a_peer_are_its_sequence(name):
    neurons, x = FOUND[name].make(TRIANGLE), current()
    with torch.no_grad():
        whole = neurons(x)
        neurons.reset()
        assert torch.equal(torch.stack([neurons.step(each) for each in x]), whole)
        neurons.reset()
        assert torch.equal(neurons.step(x[0]), whole[0])


@pytest.mark.parametrize("evaluated", [False, True])
@pytest.mark.parametrize("name", list(FOUND))
def test_a_peer_s_network_is_ours(name, evaluated):
    work = make_work((5, 3), "none", TINY, evaluated=evaluated)
    assert check(work, FOUND[name], FP32).equal


def test_the_gate_notices_other_weights():
    work = make_work((5, 3), "none", TINY)
    other = make_work((5, 3), "none", replace(TINY, seed=1))
    work.network.layers["conv1"].register_forward_hook(lambda *call: (1 - call[2][0], call[2][1]))
    peer = next(iter(FOUND.values()))
    assert "of the outputs differ" in check(work, peer, FP32).words
    assert check(other, peer, FP32).equal


@pytest.mark.skipif(library("spikingjelly") is None, reason="SpikingJelly is not installed")
def test_spikingjelly_s_attention_is_ours():
    work = make_work((10, 3), "TCSA", TINY)
    assert check(work, FOUND["SpikingJelly"], FP32).equal
    broken = make_work((10, 3), "TCSA", TINY)
    broken.network.layers["conv1"].spiking.attention.gain = 2.0
    assert "attended current" in check(broken, FOUND["SpikingJelly"], FP32).words


def test_the_skeleton_steps_as_it_runs():
    network = gesture_network(6, TRIANGLE, TINY)
    frames = event_frames(6, 1, seed=3)
    used_to_events(network, frames)
    name = next(iter(FOUND))
    made = Skeleton(network, lambda: FOUND[name].make(TRIANGLE), folded=True).eval()
    with torch.no_grad():
        assert torch.equal(torch.stack([made.step(frame) for frame in frames]), made(frames))


def test_the_floor_has_weights_and_no_neurons():
    network = gesture_network(6, TRIANGLE, TINY)
    out = Skeleton(network, Silent)(event_frames(6, 2, seed=3))
    assert out.shape == (6, 2, 11)
    assert out.unique().numel() > 2


def test_event_frames_are_sparse_counts_and_repeat():
    frames = event_frames(40, 3, seed=5)
    assert frames.shape == (40, 3, 2, 32, 32)
    assert 0.01 < float((frames > 0).float().mean()) < 0.04
    assert torch.equal(frames, frames.round())
    assert torch.equal(frames, event_frames(40, 3, seed=5))
    assert not torch.equal(frames, event_frames(40, 3, seed=6))


def test_every_library_is_tried():
    assert len(NOTES) == sum(library(name) is None for name in LIBRARIES)
