"""A run on another machine than its own: what differs here from what it was trained with, in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dvspipe.errors import DatasetError, UsageError
from dvspipe.jobs.data import Data, open_data
from dvspipe.jobs.runs import RUN, Run, read_record
from dvspipe.jobs.versions import version_differences


def data_of(run: Run) -> Data:
    """The data that a run was trained on. Raises DatasetError with the run and their fingerprint where they are not here."""
    try:
        return open_data(run.recipe)
    except (DatasetError, UsageError) as error:
        raise DatasetError(
            f"{run.path}: trained on dataset '{run.data['dataset']}', fingerprint {run.data['fingerprint']}, which is not to "
            f"be had here. {error}"
        ) from error


def differences(run: Run, data: Data) -> list[str]:
    """Everything that can make figures here others than where the run was trained: its data, packages that matter. A record
    that cannot be read is said too; the weights carry all that evaluating needs.
    """
    found = []
    if data.fingerprint != run.data["fingerprint"]:
        found.append(f"data: the run was trained on fingerprint {run.data['fingerprint']}, here is {data.fingerprint}")
    record = _record(run.path)
    if isinstance(record, str):
        return [*found, record]
    return found + version_differences(record.get("versions") or _old_versions(record))


def _record(folder: Path) -> dict[str, Any] | str:
    """run.json, or why there is none."""
    try:
        record = read_record(folder)
        return record if isinstance(record, dict) else f"{RUN}: not a record, so versions cannot be compared"
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        return f"{RUN} cannot be read ({error}), so versions cannot be compared"


def _old_versions(record: dict[str, Any]) -> dict[str, str]:
    """Of a record from before there were `versions`."""
    machine = record.get("machine") or {}
    return {name: str(machine[name]) for name in ("dvspipe", "python", "torch") if name in machine}
