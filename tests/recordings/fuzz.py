"""Damages files by the thousand and counts broken promises, crashes and hangs.

    python tests/recordings/fuzz.py --family aedat4 --files 10000 --seed 0 --workers 2
    python tests/recordings/fuzz.py --family aedat4 --seed 0 --only 4711      # one file again, in this process

Every file is read in a worker process: one that crashes, hangs for 10 s or takes 300 MB is counted and replaced.
"""

import argparse
import ctypes
import faulthandler
import multiprocessing
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

import families as table
import promises
from damaging import damage

LIMIT_S = 10.0
LIMIT_MB = 300
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
ADDRESS_MB = 4_000  # what a worker may reserve at all, so that a mad allocation cannot take the machine along


@dataclass
class Tally:
    """What a family's files came to."""

    family: str
    files: int = 0
    outcomes: Counter = field(default_factory=Counter)
    crashes: list = field(default_factory=list)
    hangs: list = field(default_factory=list)
    broken: dict = field(default_factory=dict)
    seconds: float = 0.0

    def row(self):
        o = self.outcomes
        cells = (self.files, o["reported"], o["refused"], o["silent"], len(self.crashes), len(self.hangs))
        return " ".join(
            [f"{self.family:14}", *(f"{cell:8}" for cell in (*cells, len(self.broken))), f"{self.seconds:8.0f}"]
        )


TITLES = ("files", "reported", "refused", "silent", "crashes", "hangs", "broken", "seconds")


def examine(family, made, seed, index, folder):
    """(outcome, broken promises) of one damaged file."""
    path = folder / f"made{family.suffix}"
    hurt = damage(made.data, made.header, seed, index)
    path.write_bytes(hurt.data)
    before = _peak_mb()
    try:
        outcome, faults = promises.check(path, hurt, family, made)
    except MemoryError as error:
        outcome, faults = "raised", [f"MemoryError: {error}"]
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome, faults = "raised", [f"{type(error).__name__}: {error}"]
    if _peak_mb() - before > LIMIT_MB:
        faults.append(f"took {_peak_mb() - before:.0f} MB")
    return outcome, [f"[{hurt.kind} at {hurt.first} of {len(made.data)}, {hurt.touched} bytes] {f}" for f in faults]


def _peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _work(family, made, seed, indices, pipe, folder):
    faulthandler.disable()
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    here = Path(tempfile.mkdtemp(dir=folder))
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + (ADDRESS_MB << 20), resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for index in indices:
        pipe.send((index, *examine(family, made, seed, index, here)))
    pipe.close()


class _Worker:
    """A process going through some indices; told apart: done, crashed, hanging."""

    def __init__(self, context, job, indices, folder):
        self.waiting = list(indices)
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(*job, self.waiting, theirs, folder), daemon=True)
        self.process.start()
        theirs.close()
        self.since = time.monotonic()

    def end(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run(family, files, seed=0, workers=1, first=0, report=None):
    """Reads `files` damaged files of a family and returns the tally."""
    made = family.build()
    _warm(family, made)
    tally, started = Tally(family.name), time.monotonic()
    context, folder = multiprocessing.get_context("fork"), tempfile.mkdtemp(prefix="fuzz", dir=_fast_folder())
    parts = [range(first + at, first + files, workers) for at in range(workers)]
    running = [_Worker(context, (family, made, seed), part, folder) for part in parts if len(part)]
    try:
        while running:
            ready = wait([worker.pipe for worker in running], timeout=0.5)
            for worker in list(running):
                left = _progress(worker, worker.pipe in ready, tally, report)
                if left is not None:
                    worker.end()
                    running.remove(worker)
                    if left:
                        running.append(_Worker(context, (family, made, seed), left, folder))
    finally:
        for worker in running:
            worker.end()
        shutil.rmtree(folder)
    tally.seconds = time.monotonic() - started
    return tally


def _progress(worker, ready, tally, report):
    """None while the worker goes on; else the indices that a new one has to do."""
    if not ready:
        if time.monotonic() - worker.since < LIMIT_S:
            return None
        tally.hangs.append(worker.waiting[0])
    else:
        try:
            index, outcome, faults = worker.pipe.recv()
        except EOFError:
            if not worker.waiting:
                return []
            tally.crashes.append(worker.waiting[0])
        else:
            worker.since = time.monotonic()
            worker.waiting.pop(0)
            tally.files += 1
            tally.outcomes[outcome] += 1
            if faults:
                tally.broken[index] = faults
                if report:
                    report(index, faults)
            return None
    tally.files += 1
    if report:
        report(worker.waiting[0], ["crash or hang"])
    return worker.waiting[1:]


def _warm(family, made):
    """Imports and compiles what the workers will need, and makes sure that the whole file is read as it was made."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"made{family.suffix}"
        path.write_bytes(made.data)
        reading = promises.read(path, "skip")
        assert reading.error is None and reading.recording.damage is None, reading
        assert (promises._rows(reading.events) == promises._rows(made.events)).all()
        object.__setattr__(family, "format", reading.recording.format)


def _fast_folder():
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def main():
    """The command line."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--family", default="all", help=f"names with commas, of: {', '.join(table.FAMILIES)}")
    ask.add_argument("--files", type=int, default=1_000)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--workers", type=int, default=2)
    ask.add_argument("--only", type=int, help="one file again, in this process; it is kept")
    ask.add_argument("--show", type=int, default=8, help="broken promises to print per family")
    given = ask.parse_args()
    names = list(table.FAMILIES) if given.family == "all" else given.family.split(",")
    if given.only is not None:
        family = table.FAMILIES[names[0]]
        made = family.build()
        _warm(family, made)
        print(examine(family, made, given.seed, given.only, Path(tempfile.mkdtemp(prefix="fuzzed"))))
        return
    print(f"{'family':14} " + " ".join(f"{title:>8}" for title in TITLES), flush=True)
    for name in names:
        tally = run(table.FAMILIES[name], given.files, given.seed, given.workers)
        print(tally.row(), flush=True)
        for kind in ("crashes", "hangs"):
            if getattr(tally, kind):
                print(f"    {kind}: {getattr(tally, kind)[:20]}")
        for index in sorted(tally.broken)[: given.show]:
            print(f"    {index}: {'; '.join(tally.broken[index])}", flush=True)


if __name__ == "__main__":
    main()
