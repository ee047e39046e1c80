"""The application object, what all its verbs share, and how a result is printed. Knows no verb."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

OK, USAGE, DAMAGED, INTERRUPTED = 0, 2, 3, 130

app = App(
    name="dvspipe",
    help="From a DVS camera's events to a decision: simulate, read, train attention spiking networks, run live.",
    help_epilogue="Start with: dvspipe demo",
    help_format="plaintext",  # rendering Markdown costs half the time of --help
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print exactly one JSON document on stdout.")]
Set = Annotated[
    list[str] | None,
    Parameter(name="--set", negative=(), help="Override a recipe's key: --set train.lr=1e-3; may be repeated."),
]

OnDamage = Annotated[
    Literal["stop", "skip", "fail"],
    Parameter(help="At damage: end there, read on behind it where the format allows, or refuse the file."),
]
Convention = Annotated[
    Literal["jaer", "raw"], Parameter(help="How AEDAT 2.0 addresses are read: as jAER does (default), or bit by bit.")
]


def check_recipe(pipeline: str, overrides: list[str] | None) -> None:
    """Tells a wrong recipe at once, before a job imports anything heavy."""
    from dvspipe.recipes import load_recipe

    load_recipe(pipeline, overrides or [])


def finish(verb: str, result: dict[str, Any], json: bool, code: int = OK) -> int:
    """Prints a job's result: one JSON document, or a table for people."""
    if json:
        import json as codec

        sys.stdout.write(codec.dumps(result, allow_nan=False) + "\n")
    else:
        from dvspipe.show.tables import show_result

        show_result(verb, result)
    return code
