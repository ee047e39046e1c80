"""Reading the test split of images once: answers, accuracy after every step, spikes, and energy under three countings.

Accuracy after step k is what the read-out says of the first k steps of the T that the network ran.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dvspipe.decision.readout import READOUTS, confidence, first_spike_step
from dvspipe.encoders.image_network import ImageNetwork
from dvspipe.learn.evaluation import activity, figures
from dvspipe.learn.memory import keep_freed_memory
from dvspipe.metrics.calibration import calibration
from dvspipe.metrics.energy import Code
from dvspipe.metrics.reconstruction import reconstruction_error
from dvspipe.metrics.spikes import SpikeProbe
from dvspipe.snn.folding import folded

SEED = 0  # of the encoders that draw, so that a second evaluation gives the same figures


@torch.no_grad()
def evaluate_images(
    model: ImageNetwork,
    loader: DataLoader,
    classes: Sequence[str],
    readout: str = "mean",
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Everything `dvspipe evaluate` reports of images except its files; `loader` gives (images [B,C,H,W], label [B])."""
    keep_freed_memory()
    quick = folded(model.eval().network, pools=True)  # as in `evaluation`
    start, probe, seen, read = time.perf_counter(), SpikeProbe(), _Seen(), READOUTS[readout]
    truth, scores, answers, decided = [], [], [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        for done, (images, label) in enumerate(loader):
            code = model.encoder(images)
            seen.add(model, images, code)
            probe.see_input(code)
            out, _ = quick(code, probe=probe)
            truth.append(label)
            scores.append(read(out))
            answers.append(torch.stack([read(out[: step + 1]).argmax(1) for step in range(len(out))]))
            decided.append(first_spike_step(out) + 1)
            on_batch(done + 1, len(loader))
    true, score, over_steps = torch.cat(truth), torch.cat(scores), torch.cat(answers, 1)
    right = (over_steps == true).double().mean(1).tolist()
    sure = confidence(score, model.network.spiking_out).tolist()
    return {
        **figures(true, score.argmax(1), classes, clips=1),
        **activity(model, probe.result(), seen.code(model)),
        "accuracy_over_time": [{"step": step + 1, "accuracy": each} for step, each in enumerate(right)],
        "mean_decision_step": float(torch.cat(decided).double().mean()) if readout == "first-spike" else None,
        "calibration": calibration(sure, (score.argmax(1) == true).tolist(), spikes=model.spiking_out),
        "encoder": seen.result(model),
        "seconds": time.perf_counter() - start,
    }


class _Seen:
    """What the encoder made of all images: non-zero values per step, and how far its code is from the image."""

    def __init__(self) -> None:
        self.nonzero: Tensor | None = None
        self.images, self.values, self.error = 0, 0, 0.0

    def add(self, model: ImageNetwork, images: Tensor, code: Tensor) -> None:
        encoder, batch = model.encoder, len(images)
        # Of a repeated image one step says all.
        counted = (code[:1] if encoder.repeats else code).flatten(1).count_nonzero(1).double()
        self.nonzero = counted if self.nonzero is None else self.nonzero + counted
        self.values += images.numel()
        self.images += batch
        self.error += batch * reconstruction_error(encoder.target(images), encoder.decode(code))["mean"]

    def code(self, model: ImageNetwork) -> Code:
        assert self.nonzero is not None
        encoder, shares = model.encoder, (self.nonzero / self.values).tolist()
        return Code(shares * encoder.steps if encoder.repeats else shares, encoder.analog, encoder.repeats)

    def result(self, model: ImageNetwork) -> dict[str, Any]:
        """`spikes_per_pixel` of the steps that hold spikes."""
        code = self.code(model)
        spikes = [share for share, real in zip(code.density, code.analog) if not real]
        return {
            "name": model.encoder.name,
            "steps": model.encoder.steps,
            "analog": list(code.analog),
            "density_per_step": list(code.density),
            "spikes_per_pixel": sum(spikes),
            "reconstruction_error": self.error / self.images,
        }
