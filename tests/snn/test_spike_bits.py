"""Spikes kept as bits: the same training to the bit, in less memory, and nothing else is touched."""

from __future__ import annotations

import contextlib

import pytest
import torch

from dvspipe.snn.counting import count_layers, kept_bytes
from dvspipe.snn.kernels import spike_bits
from dvspipe.snn.kernels.spike_bits import BLOCK, SMALL, pack, spikes_as_bits, unpack
from dvspipe.snn.networks import build_network, network

DTYPES = (torch.float32, torch.bfloat16, torch.float64)


def spikes(*shape, dtype=torch.float32, rate=0.3):
    torch.manual_seed(0)
    return (torch.rand(shape) < rate).to(dtype)


def same(here, there):
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[here.element_size()]
    return (here.stride(), here.dtype) == (there.stride(), there.dtype) and torch.equal(
        here.contiguous().view(whole), there.contiguous().view(whole)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(SMALL,), (3, 5, 47, 53), (2, 3, 16, 32, 33), (4 * BLOCK + 1,)])
@pytest.mark.parametrize("threads", [1, 3])
def test_given_back_to_the_bit(shape, dtype, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x = spikes(*shape, dtype=dtype)
    for each in (x, x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x):
        kept = pack(each)
        assert not isinstance(kept, torch.Tensor)
        assert (
            kept.bits.nbytes + kept.rest.nbytes < each.nbytes / (4 * each.element_size()) + BLOCK * each.element_size()
        )
        assert same(unpack(kept), each)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [-0.0, 0.5, 2.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 6 * BLOCK + 7])
def test_one_other_value_and_it_stays_as_it_is(value, place, dtype):
    x = spikes(7 * BLOCK + 5, dtype=dtype)
    x[place] = value
    kept = pack(x)
    assert kept.data_ptr() == x.data_ptr()
    x[place], x[-1] = 1.0, value  # after the last whole row values are kept as they are
    assert same(unpack(pack(x)), x)


def test_gaps_repeats_small_and_other_types_stay_as_they_are():
    x = spikes(16, BLOCK)
    for each in (x[:, ::2], x[:1].expand(16, BLOCK), x[:3], x.bool(), x.half(), x.to("meta")):
        assert isinstance(pack(each), torch.Tensor)


def trained(name, settings, bits, monkeypatch):
    if not bits:
        monkeypatch.setattr(network, "spikes_as_bits", contextlib.nullcontext)
    torch.manual_seed(0)
    built = build_network(name, steps=4, classes=4, **settings).train()
    frames = (torch.rand(4, 8, *built.frame_shape) < 0.3).float()
    packed, own = [], spike_bits.pack
    monkeypatch.setattr(spike_bits, "pack", lambda x: packed.append(own(x)) or packed[-1])
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = built(frames)
    (out.float().mean(0) - 0.5).square().sum().backward()
    found = sum(not isinstance(each, torch.Tensor) for each in packed)
    return [each.grad for each in built.parameters() if each.grad is not None], found


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("three-conv", {"attention": "TCSA", "t_ratio": 2, "c_ratio": 2, "size": (32, 32), "width": 0.25}),
        ("ms-resnet-18-cifar", {"size": (32, 32), "width": 0.1, "in_channels": 2}),
        ("sew-resnet-18-cifar", {"size": (32, 32), "width": 0.1, "in_channels": 2}),
    ],
)
def test_the_same_gradients_to_the_bit(name, settings):
    with pytest.MonkeyPatch.context() as patch:
        plain, none = trained(name, settings, False, patch)
    with pytest.MonkeyPatch.context() as patch:
        bits, found = trained(name, settings, True, patch)
    assert none == 0 < found
    assert all(torch.equal(here, there) for here, there in zip(bits, plain, strict=True))


def test_nothing_is_done_where_nothing_is_kept_or_compiled(monkeypatch):
    with torch.no_grad():
        assert isinstance(spikes_as_bits(), contextlib.nullcontext)
    monkeypatch.setattr(spike_bits.numba.config, "DISABLE_JIT", True)
    assert isinstance(spikes_as_bits(), contextlib.nullcontext)


def test_the_memory_estimate_knows(monkeypatch):
    torch.manual_seed(0)
    built, kept = build_network("three-conv", steps=4, classes=4, width=0.5).train(), []

    def remember(x):
        kept.append(pack(x))
        return kept[-1]

    monkeypatch.setattr(spike_bits, "pack", remember)
    out = built((torch.rand(4, 8, *built.frame_shape) < 0.3).float())
    own = {each.untyped_storage().data_ptr() for each in built.parameters()}
    sizes = {}
    for each in kept:
        for part in (each,) if isinstance(each, torch.Tensor) else (each.bits, each.rest):
            sizes[part.untyped_storage().data_ptr()] = part.untyped_storage().nbytes()
    held = sum(size for place, size in sizes.items() if place not in own)
    held += sum(part.neurons for part in count_layers(built)) * 4 * 8  # the state, which autograd does not keep
    assert out and kept_bytes(built, 4, 8) == pytest.approx(held, rel=0.15)
    assert kept_bytes(built, 4, 8, bits=False) > 1.2 * held
