"""What a network did with one clip, ready for a page: heat maps of spikes, attention weights, activity by layer.

Gives pictures with their scales and words, as the templates take them; what they look like is `parts.html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import inside_plots, palette
from dvspipe.show.maps import balance, gradient, heat, photo
from dvspipe.show.page import safe
from dvspipe.show.picture import colours, full_count
from dvspipe.show.summary import Inside, Maps, RunSummary

MOST_LAYERS = 8  # of a deep network, evenly chosen, so that maps stay large enough to read
HEAT, BALANCE = gradient(palette.HEAT), gradient(palette.BALANCE)


def case_study(runs: Sequence[tuple[str, RunSummary]]) -> dict[str, Any] | None:
    """Spikes of one clip, a column per layer and a row per run; one colour scale per layer. None without maps."""
    seen = [(name, run, run.inside) for name, run in runs if run.inside is not None and run.inside.spikes]
    if not seen:
        return None
    names = list(dict.fromkeys(layer for *_, inside in seen for layer in inside.spikes))
    layers = some_layers(names)
    tops = {layer: max(_top(inside.spikes.get(layer)) for *_, inside in seen) for layer in layers}
    return {
        "sample": seen[0][1].sample,
        "given": _given(seen[0][1]),
        "layers": [
            {"name": layer, "top": tops[layer], "size": _size(layer, [inside.spikes for *_, inside in seen])}
            for layer in layers
        ],
        "rows": [_case_row(name, inside, tops) for name, _, inside in seen],
        "left_out": len(names) - len(layers),
        "scale": HEAT,
    }


def weights(name: str, inside: Inside | None, bin_ms: float | None) -> dict[str, Any] | None:
    """The attention weights that one clip got, over time, channels and space; None without any."""
    if inside is None or inside.neutral is None:
        return None
    neutral = inside.neutral
    return {
        "name": name,
        "time": safe(inside_plots.weights_over_time(_few(inside.time), neutral, bin_ms)) if inside.time else None,
        "channel": _strips(inside.channel, neutral) if inside.channel else None,
        "space": _planes(inside.space, neutral) if inside.space else None,
        "neutral": neutral,
        "scale": BALANCE,
    }


def activity(rates: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any] | None:
    """Spikes per neuron of every layer at every step, {run: {layer: [T]}}; a layer's runs share one scale."""
    runs = {name: layers for name, layers in rates.items() if layers}
    layers = some_layers(list(dict.fromkeys(layer for each in runs.values() for layer in each)))
    if not layers:
        return None
    groups = []
    for layer in layers:
        known = {name: np.asarray(each[layer], float) for name, each in runs.items() if layer in each}
        top = max(float(values.max()) for values in known.values())
        rows = [
            {"name": name, "image": heat(values, top), "note": f"{values.mean():.4f}"} for name, values in known.items()
        ]
        groups.append({"name": layer, "top": top, "rows": rows})
    return {"groups": groups, "scale": HEAT, "steps": max(len(v) for each in runs.values() for v in each.values())}


def _case_row(name: str, inside: Inside, tops: Mapping[str, float]) -> dict[str, Any]:
    """A run's maps; a layer that it has not stays empty."""
    images = [heat(inside.spikes[layer], top) if layer in inside.spikes else None for layer, top in tops.items()]
    means = [float(inside.spikes[layer].mean()) if layer in inside.spikes else None for layer in tops]
    return {"name": name, "cells": list(zip(images, means))}


def _strips(channels: Maps, neutral: float) -> dict[str, Any]:
    """A layer's channels side by side or, where every step has its own weights, one below the other over time."""
    chosen = _few(channels)
    reach = _reach(chosen, neutral)
    rows = []
    for layer, values in chosen.items():
        over_time = values.ndim > 1
        rows.append(
            {
                "name": layer,
                "image": balance(values.T if over_time else values, neutral, reach),
                "note": f"{values.min():.2f} – {values.max():.2f}",
                "over_time": over_time,
                "channels": values.shape[-1],
            }
        )
    return {"rows": rows, "low": neutral - reach, "high": neutral + reach}


def _planes(space: Maps, neutral: float) -> dict[str, Any]:
    """A map per layer; weights made anew at every step are averaged over time."""
    chosen = _few(space)
    means = {layer: values if values.ndim == 2 else values.mean(0) for layer, values in chosen.items()}
    reach = _reach(means, neutral)
    rows = [
        {"name": layer, "image": balance(values, neutral, reach), "note": f"{values.min():.2f} – {values.max():.2f}"}
        for layer, values in means.items()
    ]
    averaged = any(values.ndim > 2 for values in chosen.values())
    return {"rows": rows, "low": neutral - reach, "high": neutral + reach, "averaged": averaged}


def _given(run: RunSummary) -> str | None:
    """What the networks saw, as one picture."""
    if run.image is not None:
        return photo(run.image.picture)
    return _still(run.clip) if run.clip is not None and len(run.clip) else None


def _still(clip: NDArray[Any]) -> str:
    """All events of a clip in one picture, as its animation colours them."""
    counts = np.asarray(clip, np.float32).sum(0)
    return photo(colours(np.minimum(1.0, counts / full_count(counts)) ** 0.6))


def _reach(values: Maps, neutral: float) -> float:
    """The largest distance from neutral, so that the colour scale is symmetric."""
    return max(0.005, *(float(np.abs(each - neutral).max()) for each in values.values()))


def _top(values: NDArray[Any] | None) -> float:
    return float(values.max()) if values is not None else 0.0


def _size(layer: str, maps: Sequence[Maps]) -> str:
    """Of the first run that has the layer."""
    high, wide = next(each[layer].shape for each in maps if layer in each)
    return f"{high}×{wide}"


def _few(values: Maps) -> Maps:
    return {layer: values[layer] for layer in some_layers(list(values))}


def some_layers(names: list[str]) -> list[str]:
    """At most `MOST_LAYERS`, first and last among them."""
    if len(names) <= MOST_LAYERS:
        return names
    return [names[round(index)] for index in np.linspace(0, len(names) - 1, MOST_LAYERS)]
