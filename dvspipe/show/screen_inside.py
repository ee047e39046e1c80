"""What goes on inside the network, on the recorded screen: spikes by layer, attention over time and over space.

Knows the last bins, the last look and a box; not the rest of the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import palette
from dvspipe.show.canvas import Box, Picture, area, fill, write
from dvspipe.show.history import History
from dvspipe.show.live_words import printable
from dvspipe.show.maps import shades
from dvspipe.show.moment import Looks
from dvspipe.show.screen_strips import SPAN_S

_LAYERS, _MAPS = 5, 3
Unit = Callable[[float], int]


def draw(screen: Picture, box: Box, history: History, looks: Looks, bin_us: int, unit: Unit) -> None:
    """As much as there is, from top to bottom."""
    y = box.y + unit(14)
    attention = bool(looks.time or looks.space)
    if history.layers:
        y = _spikes(screen, box, y, history, looks, bin_us, _step(box, history, attention, unit), unit)
    if looks.time:
        y = _time(screen, box, y, looks, unit)
    if looks.space:
        _space(screen, box, y, looks, unit)


def _spikes(
    screen: Picture, box: Box, y: int, history: History, looks: Looks, bin_us: int, step: int, unit: Unit
) -> int:
    y = _title(screen, box, y, "spikes per neuron", unit)
    bars = _middle(box, unit)
    columns = max(4, min(bars.width, 120))
    per = history.per_column(columns, bin_us, SPAN_S)
    column_of = np.arange(bars.width) * columns // bars.width
    for name in _few(history.layers):
        rates = history.rates(name, columns, per)
        top = float(np.fmax.reduce(rates, initial=0.0)) or 1.0
        area(screen, bars._replace(y=y + 2, height=step - unit(5)), (rates / top)[column_of], palette.LAYERS[2])
        _row(screen, box, y + step // 2, name, f"{looks.rates.get(name, 0.0):.3f}", unit)
        y += step
    return y


def _time(screen: Picture, box: Box, y: int, looks: Looks, unit: Unit) -> int:
    """Bars up and down from neutral, the present step on the right."""
    y = _title(screen, box, y + unit(6), "attention, last steps", unit)
    bars, step, neutral = _middle(box, unit), unit(25), looks.neutral or 0.0
    weights = {name: np.ravel(looks.time[name]) for name in _few(list(looks.time), 3)}
    reach = max(0.02, *(float(np.abs(each - neutral).max(initial=0.0)) for each in weights.values()))
    for name, each in weights.items():
        middle, half = y + step // 2, (step - unit(6)) / 2
        wide = max(1, bars.width // max(1, len(each)))
        fill(screen, Box(bars.x, middle, bars.width, 1), palette.TRACK)
        for place, weight in enumerate(each[-bars.width :].tolist()):
            tall = round(half * abs(weight - neutral) / reach)
            x = bars.x + bars.width - (min(len(each), bars.width) - place) * wide
            top = middle - tall if weight > neutral else middle
            colour = palette.ON if weight > neutral else palette.OFF
            fill(screen, Box(x, top, max(1, wide - (wide > 2)), tall), colour)
        _row(screen, box, middle, name, f"{each[-1]:.2f}" if len(each) else "", unit)
        y += step
    return y


def _space(screen: Picture, box: Box, y: int, looks: Looks, unit: Unit) -> None:
    """A map per layer, as large as fits: weaker than neutral cool, stronger warm."""
    import cv2

    y = _title(screen, box, y + unit(6), "attention over space", unit)
    names, gap, left = _few(list(looks.space), _MAPS), unit(10), box.x + unit(18)
    width = (box.width - unit(36) - gap * (len(names) - 1)) // len(names)
    side = min(width, box.y + box.height - y - unit(28))
    if side < unit(24):
        return
    reach, neutral = _reach(looks.space, looks.neutral or 0.0), looks.neutral or 0.0
    for place, name in enumerate(names):
        colours = shades(0.5 + (np.asarray(looks.space[name], float) - neutral) / (2 * reach), palette.BALANCE)
        scale = side / max(colours.shape[:2])
        size = (max(1, round(colours.shape[1] * scale)), max(1, round(colours.shape[0] * scale)))
        x = left + place * (width + gap)
        screen[y : y + size[1], x : x + size[0]] = cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)
        write(screen, printable(name), (x, y + size[1] + unit(15)), unit(12), palette.QUIET, width=width)


def _step(box: Box, history: History, attention: bool, unit: Unit) -> int:
    """Height of a layer's row: small beside attention, else what the box gives."""
    return (
        unit(23) if attention else min(unit(74), (box.height - unit(54)) // max(1, min(_LAYERS, len(history.layers))))
    )


def _title(screen: Picture, box: Box, y: int, words: str, unit: Unit) -> int:
    write(screen, words, (box.x + unit(18), y + unit(15)), unit(14), palette.WORDS, bold=True)
    return y + unit(26)


def _row(screen: Picture, box: Box, middle: int, name: str, number: str, unit: Unit) -> None:
    base = middle + unit(5)
    write(screen, printable(name), (box.x + unit(18), base), unit(13), palette.QUIET, width=unit(66))
    write(screen, number, (box.x + box.width - unit(18), base), unit(13), palette.WORDS, anchor="right")


def _middle(box: Box, unit: Unit) -> Box:
    """Between a row's name and its number."""
    return Box(box.x + unit(90), 0, max(8, box.width - unit(160)), 0)


def _few(names: list[str], most: int = _LAYERS) -> list[str]:
    """At most so many, first and last among them."""
    if len(names) <= most:
        return names
    return [names[round(place)] for place in np.linspace(0, len(names) - 1, most)]


def _reach(maps: Mapping[str, NDArray[np.float64]], neutral: float) -> float:
    return max(0.02, *(float(np.abs(np.asarray(each) - neutral).max(initial=0.0)) for each in maps.values()))
