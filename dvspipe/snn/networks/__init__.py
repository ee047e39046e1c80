"""Networks by name: `build_network("three-conv", classes=11, steps=60, attention="TCSA")`."""

from dvspipe.snn.networks.choice import build_network as build_network
from dvspipe.snn.networks.network import Network as Network
