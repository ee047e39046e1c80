"""The activity that a loss may hold down, and that of a network before training."""

import pytest
import torch
from torch.utils.data import DataLoader

from dvspipe.frames import collate
from dvspipe.learn.evaluation import untrained_activity
from dvspipe.learn.losses import Activity
from dvspipe.metrics.spikes import SpikeProbe
from dvspipe.snn.networks import build_network


def network():
    torch.manual_seed(0)
    return build_network(
        "three-conv", classes=3, steps=4, attention="TCSA", size=(8, 8), width=0.1, t_ratio=2, c_ratio=2
    )


def clips(count=6):
    torch.manual_seed(1)
    return [(torch.randint(0, 3, (4, 2, 8, 8)).numpy(), k % 3) for k in range(count)]


def test_it_is_the_nasar_that_evaluation_counts_and_gradients_flow_through_it():
    model, activity, probe = network().train(), Activity(), SpikeProbe()
    frames, _ = collate(clips())
    model(frames, probe=activity)
    with torch.no_grad():
        model(frames, probe=probe)
    assert float(activity.nasar().detach()) == pytest.approx(probe.result()["nasar"], rel=1e-6)
    activity.nasar().backward()
    assert float(model.layers["conv1"].conv.weight.grad.abs().sum()) > 0


def test_before_training_batch_statistics_count_and_nothing_is_touched():
    model = network().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    activity = untrained_activity(model, DataLoader(clips(), batch_size=6, collate_fn=collate))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training
    probe = SpikeProbe()
    with torch.no_grad():
        model.train()(collate(clips())[0], probe=probe)
    assert activity == pytest.approx(probe.result()["nasar"])
