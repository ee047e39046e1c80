"""Law 6: numbers computed by the released code of two papers. Shapes and keys come from the files."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dvspipe.encoders.choice import build_encoder
from dvspipe.snn.attention.choice import VARIANTS
from dvspipe.snn.attention.released import ReleasedAttention
from dvspipe.snn.attention.spatial import SpatialScore
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.over_time import repeats
from dvspipe.snn.layers.spiking import ConvLayer
from dvspipe.snn.layers.stem import Stem
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import make_neuron

OWN = Path(__file__).resolve().parent.parent / "data" / "golden"
FOLDERS = [OWN] + [Path(folder) for folder in [os.environ.get("DVSPIPE_GOLDEN_DIR")] if folder]
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*.npz"))


def groups(kind):
    """One case per file and group of keys `<kind>.<variant>.`, as (file, variant)."""
    cases = []
    for path in FILES:
        with np.load(path, allow_pickle=False) as arrays:
            variants = sorted({key.split(".")[1] for key in arrays if key.startswith(f"{kind}.")})
        cases += [pytest.param(path, variant, id=f"{path.parent.name}/{path.stem}-{variant}") for variant in variants]
    return cases


def read(path, prefix=""):
    with np.load(path, allow_pickle=False) as arrays:
        return {key.removeprefix(prefix): torch.from_numpy(arrays[key]) for key in arrays if key.startswith(prefix)}


def time_first(x):
    """[B,T,...] of the file -> [T,B,...] of dvspipe, and back."""
    return x.transpose(0, 1)


def ratio(size, hidden):
    return next(ratio for ratio in range(1, size + 1) if size // ratio == hidden)


def attention_of(variant, golden, steps, channels):
    """The module of a variant with the file's weights; None for `no`."""
    factors = {"no": None, **VARIANTS}[variant]
    if factors is None:
        return None
    t_ratio = ratio(steps, len(golden["time.w0"])) if "time.w0" in golden else 1
    c_ratio = ratio(channels, len(golden["channel.w0"])) if "channel.w0" in golden else 1
    attention = ReleasedAttention(factors, steps, channels, c_ratio, t_ratio, 1)
    if "space.conv" in golden:
        attention.space = SpatialScore(golden["space.conv"].shape[-1])
    named = {"time.w0", "time.w1", "channel.w0", "channel.w1", "space.conv"} & set(golden)
    attention.load_state_dict({f"{key}.weight": golden[key] for key in named}, strict=True)
    return attention


def relative(ours, theirs):
    """Error norm per sample [B,T,...] over the golden norm."""
    error, norm = (ours - theirs).flatten(1).norm(dim=1), theirs.flatten(1).norm(dim=1)
    return error / norm.clamp_min(1e-30)


def test_the_golden_copies_are_here():
    assert {path.name for path in OWN.glob("*.npz")} >= {"ma-snn-released.npz", "gac-encoder.npz"}
    assert len(groups("attention")) >= 7 and len(groups("layer")) >= 8


@pytest.mark.parametrize(("path", "variant"), groups("attention"))
def test_golden_attention(path, variant):
    golden = read(path, f"attention.{variant}.")
    x = golden["x"].requires_grad_()
    attention = attention_of(variant, golden, x.shape[1], x.shape[2])
    y = time_first(attention(time_first(x)))
    torch.testing.assert_close(y, golden["y"], rtol=1e-5, atol=1e-6)
    y.backward(golden["grad_y"])
    assert relative(x.grad, golden["grad_x"]).max() < 1e-5


@pytest.mark.parametrize(("path", "variant"), groups("layer"))
def test_golden_layer(path, variant):
    golden = read(path, f"layer.{variant}.")
    x = golden["x"].requires_grad_()
    _, steps, channels_in, height, width = x.shape
    channels = len(golden["conv.weight"])
    attention = attention_of(variant, golden, steps, channels)
    layer = ConvLayer((channels_in, channels), (height, width), 2, Kit(steps=steps, neuron=make_neuron("ma-snn")))
    layer.spiking.attention = attention
    weights = {f"{part}.{key}": golden[f"{name}.{key}"] for part, name in (("conv", "conv"), ("norm", "bn"))
               for key in ("weight", "bias")}  # fmt: skip
    assert not set(weights) - set(layer.state_dict())
    layer.load_state_dict(weights, strict=False)

    spikes = time_first(layer(time_first(x), None)[0])
    flips = (spikes != golden["spikes_train"]).flatten(1)
    assert flips.float().mean() <= 1e-3
    for key in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(layer.norm, key), golden[f"bn.{key}_after"], rtol=1e-5, atol=1e-6)
    spikes.backward(golden["grad_spikes"])
    exact = ~flips.any(1)
    assert exact.any()
    assert relative(x.grad, golden["grad_x"])[exact].max() < 1e-5

    layer.eval()
    with torch.no_grad():
        spikes = time_first(layer(time_first(x), None)[0])
    assert (spikes != golden["spikes_eval"]).float().mean() <= 1e-3


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=f"{path.parent.name}/{path.stem}")
        for path in FILES
        if {"current", "spikes"} <= set(read(path))
    ],
)
def test_golden_gac_neuron(path):
    golden = read(path)
    spikes, _ = LIF(make_neuron("gac"))(time_first(golden["current"]).contiguous())
    assert (time_first(spikes) != golden["spikes"]).float().mean() <= 1e-3


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in FILES if "encoded" in read(path)],
)
def test_golden_gac_encoder(path):
    """Image to coded spikes: stem, neurons and gate, with the step-independent part computed once."""
    golden = read(path)
    _, steps, channels, height, width = golden["current"].shape
    kit = Kit(steps=steps, neuron=make_neuron("gac"))
    settings = {"kernel": golden["space.w0"].shape[-1], "t_ratio": ratio(steps, len(golden["time.w0"]))}
    encoder = build_encoder("gac", steps, **settings)
    stem = Stem((golden["image"].shape[1], channels), (height, width), kit)
    gated = encoder.front(kit, channels, (height, width))
    stem.weights.load_state_dict({f"{n}.{key.split('.')[1]}": value for n, name in enumerate(("conv", "bn"))
                                  for key, value in golden.items() if key.startswith(f"{name}.")}, strict=False)  # fmt: skip
    gated.load_state_dict({"time.w0.weight": golden["time.w0"], "time.w1.weight": golden["time.w1"],
                           "space.0.1.weight": golden["space.w0"], "space.2.1.weight": golden["space.w1"]},
                          strict=False)  # fmt: skip
    current, _ = stem(encoder(golden["image"]), None)
    assert repeats(current), "the stem must have run once"
    torch.testing.assert_close(time_first(current), golden["current"], rtol=1e-4, atol=1e-5)
    coded, _ = gated(current, None)
    wrong = (time_first(coded) - golden["encoded"]).abs() > 1e-5
    assert wrong.float().mean() <= 1e-3
    each, _ = gated(current.clone(memory_format=torch.contiguous_format), None)
    torch.testing.assert_close(each, coded, rtol=1e-5, atol=1e-6)  # made anew at every step, as released
