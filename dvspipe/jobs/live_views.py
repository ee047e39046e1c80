"""What a live session is shown in: terminal, page, video, report. Turns decisions into moments, for every view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dvspipe.errors import UsageError, nearest
from dvspipe.jobs.live_session import Decided, Session
from dvspipe.live.sources.part import Part
from dvspipe.show.live_trace import LiveTrace
from dvspipe.show.moment import Looks, Moment, Stage, View
from dvspipe.show.summary import LiveSummary

VIEWS = ["terminal", "web", "none"]


def checked_views(text: str) -> tuple[str, ...]:
    """The views that `--view` names, with commas. Raises UsageError for an unknown one."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in VIEWS:
            raise UsageError(f"--view {name}{nearest(name, VIEWS)}: known are {', '.join(VIEWS)}, several with commas.")
    return tuple(name for name in names if name != "none")


class Views:
    """Hands every decision to the views that are open; `trace` is the one that remembers, for a report."""

    def __init__(self, session: Session, views: list[View], trace: LiveTrace | None) -> None:
        self.session, self.views, self.trace = session, views, trace
        self._part: Part | None = None

    def show(self, decided: Decided) -> None:
        """One bin."""
        if not self.views:
            return
        part = self.session.part_of(decided.bin)
        if part is not self._part:
            self._part = part
            opened = stage_of(self.session, decided)
            for view in self.views:
                view.open(opened)
        moment = self._moment(decided)
        for view in self.views:
            view.update(moment)

    def _moment(self, decided: Decided) -> Moment:
        session, row, onlooker = self.session, decided.row, self.session.onlooker
        looks = None
        if decided.looked and onlooker is not None:
            looks = Looks(dict(onlooker.rates), onlooker.time, dict(onlooker.space), onlooker.neutral)
        return Moment(
            bin=row["bin"],
            t_us=row["t_us"],
            frame=decided.bin.frame,
            evidence=dict(zip(session.run.classes, decided.evidence.tolist())),
            label=row["label"],
            confidence=row["confidence"],
            truth=decided.truth,
            stats=session.stats(decided),
            looks=looks,
        )

    def finish(self, why: str) -> None:
        """No further bin will come."""
        for view in self.views:
            view.finish(why)

    def summaries(self, result: dict[str, Any]) -> list[LiveSummary]:
        """What a report is told, by recording; `result` is the session's."""
        traces = self.trace.traces if self.trace is not None else []
        how = {name: getattr(self.session.how, name) for name in ("speed", "drop", "reset_gap_ms")}
        return [each.summary(result, how | asdict(self.session.settings), result["damage"]) for each in traces]


@contextmanager
def open_views(session: Session, names: tuple[str, ...], record: Path | None, port: int) -> Iterator[Views]:
    """The views of that name, opened; closed when the block ends, however it ends."""
    trace = LiveTrace() if session.how.keep else None
    with ExitStack() as stack:
        views: list[View] = [] if trace is None else [trace]
        if "terminal" in names:
            from dvspipe.show.terminal import LiveView

            views.append(stack.enter_context(LiveView(session.controls)))
        if "web" in names:
            from dvspipe.show.web import WebView

            views.append(stack.enter_context(WebView(session.controls, port=port)))
        if record is not None:
            from dvspipe.jobs.live_record import Recorder

            views.append(stack.enter_context(Recorder(record, session)))
        yield Views(session, views, trace)


def stage_of(session: Session, decided: Decided) -> Stage:
    """What stays as it is while this recording plays."""
    run, part = session.run, session.part_of(decided.bin)
    scale = run.downsample
    return Stage(
        title=part.title,
        run=run.name,
        classes=tuple(run.classes),
        bin_us=run.bin_us,
        sensor_size=(-(-run.sensor_size[0] // scale), -(-run.sensor_size[1] // scale)),
        start_us=session.player.stretches[decided.bin.stretch][1],
        stop_us=part.stop_us,
        labels=tuple(session.labels),
        can_seek=not part.is_camera,
        mode=session.network.mode,
    )
