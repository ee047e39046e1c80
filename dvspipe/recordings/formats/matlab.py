"""MATLAB 5 files, read by scipy: an N x 4 table, or fields named t, x, y, p at the top or in a struct. t in µs.

The format stores whole columns, compressed, so the file is decoded at once: memory grows with it, and a cut file cannot
be saved in part.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.cameras import size_holding
from dvspipe.recordings.columns import Deliverer, Rows
from dvspipe.recordings.recording import Format, Recording
from dvspipe.recordings.tables import column_order, named, pieces, sliced, whole_us


def _open(path: Path) -> Recording:
    variables = _variables(path)
    rows = _rows(variables, str(path))
    if rows is None:
        raise RecordingError(
            f"{path}: holds {', '.join(sorted(variables)) or 'no variables'}, expected an N x 4 table (x, y, p, t) "
            "or fields t, x, y, p of one length."
        )
    return Recording(path, "matlab", size_holding(rows[1], rows[2]), partial(_read, rows=rows))


def _variables(path: Path) -> dict[str, Any]:
    """Every variable of the file. Raises RecordingError where scipy cannot read it."""
    from scipy.io import loadmat

    try:
        held = loadmat(path, squeeze_me=True)
    except NotImplementedError as error:
        raise RecordingError(f"{path}: is a MATLAB 7.3 file. Save it again with `save -v7`.") from error
    except Exception as error:
        raise RecordingError(f"{path}: damaged MATLAB file ({error}). Copy it again.") from error
    return {name: value for name, value in held.items() if not name.startswith("__")}


def _rows(variables: dict[str, Any], source: str) -> Rows | None:
    """The columns t, x, y, p: from variables, from a struct's fields, or from the one table there is."""
    for fields in [variables, *_structs(variables)]:
        names = named(fields, source)
        if names:
            columns = [np.atleast_1d(fields[names[column]]) for column in "txyp"]
            if len({len(column) for column in columns}) == 1 and all(column.dtype.kind in "iufb" for column in columns):
                t, x, y, p = columns
                return whole_us(t, source), x, y, p
    tables = [value for value in variables.values() if _is_table(value)]
    if len(tables) != 1:
        return None
    t, x, y, p = (tables[0][:, place] for place in column_order(tables[0], source))
    return whole_us(t, source), x, y, p


def _structs(variables: dict[str, Any]) -> list[dict[str, Any]]:
    """The 1 x 1 structs as dictionaries of their fields."""
    held = [value for value in variables.values() if isinstance(value, np.ndarray) and value.ndim == 0]
    return [{name: value[name].item() for name in value.dtype.names} for value in held if value.dtype.names]


def _is_table(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[1] == 4 and value.dtype.kind in "iuf"


def _read(recording: Recording, rows: Rows) -> Iterator[Events]:
    out = Deliverer(recording)
    for piece in pieces(len(rows[0])):
        if out.going:
            yield from out.inside(sliced(rows, piece))


FORMAT = Format("matlab", lambda head, path: head.startswith(b"MATLAB "), _open)
