"""How hard gait-sim is: how much walkers differ, and how little one walker is like themselves on another day.

Every number that trades one against the other is here; a change of any of them is a new version of the simulator.
"""

from __future__ import annotations

# Shares of the spread that a trait (walker.py) has over people.
BETWEEN = 1.2  # walker against walker
SESSION = 0.2  # the same walker on another day: other shoes, another mood
WITHIN = 0.2  # one walk against the next

# Clothes (outfit.py): what people wear in a session lies anywhere in these, whoever they are.
TOPS, TROUSERS, SHOES = (0.08, 0.2), (0.06, 0.16), (0.06, 0.25)  # reflectance
FIT = (1.0, 1.15)  # factor on girth
SLEEVES = 0.15  # share of the outfits with short ones
COATS = 0.1  # with a long coat
STRIPES = 0.2  # with a stripe on sleeves and trouser legs

# The camera (walk.py): how one walk differs from the next.
PX_PER_M, PX_PER_M_SPREAD = 60.0, 0.025  # relative: how near somebody passes
HEADING_SPREAD = 0.2  # radians off the picture's plane
OFF_SPREAD_M = 0.08  # where the middle of the walk is
TEMPO_SPREAD = 0.02  # relative
TEMPO_WANDER = 0.05  # radians of the stride's phase within a walk

# Light of session 1 and session 2: (level, shade, side), see studio.Light.
DAY_LIGHTS = (0.95, 0.35, -0.4), (0.8, 0.4, -0.2)
NIGHT_LIGHTS = (0.95, 0.4, 0.3), (0.85, 0.45, 0.1)
