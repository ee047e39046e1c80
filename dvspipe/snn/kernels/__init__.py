"""Whole-sequence kernels: `lif_scan` runs T steps of a population in one call, as fast as the device allows."""

from dvspipe.snn.kernels.scan import lif_scan as lif_scan
