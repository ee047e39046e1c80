"""The 20 walkers: proportions and manner of walking, drawn from a seeded generator by the walker's number.

Who somebody is shows in these numbers alone. Nobody walks the same way twice: the manner shifts a little from session
to session and from walk to walk, in shares of how much people differ. Knows nothing of clothes, drawing or sensors.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

import numpy as np

from dvspipe.errors import UsageError
from dvspipe.simulate.variety import BETWEEN, SESSION, WITHIN

WALKERS = range(20)
CLASSES = tuple(f"walker {number}" for number in WALKERS)


def _trait(mean: float, spread: float) -> Any:
    """A number that differs between people: its mean and its standard deviation over them."""
    return field(default=mean, metadata={"spread": spread})


@dataclass(frozen=True, slots=True)
class Walker:
    """One person. Lengths are metres or shares, angles are radians, phases are radians of the stride from heel strike.

    Without arguments: the average person.
    """

    # The body, which is the same on every day.
    height_m: float = _trait(1.70, 0.075)
    leg_share: float = _trait(0.49, 0.018)  # of the height, hip to ankle
    thigh_share: float = _trait(0.51, 0.018)  # of the leg
    arm_share: float = _trait(0.325, 0.014)  # of the height, shoulder to wrist
    upper_arm_share: float = _trait(0.53, 0.02)  # of the arm
    foot_m: float = _trait(0.25, 0.018)
    head_m: float = _trait(0.1, 0.006)  # radius
    stoutness: float = _trait(1.0, 0.13)  # factor on the girth of the trunk
    limb_girth: float = _trait(1.0, 0.1)
    hair: float = _trait(0.4, 0.35)  # how far it stands off the skull, in head radii

    # The manner of walking, which varies.
    stride_hz: float = _trait(0.95, 0.075)
    hip_swing: float = _trait(0.38, 0.05)
    hip_forward: float = _trait(0.12, 0.045)
    knee_lift: float = _trait(0.98, 0.13)  # flexion in swing
    knee_yield: float = _trait(0.26, 0.09)  # flexion under the body's weight
    knee_bent: float = _trait(0.09, 0.05)  # flexion that is always there
    swing_at: float = _trait(4.5, 0.13)  # phase of the highest knee
    push_off: float = _trait(0.38, 0.11)  # the ankle's plantar flexion
    arm_swing: float = _trait(0.36, 0.15)
    arm_forward: float = _trait(-0.04, 0.08)
    arm_lag: float = _trait(0.2, 0.22)  # phase of the arms behind the opposite leg
    arm_uneven: float = _trait(0.0, 0.22)  # right arm against left arm
    elbow_bent: float = _trait(0.32, 0.18)
    elbow_swing: float = _trait(0.25, 0.14)
    twist_m: float = _trait(0.035, 0.016)  # how far the shoulders go to and fro
    lean: float = _trait(0.06, 0.05)
    lean_swing: float = _trait(0.02, 0.012)
    bounce_m: float = _trait(0.012, 0.008)  # of trunk and head, beyond what the legs lift
    head_forward_m: float = _trait(0.03, 0.025)
    head_nod_m: float = _trait(0.008, 0.006)
    limp: float = _trait(0.0, 0.09)  # phase of the right leg off half a stride
    leg_uneven: float = _trait(0.0, 0.05)  # right hip swing against left
    step_width_m: float = _trait(0.1, 0.025)

    @property
    def leg_m(self) -> float:
        """From hip to ankle."""
        return self.leg_share * self.height_m

    @property
    def arm_m(self) -> float:
        """From shoulder to wrist."""
        return self.arm_share * self.height_m


_ALL: tuple[Field[Any], ...] = fields(Walker)
_MANNER = _ALL[[each.name for each in _ALL].index("stride_hz") :]


def walker(number: int) -> Walker:
    """The person of a number 0..19, the same every time. Raises UsageError for any other number."""
    check_walker(number)
    return _varied(Walker(), BETWEEN, _ALL, np.random.default_rng([0x6A17, number]))


def on_the_day(number: int, session: int) -> Walker:
    """How a walker (0..19) walks in a session. Raises UsageError for a number that is no walker."""
    return _varied(walker(number), SESSION, _MANNER, np.random.default_rng([0x6A18, number, session]))


def this_time(person: Walker, rng: np.random.Generator) -> Walker:
    """How a person walks one time."""
    return _varied(person, WITHIN, _MANNER, rng)


def check_walker(number: int) -> None:
    """Raises UsageError for a number that is no walker."""
    if number not in WALKERS:
        raise UsageError(f"walker {number}: the simulator knows walkers {WALKERS[0]} to {WALKERS[-1]}.")


def _varied(person: Walker, share: float, traits: tuple[Field[Any], ...], rng: np.random.Generator) -> Walker:
    """`person` with `traits` moved by `share` of their spread; nobody is further out than two standard deviations."""
    steps = share * np.clip(rng.standard_normal(len(traits)), -2.0, 2.0)
    spreads = np.array([each.metadata["spread"] for each in traits])
    names = [each.name for each in traits]
    return replace(person, **{name: getattr(person, name) + float(s) for name, s in zip(names, spreads * steps)})
