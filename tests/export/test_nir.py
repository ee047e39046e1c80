"""NIR files run with equal spikes by Norse's step, Norse's importer and snnTorch's; what NIR cannot say is refused."""

import nir
import numpy as np
import pytest
import torch

from dvspipe.errors import UsageError
from dvspipe.export.nir_graph import Chain, write_nir
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import make_neuron

KINDS = {
    "published": {},
    "reset to zero": {"constants": {"reset": "zero"}},
    "strict": {"neuron": "ms-resnet"},
    "decaying input": {"neuron": "norse"},
    "learned leak": {"neuron": "plif"},
    "learned leak and gain": {"constants": {"adapt": "shared"}},
    "bias": {"constants": {"bias": 0.02}},
    "tdbn": {"norm": "tdbn"},
    "five-conv-a": {"name": "five-conv-a", "width": 0.1},
    "five-conv-b": {"name": "five-conv-b", "size": (64, 64)},
    "lenet": {"name": "lenet"},
    "lenet, mean pools": {"name": "lenet", "pool": "mean"},
}


def agrees(compared, least_spikes=500):
    """Every spike until a potential first meets its threshold; behind that, hardly any differs."""
    assert compared.spikes > least_spikes, "a network that is silent proves nothing"
    assert compared.clear
    assert compared.different <= 1e-4 * compared.spikes


@pytest.mark.parametrize("merge", [False, True], ids=["", "merged"])
@pytest.mark.parametrize("kind", KINDS)
def test_norses_step_gives_equal_spikes(playing, settled, tmp_path, kind, merge):
    network = settled(**KINDS[kind])
    write_nir(tmp_path / "a.nir", network, {}, 0.01, merge)
    frames = playing.made_frames(size=network.frame_shape)
    agrees(playing.compare_spikes(network, frames, playing.ByNorse(tmp_path / "a.nir")), 100)


def test_three_readers_on_whole_recordings(playing, settled, recording, tmp_path):
    """Norse's step on the default network; Norse's and snnTorch's own importers on what they can hold."""
    frames = playing.frames_of(recording)
    assert len(frames) >= 19
    network = settled()
    write_nir(tmp_path / "a.nir", network, {}, 0.01)
    agrees(playing.compare_spikes(network, frames, playing.ByNorse(tmp_path / "a.nir")))
    network = settled(constants={"reset": "zero"})
    write_nir(tmp_path / "b.nir", network, {}, 0.01, merge=True)
    agrees(playing.compare_spikes(network, frames, playing.by_norses_importer(tmp_path / "b.nir")))
    write_nir(tmp_path / "c.nir", network, {}, 1e-4)
    agrees(playing.compare_spikes(network, frames, playing.by_snntorch(tmp_path / "c.nir")))


@pytest.mark.parametrize("dt_s", [1e-4, 1e-3, 0.025])
def test_time_constants_are_those_of_the_dt_they_name(playing, settled, tmp_path, dt_s):
    network = settled(constants={"reset": "zero", "bias": 0.03})
    write_nir(tmp_path / "a.nir", network, {"classes": '["a"]'}, dt_s)
    graph = nir.read(str(tmp_path / "a.nir"))
    assert graph.metadata["classes"] == '["a"]' and graph.metadata["dt_s"] == dt_s
    node = graph.nodes["conv2_lif"]
    for given, wanted in (
        (node.tau, dt_s / 0.7),
        (node.r, 1 / 0.7),
        (node.v_leak, 0.03 / 0.7),
        (node.v_threshold, 0.3),
        (node.v_reset, 0.0),
    ):
        np.testing.assert_allclose(given, np.full(node.tau.shape, wanted), rtol=1e-6)
    agrees(playing.compare_spikes(network, playing.made_frames(), playing.ByNorse(tmp_path / "a.nir")), 100)


def test_a_wrong_dt_does_not_pass(playing, settled, tmp_path):
    """Norse 1.1's own exporter is off by dt; the comparison above would see it."""
    network = settled()
    write_nir(tmp_path / "a.nir", network, {}, 0.01)
    reader = playing.ByNorse(tmp_path / "a.nir")
    reader.dt = 0.001
    assert playing.compare_spikes(network, playing.made_frames(), reader).different > 0


@pytest.mark.parametrize(("strict", "fired"), [(False, [0.0, 1.0, 1.0]), (True, [0.0, 0.0, 1.0])])
def test_a_potential_on_the_threshold_fires_as_ours_does(playing, strict, fired):
    """NIR compares with >; >= is a threshold one float32 lower. With keep 0 the potential is the current itself."""
    neuron = make_neuron("ma-snn", keep=0.0, strict=strict)
    v_th = np.float32(neuron.v_th)
    x = torch.tensor([[np.nextafter(v_th, np.float32(0)), v_th, np.nextafter(v_th, np.float32(1))]])
    lif = LIF(neuron)
    assert lif.step(x)[0].tolist() == [fired]
    chain = Chain((3,), 1.0, merge=False)
    chain.neurons("a_lif", lif)
    reader = playing.ByNorse.__new__(playing.ByNorse)
    reader.dt, reader.start, reader.v = 1.0, 0.0, {}
    assert reader.neurons("a_lif", chain.nodes["a_lif"], x).tolist() == [fired]


REFUSED = {
    "attention": ({"attention": "TCSA", "t_ratio": 2}, "layer 'conv1' has attention .*placement 'released'"),
    "causal attention": ({"attention": "SA", "placement": "causal"}, "layer 'conv1' has attention .*'causal'"),
    "subtract": ({"constants": {"reset": "subtract"}}, "layer 'conv1': reset = 'subtract'"),
    "adapt": ({"constants": {"adapt": "steps"}}, "layer 'conv1': adapt = 'steps'"),
    "tebn": ({"norm": "tebn"}, "'tebn' and 'per-step'"),
    "residual": ({"name": "att-res-18", "width": 0.05}, r"layer 'stage1' \(Row\) has no form"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_nir_cannot_say_is_refused_by_name(settled, tmp_path, why):
    settings, message = REFUSED[why]
    with pytest.raises(UsageError, match=message):
        write_nir(tmp_path / "a.nir", settled(**settings), {}, 0.01)
    assert not list(tmp_path.iterdir())
