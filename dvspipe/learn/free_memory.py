"""How much memory this process may still take: what the machine has free, what a control group leaves, or the GPU's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MEMINFO, CGROUP, CGROUPS = Path("/proc/meminfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
# Limit, what is used of it, and the statistics that say how much of that is files' pages, which give way.
V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def free_bytes(device: str = "cpu") -> int | None:
    """Bytes that can be had now on "cpu" or "cuda"; None where the system does not tell."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0]) + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    known = [each for each in (_machine(), *_groups()) if each is not None]
    return max(0, min(known)) if known else None


def _machine() -> int | None:
    """MemAvailable: free pages, and those of files that can be dropped."""
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _groups() -> Iterator[int]:
    """What every control group around this process leaves: containers and SLURM limit memory so."""
    try:
        lines = [line.split(":", 2) for line in CGROUP.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, inside in lines:
        if controllers == "":
            base, names = CGROUPS, V2
        elif "memory" in controllers.split(","):
            base, names = CGROUPS / "memory", V1
        else:
            continue
        here = Path(inside.lstrip("/"))
        for group in (here, *here.parents):
            if (left := _left(base / group, names)) is not None:
                yield left


def _left(folder: Path, names: tuple[str, str, str]) -> int | None:
    """Of one group; None where it has no limit ("max")."""
    try:
        limit, used = (int((folder / name).read_text()) for name in names[:2])
        counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return limit - used + int(counts.get(names[2], 0))
    except (OSError, ValueError):
        return None
