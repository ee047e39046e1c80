"""One error family.

Every message says what was wrong, the value that was given, what is allowed and what to do. Nothing here knows about rooms,
files or terminals; `cli` turns an error into an exit code.
"""

from __future__ import annotations


class DvspipeError(Exception):
    """Base of every error that dvspipe raises on purpose. `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(DvspipeError):
    """The command was asked for something that does not exist or does not fit together (exit code 2)."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe, dataset card or `--set` is wrong. Holds all faults at once, one line each."""

    def __init__(self, source: str, faults: list[str]) -> None:
        self.source, self.faults = source, faults
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n".join([f"{source}: {count}", *(f"  - {fault}" for fault in faults)]))


class RecordingError(DvspipeError):
    """A recording cannot be opened or is no recording that dvspipe knows."""


class DamagedRecordingError(RecordingError):
    """A recording is damaged and the caller asked to stop at damage (`on_damage="fail"`)."""


class DatasetError(DvspipeError):
    """A dataset folder is incomplete, mislabelled or not where it was looked for."""


class RunError(DvspipeError):
    """A run folder is missing, incomplete, or was written by another version."""


class ShapeError(DvspipeError):
    """Tensors do not fit a network: names the axes, the value given and the value expected."""


def nearest(word: str, known: list[str]) -> str:
    """ " (did you mean 'x'?)" for the closest known word, or an empty string when nothing comes near."""
    from difflib import get_close_matches

    match = get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean '{match[0]}'?)" if match else ""
