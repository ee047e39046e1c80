"""Optimisers: one step of each by hand, and who is decayed."""

import copy

import pytest
import torch
from torch import nn

from dvspipe.errors import UsageError
from dvspipe.learn.optimisers import OPTIMISERS, make_optimiser
from dvspipe.learn.schedules import Schedule


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def steps(model, optimiser, count=5, gradient=1.0):
    for _ in range(count):
        optimiser.zero_grad()
        (sum(each.sum() for each in model.parameters()) * gradient).backward()
        optimiser.step()
    return torch.cat([each.detach().flatten() for each in model.parameters()])


def test_adam_is_what_it_always_was():
    ours, theirs = network(), network()
    made = make_optimiser("adam", ours, 1e-2, 0.1, momentum=0.3)
    wanted = torch.optim.Adam(theirs.parameters(), lr=1e-2, weight_decay=0.1)
    assert made.state_dict() == wanted.state_dict()
    assert torch.equal(steps(ours, made), steps(theirs, wanted))


def test_sgd_by_hand():
    model = network()
    value = torch.cat([each.detach().flatten() for each in model.parameters()])
    found, velocity = steps(model, make_optimiser("sgd", model, 0.1, 0.01, 0.8), 3), torch.zeros_like(value)
    for _ in range(3):
        velocity = 0.8 * velocity + 1.0 + 0.01 * value
        value = value - 0.1 * velocity
    torch.testing.assert_close(found, value)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_who_is_decayed(name):
    """Without a gradient the decay acts alone: on everything, but with AdamW on weights of two axes."""
    model = network()
    before = {key: value.clone() for key, value in model.named_parameters()}
    steps(model, make_optimiser(name, model, 0.1, 0.1), 1, gradient=0.0)
    for key, value in model.named_parameters():
        spared = (name == "adamw" and value.ndim < 2) or not before[key].any()
        assert torch.equal(value, before[key]) == spared, key


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "plateau", "constant"])
def test_schedules_move_every_group_and_a_run_continues(name, schedule):
    model = network()
    optimiser = make_optimiser(name, model, 0.1, 0.01)
    plan = Schedule(schedule, optimiser, 0.1, 10)
    for _ in range(4):
        steps(model, optimiser, 1)
        plan.step()
        plan.epoch(1.0)
    assert len({group["lr"] for group in optimiser.param_groups}) == 1
    again = copy.deepcopy(model)
    other = make_optimiser(name, again, 0.1, 0.01)
    other.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    assert torch.equal(steps(again, other, 2), steps(model, optimiser, 2))


def test_an_unknown_name():
    with pytest.raises(UsageError, match=r"unknown optimiser 'adamww' .did you mean 'adamw'"):
        make_optimiser("adamww", network(), 0.1)
