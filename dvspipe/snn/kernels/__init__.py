"""Whole-sequence kernels: `lif_scan` runs T steps of a population in one call, as fast as the device allows."""

from dvspipe.errors import DvspipeError

try:
    import numba as numba
except ImportError as error:
    raise DvspipeError(
        f"numba cannot be imported ({error}), and dvspipe's loops on the CPU are compiled by it: install one that fits your "
        "numpy, pip install --upgrade numba"
    ) from error

from dvspipe.snn.kernels.scan import KERNELS as KERNELS
from dvspipe.snn.kernels.scan import check_kernels as check_kernels
from dvspipe.snn.kernels.scan import lif_scan as lif_scan
