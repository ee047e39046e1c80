"""Verbs of single recordings: look into one, convert one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dvspipe.cli.common import DAMAGED, OK, Convention, Json, OnDamage, app, finish


@app.command
def inspect(
    file: Path, /, *, on_damage: OnDamage = "skip", convention: Convention | None = None, json: Json = False
) -> int:
    """Says what a recording holds: format, sensor, events, time range, damage."""
    from dvspipe.jobs.inspect import inspect_recording

    result = inspect_recording(file, on_damage, convention)
    return finish("inspect", result, json, DAMAGED if result["damage"] else OK)


@app.command
def convert(
    source: Path,
    out: Path,
    /,
    *,
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace OUT if it is there.")] = False,
    sort: Annotated[bool, Parameter(negative=(), help="Put events in order of time first.")] = False,
    labels: Annotated[bool, Parameter(help="Take labels along where OUT can hold them.")] = True,
    fps: Annotated[float | None, Parameter(help="Pictures a second of a video.")] = None,
    speed: Annotated[float | None, Parameter(help="Of a video: 1 = real time, 0.1 = slow motion.")] = None,
    on_damage: OnDamage = "skip",
    convention: Convention | None = None,
    json: Json = False,
) -> int:
    """Converts a recording of any known format; OUT's suffix says into which. Constant memory; nothing is lost unsaid.

    Parameters
    ----------
    source
        A recording, archive.h5#name, or a video, which a simulated camera then looks at.
    out
        .h5, .aedat (3.1), .aedat4, .npz, .csv, or a video: .mp4, .webm, .gif.
    """
    from dvspipe.jobs.convert import convert as job

    result = job(source, out, on_damage, overwrite, sort, labels, fps, speed, convention)
    return finish("convert", result, json, DAMAGED if result["damage"] else OK)
