"""Verbs of images: what encoders make of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dvspipe.cli.common import Json, app, finish


@app.command
def show_encoding(
    image: Path,
    /,
    *,
    steps: Annotated[int | None, Parameter(help="T. Default: 4, or that of --run.")] = None,
    encoders: Annotated[str | None, Parameter(help="Names with commas. Default: all that need no network.")] = None,
    run: Annotated[Path | None, Parameter(help="A run trained on images: its encoder, and its gate over time.")] = None,
    size: Annotated[int | None, Parameter(help="Pixels of the longer side that encoders see. Default: 32.")] = None,
    out: Annotated[Path | None, Parameter(help="PNG to write. Default: ./<IMAGE>-encoding.png")] = None,
    json: Json = False,
) -> int:
    """Draws what every encoder makes of an image: a strip of T steps each, spikes per pixel, the image read back."""
    from dvspipe.jobs.show_encoding import show_encoding as job

    return finish("show-encoding", job(image, steps, encoders, run, size, out), json)
