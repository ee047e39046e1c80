"""The verb `runs`: what was trained, with its numbers."""

from __future__ import annotations

from pathlib import Path

from dvspipe.cli.common import Json, app, finish


@app.command
def runs(*folders: Path, sort: str = "started", json: Json = False) -> int:
    """Lists runs with their numbers: validation and test accuracy, NASAR, energy; finished, interrupted or damaged.

    Parameters
    ----------
    folders
        Where to look, at any depth. Default: ./runs.
    sort
        A column, the best or newest first: val_accuracy, accuracy, nasar, energy_uj, started, epochs, name, state, ...
    """
    from dvspipe.jobs.list_runs import list_runs

    return finish("runs", list_runs(folders, sort), json)
