"""Every colour of the product, in one place.

Colour-blind safe: ON is warm and OFF is cool, class colours stay apart for deuteranopes, protanopes and tritanopes,
and nothing is told by colour alone. Knows nothing about figures, terminals or pages.
"""

from __future__ import annotations

from collections.abc import Sequence

BACKGROUND = "#0b0e14"  # behind events, everywhere: a DVS picture is light on dark
ON = "#ffa04d"
OFF = "#4ea8ff"

# A recorded screen: page, panels and words, dark around the events.
PAGE, PANEL, WORDS, QUIET = "#10141c", "#171c26", "#eceae5", "#98a1b0"

RIGHT = "#2fb380"
WRONG = "#e5484d"
IDLE = "#6b7482"  # nothing decided, nothing labelled
TRACK = "#3b424d"  # what a bar has not filled

# Lines and bars of runs: at least 3:1 against the light and the dark page.
SERIES = ("#287edc", "#de6725", "#941afd", "#1ba277", "#768595", "#9b5c46")

# Parts of one whole (energy): none of the first runs' colours, so that a part is not taken for a run.
PARTS = ("#108873", "#e6ba42", "#b5569b", "#58d5fc", "#7a6cf0", "#b1c78c")

# Layers of one network, as lines: at least 3:1 against both pages, and again not the first runs' colours.
LAYERS = ("#108873", "#b5569b", "#7a6cf0", "#a9791b", "#3b8ea8", "#a2555a", "#768595")

# Heat, from nothing to most: even steps of lightness (matplotlib's inferno), on the background of events.
HEAT = (BACKGROUND, "#3b0f59", "#781c6d", "#bc3754", "#ed6925", "#fbb61a", "#fcffa4")

# Weaker than neutral, neutral, stronger.
BALANCE = (OFF, BACKGROUND, ON)

# Spikes of colour images on white, by the channels that spike: none, B, G, GB, R, RB, RG, all.
INKS = ("#ffffff", "#2f7de1", "#22a06b", "#0f9fb0", "#e23b41", "#a23bc4", "#c08a00", "#14161a")

# Classes: chosen greedily for the largest smallest CIELAB distance over normal and three simulated colour visions
# (protan, deutan, tritan; Machado 2009).
CLASSES = (
    "#287edc", "#de6725", "#108873", "#e6ba42", "#6b04fa", "#58d5fc",
    "#b1c78c", "#a31024", "#654584", "#ceb8ba", "#0549c7", "#d373b9",
)  # fmt: skip


def rgb(colour: str) -> tuple[int, int, int]:
    """'#rrggbb' -> (r, g, b), each 0..255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def layer(index: int) -> str:
    """Colour of the n-th layer; starts again when there are more layers than colours."""
    return LAYERS[index % len(LAYERS)]


def series(index: int) -> str:
    """Colour of the n-th run; starts again when there are more runs than colours."""
    return SERIES[index % len(SERIES)]


def class_colours(classes: Sequence[str]) -> dict[str, str]:
    """A fixed colour per class, by its place in the list; starts again after twelve."""
    return {name: CLASSES[index % len(CLASSES)] for index, name in enumerate(classes)}
