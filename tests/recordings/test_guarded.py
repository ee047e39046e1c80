"""A decoder in a process of its own: what it yields comes through; what it breaks stays there."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from dvspipe.errors import RecordingError
from dvspipe.recordings import guarded
from dvspipe.recordings.guarded import GuardError, Limits, read

DECODERS = """
import os, time
import numpy as np
from dvspipe.errors import RecordingError
from dvspipe.recordings.guarded import Chunk

FIRST = Chunk({"first": True}, [np.arange(3)])

def good(count):
    for number in range(count):
        print("a library that prints")
        os.write(1, b"even so")
        yield Chunk({"number": number}, [np.full((2, 3), number, ">u2"), np.zeros(0, bool), np.ones(4, bool)])

def crash():
    yield FIRST
    os.kill(os.getpid(), 11)

def leaves(code):
    yield FIRST
    os._exit(code)

def hangs():
    yield FIRST
    import ctypes
    ctypes.PyDLL(None).sleep(60)  # holds the interpreter, as a loop in a C library does

def hungry():
    yield FIRST
    yield Chunk({}, [np.ones(1 << 29)])

def refuses():
    yield FIRST
    raise RecordingError("told so")

def raises():
    yield FIRST
    raise KeyError("what")

def who():
    yield Chunk({"parent": os.getppid()}, [])
    time.sleep(0.3)
    yield Chunk({"parent": os.getppid()}, [])
"""


@pytest.fixture(autouse=True, scope="module")
def decoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoders")
    (folder / "made_decoders.py").write_text(DECODERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield


def test_chunks_come_as_they_were_yielded():
    chunks = list(read("made_decoders:good", 3))
    assert [chunk.facts for chunk in chunks] == [{"number": number} for number in range(3)]
    for number, (_, (one, none, flags)) in enumerate(chunks):
        assert one.dtype == np.dtype(">u2") and one.tolist() == [[number] * 3] * 2
        assert none.dtype == np.bool_ and none.shape == (0,)
        assert flags.tolist() == [True] * 4


@pytest.mark.parametrize(
    ("decoder", "arguments", "error", "message"),
    [
        ("crash", [], GuardError, r"crashed \(SIGSEGV\)"),
        ("leaves", [0], GuardError, r"crashed \(status 0\)"),
        ("leaves", [3], GuardError, r"crashed \(status 3\)"),
        ("hangs", [], GuardError, "took longer than 0.5 s"),
        ("hungry", [], GuardError, "allocate"),
        ("refuses", [], RecordingError, "^told so$"),
        ("raises", [], GuardError, "'what'"),
    ],
)
def test_what_came_before_is_delivered_and_the_fault_is_told(decoder, arguments, error, message):
    chunks = read(f"made_decoders:{decoder}", *arguments, limits=Limits(seconds=0.5))
    assert next(chunks).columns[0].tolist() == [0, 1, 2]
    with pytest.raises(error, match=message):
        next(chunks)
    assert len(list(read("made_decoders:good", 2))) == 2


@pytest.mark.parametrize("decoder", ["no_such_module:any", "made_decoders:no_such_function"])
def test_a_decoder_that_cannot_be_loaded(decoder):
    with pytest.raises(GuardError, match="cannot be loaded"):
        list(read(decoder))


@pytest.mark.skipif(not guarded.CAN_FORK, reason="workers are kept where they can fork")
def test_a_worker_is_kept_and_two_readings_do_not_meet():
    list(read("made_decoders:good", 1))
    kept = guarded._waiting[os.getpid()][0].process.pid
    one, two = read("made_decoders:who"), read("made_decoders:who")
    first, second = next(one).facts["parent"], next(two).facts["parent"]
    assert first == kept != second
    assert [each.facts["parent"] for each in (*one, *two)] == [first, second]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_reading_left_early_ends_at_once():
    chunks = read("made_decoders:good", 10_000_000)
    next(chunks)
    worker = chunks.gi_frame.f_locals["worker"].process.pid
    chunks.close()
    stop = time.monotonic() + 5
    while _group(worker) and time.monotonic() < stop:
        time.sleep(0.01)
    assert not _group(worker)


def _group(leader):
    """The living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            found += [stat.parent.name] if int(group) == leader and state != "Z" else []
    return found


@pytest.mark.skipif(not guarded.CAN_FORK, reason="no fork here")
def test_a_forked_process_uses_workers_of_its_own():
    list(read("made_decoders:good", 1))
    kept = guarded._waiting[os.getpid()][0].process.pid
    child = os.fork()
    if not child:
        mine = next(read("made_decoders:who")).facts["parent"]
        os._exit(0 if mine != kept else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert next(read("made_decoders:who")).facts["parent"] == kept
