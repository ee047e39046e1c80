"""A tiny simulated dataset and a run trained on it, made once for all tests of the jobs."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock  # torch brings it

from dvspipe.cli import run

CARD = """# dvspipe simulate tiny
title = "Tiny"
kind = "gesture-sim"
sensor_size = [128, 128]
classes = {classes}
licence = "GPL-3.0-or-later"
[simulate]
subjects = [1, 2, 3, 24]
lightings = [0]
gesture_s = 0.6
pause_s = 0.4
"""
RECIPE = """# dvspipe train tiny
dataset = "{card}"
[frames]
bin_us = 50_000
n_bins = 8
downsample = 4
[snn]
width = 0.1
attention = "{attention}"
t_ratio = 4
c_ratio = 2
[train]
epochs = 2
batch = 8
lr = 1e-2
val_subjects = 1
precision = "32"
"""


class Workplace:
    """A folder with its own data, recipes and runs, and the real command in it."""

    def __init__(self, folder):
        self.folder = folder
        # One thread: threads that wait for each other in tiny networks crawl where other processes want the cores.
        own = {"DVSPIPE_DATA": str(folder / "data"), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        self.environment = {**os.environ, **own}

    def start(self, *arguments):
        command = [sys.executable, "-m", "dvspipe", *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def interrupt(self, path, *arguments):
        """Starts a command, sends Ctrl-C as soon as `path` is there, and gives its stderr."""
        process = self.start(*arguments)
        while not path.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        with process:
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        return err

    def run(self, *arguments, code=0):
        with self.start(*arguments) as process:
            try:
                out, err = process.communicate(timeout=120)
            finally:
                process.kill()
        assert process.returncode == code, f"exit {process.returncode}, expected {code}\n{out[-2000:]}\n{err[-4000:]}"
        return out, err

    def call(self, *arguments):
        """The same command in this process: (exit code, stdout, stderr) without paying for the imports again."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            for name in ("DVSPIPE_DATA", "COLUMNS"):
                patch.setenv(name, self.environment[name])
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run([str(argument) for argument in arguments])
        return code, out.getvalue(), err.getvalue()

    def json(self, *arguments, code=0):
        """The one JSON document of a command; anything else on stdout is an error."""
        got, out, err = self.call(*arguments, "--json")
        assert got == code, err
        return json.loads(out)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    from dvspipe.recipes import load_card

    place = Workplace(tmp_path_factory.mktemp("work"))
    (place.folder / "tiny.toml").write_text(CARD.format(classes=json.dumps(load_card("gesture-sim").classes)))
    for attention in ("none", "TCSA"):
        text = RECIPE.format(card=place.folder / "tiny.toml", attention=attention)
        (place.folder / f"tiny-{attention}.toml").write_text(text)
    return place


@pytest.fixture(scope="session")
def archive(workplace, tmp_path_factory):
    """What `simulate` says of the archive. Processes of one test run simulate once, for it takes most of their time."""
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "simulated"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            made = workplace.json("simulate", workplace.folder / "tiny.toml")
            shared.mkdir()
            shutil.copy(made["archive"], shared)
            (shared / "simulate.json").write_text(json.dumps(made))
            return made
    made = json.loads((shared / "simulate.json").read_text())
    data = workplace.folder / "data"
    data.mkdir(exist_ok=True)
    path = shutil.copy(shared / Path(made["archive"]).name, data)
    return made | {"archive": str(path), "folder": str(data)}


@pytest.fixture(scope="session")
def trained(workplace, archive):
    return workplace.json("train", "tiny-TCSA.toml", "--out", "masnn")


@pytest.fixture(scope="session")
def plain(workplace, archive):
    return workplace.json("train", "tiny-none.toml", "--out", "plain")
