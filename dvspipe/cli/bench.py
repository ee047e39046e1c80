"""The verb `bench`: measured comparisons with other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dvspipe.cli.common import Json, app, finish


@app.command
def bench(
    name: str | None = None,
    /,
    *,
    quick: Annotated[bool, Parameter(negative=())] = False,
    threads: int | None = None,
    out: Path | None = None,
    json: Json = False,
) -> int:
    """Measures dvspipe beside other libraries, after checking that they do equal work; without NAME lists the tables.

    Parameters
    ----------
    name
        A table, or all. Each is saved as Markdown, plot and JSON, with machine, versions and date.
    quick
        The first size alone and few repeats; all then leaves out demo and accuracy.
    threads
        Threads of torch and of our kernels. Default: as torch chooses.
    out
        Folder to write to. Default: ./bench/<name>-<time>.
    """
    from dvspipe.jobs.bench import bench as job

    return finish("bench", job(name, quick, threads, out), json)
