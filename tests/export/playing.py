"""Whole recordings through a network and through a file made of it, side by side; readers of NIR.

Law 5's rule for potentials that rounding may put on either side of the threshold: `Compared.clear` says whether everything
agreed until a neuron, on either side, first came within 1e-5 of its threshold.
"""

import contextlib
import io
import logging
from dataclasses import dataclass

import nir
import norse.torch
import torch
import torch.nn.functional as F
from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step

from dvspipe.events.fitting import fit_sensor
from dvspipe.export.state import example, flat, rebuilt
from dvspipe.frames import to_frames
from dvspipe.recordings import open_recording
from dvspipe.snn.layers.spiking import SpikingLayer

BIN_US, LEAST_BINS, MOST_BINS = 10_000, 20, 150
NEAR, CLOSE = 1e-5, 1e-4


def frames_of(path, size=(128, 128), downsample=4):
    """[T,1,2,H,W] float32 of a whole recording, in bins of 10 ms, or of what makes 20 to 150 bins of it."""
    events = open_recording(path).load()
    lasts_us = int(events.t.max() - events.t.min())
    bin_us = max(min(BIN_US, lasts_us // LEAST_BINS), lasts_us // MOST_BINS)
    frames, _ = to_frames(fit_sensor(events, size), bin_us, size, downsample=downsample)
    return torch.from_numpy(frames).float()[:, None]


@dataclass
class Compared:
    """`bins` played and `spikes` fired; `different` values (spikes and scores, or state) in `different_bins`; `worst`
    difference of values that agree; `first`, the first bin with a difference; `near`, the first with a near neuron.
    """

    bins: int
    spikes: int
    different: int
    different_bins: int
    worst: float
    first: int | None
    near: int | None

    @property
    def clear(self):
        return self.first is None or (self.near is not None and self.near <= self.first)


def near_threshold(network, *states):
    """Whether a potential that no spike has reset lies within 1e-5 of its threshold."""
    found = False
    for layer, *parts in zip(network.layers.values(), *states):
        neuron = layer.spiking.lif.neuron if isinstance(layer, SpikingLayer) else None
        for part in parts if neuron else ():
            near = ((part.v - neuron.v_th).abs() < NEAR) & (part.v != neuron.v_reset)
            if neuron.reset == "subtract":
                near |= part.v.abs() < NEAR
            found |= bool(near.any())
    return found


@torch.no_grad()
def compare_spikes(network, frames, reader):
    """Every spike of every layer, each side with its own state: `reader(frame)` gives them by layer, and the output."""
    tally, state, last = Tally(), None, {}
    for frame in frames:
        spikes = {}
        out, state = network.step(frame, state, lambda name, fired, spikes=spikes: spikes.setdefault(name, fired))
        spikes["output"] = out
        spikes = {name: fired for name, fired in spikes.items() if not name.endswith("pooled")}
        theirs = reader(frame)
        assert set(theirs) == set(spikes)
        count = sum(int(fired.sum()) for name, fired in spikes.items() if name != "output")
        tally.add([(spikes[name], theirs[name]) for name in spikes], count, near_threshold(network, state))
        last = spikes
    assert last
    return tally.result()


@torch.no_grad()
def compare_steps(network, frames, stepper, forced):
    """Output and whole state after every step of `stepper.step(frame, flat state)`; `forced`: each from our state."""
    tally, tree, counted = Tally(), example(network, 1), []
    state = theirs = flat(tree)
    for frame in frames:
        counted.clear()
        given = rebuilt(tree, iter(state))
        out, after = network.step(frame, given, lambda name, fired: counted.append(int(fired.sum())))
        start = [part.contiguous() for part in (state if forced else theirs)]
        said, theirs = stepper.step(frame, start)
        state = flat(after)
        near = near_threshold(network, after, rebuilt(tree, iter(theirs)))
        tally.add(list(zip([out, *state], [said, *theirs])), sum(counted), near)
    return tally.result()


class Tally:
    def __init__(self):
        self.bins = self.spikes = self.different = self.different_bins = 0
        self.worst, self.first, self.near = 0.0, None, None

    def add(self, pairs, spikes, near):
        if near and self.near is None:
            self.near = self.bins
        assert all(one.shape == two.shape for one, two in pairs)
        gaps = [(one - two).abs() / one.abs().clamp(min=1.0) for one, two in pairs]  # relative above 1: float32 is
        different = sum(int((gap > CLOSE).sum()) for gap in gaps)
        if different and self.first is None:
            self.first = self.bins
        self.worst = max(self.worst, *map(_most, gaps))
        self.bins, self.spikes, self.different = self.bins + 1, self.spikes + spikes, self.different + different
        self.different_bins += different > 0

    def result(self):
        return Compared(**vars(self))


def _most(gap):
    agreeing = gap[gap <= CLOSE]
    return float(agreeing.max()) if agreeing.numel() else 0.0


class ByNorse:
    """A NIR graph in a row, its LIF nodes stepped by Norse's own function with all that the file says."""

    def __init__(self, path):
        graph = nir.read(str(path))
        following = dict(graph.edges)
        assert len(following) == len(graph.edges), "not a row"
        self.nodes, name = [], "input"
        while (name := following[name]) != "output":
            self.nodes.append((name, graph.nodes[name]))
        self.dt, self.start = float(graph.metadata["dt_s"]), float(graph.metadata["initial_v"])
        self.v = {}

    def __call__(self, x):
        spikes = {}
        for name, node in self.nodes:
            if isinstance(node, nir.LIF):
                x = spikes[name.removesuffix("_lif")] = self.neurons(name, node, x)
            else:
                x = run_node(node, x)
        return spikes | {"output": x}

    def neurons(self, name, node, x):
        tau, r, v_leak, v_th, v_reset = map(
            torch.from_numpy, (node.tau, node.r, node.v_leak, node.v_threshold, node.v_reset)
        )
        parameters = LIFBoxParameters(tau_mem_inv=1 / tau, v_leak=v_leak, v_th=v_th, v_reset=v_reset)
        state = LIFBoxFeedForwardState(self.v.get(name, torch.full_like(x, self.start)))
        fired, after = lif_box_feed_forward_step(r * x, state, parameters, dt=self.dt)
        self.v[name] = after.v
        return fired


def run_node(node, x):
    """A NIR node without state."""
    if isinstance(node, nir.Conv2d):
        options = (tuple(map(int, each)) for each in (node.stride, node.padding, node.dilation))
        return F.conv2d(x, torch.from_numpy(node.weight), torch.from_numpy(node.bias), *options, int(node.groups))
    if isinstance(node, nir.AvgPool2d | nir.SumPool2d):
        window = tuple(map(int, node.kernel_size))
        mean = F.avg_pool2d(x, window, tuple(map(int, node.stride)), tuple(map(int, node.padding)))
        return mean if isinstance(node, nir.AvgPool2d) else mean * window[0] * window[1]
    if isinstance(node, nir.Threshold):
        return (x > torch.from_numpy(node.threshold)).to(x.dtype)
    if isinstance(node, nir.Flatten):
        return x.flatten(int(node.start_dim), int(node.end_dim))
    bias = torch.from_numpy(node.bias) if isinstance(node, nir.Affine) else None
    return F.linear(x, torch.from_numpy(node.weight), bias)


class Imported:
    """A module that another package's importer made of a file; `kind` are its neurons, watched for their spikes."""

    def __init__(self, module, kind):
        self.module, self.state, self.spikes = module.eval(), None, {}
        for name, part in module.named_modules():
            if isinstance(part, kind):
                part.register_forward_hook(self.hook(name.removesuffix("_lif")))

    def hook(self, name):
        def heard(_, __, output):
            self.spikes[name] = (output[0] if isinstance(output, tuple) else output).detach()

        return heard

    def __call__(self, x):
        self.spikes = {}
        out, self.state = self.module(x, self.state)
        return {**self.spikes, "output": out}


def by_norses_importer(path):
    """Norse's own `from_nir`, told the file's dt."""
    graph = nir.read(str(path))
    module = norse.torch.from_nir(graph, dt=float(graph.metadata["dt_s"]))
    return Imported(module, norse.torch.LIFBoxCell)


def by_snntorch(path):
    """snnTorch's own importer, which prints."""
    import snntorch
    from snntorch.import_nir import import_from_nir

    with contextlib.redirect_stdout(io.StringIO()):
        module = import_from_nir(nir.read(str(path)))
    return Imported(module, snntorch.Leaky)


def silent(function, *arguments):
    """Norse warns by logging."""
    logging.disable(logging.WARNING)
    try:
        return function(*arguments)
    finally:
        logging.disable(logging.NOTSET)


def made_frames(seed=0, bins=24, rate=0.2, size=(2, 32, 32)):
    """Frames of nothing real, for machines without recordings."""
    generator = torch.Generator().manual_seed(seed)
    return torch.poisson(torch.full((bins, 1, *size), rate), generator=generator)
