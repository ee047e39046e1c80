"""What a walker wears in a session. Clothes change from session to session: they say nothing about who wears them.

Knows nothing of motion or drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvspipe.simulate.variety import COATS, FIT, SHOES, SLEEVES, STRIPES, TOPS, TROUSERS
from dvspipe.simulate.walker import check_walker


@dataclass(frozen=True, slots=True)
class Outfit:
    """Brightness is reflectance from 0 to 1; `fit` is a factor on the girth of trunk and legs."""

    top: float
    trousers: float
    shoes: float
    skin: float
    hair: float
    fit: float
    sleeve: float  # share of the arm that is covered, from the shoulder down
    coat_m: float  # how far the top reaches below the hip
    stripes: int  # on each sleeve and trouser leg


def outfit(number: int, session: int) -> Outfit:
    """The clothes of walker 0..19 in a session, the same every time. Raises UsageError for a number that is no walker."""
    check_walker(number)
    person, day = np.random.default_rng([0x0F17, number]), np.random.default_rng([0x0F18, number, session])
    return Outfit(
        top=float(day.uniform(*TOPS)),
        trousers=float(day.uniform(*TROUSERS)),
        shoes=float(day.uniform(*SHOES)),
        skin=float(person.uniform(0.35, 0.65)),
        hair=float(person.uniform(0.04, 0.3)),
        fit=float(day.uniform(*FIT)),
        sleeve=0.3 if day.random() < SLEEVES else 1.0,
        coat_m=0.22 if day.random() < COATS else float(day.uniform(0.03, 0.08)),
        stripes=int(day.random() < STRIPES),
    )
