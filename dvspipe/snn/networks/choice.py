"""Which network a name means. Settings are plain values, as a recipe holds them."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

from dvspipe.errors import UsageError, nearest
from dvspipe.snn.kit import Kit
from dvspipe.snn.networks.att_res import AttRes18, AttRes34, AttRes104
from dvspipe.snn.networks.att_vgg import AttVgg7, AttVgg11
from dvspipe.snn.networks.five_conv import FiveConvA, FiveConvB
from dvspipe.snn.networks.image_res import (
    MsResNet18,
    MsResNet18Cifar,
    MsResNet34,
    MsResNet104,
    ResNet18,
    ResNet18Cifar,
    ResNet34,
    SewResNet18,
    SewResNet18Cifar,
    SewResNet34,
)
from dvspipe.snn.networks.lenet import LeNet
from dvspipe.snn.networks.network import Network, check_positive
from dvspipe.snn.networks.spikformer import Spikformer
from dvspipe.snn.networks.three_conv import ThreeConv
from dvspipe.snn.neurons import make_neuron

NETWORKS: dict[str, type[Network]] = {
    "three-conv": ThreeConv,
    "five-conv-a": FiveConvA,
    "five-conv-b": FiveConvB,
    "att-res-18": AttRes18,
    "att-res-34": AttRes34,
    "att-res-104": AttRes104,
    "att-vgg-7": AttVgg7,
    "att-vgg-11": AttVgg11,
    "lenet": LeNet,
    "spikformer": Spikformer,
    "ms-resnet-18-cifar": MsResNet18Cifar,
    "ms-resnet-18": MsResNet18,
    "ms-resnet-34": MsResNet34,
    "ms-resnet-104": MsResNet104,
    "sew-resnet-18-cifar": SewResNet18Cifar,
    "sew-resnet-18": SewResNet18,
    "sew-resnet-34": SewResNet34,
    "resnet-18-cifar": ResNet18Cifar,
    "resnet-18": ResNet18,
    "resnet-34": ResNet34,
}


def build_network(name: str, **settings: Any) -> Network:
    """The network `name` built with `settings` (see its class). Raises `UsageError` for an unknown or missing word."""
    if name not in NETWORKS:
        known = list(NETWORKS)
        raise UsageError(f"unknown network '{name}'{nearest(name, known)}: known are {', '.join(known)}")
    plan = {key: each for key, each in inspect.signature(NETWORKS[name]).parameters.items() if key != "kit"}
    supplies = {field.name for field in fields(Kit)}
    known = [*plan, *sorted(supplies)]
    for key in settings:
        if key not in known:
            raise UsageError(
                f"network '{name}' has no setting '{key}'{nearest(key, known)}: known are {', '.join(known)}"
            )
    needed = ["steps", *(key for key, setting in plan.items() if setting.default is setting.empty)]
    missing = [key for key in needed if key not in settings]
    if missing:
        raise UsageError(f"network '{name}' needs the setting {' and '.join(missing)}")
    if not NETWORKS[name].HAS_STEM and (settings.get("front") or settings.get("own_stem")):
        with_stem = ", ".join(each for each, kind in NETWORKS.items() if kind.HAS_STEM)
        raise UsageError(
            f"network '{name}' has no stem that an encoder could add to (gac, direct-lif, hybrid with a stem of its own): "
            f"use one of {with_stem}"
        )
    _check_event_parts(name, settings)
    kit = make_kit(NETWORKS[name].DEFAULTS | {key: each for key, each in settings.items() if key in supplies})
    make: Any = NETWORKS[name]  # each kind of network has settings of its own
    return make(kit, **{key: each for key, each in settings.items() if key not in supplies})


def _check_event_parts(name: str, settings: dict[str, Any]) -> None:
    """Raises `UsageError` where a head or stem is asked of a network that has no place for it."""
    plain = {"head": "spiking", "stem": "conv2d"}
    asked = [f"{key} = '{settings[key]}'" for key, usual in plain.items() if settings.get(key, usual) != usual]
    if asked and not NETWORKS[name].FOR_EVENTS:
        takers = ", ".join(each for each, kind in NETWORKS.items() if kind.FOR_EVENTS)
        raise UsageError(
            f"network '{name}' has no place for {' and '.join(asked)}: use one of {takers}, or leave it out"
        )


def make_kit(settings: dict[str, Any]) -> Kit:
    """A kit whose neuron may be given by name. Raises `UsageError` for an unknown one or a T that is not positive."""
    check_positive(steps=settings["steps"])
    return Kit(**settings | {"neuron": make_neuron(settings["neuron"])})
