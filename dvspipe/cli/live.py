"""The verb `live`: a recording, a folder or a camera through a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dvspipe.cli.common import DAMAGED, INTERRUPTED, OK, Convention, Json, OnDamage, app, finish


@app.command
def live(
    source: str,
    /,
    *,
    run: Path,
    speed: float = 1.0,
    view: str = "terminal",
    out: Path | None = None,
    record: Path | None = None,
    report: Path | None = None,
    drop: Literal["oldest", "newest", "merge", "block"] = "oldest",
    reset_gap_ms: float = 500.0,
    block: int = 1,
    port: int = 0,
    on_damage: OnDamage = "skip",
    convention: Convention | None = None,
    json: Json = False,
) -> int:
    """Plays a recording through a trained network as a camera would: one bin in, one decision out.

    Parameters
    ----------
    source
        A recording of any known format (archive.h5#name picks one of an archive), a folder as a playlist, - for stdin, or
        a camera: udp://HOST:PORT?encoding=spif|t64_x16_y16_on8|t32_x16_y15_on1&size=WxH&timeout=S.
    run
        The folder of a trained run.
    speed
        1 = real time, 2 = twice as fast, 0 = as fast as possible, deterministic and without drops.
    view
        What to show while it runs: terminal, web (a page on this machine), none; several with commas.
    out
        File for the decisions, one JSON object per line.
    record
        Video of the view: .webm, .mp4 or .gif.
    report
        HTML page of the whole session, written at its end.
    drop
        What gives way when the network is too slow: a waiting bin, the new one, none but they are summed, or time itself.
    reset_gap_ms
        After so long a silence the network starts at rest again; 0 = never.
    block
        Bins per call of the network; above 1 only with --speed 0 and without a view. Same decisions, faster.
    port
        Port of the page. Default: any free one.
    """
    from dvspipe.jobs.live import INTERRUPTED as BY_HAND
    from dvspipe.jobs.live import Outlets, Playing, checked_views
    from dvspipe.jobs.live import live as job

    how = Playing(speed=speed, drop=drop, reset_gap_ms=reset_gap_ms, block=block)
    outlets = Outlets(checked_views(view), out, record, report, port)
    result = job(source, run, how, outlets, on_damage, convention)
    code = INTERRUPTED if result["ended"] == BY_HAND else DAMAGED if result["damage"] else OK
    return finish("live", result, json, code)
