"""The command line: parse, call a job, print. No maths; everything heavy is imported inside the verb.

Exit codes: 0 ok, 1 failure, 2 usage, 3 damaged input but processed, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError

from dvspipe.errors import DvspipeError

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


@app.command
def demo(*, out: Path | None = None, json: Json = False) -> int:
    """Shows the whole product in a few minutes: simulate, train twice, evaluate, run live, write a report.

    Parameters
    ----------
    out
        Folder for runs and report. Default: ./runs/demo-<time>.
    """
    from dvspipe.jobs.demo import demo as job

    return _finish("demo", job(out), json)


@app.command
def inspect(file: Path, /, *, json: Json = False) -> int:
    """Says what a recording holds: format, sensor, events, time range, damage."""
    from dvspipe.jobs.inspect import inspect_recording

    result = inspect_recording(file)
    return _finish("inspect", result, json, DAMAGED if result["damage"] else OK)


@app.command
def datasets(name: str | None = None, /, *, json: Json = False) -> int:
    """Lists the dataset cards, or shows one: source, licence, classes, split, and whether it is prepared here."""
    from dvspipe.jobs.datasets import datasets as job

    return _finish("datasets", job(name), json)


@app.command
def prepare(
    name: str,
    /,
    *,
    from_: Annotated[Path, Parameter(name="--from")],
    out: Path | None = None,
    partial: bool = False,
    json: Json = False,
) -> int:
    """Turns a downloaded dataset into one archive that clips are read from.

    Parameters
    ----------
    name
        The dataset card, for example gesture.
    from_
        The folder that holds the download (DvsGesture from IBM, or tonic's DVSGesture).
    out
        Archive to write. Default: the place where train looks for it.
    partial
        Take what is there of an incomplete folder; the result says what is missing.
    """
    from dvspipe.jobs.prepare import prepare as job

    result = job(name, from_, out, partial)
    return _finish("prepare", result, json, DAMAGED if result["damaged"] else OK)


@app.command
def simulate(
    name: str,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Folder to write to. Default: the place where train looks.")] = None,
    as_: Annotated[
        Literal["archive", "files"], Parameter(name="--as", help="An HDF5 archive, or files as the real set has them.")
    ] = "archive",
    json: Json = False,
) -> int:
    """Simulates a dataset (card: gesture-sim, gait-sim, ...): labelled gestures or walks before a DVS camera."""
    from dvspipe.jobs.simulate import simulate as job

    return _finish("simulate", job(name, out, as_), json)


@app.command
def describe(pipeline: str, /, *, set_: Set = None, json: Json = False) -> int:
    """Counts a network's parameters, neurons, MACs and memory before any data is touched."""
    _check_recipe(pipeline, set_)
    from dvspipe.jobs.describe import describe as job

    return _finish("describe", job(pipeline, set_ or []), json)


@app.command
def train(
    pipeline: str, /, *, set_: Set = None, out: Path | None = None, resume: bool = False, json: Json = False
) -> int:
    """Trains a recipe; keeps the weights that did best on validation subjects.

    Parameters
    ----------
    pipeline
        A recipe's name, or a path to a TOML file.
    out
        The run's folder. Default: ./runs/<recipe>-<time>.
    resume
        Continue the run in --out (default: the newest run of this recipe) after its last finished epoch.
    """
    _check_recipe(pipeline, set_)
    from dvspipe.jobs.train import train as job

    return _finish("train", job(pipeline, set_ or [], out, resume), json)


@app.command
def evaluate(run: Path, /, *, beside: Path | None = None, json: Json = False) -> int:
    """Reads the test split once: accuracy, confusion, spikes, energy; writes a report into the run's folder.

    Parameters
    ----------
    run
        The folder of a trained run.
    beside
        A second run on the same data, for example without attention: same clip, same scales, energy ratio.
    """
    from dvspipe.jobs.evaluate import evaluate as job

    return _finish("evaluate", job(run, beside), json)


@app.command
def compare(
    *pipelines: str,
    vary: Annotated[list[str] | None, Parameter(negative=())] = None,
    seeds: int = 3,
    set_: Set = None,
    out: Path | None = None,
    json: Json = False,
) -> int:
    """Trains several settings with several seeds and lays them side by side: mean, spread, paired difference.

    Parameters
    ----------
    pipelines
        Names of recipes, or paths to TOML files, all on one dataset.
    vary
        key=a,b,c. May be repeated: all combinations are run. The first recipe with the first values is the control.
    seeds
        Trainings per setting.
    out
        Folder of the cells. Finished ones are not run again. Default: ./runs/compare-<recipe>.
    """
    for pipeline in pipelines:
        _check_recipe(pipeline, set_)
    from dvspipe.jobs.compare import compare as job

    return _finish("compare", job(pipelines, vary or [], seeds, set_ or [], out), json)


@app.command
def live(
    source: Path,
    /,
    *,
    run: Path,
    speed: float = 1.0,
    view: Literal["terminal", "none"] = "terminal",
    out: Path | None = None,
    json: Json = False,
) -> int:
    """Plays a recording through a trained network as a camera would: one bin in, one decision out.

    Parameters
    ----------
    source
        A recording of any known format (archive.h5#name picks one recording of an archive).
    run
        The folder of a trained run.
    speed
        1 = real time, 2 = twice as fast, 0 = as fast as possible, deterministic and without drops.
    view
        What to show while it runs.
    out
        File for the decisions, one JSON object per line.
    """
    from dvspipe.jobs.live import live as job

    result = job(source, run, speed, view, out)
    return _finish("live", result, json, DAMAGED if result["damage"] else OK)


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

    return _finish("show-encoding", job(image, steps, encoders, run, size, out), json)


def _check_recipe(pipeline: str, overrides: list[str] | None) -> None:
    """Tells a wrong recipe at once, before a job imports anything heavy."""
    from dvspipe.recipes import load_recipe

    load_recipe(pipeline, overrides or [])


def _finish(verb: str, result: dict[str, Any], json: bool, code: int = OK) -> int:
    """Prints a job's result: one JSON document, or a table for people."""
    if json:
        import json as codec

        sys.stdout.write(codec.dumps(result, allow_nan=False) + "\n")
    else:
        from dvspipe.show.tables import show_result

        show_result(verb, result)
    return code


def run(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code; every planned error becomes one message on stderr."""
    try:
        result = app(arguments, exit_on_error=False, print_error=True, result_action="return_value")
        return int(result or OK)
    except CycloptsError:
        return USAGE
    except DvspipeError as error:
        return _complain(error)
    except OSError as error:  # a full disk, a folder without rights: planned for in general, not in every place
        if isinstance(error, BrokenPipeError):
            return OK
        return _complain(
            DvspipeError(f"{error.filename or 'the system'}: {error.strerror}. Nothing half-written is left.")
        )
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"interrupted. {interrupt}\n")
        return INTERRUPTED


def _complain(error: DvspipeError) -> int:
    sys.stderr.write(f"dvspipe: {error}\n")
    return error.exit_code


def main() -> None:
    """Entry point of the `dvspipe` command."""
    sys.exit(run())
