"""Losses: every formula in numpy, hard and soft labels, gradients by finite differences."""

import math

import numpy as np
import pytest
import torch

from dvspipe.errors import UsageError
from dvspipe.learn.losses import LOSSES, hard, make_loss, survived
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import make_neuron

STEPS, BATCH, CLASSES = 4, 5, 3
LABEL = torch.tensor([0, 2, 1, 2, 0])
SOFT = torch.tensor([[0.7, 0.3, 0.0], [0, 0, 1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [1, 0, 0]], dtype=torch.float64)
SMOOTHED = [name for name in LOSSES if name not in ("mse-rate", "evidence")]
EVIDENCE_STEPS = 2.0


def outputs():
    """[T,B,K] within (0, 1), where every loss is smooth."""
    torch.manual_seed(0)
    return torch.rand(STEPS, BATCH, CLASSES, dtype=torch.float64) * 0.9 + 0.05


def cross_entropy(scores, target):
    scores = scores - scores.max(-1, keepdims=True)
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    return -(target * logs).sum(-1).mean()


def formula(name, out, target):
    mean = out.mean(0)
    if name == "mse-rate":
        return ((mean - target) ** 2).mean()
    if name == "ce-rate":
        return cross_entropy(10 * mean, target)
    if name == "ce":
        return cross_entropy(mean, target)
    if name == "tet":
        return 0.999 * np.mean([cross_entropy(step, target) for step in out]) + 1e-3 * ((out - 1) ** 2).mean()
    if name == "evidence":
        gathered, steps = np.zeros_like(mean), []
        for step in out:
            gathered = math.exp(-1 / EVIDENCE_STEPS) * gathered + (1 - math.exp(-1 / EVIDENCE_STEPS)) * step
            steps.append(gathered)
        return np.mean([(step - target) ** 2 for step in steps[2:]])
    first, silent = 0.0, np.ones(out.shape[1:])
    for t, step in enumerate(out):  # the definition: when with which probability
        first, silent = first + t * step * silent, silent * (1 - step)
    return cross_entropy(-(first + len(out) * silent), target)


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("name", LOSSES)
def test_it_is_its_formula(name, soft):
    target = SOFT.numpy() if soft else np.eye(CLASSES)[LABEL]
    found = make_loss(name, evidence_steps=EVIDENCE_STEPS)(outputs(), SOFT if soft else LABEL)
    assert float(found) == pytest.approx(formula(name, outputs().numpy(), target), rel=1e-12)


@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothing_is_a_soft_label(name):
    target = 0.9 * np.eye(CLASSES)[LABEL] + 0.1 / CLASSES
    found = make_loss(name, 0.1)(outputs(), LABEL)
    assert float(found) == pytest.approx(formula(name, outputs().numpy(), target), rel=1e-12)
    assert float(make_loss(name, 0.1)(outputs(), SOFT)) != float(make_loss(name)(outputs(), SOFT))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_match_finite_differences(name):
    loss = make_loss(name)
    assert torch.autograd.gradcheck(lambda out: loss(out, SOFT), outputs().requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
def test_one_hot_shares_are_the_class_in_any_precision(name):
    loss, shares = make_loss(name), torch.eye(CLASSES)[LABEL]
    out = outputs().round().bfloat16()  # spikes, as autocast hands them over
    found = loss(out, LABEL)
    assert found.dtype == torch.float32 and float(found) == pytest.approx(float(loss(out.double(), LABEL)), rel=1e-5)
    assert float(loss(out, shares)) == pytest.approx(float(found), rel=1e-6)


@pytest.mark.parametrize(("share", "mean"), [(0.0, 1.0), (0.25, 1.0), (0.25, -0.5), (1.0, 2.0)])
def test_tets_lambda_and_phi(share, mean):
    """(1 - lambda) · mean over t of CE + lambda · MSE(out, phi); without lambda, the cross-entropy of every step alone."""
    out, target = outputs().numpy(), np.eye(CLASSES)[LABEL]
    wanted = (1 - share) * np.mean([cross_entropy(step, target) for step in out]) + share * ((out - mean) ** 2).mean()
    assert float(make_loss("tet", tet_share=share, tet_mean=mean)(outputs(), LABEL)) == pytest.approx(wanted, rel=1e-12)
    smoothed = make_loss("tet", 0.1, tet_share=share, tet_mean=mean)(outputs(), LABEL)
    assert (float(smoothed) == pytest.approx(wanted)) == (share == 1.0)


def test_survived_is_the_first_step_of_every_spike_train():
    for pattern in range(2**STEPS):
        train = [pattern >> t & 1 for t in range(STEPS)]
        wanted = train.index(1) if 1 in train else STEPS
        assert float(survived(torch.tensor(train)[:, None, None].float())) == wanted


def test_the_gradient_reaches_the_steps_up_to_the_first_spike():
    """Spikes 0 1 0 1: a spike at step 0 would save 1 step, none at step 1 would last until 3; later ones are not asked."""
    out = torch.tensor([0.0, 1.0, 0.0, 1.0])[:, None, None].requires_grad_()
    survived(out).sum().backward()
    assert out.grad.flatten().tolist() == [-1.0, -2.0, 0.0, 0.0]


def test_training_on_first_spikes_lets_the_right_class_spike_first():
    torch.manual_seed(0)
    label, lif, loss = torch.arange(3), LIF(make_neuron("asnn")), make_loss("first-spike")
    strength = torch.full((3, 3), 0.8).requires_grad_()  # constant currents [B,K]; below 1, nobody ever spikes
    optimiser = torch.optim.Adam([strength], lr=0.1)
    start = None
    for _ in range(60):
        value = loss(lif(strength.expand(6, 3, 3))[0], label)
        start = start or float(value.detach())
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    times = survived(lif(strength.expand(6, 3, 3))[0])
    assert start == pytest.approx(math.log(3)) and float(value.detach()) < 0.05
    assert times.argmin(1).tolist() == label.tolist() and times.diagonal().max() <= 1


@pytest.mark.parametrize("value", [-0.5, 1.5])
def test_first_spikes_of_real_scores_are_refused(value):
    out = outputs()
    out[0, 0, 0] = value
    with pytest.raises(UsageError, match=r"spikes in \[0, 1\]"):
        make_loss("first-spike")(out, LABEL)


def test_evidence_asks_for_silence_where_nothing_happens():
    """Labels of every step: the best outputs follow them, and speak in no pause."""
    label = torch.full((12, 2), -1)
    label[4:, 0] = 1
    loss = make_loss("evidence", evidence_steps=0.2)
    right = torch.zeros(12, 2, CLASSES)
    right[4:, 0, 1] = 1
    assert float(loss(right, label)) < 1e-3
    early, late = right.clone(), right.clone()
    early[2:, 0, 1], late[4:7, 0, 1] = 1, 0
    assert float(loss(early, label)) > 0.01 and float(loss(late, label)) > float(loss(early, label))
    assert hard(label).tolist() == [1, 0]


def test_hard_labels():
    assert (
        torch.equal(hard(LABEL), LABEL) and hard(SOFT).tolist() == [0, 2, 1, 2, 0] and hard(SOFT).dtype == torch.int64
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("tett",), "did you mean 'tet'"),
        (("mse-rate", 0.1), "smoothing = 0.1 with loss 'mse-rate'.*ce-rate"),
        (("evidence", 0.1), "smoothing = 0.1 with loss 'evidence'.*ce-rate"),
        (("ce", 1.0), r"must be in \[0, 1\)"),
        (("ce", -0.1), r"must be in \[0, 1\)"),
        (("ce", math.nan), r"must be in \[0, 1\)"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        make_loss(*settings)
