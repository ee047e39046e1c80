"""Verbs of datasets: which there are, prepare a download, simulate one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from dvspipe.cli.common import DAMAGED, OK, Json, app, finish


@app.command
def datasets(name: str | None = None, /, *, json: Json = False) -> int:
    """Lists the dataset cards, or shows one: source, licence, classes, split, and whether it is prepared here."""
    from dvspipe.jobs.datasets import datasets as job

    return finish("datasets", job(name), json)


@app.command
def prepare(
    name: str,
    /,
    *,
    from_: Annotated[Path, Parameter(name="--from")],
    out: Path | None = None,
    partial: bool = False,
    json: Json = False,
) -> int:
    """Turns a downloaded dataset into one archive that clips are read from.

    Parameters
    ----------
    name
        The dataset card, for example gesture.
    from_
        The folder that holds the download (DvsGesture from IBM, or tonic's DVSGesture).
    out
        Archive to write. Default: the place where train looks for it.
    partial
        Take what is there of an incomplete folder; the result says what is missing.
    """
    from dvspipe.jobs.prepare import prepare as job

    result = job(name, from_, out, partial)
    return finish("prepare", result, json, DAMAGED if result["damaged"] else OK)


@app.command
def simulate(
    name: str,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Folder to write to. Default: the place where train looks.")] = None,
    as_: Annotated[
        Literal["archive", "files"], Parameter(name="--as", help="An HDF5 archive, or files as the real set has them.")
    ] = "archive",
    json: Json = False,
) -> int:
    """Simulates a dataset (card: gesture-sim, gait-sim, ...): labelled gestures or walks before a DVS camera."""
    from dvspipe.jobs.simulate import simulate as job

    return finish("simulate", job(name, out, as_), json)
