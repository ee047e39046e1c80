"""Who the walkers are and how their limbs move, before anything is drawn."""

import math
from dataclasses import astuple, fields

import numpy as np
import pytest

from dvspipe.errors import UsageError
from dvspipe.simulate.outfit import outfit
from dvspipe.simulate.stride import posture, stride_length
from dvspipe.simulate.walk_scene import CAMERA_UP_M, MIDDLE_PX, View
from dvspipe.simulate.walker import WALKERS, Walker, on_the_day, this_time, walker

PHASES = np.linspace(0, 2 * math.pi, 60, endpoint=False)
BODY = ("height_m", "leg_share", "thigh_share", "arm_share", "foot_m", "head_m", "stoutness", "limb_girth", "hair")


def test_walkers_are_always_the_same_and_all_different():
    assert len(WALKERS) == 20
    assert walker(7) == walker(7) and on_the_day(7, 2) == on_the_day(7, 2) and outfit(7, 2) == outfit(7, 2)
    for name in (field.name for field in fields(Walker)):
        assert len({getattr(walker(number), name) for number in WALKERS}) > 15  # the outermost are cut off


@pytest.mark.parametrize("number", [-1, 20])
def test_a_walker_that_is_none_is_refused(number):
    for function in (walker, lambda n: on_the_day(n, 1), lambda n: outfit(n, 1)):
        with pytest.raises(UsageError, match="0 to 19"):
            function(number)


def test_another_day_changes_the_manner_but_not_the_body():
    one, two = on_the_day(3, 1), on_the_day(3, 2)
    walk = this_time(one, np.random.default_rng(0))
    for name in (field.name for field in fields(Walker)):
        values = {getattr(each, name) for each in (walker(3), one, two, walk)}
        assert len(values) == (1 if name in BODY or name == "upper_arm_share" else 4)


def test_people_differ_more_than_one_person_from_day_to_day_and_walk_to_walk():
    walks = np.array(
        [
            [astuple(this_time(on_the_day(n, s), np.random.default_rng([n, s, k]))) for s in (1, 2) for k in range(5)]
            for n in WALKERS
        ]
    )
    between, within = walks.mean(1).std(0), walks.std(1).mean(0)
    assert (between > within).all()


def test_clothes_change_from_session_to_session_and_hair_does_not():
    for number in WALKERS:
        one, two = outfit(number, 1), outfit(number, 2)
        assert one.top != two.top and one.fit != two.fit and (one.skin, one.hair) == (two.skin, two.hair)


@pytest.mark.parametrize("number", WALKERS)
def test_bones_keep_their_length_and_one_foot_stands_on_the_ground(number):
    person = walker(number)
    for phase in PHASES:
        body = posture(person, phase)
        for leg in body.legs:
            assert math.dist(leg.hip, leg.knee) == pytest.approx(person.thigh_share * person.leg_m)
            assert math.dist(leg.knee, leg.ankle) == pytest.approx((1 - person.thigh_share) * person.leg_m)
            assert math.dist(leg.heel, leg.toe) == pytest.approx(person.foot_m)
        for arm in body.arms:
            bones = math.dist(arm.shoulder, arm.elbow) + math.dist(arm.elbow, arm.wrist)
            assert bones == pytest.approx(person.arm_m)
        lowest = min(end[1] for leg in body.legs for end in (leg.heel, leg.toe))
        assert 0.0 <= lowest < 0.03
        assert 0.93 * person.height_m < body.head[1] + 1.1 * person.head_m < 1.06 * person.height_m


@pytest.mark.parametrize("number", WALKERS)
def test_knees_never_bend_forwards(number):
    for phase in PHASES:
        for leg in posture(walker(number), phase).legs:
            thigh, shank = (np.subtract(b, a)[:2] for a, b in ((leg.hip, leg.knee), (leg.knee, leg.ankle)))
            assert thigh[0] * shank[1] - thigh[1] * shank[0] < 0.06 * np.linalg.norm(thigh) * np.linalg.norm(shank)


def test_legs_alternate_and_arms_go_with_the_other_leg():
    bodies = [posture(Walker(arm_lag=0.0), phase) for phase in PHASES]
    ankles, wrists = (
        np.array([[limb[2][0] for limb in part] for part in parts]) for parts in zip(*(b[:2] for b in bodies))
    )
    assert np.corrcoef(ankles.T)[0, 1] < -0.6
    assert np.corrcoef(ankles[:, 0], wrists[:, 1])[0, 1] > 0.6 and np.corrcoef(ankles[:, 0], wrists[:, 0])[0, 1] < -0.6


def test_the_stride_repeats_and_carries_as_far_as_people_go():
    assert np.allclose(posture(walker(4), 0.7).head, posture(walker(4), 0.7 + 2 * math.pi).head)
    speeds = [stride_length(walker(n)) * walker(n).stride_hz for n in WALKERS]
    assert min(speeds) > 0.6 and max(speeds) < 1.8
    assert np.std(speeds) > 0.1


def test_a_foot_that_stands_does_not_slide():
    person = Walker()
    phases = np.linspace(0.2 * math.pi, 0.8 * math.pi, 20)
    gone = phases * stride_length(person) / (2 * math.pi)
    ankle = np.array([posture(person, phase).legs[0].ankle[0] for phase in phases]) + gone
    assert np.ptp(ankle) < 0.25 * np.ptp(gone)


def test_the_camera_sees_both_directions_and_what_is_near_larger():
    right, left = View(heading=0.0, px_per_m=60.0), View(heading=math.pi, px_per_m=60.0)
    ahead = (1.0, CAMERA_UP_M, 0.0)
    assert right.project(ahead)[:2] == pytest.approx((MIDDLE_PX + 60, MIDDLE_PX))
    assert left.project(ahead)[:2] == pytest.approx((MIDDLE_PX - 60, MIDDLE_PX))
    left_hand = (0.0, CAMERA_UP_M, 0.2)  # away from the camera for who walks to the right
    assert right.project(left_hand).near < 0 < left.project(left_hand).near
    assert right.project(left_hand).scale < 60 < left.project(left_hand).scale
    assert right.project((0.0, 0.0, 0.0)).y > right.project(ahead).y
