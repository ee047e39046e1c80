"""Made-up but plausible numbers of two runs and one live source."""

import numpy as np
import pytest

from dvspipe.show.summary import LiveSummary, RunSummary

CLASSES = [
    "hand clapping", "right hand wave", "left hand wave", "right arm clockwise", "right arm counter-clockwise",
    "left arm clockwise", "left arm counter-clockwise", "arm roll", "air drums", "air guitar", "other",
]  # fmt: skip


def moving_clip(bins=30, size=64):
    """A bar that circles the middle: ON at its leading edge, OFF behind it. [T,2,H,W]."""
    rng = np.random.default_rng(7)
    frames = rng.poisson(0.004, (bins, 2, size, size))
    rows, columns = np.mgrid[:size, :size] - size / 2
    radius, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    for index in range(bins):
        ahead = np.angle(np.exp(1j * (angle - 2 * np.pi * index / bins)))
        arm = (radius < 0.42 * size) & (radius > 0.08 * size)
        frames[index, 1] += arm & (np.abs(ahead - 0.08) < 0.1)
        frames[index, 0] += arm & (np.abs(ahead + 0.16) < 0.1)
    return frames


def confusion(accuracy, per_class=24, seed=0):
    rng = np.random.default_rng(seed)
    count = len(CLASSES)
    table = np.zeros((count, count), int)
    for row in range(count):
        wrong = rng.dirichlet(np.full(count, 0.3)) * (1 - accuracy)
        wrong[row] += accuracy
        table[row] = rng.multinomial(per_class, wrong / wrong.sum())
    return table.tolist()


def evaluation(accuracy, nasar, energy, seed):
    rng = np.random.default_rng(seed)
    table = confusion(accuracy, seed=seed)
    total = int(np.sum(table))
    share = np.trace(table) / total
    steps = nasar * (1 + 0.25 * np.sin(np.linspace(0, 7, 20)) + rng.normal(0, 0.04, 20))
    times = (25, 50, 100, 200, 400, 800, 1500)
    return {
        "accuracy": float(share),
        "per_class": {name: row[index] / sum(row) for index, (name, row) in enumerate(zip(CLASSES, table))},
        "confusion": table,
        "nasar": float(steps.mean()),
        "nasar_per_step": steps.tolist(),
        "spikes_per_sample": float(steps.mean() * 20 * 106_763),
        "spikes_per_layer": {
            "conv1": 1.3 * nasar,
            "conv2": 0.8 * nasar,
            "conv3": 0.5 * nasar,
            "hidden": 0.4 * nasar,
            "readout": 0.9 * nasar,
        },
        "energy_uj": energy,
        "energy_ann_uj": 2140.0,
        "energy": {
            "parts": {
                "first layer (MAC)": 0.3 * energy,
                "spiking layers (AC)": 0.55 * energy,
                "attention (MAC)": 0.15 * energy,
            },
            "rules": [
                "First convolution counted as MAC, weighted with the share of non-zero pixels.",
                "BN is folded, LIF updates are not counted.",
            ],
        },
        "accuracy_over_time": [
            {"t_ms": t, "accuracy": float(max(1 / 11, share * (1 - np.exp(-t / 260))))} for t in times
        ],
        "params": 2_324_065,
        "neurons": 106_763,
        "samples": total,
        "seconds": 4.2,
        "clip": {
            "truth": "arm roll",
            "label": "arm roll" if seed else "air drums",
            "confidence": 0.83 if seed else 0.41,
        },
    }


def history(epochs, best):
    return [
        {
            "epoch": epoch,
            "train_loss": 0.085 * np.exp(-epoch / 6) + 0.012,
            "train_accuracy": min(0.99, best * (1 - np.exp(-epoch / 3)) + 0.09),
            "val_loss": 0.08 * np.exp(-epoch / 7) + 0.026,
            "val_accuracy": best * (1 - np.exp(-epoch / 3.4)),
            "lr": 2e-3,
            "seconds": 5.0,
        }
        for epoch in range(1, epochs + 1)
    ]


def recipe(attention):
    return {
        "dataset": "gesture-sim",
        "frames": {"bin_us": 50_000, "n_bins": 20, "downsample": 4, "clips": 1},
        "snn": {"network": "three-conv", "neuron": "ma-snn", "attention": attention, "placement": "released"},
        "train": {"epochs": 12, "batch": 16, "lr": 0.002, "loss": "mse-rate", "seed": 0},
    }


def run_summary(name="demo-masnn", attention="TCSA", accuracy=0.84, nasar=0.031, energy=212.0, seed=1):
    measured = evaluation(accuracy, nasar, energy, seed)
    return RunSummary(
        name,
        f"runs/{name}",
        recipe(attention),
        measured,
        history(12, accuracy),
        moving_clip(),
        CLASSES,
        measured["samples"],
    )


def live_rows(seconds=48, bin_us=50_000):
    """Decisions every bin: three rests, twelve gestures, right after 0.4 s in most of them."""
    rng = np.random.default_rng(3)
    truth = [
        {
            "label": CLASSES[(5 * index) % 11],
            "start_us": 1_000_000 + index * 4_000_000,
            "stop_us": 4_000_000 + index * 4_000_000,
        }
        for index in range(seconds // 4)
    ]
    decisions = []
    for number in range(int(seconds * 1e6 / bin_us)):
        t_us = (number + 1) * bin_us
        window = next((row for row in truth if row["start_us"] + 400_000 <= t_us < row["stop_us"] + 250_000), None)
        label = window["label"] if window else None
        if window and rng.random() < 0.05:
            label = CLASSES[int(rng.integers(11))]
        confidence = float(np.clip(rng.normal(0.75, 0.1), 0, 1)) if label else 0.12
        decisions.append(
            {
                "bin": number,
                "t_us": t_us,
                "label": label,
                "confidence": confidence,
                "latency_ms": float(rng.gamma(6, 0.35)),
            }
        )
    return decisions, truth


def live_summary():
    decisions, truth = live_rows()
    latency = np.array([row["latency_ms"] for row in decisions])
    p50, p95, p99 = np.quantile(latency, (0.5, 0.95, 0.99))
    result = {
        "bins": len(decisions),
        "decisions": sum(row["label"] is not None for row in decisions),
        **{"p50_ms": float(p50), "p95_ms": float(p95), "p99_ms": float(p99), "max_ms": float(latency.max())},
        **{"late_bins": 0, "dropped_bins": 0, "dropped_events": 0, "damage": None},
    }
    return LiveSummary("uncut simulated recording", result, decisions, truth, moving_clip(40), clip_bin=30)


@pytest.fixture(scope="session")
def runs():
    return [run_summary("demo-none", "none", 0.76, 0.158, 690.0, seed=0), run_summary()]


@pytest.fixture(scope="session")
def live():
    return live_summary()


@pytest.fixture(scope="session")
def clip():
    return moving_clip()
