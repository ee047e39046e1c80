"""Killed at any step and continued: bit for bit the run that was never stopped."""

import json
import random
import shutil
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from dvspipe.errors import RunError
from dvspipe.jobs import train as module
from dvspipe.jobs.runs import read_history
from dvspipe.jobs.train import train

# A code that draws anew for every batch: what a resumed run draws has to be what the other one drew.
RECIPE = "digits-direct"
BASE = ["encoder.name=poisson", "train.per_class=20", "train.batch=32", "train.epochs=2", 'train.precision="32"']
SETS = [*BASE, "train.checkpoint_steps=1"]
STEPS = 2 * (10 * 20 // 32)


class Killed(BaseException):
    """Not an Exception: nothing gets to clean up after it."""


def killed_at(monkeypatch, step):
    """Training ends after so many steps of the optimiser, before their checkpoint is written."""
    steps = 0

    def reporter(*arguments):
        def on_step(*progress):
            nonlocal steps
            steps += 1
            if steps == step:
                raise Killed

        return on_step

    monkeypatch.setattr(module, "_step_reporter", reporter)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight") / "run"
    train(RECIPE, SETS, folder, quiet=True)
    return folder


def rows(folder):
    return [{**row, "seconds": 0} for row in read_history(folder)]


def assert_equal(one, other):
    """States, torch's generator included (others are the process's own), metrics and best weights."""
    assert rows(one) == rows(other)
    same(*(load_file(each / "best.safetensors") for each in (one, other)), "best")
    ours, theirs = (torch.load(each / "last.ckpt", weights_only=True) for each in (one, other))
    for key in ("done", "step", "network", "optimiser", "schedule"):
        same(ours[key], theirs[key], key)
    assert torch.equal(*(each["ranks"][0]["random"]["torch"] for each in (ours, theirs)))


def same(one, other, where):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, (ours, theirs) in enumerate(zip(one, other)):
            same(ours, theirs, f"{where}[{number}]")
    else:
        assert one == other, where


@pytest.mark.parametrize("seed", range(4))
def test_killed_anywhere_and_resumed(straight, tmp_path, monkeypatch, seed):
    """Twice in one run, at random steps, the second time with checkpoints further apart and with workers."""
    drawn = random.Random(seed)
    first = drawn.randrange(1, STEPS)
    killed_at(monkeypatch, first)
    with pytest.raises(Killed):
        train(RECIPE, SETS, tmp_path / "run", quiet=True)
    changed = [*BASE, f"train.checkpoint_steps={drawn.choice([2, 3])}"]
    killed_at(monkeypatch, drawn.randrange(1, STEPS - first + 1))
    with pytest.raises(Killed):
        train(RECIPE, changed, tmp_path / "run", resume=True, quiet=True)
    monkeypatch.undo()
    workers = ["train.workers=2"] if seed == 0 else []
    train(RECIPE, [*changed, *workers], tmp_path / "run", resume=True, quiet=True)
    assert_equal(tmp_path / "run", straight)


def test_when_it_is_saved_changes_nothing(straight, tmp_path):
    train(RECIPE, [*BASE, "train.checkpoint_s=1e-9"], tmp_path / "run", quiet=True)
    assert_equal(tmp_path / "run", straight)
    assert (tmp_path / "run" / "last-1.ckpt").is_file()


@pytest.mark.parametrize("function", ["save_state", "save_run_weights", "write_whole"])
def test_killed_between_the_files_of_an_epoch(straight, tmp_path, monkeypatch, function):
    """At the end of an epoch several files are written one after another."""
    whole, calls = getattr(module, function), 0

    def stop(*arguments, **settings):
        nonlocal calls
        calls += 1
        if calls == {"save_state": STEPS // 2 + 2}.get(function, 1) + (function == "save_run_weights"):
            raise Killed
        return whole(*arguments, **settings)

    monkeypatch.setattr(module, function, stop)
    with pytest.raises(Killed):
        train(RECIPE, SETS, tmp_path / "run", quiet=True)
    monkeypatch.undo()
    train(RECIPE, SETS, tmp_path / "run", resume=True, quiet=True)
    assert_equal(tmp_path / "run", straight)


def test_kill_9(workplace, straight):
    """A real process, ended by the system at a random moment."""
    folder = workplace.folder / "killed"
    sets = [word for each in SETS for word in ("--set", each)]
    process = workplace.start("train", RECIPE, *sets, "--out", folder)
    while not (folder / "run.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    time.sleep(random.random() * 0.4)
    process.send_signal(signal.SIGKILL)
    with process:
        process.communicate()
    before = torch.load(folder / "last.ckpt", weights_only=True)
    train(RECIPE, SETS, folder, resume=True, quiet=True)
    assert before["done"] <= 2
    assert_equal(folder, straight)
    assert not list(folder.glob(".*"))


def test_a_scheduler_ends_it_as_ctrl_c_does(straight, tmp_path, monkeypatch):
    """SIGTERM, as SLURM sends before time is up."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(module, "_step_reporter", lambda *_: lambda *_: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt, match=r"continued from its last checkpoint with: dvspipe train .*--resume"):
        train(RECIPE, SETS, tmp_path / "run", quiet=True)
    assert signal.getsignal(signal.SIGTERM) is before
    monkeypatch.undo()
    train(RECIPE, SETS, tmp_path / "run", resume=True, quiet=True)
    assert_equal(tmp_path / "run", straight)


def test_a_finished_run_is_left_as_it_is(straight, tmp_path):
    folder = shutil.copytree(straight, tmp_path / "run")
    assert train(RECIPE, SETS, folder, resume=True, quiet=True)["epochs"] == 2
    assert_equal(folder, straight)


def test_a_state_of_before_goes_on_at_its_epoch(straight, tmp_path, monkeypatch):
    """Format 1 had neither steps nor generators, and epoch boundaries alone."""
    killed_at(monkeypatch, STEPS // 2 + 1)
    with pytest.raises(Killed):
        train(RECIPE, [*BASE, "train.checkpoint_s=1e6"], tmp_path / "run", quiet=True)
    monkeypatch.undo()
    path = tmp_path / "run" / "last.ckpt"
    held = torch.load(path, weights_only=True)
    assert (held["done"], held["step"]) == (1, 0)
    torch.save({key: held[key] for key in ("done", "network", "optimiser", "schedule")}, path)
    train(RECIPE, SETS, tmp_path / "run", resume=True, quiet=True)
    assert_equal(tmp_path / "run", straight)


def test_accumulated_parts_make_the_same_step(tmp_path, monkeypatch):
    """Without statistics over a batch a step is that of the whole batch, to rounding; memory is that of a part."""
    sets = ["train.per_class=20", "train.batch=32", "train.epochs=1", 'train.precision="32"', "encoder.steps=2"]
    build = module.network_of

    def without_norms(*arguments):
        network = build(*arguments)
        for name, each in list(network.named_modules()):
            if isinstance(each, torch.nn.modules.batchnorm._BatchNorm):
                above, _, last = name.rpartition(".")
                setattr(network.get_submodule(above), last, torch.nn.Identity())
        return network

    monkeypatch.setattr(module, "network_of", without_norms)
    train("digits-direct", sets, tmp_path / "whole", quiet=True)
    train("digits-direct", [*sets, "train.accumulate=4"], tmp_path / "parts", quiet=True)
    whole, parts = (rows(tmp_path / name)[0] for name in ("whole", "parts"))
    assert parts["train_loss"] == pytest.approx(whole["train_loss"], abs=1e-5)
    assert parts["val_loss"] == pytest.approx(whole["val_loss"], abs=1e-5)
    assert parts["train_accuracy"] == whole["train_accuracy"]


def damaged(straight, tmp_path, change):
    """A copy of a run whose newest state says something else, with a digest that fits."""
    from dvspipe.learn.checkpoint import save_state

    folder = shutil.copytree(straight, tmp_path / "run")
    held = torch.load(folder / "last.ckpt", weights_only=True)
    held.pop("digest")
    change(held)
    save_state(folder / "last.ckpt", held)
    return folder, {each.name: each.read_bytes() for each in folder.iterdir()}


def another(key, value):
    def change(held):
        recipe = json.loads(held["about"]["recipe"])
        table, name = key.split(".")
        recipe[table][name] = value
        held["about"]["recipe"] = json.dumps(recipe)

    return change


CHANGES = {
    "network": (another("snn.network", "ms-resnet-18-cifar"), "snn.network: run has 'ms-resnet-18-cifar'"),
    "T": (another("encoder.steps", 8), r"encoder.steps: run has 8, asked for \d"),
    "classes": (lambda held: held["about"]["classes"].append("ten"), "trained on classes"),
    "data": (lambda held: held["about"].update(fingerprint="0" * 12), "data of fingerprint 000000000000"),
    "version": (lambda held: held.update(format=9), "format 9, this dvspipe reads up to 2"),
    "weights": (lambda held: held["network"].popitem(), "weights are of another network"),
    "optimiser": (lambda held: held["optimiser"]["param_groups"].append({"params": []}), "another optimiser"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_state_of_something_else(straight, tmp_path, what):
    change, message = CHANGES[what]
    folder, before = damaged(straight, tmp_path, change)
    with pytest.raises(RunError, match=message):
        train(RECIPE, SETS, folder, resume=True, quiet=True)
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_a_cut_state_names_the_whole_ones(straight, tmp_path):
    folder = shutil.copytree(straight, tmp_path / "run")
    path = folder / "last.ckpt"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RunError, match=rf"damaged.*last-1.ckpt \(epoch 2, {STEPS // 2} steps in\)"):
        train(RECIPE, SETS, folder, resume=True, quiet=True)
    (folder / "last-1.ckpt").replace(path)
    train(RECIPE, SETS, folder, resume=True, quiet=True)
    assert_equal(folder, straight)
