"""Fixtures every room shares: where real recordings are, if they are here."""

import atexit
import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest

# Tests run in as many processes as there are cores: programs that they start take one each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Where no bytecode may be written beside sources, each of those programs would compile torch and its friends anew, for
# seconds: they share a folder that goes with this process. (Workers of xdist inherit the first process's.)
if sys.dont_write_bytecode:
    SHARED = tempfile.TemporaryDirectory(prefix="dvspipe-bytecode-", ignore_cleanup_errors=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = SHARED.name
    sys.dont_write_bytecode = False

atexit.register(gc.unfreeze)  # what `swept` set aside goes as it always does

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="module")
def swept():
    """What is there before a module's tests stays: a search for garbage during them need not look through a million
    objects of torch, numba and pytest again, which takes most of a second each time."""
    gc.collect()
    gc.freeze()


def _folder(variable, sibling):
    named = os.environ.get(variable)
    return Path(named) if named else CHECKOUT.parent / "shared" / sibling


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny networks on many threads crawl where other processes want the cores; results do not depend on it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def recordings_dir():
    """Folder of real camera files: other people's data, never in the repository."""
    folder = _folder("DVSPIPE_RECORDINGS_DIR", "recordings")
    if not folder.is_dir():
        pytest.skip(f"no real recordings: set DVSPIPE_RECORDINGS_DIR (looked in {folder.name}/ beside the checkout)")
    return folder


RECORDINGS = [
    "dvxplorer_person.aedat4",
    "gen41_scene_evt3.raw",
    "gen3_scene_evt2.raw",
    "dvs128_foam90_aedat2.aedat",
    "atis_ncars.dat",
    "nmnist_sample.bin",
    "dvs128_garfield.mat",
    "dvs128_stripes.mat",
    "derived/user99_fluorescent.aedat",
    "derived/gait_layout_garfield.txt",
    "derived/tonic_layout_garfield_0.npy",
    "derived/dvxplorer_dsec_layout.h5",
]


@pytest.fixture(params=RECORDINGS)
def recording(request, recordings_dir):
    """Every shared recording in turn: one of each format."""
    return recordings_dir / request.param


@pytest.fixture(scope="session")
def checkout():
    return CHECKOUT
