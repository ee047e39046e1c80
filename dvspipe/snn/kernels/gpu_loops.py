# ruff: noqa: ANN001, ANN201, RET505
# mypy: disable-error-code="no-untyped-def, assignment"
"""The Triton programs of the whole-sequence LIF: each runs all steps of one block of neurons, the membrane in registers.

Arithmetic and its order are those of `cpu_loops.py` (formulas there), so that without fused multiply-adds both give the
same bits forward. Sequences are dense, [steps, count]; any float comes in and goes out, the membrane is of `v0`'s type.
A neuron's constants are compiled in. Knows no torch, no layouts and no devices.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def surrogate_gradient(d, SCALE: tl.constexpr, NUMBER: tl.constexpr):
    """Derivative at d = u - v_th; formulas and numbers as in `snn.surrogates`."""
    if NUMBER == 0:
        return (tl.abs(d) < SCALE).to(d.dtype) * (0.5 / SCALE)
    elif NUMBER == 1:
        y = 1.0 - tl.abs(d) / SCALE
        return tl.where(y < 0.0, 0.0, y) / SCALE
    elif NUMBER == 2:
        y = 1.5707963267948966 * SCALE * d
        return 0.5 * SCALE / (1.0 + y * y)
    elif NUMBER == 3:
        y = 1.0 / (1.0 + tl.exp(-SCALE * d))
        return SCALE * y * (1.0 - y)
    else:
        y = 1.0 + SCALE * tl.abs(d)
        return 1.0 / (y * y)


@triton.jit
def rates_at(rates, t, steps, real: tl.constexpr, KEEP: tl.constexpr, GAIN: tl.constexpr, LEARNS: tl.constexpr):
    """Keep and gain of step t: learned, [2, steps], or the neuron's."""
    if LEARNS:
        within = t < steps
        return tl.load(rates + t, mask=within, other=0.0), tl.load(rates + steps + t, mask=within, other=0.0)
    else:
        return tl.full((), KEEP, real), tl.full((), GAIN, real)


@triton.jit(do_not_specialize=["steps"])
def forward(
    x,
    v0,
    rates,
    spikes,
    v,
    steps,
    count,
    KEEP: tl.constexpr,
    GAIN: tl.constexpr,
    BIAS: tl.constexpr,
    EDGE: tl.constexpr,
    SLOPE: tl.constexpr,
    OFFSET: tl.constexpr,
    LEARNS: tl.constexpr,
    AHEAD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Reads the current once, writes the spikes once and `v` after the last step. AHEAD steps are asked for at a time:
    the stores between them would hold back what memory could already fetch.
    """
    neuron = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside, wide = neuron < count, tl.full((), 0, tl.int64) + count
    membrane, end = tl.load(v0 + neuron, mask=inside, other=0.0), wide * steps
    for group in range(tl.cdiv(steps, AHEAD)):
        currents = ()
        for k in tl.static_range(AHEAD):
            at = wide * (group * AHEAD + k) + neuron
            currents = currents + (tl.load(x + at, mask=inside & (at < end), other=0.0),)  # noqa: RUF005 (see `backward`)
        for k in tl.static_range(AHEAD):
            t = group * AHEAD + k
            at = wide * t + neuron
            within = inside & (at < end)
            keep, gain = rates_at(rates, t, steps, membrane.dtype, KEEP, GAIN, LEARNS)
            u = keep * membrane + gain * currents[k].to(membrane.dtype) + BIAS
            fires = u > EDGE
            tl.store(spikes + at, tl.where(fires, 1.0, 0.0), mask=within)
            membrane = tl.where(within, tl.where(fires, SLOPE * u + OFFSET, u), membrane)
    tl.store(v + neuron, membrane, mask=inside)


@triton.jit(do_not_specialize=["steps"])
def backward(
    grad_spikes,
    grad_v,
    x,
    v0,
    rates,
    kept,
    grad_x,
    grad_v0,
    grad_rates,
    steps,
    count,
    KEEP: tl.constexpr,
    GAIN: tl.constexpr,
    BIAS: tl.constexpr,
    EDGE: tl.constexpr,
    V_TH: tl.constexpr,
    SLOPE: tl.constexpr,
    OFFSET: tl.constexpr,
    SCALE: tl.constexpr,
    NUMBER: tl.constexpr,
    DETACHED: tl.constexpr,
    LEARNS: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Forward, keeping v [chunks, count] before every CHUNK steps; then, from the last chunk to the first, u of its steps
    again, in registers beside the gradients that meet it, and back. Every program puts its share into `grad_rates`
    [2, steps, programs].
    """
    neuron = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside, wide = neuron < count, tl.full((), 0, tl.int64) + count
    membrane = tl.load(v0 + neuron, mask=inside, other=0.0)
    chunks, end = tl.cdiv(steps, CHUNK), wide * steps
    for chunk in range(chunks - 1):
        tl.store(kept + wide * chunk + neuron, membrane, mask=inside)
        for k in tl.static_range(CHUNK):
            t = chunk * CHUNK + k
            keep, gain = rates_at(rates, t, steps, membrane.dtype, KEEP, GAIN, LEARNS)
            current = tl.load(x + wide * t + neuron, mask=inside, other=0.0).to(membrane.dtype)
            u = keep * membrane + gain * current + BIAS
            membrane = tl.where(u > EDGE, SLOPE * u + OFFSET, u)
    tl.store(kept + wide * (chunks - 1) + neuron, membrane, mask=inside)
    tl.debug_barrier()  # what a thread reads of `kept`, another one may have written
    carried = tl.load(grad_v + neuron, mask=inside, other=0.0)
    for behind in range(chunks):
        chunk = chunks - 1 - behind
        membrane = tl.load(kept + wide * chunk + neuron, mask=inside, other=0.0)
        us, befores, grads = (), (), ()
        for k in tl.static_range(CHUNK):
            t = chunk * CHUNK + k
            keep, gain = rates_at(rates, t, steps, membrane.dtype, KEEP, GAIN, LEARNS)
            at = wide * t + neuron
            within = inside & (at < end)
            current = tl.load(x + at, mask=within, other=0.0).to(membrane.dtype)
            grads = grads + (tl.load(grad_spikes + at, mask=within, other=0.0),)  # noqa: RUF005 (tuples grow by sums here)
            u = keep * membrane + gain * current + BIAS
            us, befores = us + (u,), befores + (membrane,)  # noqa: RUF005
            membrane = tl.where(u > EDGE, SLOPE * u + OFFSET, u)
        for k in tl.static_range(CHUNK):
            t, u = chunk * CHUNK + (CHUNK - 1 - k), us[CHUNK - 1 - k]
            at = wide * t + neuron
            within = inside & (at < end)
            slope = surrogate_gradient(u - V_TH, SCALE, NUMBER)
            stays = tl.where(u > EDGE, SLOPE, 1.0).to(u.dtype)
            if not DETACHED:
                stays += slope * ((SLOPE - 1.0) * u + OFFSET)
            through = grads[CHUNK - 1 - k].to(u.dtype) * slope + carried * stays
            keep, gain = rates_at(rates, t, steps, u.dtype, KEEP, GAIN, LEARNS)
            tl.store(grad_x + at, gain * through, mask=within)
            carried = tl.where(within, keep * through, carried)
            if LEARNS:
                share, programs = grad_rates + t * tl.num_programs(0) + tl.program_id(0), tl.num_programs(0)
                by_gain = through * tl.load(x + at, mask=within, other=0.0).to(u.dtype)
                tl.store(share, tl.sum(through * befores[CHUNK - 1 - k], 0), mask=t < steps)
                tl.store(share + steps * programs, tl.sum(by_gain, 0), mask=t < steps)
    tl.store(grad_v0 + neuron, carried, mask=inside)
