"""Label files of the DVS128 Gesture set: `class,startTime_usec,endTime_usec`, one labelled window a line.

The files say classes 1..11; everything else here counts from 0. Windows may overlap and classes repeat, both happen in
the real set. Knows no events.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dvspipe.errors import DatasetError, RecordingError
from dvspipe.files import replacing

HEADER = "class,startTime_usec,endTime_usec"
CLASSES = 11


def label_file(recording: Path) -> Path:
    """Where the labels of a recording lie: `user01_led_labels.csv` beside `user01_led.aedat`."""
    return recording.with_name(f"{recording.stem}_labels.csv")


def read_labels(path: str | Path, classes: int = CLASSES) -> list[tuple[int, int, int]]:
    """The windows (class from 0, start_us, stop_us) in the file's order; events belong where start <= t < stop.

    Raises DatasetError that names every bad line: not three integers, a class outside 1..`classes`, stop <= start.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: the label file cannot be read ({error}).") from error
    if not lines or lines[0].replace(" ", "") != HEADER:
        raise DatasetError(f"{path}: line 1 is {lines[0] if lines else ''!r}, expected {HEADER!r}.")
    windows: list[tuple[int, int, int]] = []
    faults: list[str] = []
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            fault = _read_line(line, classes, windows)
            faults += [f"line {number}: {line!r}: {fault}"] if fault else []
    if faults:
        raise DatasetError("\n".join([f"{path}: {len(faults)} bad label lines", *(f"  - {fault}" for fault in faults)]))
    return windows


def _read_line(line: str, classes: int, windows: list[tuple[int, int, int]]) -> str | None:
    """Appends the line's window, or says what is wrong with it."""
    try:
        label, start, stop = (int(field) for field in line.split(","))
    except ValueError:
        return "expected three integers, class,start,end"
    if not 1 <= label <= classes:
        return f"class must be 1..{classes}"
    if stop <= start:
        return "the window ends at or before its start"
    windows.append((label - 1, start, stop))
    return None


def write_labels(path: str | Path, windows: Iterable[tuple[int, int, int]]) -> None:
    """Writes windows (class from 0, start_us, stop_us) as a label file. Raises RecordingError when it cannot."""
    lines = [HEADER, *(f"{label + 1},{start},{stop}" for label, start, stop in windows)]
    with replacing(path, RecordingError) as beside:
        beside.write_text("\n".join(lines) + "\n", "utf-8")
