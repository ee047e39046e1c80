"""Step-wise distillation: the published formula, whose bins are whose, and that a teacher never learns."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from dvspipe.errors import ShapeError
from dvspipe.learn.distilling import Teacher, fewer_bins, stepwise_distillation

STEPS, BATCH, CLASSES, TAU = 3, 4, 5, 2.0


def scores(steps=STEPS):
    torch.manual_seed(0)
    return torch.randn(steps, BATCH, CLASSES, dtype=torch.float64) * 2


def taught():
    torch.manual_seed(1)
    return torch.randn(BATCH, CLASSES, dtype=torch.float64) * 2


def softmax(values):
    raised = np.exp(values)
    return raised / raised.sum(-1, keepdims=True)


class Summing(nn.Module):
    """Scores [T,B,K] = weight · the pixels of every frame."""

    spiking_out = False

    def __init__(self):
        super().__init__()
        self.weight, self.norm, self.seen = nn.Parameter(torch.ones(CLASSES)), nn.BatchNorm1d(1), None

    def forward(self, frames, state=None, probe=None):
        self.seen = frames
        return frames.flatten(2).sum(2)[..., None].double() * self.weight, ()


def test_it_is_its_formula():
    """tau² / T · Σ_t Σ q · log(q / p_t), divided by samples and classes as released."""
    out, q = scores().numpy(), softmax(taught().numpy() / TAU)
    each = [(q * np.log(q / softmax(step / TAU))).sum() / (BATCH * CLASSES) for step in out]
    found = stepwise_distillation(scores(), taught(), TAU)
    assert float(found) == pytest.approx(TAU**2 * sum(each) / STEPS, rel=1e-12)


def test_by_hand():
    """Two classes, one step: teacher 3 to 1 at tau 1, pupil undecided: (3/4 ln 3/2 + 1/4 ln 1/2) / 2."""
    found = stepwise_distillation(torch.zeros(1, 1, 2), torch.tensor([[math.log(3.0), 0.0]]), 1.0)
    assert float(found) == pytest.approx((0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2, rel=1e-5)


def test_who_agrees_with_the_teacher_at_every_step_has_nothing_to_learn():
    same = taught().expand(STEPS, -1, -1).clone().requires_grad_()
    loss = stepwise_distillation(same + 3.0, taught(), TAU)  # softmax knows no offset
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12) and same.grad.abs().max() < 1e-12


def test_being_right_on_average_is_not_enough():
    wobble = torch.randn(STEPS, BATCH, CLASSES, dtype=torch.float64)
    out = taught() + wobble - wobble.mean(0)
    assert torch.allclose(out.mean(0), taught()) and stepwise_distillation(out, taught(), TAU).item() > 0.01


def test_gradients_match_finite_differences():
    assert torch.autograd.gradcheck(lambda out: stepwise_distillation(out, taught(), TAU), scores().requires_grad_())


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32, torch.uint8])
def test_a_pupils_bins_are_sums_of_its_teachers(dtype):
    torch.manual_seed(0)
    frames = torch.randint(0, 5, (12, BATCH, 2, 3, 3)).to(dtype)
    fewer = fewer_bins(frames, group=3, steps=3)
    assert fewer.dtype == dtype and fewer.shape[0] == 3
    for step in range(3):
        assert torch.equal(fewer[step], frames[3 * step : 3 * step + 3].sum(0).to(dtype))
    assert torch.equal(fewer_bins(frames, 1, 5), frames[:5])


def test_a_lesson_shows_the_teacher_all_and_the_pupil_its_part():
    network = Summing().train()
    teacher = Teacher(network, TAU, weight=0.5, group=2, steps=2)
    frames = torch.rand(6, BATCH, 2, 3, 3)
    own, taught_of = teacher.lesson(frames)
    assert network.seen is frames and torch.equal(own, fewer_bins(frames, 2, 2))
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
    out = scores(2).requires_grad_()
    wanted = 0.5 * stepwise_distillation(out, network(frames)[0].mean(0), TAU)
    assert taught_of(out).item() == pytest.approx(wanted.item())
    taught_of(out).backward()
    assert out.grad.any() and network.weight.grad is None
    images = torch.rand(3, BATCH, 2, 3, 3)
    assert Teacher(network).lesson(images)[0] is images


def test_other_classes_are_named():
    with pytest.raises(ShapeError, match=r"teacher's scores \[B,K\] = \[4, 3\]"):
        stepwise_distillation(scores(), torch.zeros(BATCH, 3), TAU)
