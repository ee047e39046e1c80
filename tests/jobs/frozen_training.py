"""`dvspipe train ...` with batch norms that learn no statistics, so that no sample sees another: two processes then
compute what one does. In float64, for in float32 rounding makes a neuron at its threshold spike in one and not in the
other sooner or later. Writes the loss of every step to $LOSSES.<rank>, a line each.
"""

import os
import sys
from pathlib import Path

import torch

from dvspipe.jobs import train as module


def freeze(patch):
    """`patch(object, name, value)` changes what `train` builds."""
    build = module.network_of

    def frozen(*arguments):
        network = build(*arguments)
        for each in network.modules():
            if isinstance(each, torch.nn.modules.batchnorm._BatchNorm):
                each.eval()
                torch.nn.init.constant_(each.weight, 3.0)
                each.train = lambda mode=True, each=each: each
        network.register_forward_pre_hook(lambda network, given: (given[0].double(), *given[1:]))
        return network.double()

    patch(module, "network_of", frozen)


def record(patch, path):
    """Losses as they come."""
    path.write_text("")

    def on_step(epoch, step, loss):
        with path.open("a") as file:
            file.write(f"{loss!r}\n")

    patch(module, "_step_reporter", lambda *arguments: on_step)


if __name__ == "__main__":
    from dvspipe.cli import run

    torch.set_num_threads(1)
    freeze(setattr)
    record(setattr, Path(f"{os.environ['LOSSES']}.{os.environ['RANK']}"))
    sys.exit(run(sys.argv[1:]))
