"""Who the subjects are and how they move, before anything is drawn."""

import math

import numpy as np
import pytest

from dvspipe.errors import UsageError
from dvspipe.simulate.body import SUBJECTS, subject_body, subject_split
from dvspipe.simulate.gestures import CLASSES, gesture, rest
from dvspipe.simulate.skeleton import blend, limbs


def wrist_path(label, subject=3, seed=0, seconds=1.0):
    """Wrists in the picture, [steps, 2 arms (right, left), x and y]."""
    body = subject_body(subject)
    pose = gesture(label, body, np.random.default_rng(seed))
    times = np.arange(0, seconds, 0.01)
    return np.array([[(limb.wrist.x, limb.wrist.y) for limb in limbs(body, pose(t))] for t in times])


def test_subjects_are_always_the_same_and_all_different():
    assert subject_body(7) == subject_body(7)
    bodies = [subject_body(subject) for subject in SUBJECTS]
    assert len(bodies) == 29
    for name in ("arm_m", "skin", "tempo", "amplitude", "px_per_m", "centre_px"):
        assert len({getattr(body, name) for body in bodies}) == 29
    assert len({body.clothes.pattern for body in bodies}) == 4


def test_subjects_1_to_23_train_and_24_to_29_test():
    assert [s for s in SUBJECTS if subject_split(s) == "train"] == list(range(1, 24))
    assert [s for s in SUBJECTS if subject_split(s) == "test"] == list(range(24, 30))


@pytest.mark.parametrize("subject", [0, 30, -1])
def test_a_subject_that_is_none_is_refused(subject):
    for function in (subject_body, subject_split):
        with pytest.raises(UsageError, match="1 to 29"):
            function(subject)


@pytest.mark.parametrize("label", [-1, 11])
def test_an_unknown_gesture_is_refused(label):
    with pytest.raises(UsageError, match="clapping"):
        gesture(label, subject_body(1), np.random.default_rng(0))


@pytest.mark.parametrize(("label", "moving"), [(1, 0), (2, 1), (3, 0), (4, 0), (5, 1), (6, 1)])
def test_one_arm_gestures_move_the_arm_they_name(label, moving):
    spread = wrist_path(label).std(0).sum(1)
    assert spread[moving] > 8 * spread[1 - moving]


@pytest.mark.parametrize("subject", [1, 12, 24, 29])
@pytest.mark.parametrize(("label", "sense"), [(3, -1), (4, 1), (5, -1), (6, 1)])
def test_circles_turn_the_way_the_subject_sees(subject, label, sense):
    """Clockwise for the subject is counter-clockwise in the picture (y down: the enclosed area is then negative)."""
    x, y = wrist_path(label, subject)[:, 0 if label < 5 else 1].T
    area = 0.5 * (x * np.roll(y, -1) - y * np.roll(x, -1)).sum()
    assert math.copysign(1, area) == sense
    assert abs(area) > 1_000


def test_clockwise_and_counter_clockwise_are_mirror_images():
    """The same performance, turned the other way: upside down about the circle's centre at every moment."""
    body = subject_body(5)
    one, other = (gesture(label, body, np.random.default_rng(9)) for label in (3, 4))
    times = np.arange(0, 2, 0.05)
    right = np.array([[one(t).right.hand, other(t).right.hand] for t in times])
    assert np.allclose(right[:, 0, 0], right[:, 1, 0])
    middle = (right[:, 0, 1] + right[:, 1, 1]) / 2
    assert np.ptp(middle) < 0.1 * np.ptp(right[:, 0, 1])


def test_arms_keep_their_length():
    for label in range(len(CLASSES)):
        body = subject_body(4)
        pose = gesture(label, body, np.random.default_rng(label))
        for t in np.arange(0, 1, 0.1):
            for limb in limbs(body, pose(t)):
                ends = [
                    ((p.x - body.centre_px) / p.scale, (p.y - body.neck_px) / p.scale, p.near)
                    for p in (limb.shoulder, limb.elbow, limb.wrist)
                ]
                assert math.dist(ends[0], ends[1]) == pytest.approx(body.upper_arm_m, rel=1e-6, abs=0.03)
                assert math.dist(ends[1], ends[2]) == pytest.approx(body.forearm_m, rel=1e-6)


def test_drums_alternate_and_claps_meet():
    drums = wrist_path(8, seed=2, seconds=2.0)[..., 1]
    assert np.corrcoef(drums[:, 0], drums[:, 1])[0, 1] < -0.6
    claps = wrist_path(0, seed=2, seconds=2.0)[..., 0]
    apart = claps[:, 1] - claps[:, 0]
    assert apart.min() < 10 < 14 < apart.max()


def test_other_is_varied():
    paths = [wrist_path(10, seed=seed) for seed in range(6)]
    means = np.array([path.mean(0).ravel() for path in paths])
    assert np.linalg.norm(means[:, None] - means[None], axis=2)[np.triu_indices(6, 1)].min() > 2


def test_blending_starts_and_ends_at_its_poses():
    body = subject_body(2)
    a, b = rest(body, np.random.default_rng(0))(0.3), gesture(7, body, np.random.default_rng(1))(0.3)
    assert np.allclose(np.concatenate(blend(a, b, 0.0).right), np.concatenate(a.right))
    assert np.allclose(np.concatenate(blend(a, b, 1.0).left), np.concatenate(b.left))
