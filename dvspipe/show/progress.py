"""Progress bars for long work, on stderr. Jobs report plain numbers; only this file knows the bar."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[float, float | None, str], None]
"""(done, total or None where nobody knows it, note): called as often as one likes."""


@contextmanager
def progress(title: str, quiet: bool = False) -> Iterator[Report]:
    """A bar that lives as long as the block; the yielded function moves it. Silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, note="")
        yield lambda done, total, note: bar.update(task, completed=done, total=total, note=note)


def counting(report: Report, total: int) -> Callable[[object], None]:
    """A function to call with every finished thing; moves the bar by one and shows the thing's name, if it has one."""
    done = itertools.count(1)
    report(0, total, "")
    return lambda thing: report(next(done), total, getattr(thing, "name", ""))


def say(line: str) -> None:
    """One line for people, on stderr, so that stdout stays machine-readable."""
    from rich.console import Console

    Console(stderr=True, highlight=False).print(line)
