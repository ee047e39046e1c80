"""How much memory a call needs at its peak: torch's own allocations, and what a process holds of the system."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

MB = 2**20
_CPU = torch.profiler.ProfilerActivity.CPU
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mb(call: Callable[[], object]) -> float:
    """MiB that torch holds at most during one call beyond what it held before; what numpy and compiled code take for
    themselves is not in it.
    """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / MB
    with _unheard(), torch.profiler.profile(activities=[_CPU], profile_memory=True) as watched:
        kept = call()
        del kept
    held = most = 0
    events = watched.profiler.kineto_results.events()
    for event in sorted((each for each in events if each.name() == "[memory]"), key=lambda each: each.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most / MB


@contextmanager
def _unheard() -> Iterator[None]:
    """The profiler's C++ tells the terminal that there is no GPU; no Python setting stops it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w", encoding="ascii") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class ProcessPeak:
    """Resident memory of this process: the highest since the last `start`, and what it was then, in MiB.

    Linux forgets its highest on request; elsewhere the highest is that of the whole process, good for a fresh one.
    """

    def start(self) -> None:
        """From here on."""
        if _CLEAR.exists():
            _CLEAR.write_text("5", encoding="ascii")
        self.before = _now()

    def added(self) -> float:
        """Highest since `start` less what there was then."""
        return _highest() - self.before


def _field(name: str) -> float:
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def _now() -> float:
    return _field("VmRSS:") if _STATUS.exists() else _highest()


def _highest() -> float:
    if _STATUS.exists():
        return _field("VmHWM:")
    if sys.platform == "win32":
        return 0.0
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / MB if sys.platform == "darwin" else used / 1024
