"""ONNX files compute, step by step over whole recordings, what the network does; what has no single step is refused."""

import json

import numpy as np
import onnx
import pytest
import torch

from dvspipe.errors import RunError, UsageError
from dvspipe.export import onnx_step
from dvspipe.export.onnx_step import NEXT, OnnxStepper, check, write_onnx
from dvspipe.export.state import example, flat, rebuilt, state_parts

TCSA = {"attention": "TCSA", "placement": "causal", "attention_bins": 5, "gate_gain": 2.0}
KINDS = {
    "plain, max pools and votes": {"name": "five-conv-a", "width": 0.1, "neuron": "plif"},
    "strict, subtract, bias": {"neuron": "gac", "constants": {"reset": "subtract", "bias": 0.05}},
    "gates per step": {"attention": "CSA", "placement": "paper", "constants": {"adapt": "shared"}},
    "ECA, ReLU": {"attention": "ECA", "placement": "causal", "relu": True},
}


@pytest.fixture(scope="module")
def causal(settled, tmp_path_factory):
    """(network, path, its parts, how it compared)."""
    network, path = settled(**TCSA), tmp_path_factory.mktemp("onnx") / "a.onnx"
    return network, path, *write_onnx(path, network, {"classes": '["a"]'}, 18)


def agrees(compared, forced):
    """1e-4 on potentials and outputs, in every step; carried on, until a potential meets its threshold."""
    assert compared.spikes > 500, "a network that is silent proves nothing"
    assert compared.clear
    values_per_spike = 1e-3 if forced else 1e-2
    assert compared.different <= values_per_spike * compared.spikes
    assert compared.worst < 1e-4


@pytest.mark.parametrize("forced", [True, False], ids=["same state", "own state"])
def test_equal_to_the_network_over_whole_recordings(playing, causal, recording, forced):
    network, path, *_ = causal
    frames = playing.frames_of(recording)
    assert len(frames) >= 19
    agrees(playing.compare_steps(network, frames, OnnxStepper(path), forced), forced)


def test_equal_to_the_network_on_made_frames(playing, causal):
    network, path, _, checked = causal
    agrees(playing.compare_steps(network, playing.made_frames(bins=40), OnnxStepper(path), False), False)
    assert checked.spikes > 100 and checked.max_difference < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_live_network(playing, settled, tmp_path, kind):
    network = settled(**KINDS[kind])
    write_onnx(tmp_path / "a.onnx", network, {}, 18)
    agrees(playing.compare_steps(network, playing.made_frames(), OnnxStepper(tmp_path / "a.onnx"), False), False)


def test_the_file_says_how_to_run_it(causal):
    network, path, *_ = causal
    model = onnx.load(path)
    told = {each.key: each.value for each in model.metadata_props}
    assert told["classes"] == '["a"]' and "zeros" in told["reset"]
    state = json.loads(told["state"])
    names = [each.name for each in model.graph.input]
    assert names == ["frame", *(part["name"] for part in state)]
    assert names[1:4] == ["conv1.v", "conv1.memory.0", "conv1.memory.1"]
    assert [each.name for each in model.graph.output] == ["out", *(part["name"] + NEXT for part in state)]
    assert [tuple(part["shape"]) for part in state] == [tuple(part.shape) for part in flat(example(network, 1))]
    assert {each.type.tensor_type.elem_type for each in model.graph.input} == {onnx.TensorProto.FLOAT}
    assert not [node for node in model.graph.node if node.op_type == "BatchNormalization"]


def test_recordings_side_by_side(causal, playing):
    """The batch axis is free: three recordings at once are three recordings one by one."""
    network, path, parts, _ = causal
    stepper, frames = OnnxStepper(path), playing.made_frames(bins=6).expand(-1, 3, -1, -1, -1).clone()
    frames[:, 1] *= 0
    frames[:, 2] *= 2
    state = [
        torch.zeros([3 if axis == part.batch_axis else size for axis, size in enumerate(part.shape)]) for part in parts
    ]
    alone = [flat(example(network, 1)) for _ in range(3)]
    for frame in frames:
        out, state = stepper.step(frame, state)
        for index in range(3):
            single, alone[index] = stepper.step(frame[index : index + 1], alone[index])
            np.testing.assert_allclose(out[index : index + 1], single, atol=1e-5)
    assert not torch.equal(state[0][0], state[0][2])


def test_a_file_of_other_weights_is_noticed(causal, settled):
    _, path, *_ = causal
    other = settled(**TCSA, classes=5)
    with torch.no_grad():
        other.layers["conv1"].conv.weight.mul_(1.5)
    with pytest.raises(RunError, match="differ from the network"):
        check(path, other)


def test_state_goes_flat_and_back(settled):
    network = settled(name="att-res-18", width=0.05)
    state = example(network, 2)
    again = rebuilt(state, iter(flat(state)))
    assert type(again[1][0]) is type(state[1][0]) and len(flat(again)) == len(flat(state))
    names = [part.name for part in state_parts(network)]
    assert names[0] == "stage1.0.v1" and len(set(names)) == len(names)


@pytest.mark.parametrize("opset", [0, 17, 26, 99])
def test_an_unknown_opset_is_refused(settled, tmp_path, opset):
    """Asked for 17, torch's exporter would write 18 and say nothing."""
    with pytest.raises(UsageError, match=f"--opset {opset}.*18 to 25"):
        write_onnx(tmp_path / "a.onnx", settled(), {}, opset)
    assert not list(tmp_path.iterdir())


REFUSED = {
    "released": ({"attention": "TCSA", "t_ratio": 2}, "layer 'conv1' .*placement 'released'.*snn.placement = 'causal'"),
    "steps": ({"constants": {"adapt": "steps"}}, "layer 'conv1' .*snn.adapt = 'shared'"),
    "tebn": ({"norm": "tebn"}, "snn.norm = 'bn'"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_has_no_single_step_is_refused_by_name(settled, tmp_path, why):
    settings, message = REFUSED[why]
    with pytest.raises(UsageError, match=message):
        write_onnx(tmp_path / "a.onnx", settled(**settings), {}, 18)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named_with_the_command(settled, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_step, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(UsageError, match=r"onnxruntime.*pip install 'dvspipe\[onnx\]'"):
        write_onnx(tmp_path / "a.onnx", settled(), {}, 18)
