"""One step of a live network as ONNX: a frame and the state in, the scores and the next state out.

Zeros are the state at rest; a program starts with them and feeds back what came out. Traced by torch's exporter from
plain operators, batch norm folded, then run by onnxruntime beside the network itself before the file is kept.
"""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dvspipe.errors import RunError, UsageError
from dvspipe.export.plain import plain
from dvspipe.export.state import StatePart, example, flat, rebuilt, state_parts
from dvspipe.snn.layers.spiking import SpikingLayer
from dvspipe.snn.networks.network import Network

FRAME, OUT, NEXT = "frame", "out", ".next"
OPSETS = range(18, 26)  # torch's exporter writes 18 and, where asked for less, silently 18; onnxruntime refuses more
DEFAULT_OPSET = 18
CHECK_STEPS, TOLERANCE = 8, 1e-4
_NEEDED = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Checked:
    """The file beside the network, both started from the same state at each of `steps` random frames: how many `spikes` of
    the network, how many values `different` by more than 1e-4, and by how much the others at most.
    """

    steps: int
    spikes: int
    different_values: int
    max_difference: float


def check_opset(opset: int) -> None:
    """Raises UsageError for an opset that cannot be written here."""
    if opset not in OPSETS:
        raise UsageError(
            f"--opset {opset}: unknown here; allowed are {OPSETS[0]} to {OPSETS[-1]} (default {DEFAULT_OPSET}, which "
            "onnxruntime 1.18 and later reads)"
        )


def check_packages() -> None:
    """Raises UsageError where ONNX's packages are not installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--format onnx needs {' and '.join(missing)}, which is not installed: pip install 'dvspipe[onnx]'"
        )


def check_live(network: Network) -> None:
    """Raises UsageError for a network without a single step; names the first layer that has none."""
    if network.live:
        return
    for name, layer in network.layers.items():
        if not layer.live:
            attention = layer.spiking.attention if isinstance(layer, SpikingLayer) else None
            why = f"attention placement '{attention.placement}' weighs a whole clip" if attention else "needs all steps"
            raise UsageError(
                f"layer '{name}' has no single step: its {why}. ONNX is written as one step with its state: train with "
                "snn.placement = 'causal' (or snn.attention = 'none', snn.adapt = 'shared'), or export safetensors"
            )
    raise UsageError(
        "norms 'tebn' and 'per-step' tell the steps apart, so there is no single step for ONNX: train with snn.norm = 'bn' "
        "or 'tdbn', or export safetensors"
    )


def write_onnx(path: Path, network: Network, facts: dict[str, str], opset: int) -> tuple[list[StatePart], Checked]:
    """Writes `path`; `facts` go into its metadata, beside the state's parts. Returns those and how the file compares.

    Raises UsageError for a network that is not `live`, an unknown opset or missing packages, RunError where the file
    does not compute what the network does.
    """
    check_packages()
    check_opset(opset)
    check_live(network)
    import onnx

    network = network.eval()
    parts = state_parts(network)
    model = _traced(network, parts, opset)
    state = [asdict(part) | {"meaning": part.meaning, "output": part.name + NEXT} for part in parts]
    words = {"input": FRAME, "output": OUT, "state": json.dumps(state), "reset": "set every part of the state to zeros"}
    onnx.helper.set_model_props(model, facts | words)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return parts, check(path, network)


class _Step(nn.Module):
    """The traced function: frame [B,C,H,W] and the flat state -> scores [B,K] and the flat next state."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.tree = plain(network), example(network, 1)

    def forward(self, frame: Tensor, parts: list[Tensor]) -> tuple[Tensor, ...]:
        out, state = self.network.step(frame, rebuilt(self.tree, iter(parts)))
        return (out, *flat(state))


def _traced(network: Network, parts: list[StatePart], opset: int) -> Any:
    """A ModelProto with named inputs and outputs and a free batch axis "B"."""
    batch = torch.export.Dim("B")
    frame, state = torch.zeros(2, *network.frame_shape), flat(example(network, 2))
    shapes: tuple[Any, ...] = ({0: batch}, [{part.batch_axis: batch} for part in parts])
    names = [part.name for part in parts]
    options: dict[str, Any] = {"dynamo": True, "opset_version": opset, "verbose": False}
    options |= {"input_names": [FRAME, *names], "output_names": [OUT, *(name + NEXT for name in names)]}
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, which no user can act on
        try:
            program = torch.export.export(_Step(network), (frame, state), dynamic_shapes=shapes)
            model = torch.onnx.export(program, **options).model_proto
        except Exception as error:  # torch raises many kinds here
            reason = str(error).strip().splitlines()[0][:200]
            raise RunError(
                f"torch cannot write this network as ONNX ({reason}). Export safetensors instead."
            ) from error
    written = next(each.version for each in model.opset_import if each.domain == "")
    if written != opset:
        raise RunError(f"--opset {opset}: the installed exporter wrote {written} instead; ask for {written}")
    return model


class _quiet:
    """Keeps the exporter's log off the terminal."""

    def __enter__(self) -> None:
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(logging.NOTSET)


class OnnxStepper:
    """A written file, run by onnxruntime: `step` takes a frame [B,C,H,W] and the flat state."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.names = [each.name for each in self.session.get_inputs()]

    def step(self, frame: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """-> (scores [B,K], the flat next state)."""
        fed = {name: value.numpy() for name, value in zip(self.names, [frame, *state], strict=True)}
        out, *after = (torch.from_numpy(value) for value in self.session.run(None, fed))
        return out, after


@torch.no_grad()
def check(path: Path, network: Network) -> Checked:
    """Runs file and network side by side on random frames. Raises RunError where they disagree by more than rounding: a
    potential that rounding moves across the threshold is counted, not blamed, and the next step starts from the network's.
    """
    stepper, tree = OnnxStepper(path), example(network, 2)
    draw, state = torch.Generator().manual_seed(0), flat(tree)
    counts: list[int] = []
    flips, worst = 0, 0.0
    for step in range(CHECK_STEPS):
        rate = 0.05 * 2.0**step  # events per pixel: some of these make any network fire
        frame = torch.poisson(torch.full((2, *network.frame_shape), rate), generator=draw)
        given = rebuilt(tree, iter(state))
        out, after = network.step(frame, given, lambda _, spikes: counts.append(int(spikes.count_nonzero())))
        theirs, following = stepper.step(frame, [part.contiguous() for part in state])
        state = flat(after)
        for ours, other in zip([out, *state], [theirs, *following], strict=True):
            gap = (ours - other).abs() / ours.abs().clamp(min=1.0)  # relative above 1, as float32 is
            close = gap <= TOLERANCE
            flips += int((~close).sum())
            worst = max(worst, float(torch.where(close, gap, 0.0).max()))
    values = CHECK_STEPS * sum(part.numel() for part in state)
    if flips > max(8, values // 10_000):
        raise RunError(
            f"{path.name}: {flips} of {values} values differ from the network by more than {TOLERANCE}: not kept"
        )
    return Checked(CHECK_STEPS, sum(counts), flips, worst)
