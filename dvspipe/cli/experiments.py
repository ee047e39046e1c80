"""Verbs of experiments: show everything, count, train, evaluate, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dvspipe.cli.common import OK, Json, Set, app, check_recipe, finish


@app.command
def demo(*, out: Path | None = None, json: Json = False) -> int:
    """Shows the whole product in a few minutes: simulate, train twice, evaluate, run live, write a report.

    Parameters
    ----------
    out
        Folder for runs and report. Default: ./runs/demo-<time>.
    """
    from dvspipe.jobs.demo import demo as job

    return finish("demo", job(out), json)


@app.command
def describe(
    pipeline: str,
    /,
    *,
    batch: int | None = None,
    steps: Annotated[int | None, Parameter(name=("--T", "--steps"))] = None,
    set_: Set = None,
    json: Json = False,
) -> int:
    """Counts a network's parameters, neurons, MACs, and the memory of a training step, before any data is touched.

    Parameters
    ----------
    batch
        Samples per step of the optimiser, B. Default: the recipe's.
    steps
        Bins of a clip, or steps of an image's code, T. Default: the recipe's.
    """
    check_recipe(pipeline, set_)
    from dvspipe.jobs.describe import describe as job

    return finish("describe", job(pipeline, set_ or [], batch, steps), json)


@app.command
def train(
    pipeline: str,
    /,
    *,
    set_: Set = None,
    out: Path | None = None,
    resume: bool = False,
    devices: int | None = None,
    nodes: int | None = None,
    wait_s: float = 300.0,
    json: Json = False,
) -> int:
    """Trains a recipe; keeps the weights that did best on validation subjects.

    Parameters
    ----------
    pipeline
        A recipe's name, or a path to a TOML file.
    out
        The run's folder. Default: ./runs/<recipe>-<time>.
    resume
        Continue the run in --out (default: the newest run of this recipe) at its last checkpoint, as if it had never
        stopped.
    devices
        Processes on this machine, each with its GPU or its share of the cores; train.batch is that of all together.
    nodes
        Machines. torchrun or srun has to start them: see README.
    wait_s
        How long one process waits for another, in seconds, before it gives up.
    """
    check_recipe(pipeline, set_)
    from dvspipe.jobs.launch import ensure_processes

    ensure_processes(devices, nodes)
    from dvspipe.jobs.train import train as job

    result = job(pipeline, set_ or [], out, resume, wait_s=wait_s)
    return finish("train", result, json) if result else OK  # of several processes one has a result


@app.command
def evaluate(
    run: Path,
    /,
    *,
    beside: Path | None = None,
    live: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> int:
    """Reads the test split once: accuracy, confusion, spikes, energy; writes a report into the run's folder.

    Parameters
    ----------
    run
        The folder of a trained run.
    beside
        A second run on the same data, for example without attention: same clip, same scales, energy ratio.
    live
        Play the uncut test recordings instead: how soon decisions are right and stay so, flips, false decisions in pauses.
    """
    if live:
        return finish("evaluate-live", _live(run, beside), json)
    from dvspipe.jobs.evaluate import evaluate as job

    return finish("evaluate", job(run, beside), json)


def _live(run: Path, beside: Path | None) -> dict[str, Any]:
    from dvspipe.errors import UsageError
    from dvspipe.jobs.live_evaluation import evaluate_live
    from dvspipe.jobs.runs import load_run

    if beside is not None:
        raise UsageError("--beside and --live: give one of them; two live evaluations are two commands.")
    return evaluate_live(load_run(run))


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
        check_recipe(pipeline, set_)
    from dvspipe.jobs.compare import compare as job

    return finish("compare", job(pipelines, vary or [], seeds, set_ or [], out), json)
