import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import make_neuron


@pytest.fixture(scope="session")
def playing():
    """The comparisons of `playing.py`."""
    name = "export_playing"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "playing.py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def settled():
    """settled(name, neuron, reset=..., ...): a network whose batch norms have seen frames, so that its neurons fire, and
    whose learned neurons have left their starting values.
    """

    def build(name="three-conv", neuron="ma-snn", size=(32, 32), width=0.2, constants=None, **settings):
        torch.manual_seed(3)
        made = make_neuron(neuron, **(constants or {}))
        settings = {"steps": 6, "classes": 5, "in_channels": 2, "attention": "none"} | settings
        network = build_network(name, neuron=made, size=size, width=width, **settings).train()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim <= 1:
                    parameter.add_(0.2 * torch.randn_like(parameter))
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                    module.weight.mul_(max(1.0, 2.0 * made.v_th / made.gain))
            for _ in range(4):
                network(torch.poisson(torch.full((6, 4, 2, *size), 0.3)))
        return network.eval()

    return build
