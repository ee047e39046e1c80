"""The three-conv network of MA-SNN for event data (BICLab/Attention-SNN, DVSGestures/CNN/Networks/Att_SNN.py)."""

from __future__ import annotations

from dvspipe.snn.networks.event_conv import EventConvNet, Table


class ThreeConv(EventConvNet):
    """Three convolutions, 64-128-128 channels with mean pools 1-2-2, a hidden layer of 256 and `classes` outputs.

    At width 1, 32x32, 2 polarities and 11 classes: 2,324,065 parameters and 106,763 neurons.
    """

    table = Table(channels=(64, 128, 128), pools=(1, 2, 2), size=(32, 32), hidden=256)
