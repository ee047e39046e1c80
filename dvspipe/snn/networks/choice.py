"""Which network a name means. Settings are plain values, as a recipe holds them."""

from __future__ import annotations

import inspect
from typing import Any

from dvspipe.errors import UsageError, nearest
from dvspipe.snn.networks.att_res import AttRes18, AttRes34, AttRes104
from dvspipe.snn.networks.att_vgg import AttVgg7, AttVgg11
from dvspipe.snn.networks.five_conv import FiveConvA, FiveConvB
from dvspipe.snn.networks.network import Network
from dvspipe.snn.networks.three_conv import ThreeConv

NETWORKS: dict[str, type[Network]] = {
    "three-conv": ThreeConv,
    "five-conv-a": FiveConvA,
    "five-conv-b": FiveConvB,
    "att-res-18": AttRes18,
    "att-res-34": AttRes34,
    "att-res-104": AttRes104,
    "att-vgg-7": AttVgg7,
    "att-vgg-11": AttVgg11,
}


def build_network(name: str, **settings: Any) -> Network:
    """The network `name` built with `settings` (see its class). Raises `UsageError` for an unknown or missing word."""
    if name not in NETWORKS:
        known = list(NETWORKS)
        raise UsageError(f"unknown network '{name}'{nearest(name, known)}: known are {', '.join(known)}")
    own = inspect.signature(NETWORKS[name]).parameters
    for key in settings:
        if key not in own:
            raise UsageError(
                f"network '{name}' has no setting '{key}'{nearest(key, list(own))}: known are {', '.join(own)}"
            )
    missing = [key for key, setting in own.items() if setting.default is setting.empty and key not in settings]
    if missing:
        raise UsageError(f"network '{name}' needs the setting {' and '.join(missing)}")
    return NETWORKS[name](**settings)
