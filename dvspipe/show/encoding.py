"""What an encoder makes of an image, as pictures: one cell per step, a bar per step, the picture read back from the code.

Spikes are ink on white: black where an image has one channel or all three spike, else the ink of the channels that do.
Real numbers are the picture itself. Knows arrays, no encoder and no network; where strips stand is `encoding_sheet` and
the reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import palette
from dvspipe.show.maps import shades

WORDS = {
    "direct": "the image itself at every step",
    "direct-lif": "the image itself at every step, neurons behind it",
    "gac": "the image itself at every step, gated spikes behind it",
    "poisson": "a spike by chance, as likely as the pixel is bright",
    "integrate": "brightness adds up, a spike whenever it is full",
    "latency": "bright pixels first, one spike each",
    "latency-log": "bright pixels first, on a logarithmic clock",
    "phase": "the bits of the pixel value, one per step",
    "burst": "the brighter the pixel, the longer its burst",
    "threshold": "falling thresholds, one spike at the first reached",
    "threshold-equal": "normalised, thresholds meant for equal shares",
    "rank": "the bits of the rank: black spikes at every step",
    "hybrid": "the image once, then a spike code",
    "single-spike": "the image once, then one spike each, bright first",
}


@dataclass(frozen=True)
class Strip:
    """One row of cells: colours [T,H,W,3], uint8. `analog` marks the steps of real numbers, `bars` are shares 0..1 per
    step, `figures` (number, what it is), `decoded` [H,W,3] the image that the code still holds.
    """

    name: str
    words: str
    cells: NDArray[np.uint8]
    analog: tuple[bool, ...]
    bars: tuple[float, ...]
    figures: tuple[tuple[str, str], ...] = ()
    decoded: NDArray[np.uint8] | None = None


def picture(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Image [1 or 3,H,W], 0..1, as colours [H,W,3]; what is outside is cut off."""
    levels = (np.clip(np.asarray(image, float), 0, 1) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels, (3, *levels.shape[1:])).transpose(1, 2, 0))


def spikes(step: NDArray[Any]) -> NDArray[np.uint8]:
    """One step's spikes [1 or 3,H,W], anything but 0, as ink on white [H,W,3]."""
    fired = np.broadcast_to(np.asarray(step) != 0, (3, *step.shape[1:]))
    inks = np.array([palette.rgb(ink) for ink in palette.INKS], np.uint8)
    return np.asarray(inks[fired[0] * 4 + fired[1] * 2 + fired[2] * 1])


def code_strip(
    steps: NDArray[Any], facts: Mapping[str, Any], decoded: NDArray[Any] | None = None, words: str = ""
) -> Strip:
    """An encoder's code [T,C,H,W], its analog steps as values 0..1, and the image [C,H,W] decoded from it.

    `facts` are `name, analog, density_per_step, spikes_per_pixel, reconstruction_error`.
    """
    analog = tuple(facts["analog"])
    cells = np.stack([picture(step) if real else spikes(step) for step, real in zip(steps, analog)])
    figures = (
        ("no spikes", "") if all(analog) else (f"{facts['spikes_per_pixel']:.2f}", "spikes per pixel"),
        (f"{facts['reconstruction_error']:.3f}", "error"),
    )
    known = words or WORDS.get(facts["name"], "")
    own = None if decoded is None else picture(decoded)
    return Strip(facts["name"], known, cells, analog, tuple(facts["density_per_step"]), figures, own)


def gate_strips(
    name: str, spikes: NDArray[Any] | None, gate: NDArray[Any] | None, coded: NDArray[Any] | None
) -> list[Strip]:
    """What happens behind the stem, each [T,H,W] as mean over channels, in this order; None is left out."""
    found = []
    if spikes is not None:
        found.append(_field(f"{name}, spikes", "of the first neurons, share of the channels", spikes, "spike rate"))
    if gate is not None:
        reach = max(0.005, float(np.abs(gate - 0.5).max()))
        cells = shades(0.5 + (gate - 0.5) / (2 * reach), palette.BALANCE)
        words = f"mean over channels, dark is 0.5, colours reach {0.5 - reach:.2f} and {0.5 + reach:.2f}"
        found.append(_plain(f"{name}, gate", words, cells, _means(gate), "mean gate"))
    if coded is not None:
        found.append(_field(f"{name}, code", "gate x spikes: what the network sees", coded, "mean"))
    return found


def _field(name: str, words: str, values: NDArray[Any], what: str) -> Strip:
    """Values from 0 to the most of all steps, as heat."""
    top = float(values.max())
    return _plain(
        name, f"{words}, brightest {top:.2f}", shades(values / (top or 1.0), palette.HEAT), _means(values), what
    )


def _plain(name: str, words: str, cells: NDArray[np.uint8], means: Sequence[float], what: str) -> Strip:
    shown = tuple(min(1.0, max(0.0, each)) for each in means)
    return Strip(name, words, cells, (False,) * len(cells), shown, ((f"{float(np.mean(means)):.3f}", what),))


def _means(values: NDArray[Any]) -> list[float]:
    return [float(each) for each in values.mean((1, 2))]
