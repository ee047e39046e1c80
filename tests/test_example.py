"""The README's library example, run as it stands on a made-up run and recording."""

import re

import numpy as np
import torch

from dvspipe.events import Events
from dvspipe.jobs.runs import network_of, save_run_weights
from dvspipe.recipes import load_recipe
from dvspipe.recordings.formats.aedat31 import write_aedat31


def test_readme_example(checkout, tmp_path, monkeypatch, capsys):
    text = (checkout / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    torch.manual_seed(0)
    for attention in ("none", "TCSA"):
        recipe = load_recipe("demo-masnn", [f"snn.attention={attention}", "snn.width=0.1", "snn.c_ratio=2"])
        folder = tmp_path / attention / "runs" / "demo" / "demo-masnn"
        folder.mkdir(parents=True)
        classes = [f"class {k}" for k in range(11)]
        facts = {"name": "demo-masnn", "classes": classes, "sensor_size": [128, 128], "data": {}}
        save_run_weights(folder, network_of(recipe, 11, (128, 128)), recipe, facts)
        random = np.random.default_rng(0)
        t = np.sort(random.integers(0, 2_000_000, 50_000))
        x, y, p = random.integers(0, 128, 50_000), random.integers(0, 128, 50_000), random.integers(0, 2, 50_000)
        write_aedat31(tmp_path / attention / "hand.aedat", [Events.of(t, x, y, p, (128, 128))], (128, 128))
        monkeypatch.chdir(tmp_path / attention)
        names = {}
        exec(example, names)
        assert names["frames"].shape == (33, 2, 32, 32)
        assert names["out"].shape == (16, 1, 11)
        assert ("out_next" in names) == (attention == "none")
        assert "class " in capsys.readouterr().out
