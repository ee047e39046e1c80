"""Attention in the `released` placement: what it may and may not do to a current. (Its numbers: test_golden.py.)"""

import pytest
import torch

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.attention import build_attention
from dvspipe.snn.attention.choice import VARIANTS
from dvspipe.snn.counting import trainable

STEPS, CHANNELS = 6, 16
REAL = [name for name, factors in VARIANTS.items() if factors]


def build(variant, **changes):
    torch.manual_seed(0)
    return build_attention(variant, **{"steps": STEPS, "channels": CHANNELS, "t_ratio": 2, **changes})


def current(*shape):
    return torch.randn(*(shape or (STEPS, 3, CHANNELS, 5, 7)))


def plainly(module, x):
    """The published formulas one after the other, every factor pooled anew from the scaled tensor [T,B,C,H,W]."""

    def squeeze(part, mean, top):
        return torch.sigmoid(part.w1(part.w0(mean).relu()) + part.w1(part.w0(top).relu()))

    if module.time is not None:
        g = squeeze(module.time, x.mean((2, 3, 4)).T, x.amax((2, 3, 4)).T).T
        x = x * module.gain * g[:, :, None, None, None]
    if module.channel is not None:
        g = squeeze(module.channel, x.mean((0, 3, 4)), x.amax((0, 3, 4)))
        x = x * module.gain * g[None, :, :, None, None]
    if module.space is not None:
        g = torch.sigmoid(module.space.conv(torch.stack((x.mean((0, 2)), x.amax((0, 2))), 1)))
        x = x * module.gain * g[None]
    return x.relu()


@pytest.mark.parametrize("gain", [1, 2])
@pytest.mark.parametrize("variant", REAL)
def test_pooling_once_equals_pooling_every_scaled_tensor(variant, gain):
    module, x = build(variant, gate_gain=gain).double(), current().double()
    torch.testing.assert_close(module(x), plainly(module, x))


@pytest.mark.parametrize("variant", REAL)
def test_a_neutral_gate_of_gain_two_is_the_relu(variant):
    module = build(variant, gate_gain=2)
    for weights in module.parameters():
        torch.nn.init.zeros_(weights)
    x = current()
    torch.testing.assert_close(module(x), x.relu())


@pytest.mark.parametrize("variant", ["relu", *REAL])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_keeps_shape_dtype_and_memory_order(variant, dtype):
    x = current().to(dtype).flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (STEPS, 3))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = build(variant)(x)
    assert y.shape == x.shape and y.dtype == dtype and y.stride() == x.stride()


@pytest.mark.parametrize("variant", REAL)
def test_samples_do_not_see_each_other(variant):
    module, x = build(variant), current()
    torch.testing.assert_close(module(x)[:, 1:2], module(x[:, 1:2]))


@pytest.mark.parametrize("variant", REAL)
def test_gradient_matches_finite_differences(variant):
    module = build(variant, steps=4, channels=4, c_ratio=2).double()
    x = torch.randn(4, 2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, x)


def test_among_equal_maxima_the_first_gets_the_gradient():
    """A resting background makes thousands of equal maxima: amax would spread the gradient over them."""
    module = build("CA", channels=2, c_ratio=1)
    with torch.no_grad():
        module.channel.w0.weight.fill_(1.0)
        module.channel.w1.weight.fill_(1.0)
    x = torch.ones(STEPS, 1, 2, 3, 3, requires_grad=True)
    module(x).sum().backward()
    per_element = x.grad[:, 0, 0].flatten()
    assert per_element[0] > per_element[1] and torch.equal(per_element[1:], per_element[1].expand(STEPS * 9 - 1))


@pytest.mark.parametrize(("variant", "expected"), [("TA", 2 * 60 * 12), ("CA", 2 * 64 * 8), ("SA", 18), ("relu", 0)])
def test_parameter_counts(variant, expected):
    assert trainable(build_attention(variant, steps=60, channels=64)) == expected


def test_full_layers_have_temporal_attention_or_none():
    with_time = [variant for variant in VARIANTS if build(variant, spatial=False) is not None]
    assert with_time == ["TA", "TCA", "TSA", "TCSA"]
    module, x = build("TCSA", spatial=False), current(STEPS, 3, CHANNELS)
    assert module.channel is None and module.space is None
    torch.testing.assert_close(module(x), plainly(module, x[..., None, None])[..., 0, 0])


def test_only_the_relu_is_live():
    assert build("none") is None and build("relu").live
    assert not any(build(variant).live for variant in REAL)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "TSCA"}, "unknown attention 'TSCA'.*did you mean 'T"),
        ({"variant": "TA", "placement": "relased"}, "did you mean 'released'"),
        ({"variant": "TA", "t_ratio": STEPS + 1}, "T = 6 cannot be reduced by the ratio 7.*t_ratio from 1 to 6"),
        ({"variant": "CA", "c_ratio": 32}, "C = 16 cannot be reduced by the ratio 32.*c_ratio from 1 to 16"),
        ({"variant": "SA", "gate_gain": -1}, "gate_gain = -1: must be above 0"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        build(settings.pop("variant"), **settings)


def test_any_gain_above_zero_is_a_factor():
    x, gates = current(), {}
    for gain in (1, 3):
        gates[gain] = build("SA", gate_gain=gain)(x)
    torch.testing.assert_close(gates[3], 3 * gates[1])


def test_another_number_of_steps_is_named():
    with pytest.raises(ShapeError, match=r"built for T = 6 steps.*T = 5"):
        build("TA")(current(5, 2, CHANNELS, 4, 4))
