"""One training in several real processes, over gloo on the CPU: what one process would compute, and clear ends."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dvspipe.errors import DatasetError, RunError, UsageError
from dvspipe.jobs.launch import check_same_data, ensure_processes, torchrun
from dvspipe.jobs.runs import read_history
from dvspipe.jobs.train import KeepBest, train
from dvspipe.learn.checkpoint import load_state
from dvspipe.learn.engine import share_statistics
from dvspipe.snn.layers.norms import NORMS, make_norm

SCRIPT = Path(__file__).with_name("frozen_training.py")
SETS = [
    "train.per_class=21",
    "train.batch=32",
    "train.epochs=200",
    "train.schedule=constant",
    "train.lr=0.01",
    'train.precision="32"',
    "encoder.steps=2",
]
EPOCHS = 6  # that are compared, of 200

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to find processes")


def load_script():
    spec = importlib.util.spec_from_file_location("frozen_training", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Reached(Exception):
    """An epoch is finished."""


def train_until(patch, epoch, folder, *sets, **settings):
    """As many epochs as that."""
    whole = KeepBest.__call__

    def call(keep, done, trainer):
        whole(keep, done, trainer)
        if done.epoch == epoch:
            raise Reached

    patch.setattr(KeepBest, "__call__", call)
    with pytest.raises(Reached):
        train("digits-direct", [*SETS, *sets], folder, quiet=True, **settings)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """(run folder, losses) of the process alone."""
    folder, script = tmp_path_factory.mktemp("one"), load_script()
    with pytest.MonkeyPatch.context() as patch:
        script.freeze(patch.setattr)
        script.record(patch.setattr, folder / "losses")
        train_until(patch, EPOCHS, folder / "run")
    return folder / "run", numbers(folder / "losses")


@pytest.fixture(scope="module")
def two(tmp_path_factory, workplace):
    """(run folder, losses of each, what was said, seconds it took to end) of two processes with half the batch each, taken
    in two parts; one of them is killed after some epochs.
    """
    folder = tmp_path_factory.mktemp("two")
    sets = [word for each in (*SETS, "train.accumulate=2", "train.checkpoint_steps=1") for word in ("--set", each)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", SCRIPT]
    process = subprocess.Popen(
        [*command, "train", "digits-direct", *sets, "--devices", "2", "--out", folder / "run"],
        env={**workplace.environment, "LOSSES": str(folder / "losses")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while len(read_history(folder / "run")) < EPOCHS:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        os.kill(children(process.pid)[1], signal.SIGKILL)
        start = time.perf_counter()
        out, err = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode != 0
    assert out == ""
    return folder / "run", [numbers(folder / f"losses.{rank}") for rank in (0, 1)], err, time.perf_counter() - start


def numbers(path):
    return [float(line) for line in path.read_text().splitlines()]


def children(pid):
    """Processes started by a process, by rank."""
    found = {}
    for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        environment = Path(f"/proc/{each}/environ").read_bytes().split(b"\0")
        found |= {int(word[5:]): int(each) for word in environment if word.startswith(b"RANK=")}
    return found


def test_two_processes_compute_what_one_does(one, two):
    """The same losses and metrics to rounding, over every sample of an uneven last batch of validation, each once."""
    rows = [read_history(folder)[:EPOCHS] for folder in (one[0], two[0])]
    for alone, shared in zip(*rows, strict=True):
        for key in ("train_loss", "val_loss", "lr"):
            assert shared[key] == pytest.approx(alone[key], abs=1e-5), key
        for key in ("train_accuracy", "val_accuracy"):
            assert shared[key] == alone[key]
    assert rows[0][0]["train_loss"] - rows[0][-1]["train_loss"] > 1e-4  # it learns


def test_each_has_its_own_half(one, two):
    alone, (first, second), *_ = one[1], *two[1:]
    assert len(alone) == EPOCHS * (210 // 32)
    assert first[: len(alone)] != second[: len(alone)]


def test_a_killed_process_ends_the_others(two):
    _, _, said, seconds = two
    assert seconds < 60
    assert "can be evaluated, and continued from its last checkpoint with: dvspipe train digits-direct" in said
    assert "--devices 2" in said


def test_one_process_goes_on_where_two_were(two, tmp_path):
    """In the middle of an epoch, too."""
    folder = shutil.copytree(two[0], tmp_path / "run")
    state = load_state(folder / "last.ckpt")
    assert len(state["ranks"]) == 2
    with pytest.MonkeyPatch.context() as patch:
        load_script().freeze(patch.setattr)
        train_until(patch, state["done"] + 2, folder, "train.accumulate=2", resume=True)
    rows = read_history(folder)
    assert [row["epoch"] for row in rows] == list(range(1, state["done"] + 3))


def test_devices_hand_over_to_torchrun(monkeypatch):
    called = []
    monkeypatch.setattr(os, "execv", lambda path, command: called.append(command))
    monkeypatch.setattr(sys, "argv", ["dvspipe", "train", "digits-direct", "--devices", "2"])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    ensure_processes(2, None, {})
    assert called[0][1:] == [
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "dvspipe", "train", "digits-direct", "--devices", "2"),
    ]
    assert int(os.environ["OMP_NUM_THREADS"]) >= 1
    ensure_processes(1, None, {})
    assert len(called) == 1


@pytest.fixture
def world(monkeypatch):
    """This process as one of several; the port is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def set_world(rank, size, port=port):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        for name, value in {**own, "GROUP_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
            monkeypatch.setenv(name, str(value))

    return set_world


def test_a_batch_that_processes_cannot_share(world, tmp_path):
    world(0, 3)
    with pytest.raises(UsageError, match=r"train.batch = 32 .* 3 processes .* multiple of 3"):
        train("digits-direct", SETS, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_process_that_does_not_come(world, tmp_path):
    world(0, 2)
    with pytest.raises(RunError, match="2 processes did not find each other within 1 s"):
        train("digits-direct", SETS, tmp_path / "run", quiet=True, wait_s=1)
    assert not (tmp_path / "run").exists()


def test_a_port_in_use(world, tmp_path):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        world(0, 2, taken.getsockname()[1])
        with pytest.raises(RunError, match=r"port where processes meet is taken.*--standalone"):
            train("digits-direct", SETS, tmp_path / "run", quiet=True, wait_s=5)


def test_what_was_asked_for_has_to_be_what_was_started(world):
    world(0, 2)
    ensure_processes(None, None)
    ensure_processes(2, 1)
    with pytest.raises(UsageError, match="--devices 4, but torchrun started 2 processes"):
        ensure_processes(4, None)


def test_other_machines_have_to_be_told():
    with pytest.raises(UsageError, match=r"torchrun --nnodes 2 --nproc-per-node 8 .*train"):
        ensure_processes(8, 2, {})
    assert torchrun(8, ["train", "x"])[-4:] == ["-m", "dvspipe", "train", "x"]


def test_all_have_the_same_data():
    check_same_data(["a1", "a1"])
    with pytest.raises(DatasetError, match=r"rank 0 fingerprint a1, others \{1: 'b2'\}"):
        check_same_data(["a1", "b2", "a1"])


@pytest.mark.parametrize("name", NORMS)
def test_statistics_shared_by_gpus(name):
    """SyncBN takes the place of torch's own norms, weights and names as they were; tdBN does more and stays."""
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), make_norm(name, 4, 3))
    before = network.state_dict()
    kept = share_statistics(network)
    assert kept == (["1"] if name == "tdbn" else [])
    assert network.state_dict().keys() == before.keys()
    shared = [each for each in network.modules() if isinstance(each, torch.nn.SyncBatchNorm)]
    assert len(shared) == {"tdbn": 0, "per-step": 3}.get(name, 1)
    network.eval()
    network(torch.rand(6, 2, 8, 8))
