"""`dvspipe live`: a recording, a folder or a camera plays through a trained network; one bin in, one decision out."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dvspipe.errors import RunError, UsageError
from dvspipe.jobs.inspect import damage_as_dict
from dvspipe.jobs.live_session import Decided, Playing, Session
from dvspipe.jobs.live_views import Views, checked_views, open_views
from dvspipe.jobs.runs import Run, load_run
from dvspipe.live.sources.opening import open_source
from dvspipe.live.sources.part import Source
from dvspipe.recipes import load_card
from dvspipe.recordings import Damage
from dvspipe.recordings.recording import OnDamage
from dvspipe.show.live_report import write_live_report
from dvspipe.show.progress import say

INTERRUPTED = "interrupted"
__all__ = ["INTERRUPTED", "Outlets", "Played", "Playing", "checked_views", "live", "play"]


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where a session goes: `views` of terminal, web, none; files for decisions, a video and a report; the page's port."""

    views: tuple[str, ...] = ()
    out: Path | None = None
    record: Path | None = None
    report: Path | None = None
    port: int = 0


def live(
    source: str,
    run: Path,
    how: Playing | None = None,
    outlets: Outlets | None = None,
    on_damage: OnDamage = "skip",
    convention: str | None = None,
) -> dict[str, Any]:
    """Plays `source` through `run`.

    Returns `bins, decisions, p50_ms, p95_ms, p99_ms, max_ms, late_bins, dropped_bins, dropped_events, damage` and more.
    With `outlets.out`, one JSON line per bin: bin, t_us (end of the bin), label or null, confidence, raw (this bin's best
    class alone), events, latency_ms. Ctrl-C ends the session as a stop does: all files are written, `ended` is "interrupted".
    Raises RecordingError, RunError, UsageError.
    """
    outlets = outlets or Outlets()
    return play(source, load_run(run), how or Playing(), outlets, on_damage, convention).result


@dataclass
class Played:
    """A session that has ended: its figures, and with `keep` its decisions."""

    session: Session
    views: Views
    result: dict[str, Any]


def play(
    source: str | Path,
    run: Run,
    how: Playing,
    outlets: Outlets | None = None,
    on_damage: OnDamage = "skip",
    convention: str | None = None,
) -> Played:
    """One whole session."""
    outlets = outlets or Outlets()
    if how.block > 1 and (how.speed > 0 or outlets.views or outlets.record):
        raise UsageError(
            f"--block {how.block}: blocks of bins need --speed 0 and no view or video, for they are not live."
        )
    with steady():
        return _play(run, how, outlets, open_source(str(source), run.sensor_size, on_damage, convention))


def _play(run: Run, how: Playing, outlets: Outlets, opened: Source) -> Played:
    keep = how.keep or outlets.report is not None
    session = Session(run, opened, replace(how, keep=keep, looking=keep or bool(outlets.views or outlets.record)))
    say(headline(session))
    with ExitStack() as stack:
        sink = stack.enter_context(JsonLines(outlets.out)) if outlets.out else None
        views = stack.enter_context(open_views(session, outlets.views, outlets.record, outlets.port))
        gc.freeze()  # what is there now stays to the end: the collector need not walk through it
        try:
            with closing(session.decided()) as bins:
                for decided in bins:
                    if sink is not None:
                        sink.write(_named(session, decided))
                    views.show(decided)
        except KeyboardInterrupt:  # how a camera is stopped: what there is until now is kept
            session.ended = INTERRUPTED
        views.finish(session.ended)
    damages = [each for part, _ in session.player.stretches if (each := _damage(part.recording)) is not None]
    result = session.result() | {"damage": damage_as_dict(damages[0]) if damages else None}
    return Played(session, views, result | _written(outlets, session, views, result))


def _written(outlets: Outlets, session: Session, views: Views, result: dict[str, Any]) -> dict[str, str]:
    """Writes the report; gives the absolute paths of all files there are now."""
    if outlets.report is not None:
        run = session.run
        facts = {"run": run.name, "network": run.recipe.snn.network, "bins": f"{run.bin_us / 1000:g} ms"}
        write_live_report(outlets.report, views.summaries(result), facts, remarks(run))
    named = {"out": outlets.out, "record": outlets.record, "report": outlets.report}
    return {name: str(path.absolute()) for name, path in named.items() if path is not None}


def remarks(run: Run) -> list[str]:
    """What a reader must know to judge a session."""
    simulated = load_card(run.data["dataset"]).simulated
    learnt = "The network learnt on simulated events: what it says of a real camera's proves nothing but that it runs."
    return [learnt] * simulated


def _named(session: Session, decided: Decided) -> dict[str, Any]:
    """The row for the log; in a playlist with the recording it belongs to."""
    if not session.source.several:
        return decided.row
    return {"recording": session.part_of(decided.bin).title, **decided.row}


def _damage(recording: Any) -> Damage | None:
    return None if recording is None else recording.damage


@contextmanager
def steady() -> Iterator[None]:
    """What keeps single decisions quick: one thread for the network, whose steps are too small to share and crawl where
    threads wait for each other on a busy machine; and other Python threads that give way within a millisecond.
    """
    threads, switching = torch.get_num_threads(), sys.getswitchinterval()
    torch.set_num_threads(1)
    sys.setswitchinterval(0.001)
    try:
        yield
    finally:
        gc.unfreeze()
        torch.set_num_threads(threads)
        sys.setswitchinterval(switching)


def headline(session: Session) -> str:
    """One line on how this network is fed, and what that costs in latency."""
    run, source = session.run, session.source
    clip_ms, how = run.n_bins * run.bin_us / 1000, f"{session.network.mode}, {run.bin_us / 1000:g} ms bins"
    if session.network.mode == "sliding-clip":
        how += f", clip of {clip_ms:g} ms: a new gesture needs up to that long to fill it"
    return f"{run.name} on {source.title}: {how}; decisions by {session.settings_from}"


class JsonLines:
    """A file of one JSON object per line, written at once: a killed run leaves every decision made so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> RunError:
        return RunError(f"{self.path}: cannot be written ({error.strerror}). Free space or choose another --out.")

    def write(self, row: dict[str, Any]) -> None:
        """Raises RunError when the disk is full."""
        try:
            self.file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise self._refused(error) from error

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *failure: object) -> None:
        with suppress(OSError):  # what could not be written has been said by then
            self.file.close()
