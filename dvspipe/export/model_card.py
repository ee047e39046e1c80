"""The page beside an exported network: what it is, what it was trained on, how good it is, how to run it. Markdown.

Knows only plain values; whoever exports gathers them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ONNX_EXAMPLE = """\
import json
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
facts = session.get_modelmeta().custom_metadata_map
classes, parts = json.loads(facts["classes"]), json.loads(facts["state"])
state = {{part["name"]: np.zeros(part["shape"], np.float32) for part in parts}}  # at rest
total = np.zeros(len(classes))
for frame in frames:  # float32 {shape}, one time bin each
    out, *after = session.run(None, {{"frame": frame, **state}})
    state, total = dict(zip(state, after)), total + out[0]
print(classes[int(total.argmax())])
"""
NIR_EXAMPLE = """\
import nir

graph = nir.read("{file}")
dt = float(graph.metadata["dt_s"])  # seconds of one Euler step: give it to the reader, for example
# norse.torch.from_nir(graph, dt=dt)
print(dt, {{name: type(node).__name__ for name, node in graph.nodes.items()}})
"""
SAFETENSORS_EXAMPLE = """\
from dvspipe import load_run

run = load_run("{file}")
out, state = run.model(frames)  # {entry}
print(run.classes[int(out.mean(0)[0].argmax())])
"""
EXAMPLES = {"onnx": ONNX_EXAMPLE, "nir": NIR_EXAMPLE, "safetensors": SAFETENSORS_EXAMPLE}


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What the page says. `shape` (C,H,W) of a frame; `bin_us` None for images; `evaluation` as evaluation.json has it, None
    before it; `notes` are limits of this file; `details` what the format adds; `versions` and `commands` name and value.
    """

    name: str
    file: str
    format: str
    sha256: str
    network: str
    attention: str
    classes: list[str]
    shape: tuple[int, ...]
    sensor_size: tuple[int, int]
    downsample: int
    bin_us: int | None
    counts: Mapping[str, Any]
    dataset: Mapping[str, Any]
    selection: str
    evaluation: Mapping[str, Any] | None
    notes: list[str] = field(default_factory=list)
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)


def write_card(card: ModelCard) -> str:
    """The page."""
    file = {"File": f"`{card.file}` ({card.format})", "SHA-256": f"`{card.sha256}`"}
    made = {word: f"`{said}`" for word, said in card.commands.items()}
    blocks = [
        f"# {card.name}",
        f"{_what(card)}\n\n{_rows({**file, **card.details})}",
        f"## Input and output\n\n{_input(card)}",
        f"## Data\n\n{_data(card)}",
        f"## Size\n\n{_rows(card.counts)}",
        f"## How good it is\n\n{_quality(card)}",
        f"## How to run it\n\n```python\n{example(card)}```",
        "## Limits\n\n" + "\n".join(f"- {note}" for note in card.notes),
        f"## How it was made\n\n{_rows({**made, **card.versions})}",
    ]
    return "\n\n".join(block.rstrip() for block in blocks) + "\n"


def example(card: ModelCard) -> str:
    """Ten lines of Python that run the file."""
    shape = str([1, *card.shape]).replace(" ", "")
    entry = f"float32 [T,B,{','.join(map(str, card.shape))}]" if card.bin_us else "images " + shape
    return EXAMPLES[card.format].format(file=card.file, shape=shape, entry=entry)


def _what(card: ModelCard) -> str:
    attention = "without attention" if card.attention == "none" else f"with attention {card.attention}"
    return f"A spiking network ({card.network}, {attention}) that tells {len(card.classes)} classes apart."


def _input(card: ModelCard) -> str:
    channels, height, width = card.shape
    if card.bin_us is None:
        entry = f"images [B,{channels},{height},{width}]"
    else:
        entry = (
            f"one frame per {card.bin_us / 1000:g} ms, float32 [B,{channels},{height},{width}]: how many events every pixel "
            f"had, OFF in channel 0, ON in channel 1; coordinates of a {card.sensor_size[0]}x{card.sensor_size[1]} sensor "
            f"divided by {card.downsample}"
        )
    classes = ", ".join(f"{index} {name}" for index, name in enumerate(card.classes))
    return f"In: {entry}.\n\nOut: one score per class and step; their mean over the steps answers. Classes: {classes}."


def _data(card: ModelCard) -> str:
    data = card.dataset
    source = "\n".join(f"- {line}" for line in data.get("source", []))
    simulated = "\n\nSimulated: nothing is known of recorded data." if data.get("simulated") else ""
    text = f"{data['title']} (`{data['name']}`), licence {data['licence']}. Fingerprint `{data['fingerprint']}`.{simulated}"
    return f"{text}\n\n{source}" if source else text


def _quality(card: ModelCard) -> str:
    told = card.evaluation
    if told is None:
        return "Not evaluated: `dvspipe evaluate RUN`, then export again."
    low, high = told["interval"]
    rows = {
        "Accuracy": f"{told['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%}, {told['samples']} test samples)",
        "Spikes per sample": f"{told['spikes_per_sample']:,.0f}",
        "Energy per sample": f"{told['energy_uj']:.1f} µJ by counted operations (45 nm), an estimate; "
        f"the same network without spikes {told['energy_ann_uj']:.1f} µJ",
    }
    return f"{_rows(rows)}\n\n{card.selection}"


def _rows(values: Mapping[str, Any]) -> str:
    lines = [
        f"| {word} | {value:,} |" if isinstance(value, int) else f"| {word} | {value} |"
        for word, value in values.items()
    ]
    return "\n".join(["| | |", "|---|---|", *lines])
