"""The two five-conv networks that MA-SNN measures on event data at the camera's full 128x128."""

from __future__ import annotations

from dvspipe.snn.networks.event_conv import EventConvNet, Table


class FiveConvA(EventConvNet):
    """Network A, after Fang et al. (ICCV 2021; their DVS128GestureNet): five convolutions of 128 channels, each with a
    maximum pool of 2 after its neurons, a hidden layer of 512 and ten neurons that vote for each class. Outputs are
    votes, multiples of 0.1.

    At 128x128, 2 polarities and 11 classes 1,698,304 parameters. Its convolutions have 2,793,472 neurons, the figure
    in MA-SNN's Table 1; `count_network` counts the 512 + 110 of the full layers too, as Table 1 does for
    three-conv. MA-SNN's code for it is not public; what dropout and batch norm do is Fang et al.'s. The published
    neuron of that network is "plif".
    """

    table = Table((128,) * 5, (2,) * 5, (128, 128), max_pool=True, bare=True, dropout=0.5, votes=10)


class FiveConvB(EventConvNet):
    """Network B, the one that MA-SNN's released code calls DVSGait and CIFAR10DVS: 32-64-128-256-512 channels with mean
    pools 2-2-2-2-4, a hidden layer of 256 and `classes` outputs.

    At 128x128, 2 polarities and 11 classes: 2,098,177 parameters and 248,075 neurons.
    """

    table = Table((32, 64, 128, 256, 512), (2, 2, 2, 2, 4), (128, 128), hidden=256)
