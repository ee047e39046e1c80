"""Norms: the published formulas in numpy, what each does to time, and that one step of each is batch norm."""

import numpy as np
import pytest
import torch
from torch import nn

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.layers.norms import NORMS, make_norm

STEPS, BATCH, CHANNELS = 3, 4, 5
STEPWISE = ("tebn", "per-step")
SHAPES = {1: (STEPS * BATCH, CHANNELS), 2: (STEPS * BATCH, CHANNELS, 6, 7)}


def made(name, dims=2, **settings):
    """In float64, every parameter of its own value."""
    norm = make_norm(name, CHANNELS, STEPS, dims=dims, **settings).double()
    torch.manual_seed(0)
    with torch.no_grad():
        for each in norm.parameters():
            each.uniform_(0.5, 1.5)
    return norm


def maps(dims=2):
    """Steps of different mean and spread, time-major."""
    torch.manual_seed(1)
    x = torch.randn(SHAPES[dims], dtype=torch.float64).unflatten(0, (STEPS, BATCH))
    time = torch.arange(1.0, STEPS + 1, dtype=torch.float64).view(-1, *[1] * dims * 2)[..., : 1 if dims == 1 else None]
    return (x * time + time**2).flatten(0, 1)


def spread(value, x):
    """[C] over [N,C,...]."""
    return np.asarray(value).reshape(1, -1, *[1] * (x.ndim - 2))


def standard(x):
    """(x - mean) / sqrt(variance + eps), both over everything but C, the variance biased."""
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def affine(norm, xhat, scale=1.0):
    weight, bias = (each.detach().numpy() for each in (norm.weight, norm.bias))
    return spread(weight * scale, xhat) * xhat + spread(bias, xhat)


def formula(name, norm, x):
    if name == "bn":
        return affine(norm, standard(x))
    if name == "tdbn":
        return affine(norm, standard(x), 0.5 * 2**-0.5)
    steps = x.reshape(STEPS, BATCH, *x.shape[1:])
    if name == "tebn":
        y = affine(norm.norm, standard(x)).reshape(steps.shape)
        return (y * norm.p.detach().numpy().reshape(-1, *[1] * (y.ndim - 1))).reshape(x.shape)
    return np.concatenate([affine(one, standard(step)) for one, step in zip(norm.norms, steps)])


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("name", NORMS)
def test_it_is_the_published_formula(name, dims):
    norm, x = made(name, dims, v_th=0.5, alpha=2**-0.5), maps(dims)
    np.testing.assert_allclose(norm(x).detach().numpy(), formula(name, norm, x.numpy()), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NORMS)
def test_at_the_start(name):
    """Weight `gamma`, bias 0: the spread of every channel is gamma, and for tdBN gamma · v_th."""
    x = maps()
    y = make_norm(name, CHANNELS, STEPS, v_th=0.4, gamma=0.7).double()(x)
    wanted = 0.7 * (0.4 if name == "tdbn" else 1.0)
    torch.testing.assert_close(
        y.std((0, 2, 3), unbiased=False), torch.full((CHANNELS,), wanted).double(), rtol=1e-4, atol=0
    )
    assert make_norm(name, CHANNELS, STEPS, gamma=0.0).double()(x).abs().max() == 0


@pytest.mark.parametrize("name", NORMS)
def test_evaluation_uses_the_running_statistics(name):
    norm, x = made(name), maps()
    for _ in range(200):
        norm(x)
    ours, trained = norm.eval()(x), norm.train()(x)
    torch.testing.assert_close(ours, trained, rtol=2e-2, atol=2e-2)  # the running variance is unbiased
    assert not torch.equal(ours, trained)


@pytest.mark.parametrize("name", ["bn", "tdbn"])
def test_running_statistics_are_those_of_torch(name):
    norm, plain = made(name), nn.BatchNorm2d(CHANNELS).double()
    for x in (maps(), maps() * 2 + 1):
        norm(x), plain(x)
    for key in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(getattr(norm, key), getattr(plain, key))


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("name", STEPWISE)
def test_one_step_is_batch_norm(name, dims):
    norm, plain, x = (
        make_norm(name, CHANNELS, 1, dims=dims),
        make_norm("bn", CHANNELS, 1, dims=dims),
        maps(dims).float(),
    )
    assert torch.equal(norm(x), plain(x)) and torch.equal(norm.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("name", NORMS)
def test_only_statistics_of_its_own_keep_a_step_apart(name):
    """Another last step changes the first one's result, unless every step has statistics of its own."""
    norm, x = made(name), maps()
    other = x.clone()
    other[-BATCH:] += torch.randn_like(other[-BATCH:])
    assert torch.equal(norm(x)[:BATCH], norm(other)[:BATCH]) == (name == "per-step")


@pytest.mark.parametrize("name", NORMS)
def test_who_says_that_it_tells_the_steps_apart_does(name):
    """The same frames at every step come out the same exactly where `stepwise` is not set."""
    norm = made(name)
    same = norm(maps()[:BATCH].repeat(STEPS, 1, 1, 1)).unflatten(0, (STEPS, BATCH))
    alike = all(torch.allclose(step, same[0]) for step in same)
    assert alike != getattr(norm, "stepwise", False) and (name in STEPWISE) != alike


@pytest.mark.parametrize("name", NORMS)
def test_gradients_match_finite_differences(name):
    norm = made(name)
    x = torch.randn(STEPS * 2, CHANNELS, 1, 2, dtype=torch.float64, requires_grad=True)
    names, values = zip(*norm.named_parameters())
    assert torch.autograd.gradcheck(
        lambda x, *values: torch.func.functional_call(norm, dict(zip(names, values)), x).sin(), (x, *values)
    )


@pytest.mark.parametrize("name", NORMS)
def test_memory_order_and_half_precision_pass_through(name):
    norm = make_norm(name, CHANNELS, STEPS)
    x = maps().float().contiguous(memory_format=torch.channels_last)
    assert norm(x).is_contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        assert norm(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("name", STEPWISE)
def test_a_batch_of_other_steps_is_named(name):
    with pytest.raises(ShapeError, match=f"'{name}' was built for T = 3 steps.* of 10 frames"):
        make_norm(name, CHANNELS, 3)(torch.zeros(10, CHANNELS, 2, 2))


def test_one_value_has_no_variance():
    norm = make_norm("per-step", CHANNELS, STEPS, dims=1)
    with pytest.raises(ShapeError, match="at least 2 samples"):
        norm(torch.zeros(STEPS, CHANNELS))
    assert norm.eval()(torch.ones(STEPS, CHANNELS)).shape == (STEPS, CHANNELS)


def test_weights_of_another_norm_or_threshold_are_refused():
    ours = make_norm("tdbn", CHANNELS, STEPS, v_th=0.5)
    make_norm("tdbn", CHANNELS, STEPS, v_th=0.5).load_state_dict(ours.state_dict())
    with pytest.raises(RuntimeError, match=r"scale is 0\.5 in the checkpoint, 1 here"):
        make_norm("tdbn", CHANNELS, STEPS).load_state_dict(ours.state_dict())
    for name in set(NORMS) - {"tdbn"}:
        with pytest.raises(RuntimeError, match="key"):
            ours.load_state_dict(make_norm(name, CHANNELS, STEPS).state_dict())


@pytest.mark.parametrize(("name", "parameters"), [("bn", 10), ("tdbn", 10), ("tebn", 13), ("per-step", 30)], ids=NORMS)
def test_parameters(name, parameters):
    assert sum(each.numel() for each in make_norm(name, CHANNELS, STEPS).parameters()) == parameters


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "tebm"}, "did you mean 'tebn'"),
        ({"dims": 3}, "dims 1 or 2"),
        ({"steps": 0}, "steps=0"),
        ({"channels": 0}, "channels=0"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        make_norm(**{"name": "bn", "channels": 2, "steps": 2, **settings})
