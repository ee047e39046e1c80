"""One image inside an encoder and inside a trained run: the code, spikes of every layer and step, the answer after each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from dvspipe.encoders.encoder import Encoder
from dvspipe.encoders.image_network import ImageNetwork
from dvspipe.errors import RunError
from dvspipe.jobs.data import open_data
from dvspipe.jobs.image_data import normalises
from dvspipe.jobs.looking import answer_of
from dvspipe.jobs.runs import Run
from dvspipe.learn.image_evaluation import SEED
from dvspipe.metrics.reconstruction import reconstruction_error
from dvspipe.recipes import load_card
from dvspipe.show.encoding import Strip, code_strip, gate_strips, picture
from dvspipe.show.summary import ImageCase, Inside
from dvspipe.snn.watching import Watched, watch

Code = tuple[Tensor, dict[str, Any], Strip]


class Scale:
    """A run's images: (x - mean) / std per channel where its recipe normalises, else as they are."""

    def __init__(self, run: Run) -> None:
        settings, card = run.recipe.encoder, load_card(run.recipe.dataset)
        assert settings is not None and card.images is not None  # a run on images
        on = normalises(settings)
        table = (card.images.mean, card.images.std) if on else ([0.0] * run.channels, [1.0] * run.channels)
        self.mean, self.std = (torch.tensor(each)[:, None, None] for each in table)

    def apply(self, image: Tensor) -> Tensor:
        """[...,C,H,W] in 0..1 -> what the network takes."""
        return (image - self.mean) / self.std

    def undo(self, image: Tensor) -> Tensor:
        """And back."""
        return image * self.std + self.mean


def network_of_images(run: Run) -> ImageNetwork:
    """Its model. Raises RunError for a run on events."""
    if not isinstance(run.model, ImageNetwork):
        raise RunError(f"{run.path}: trained on events, which have no encoder; give a run that was trained on images.")
    return run.model


@torch.no_grad()
def encode(encoder: Encoder, image: Tensor, scale: Scale | None = None) -> Code:
    """(code [T,1,C,H,W], its figures, its strip) of an image [C,H,W] as the encoder takes it; `scale` made it so.

    Figures are `name, analog, spikes_per_pixel` (of the steps that hold spikes), `density_per_step` and
    `reconstruction_error`, the mean. Draws are the same every time. Raises as the encoder does.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        code = encoder(image[None])
    decoded = encoder.decode(code)
    density = [float(step.count_nonzero()) / step.numel() for step in code]
    facts = {
        "name": encoder.name,
        "analog": list(encoder.analog),
        "spikes_per_pixel": sum((share for share, real in zip(density, encoder.analog) if not real), 0.0),
        "density_per_step": density,
        "reconstruction_error": reconstruction_error(encoder.target(image[None]), decoded)["mean"],
    }
    shown, back = code[:, 0], decoded[0]
    if scale is not None:
        real = torch.tensor(encoder.analog)[:, None, None, None]
        shown, back = torch.where(real, scale.undo(shown), shown), scale.undo(back)
    return code, facts, code_strip(shown.numpy(), facts, back.numpy(), _words(encoder))


def look_at_image(run: Run) -> tuple[ImageCase, dict[str, Any], Inside]:
    """(the first test image with its code, answer, what went on inside), for a report.

    The answer is {"truth", "label", "confidence"}. Always the first one: nobody chose a beautiful one.
    """
    dataset: Any = open_data(run.recipe).testing().dataset
    image, label = dataset[0]
    model, scale = network_of_images(run), Scale(run)
    code, facts, strip = encode(model.encoder, image, scale)
    seen = watch(model.network, code)
    answers = [answer_of(run, seen.out[: step + 1]) for step in range(len(seen.out))]
    maps = {name: value for name, value in asdict(seen).items() if name not in ("out", "code")}
    case = ImageCase(picture(scale.undo(image).numpy()), [strip, *behind_stem(run, seen)], answers, facts)
    return case, {"truth": run.classes[int(label)], **answers[-1]}, Inside(**maps)


def behind_stem(run: Run, seen: Watched) -> list[Strip]:
    """What a layer that the encoder put behind the stem made of the image; nothing where there is none."""
    if "code" not in network_of_images(run).network.layers:
        return []
    name = network_of_images(run).encoder.name
    return gate_strips(name, seen.steps.get("code"), seen.code.get("gate"), seen.code.get("coded"))


def _words(encoder: Encoder) -> str:
    """Only where the name does not say all: the code inside a hybrid is a setting."""
    inner = getattr(encoder, "code", None)
    return f"the image once, then spikes ({inner.name})" if encoder.name == "hybrid" and inner is not None else ""
