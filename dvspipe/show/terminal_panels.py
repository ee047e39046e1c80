"""The panels of the terminal view, each as lines of words and strips. Knows no layout and no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import live_words, palette, strips
from dvspipe.show.figures import clipped
from dvspipe.show.history import History
from dvspipe.show.live_words import printable
from dvspipe.show.moment import Looks, Moment, Stage

if TYPE_CHECKING:
    from rich.text import Text

DIM = "bright_black"
SPAN_S = 20.0  # seconds of sensor time that the strips show
TITLE, SCALE = 11, 12  # cells left and right of a strip
_NAME, _BAR = 24, 24  # cells of a class name and of a full bar at most
_TWO_COLUMNS = 40  # cells that two columns of classes need


@dataclass
class Shown:
    """What is on screen: the stage, the newest moment, the last look inside, and how things went."""

    stage: Stage
    history: History
    moment: Moment | None = None
    looks: Looks | None = None
    paused: bool = False
    keys: bool = False
    ended: str = ""
    evidence: dict[str, float] = field(default_factory=dict)

    def take(self, moment: Moment) -> None:
        """One bin further."""
        self.moment, self.evidence = moment, dict(moment.evidence)
        self.looks = moment.looks or self.looks
        self.history.add(moment)

    @property
    def labelled(self) -> bool:
        """Whether the truth is known anywhere."""
        return bool(self.stage.labels) or (self.moment is not None and self.moment.truth is not None)


def heading(shown: Shown, width: int) -> Text:
    """What is played and what state it is in; the state is what stays when there is little room."""
    from rich.text import Text

    stage, moment = shown.stage, shown.moment
    place = live_words.clock(moment.t_us - stage.start_us) if moment else ""
    if place and stage.stop_us is not None:
        place += f" / {live_words.clock(stage.stop_us - stage.start_us)}"
    state = Text(place, style=DIM)
    if shown.ended or shown.paused:
        state = Text.assemble((shown.ended or "‖ paused", f"bold {palette.ON}"), "  ", state)
    title, *rest = stage_line(stage).split(" · ", 1)
    left = Text.assemble((" dvspipe ", f"bold {palette.ON}"), (title, "bold"), *((f" · {each}", DIM) for each in rest))
    left.truncate(max(10, width - state.cell_len - 2), overflow="ellipsis", pad=True)
    left.append("  ").append_text(state)
    left.truncate(width)
    return left


def stage_line(stage: Stage) -> str:
    """What is played, by what, and how."""
    return " · ".join(printable(name) for name in (stage.title, stage.run, stage.mode) if name)


def headline(shown: Shown) -> Text:
    """The decision, and whether it is right where that is known."""
    from rich.text import Text

    moment = shown.moment
    truth = printable(moment.truth) if moment and moment.truth is not None else None
    labelled = f"   labelled {truth}" if truth is not None else ""
    if moment is None or moment.label is None:
        return Text.assemble(("○ nothing decided", palette.IDLE), (labelled, DIM), no_wrap=True)
    said = f"{printable(moment.label)}  {moment.confidence:.2f}"
    if truth is None:
        return Text(f"● {said}", style="bold", no_wrap=True)
    right = moment.label == moment.truth
    mark, colour = ("✓", palette.RIGHT) if right else ("✗", palette.WRONG)
    return Text.assemble((f"{mark} {said}", f"bold {colour}"), ("" if right else labelled, DIM), no_wrap=True)


def evidence_rows(classes: int, width: int, rows: int) -> int:
    """Rows that all classes take: one column, or two where one is too high and there is room for two."""
    return classes if classes <= rows or width < _TWO_COLUMNS else -(-classes // 2)


def evidence(shown: Shown, width: int, rows: int) -> list[Text]:
    """A bar per class. In two columns where one would be too high; the strongest only where that is too high too."""
    from rich.text import Text

    tint = palette.class_colours(list(shown.evidence))
    decided = shown.moment.label if shown.moment else None
    columns = 1 if evidence_rows(len(shown.evidence), width, rows) == len(shown.evidence) else 2
    always = (decided, shown.moment.truth if shown.moment else None)
    names = live_words.chosen(shown.evidence, rows * columns, always)
    each = (width - 2 * (columns - 1)) // columns
    bars = [_bar(name, shown.evidence[name], tint[name], name == decided, names, each) for name in names]
    down = -(-len(bars) // columns)
    lines = bars[:down]
    for line, other in zip(lines, bars[down:]):
        line.append("  ").append_text(other)
    return lines or [Text()]


def _bar(name: str, value: float, colour: str, bold: bool, names: Sequence[str], width: int) -> Text:
    from rich.text import Text

    longest = min(_NAME, max(map(len, names)), max(6, width // 2))
    full = max(3, min(_BAR, width - longest - 6))
    filled = round(full * min(1.0, max(0.0, value)))
    weight = "bold" if bold else "not bold"
    label = Text(clipped(printable(name), longest), style=weight)
    label.truncate(longest + 1, pad=True)
    bar = (("━" * filled, colour), ("─" * (full - filled), palette.TRACK))
    return Text.assemble(label, *bar, (f" {value:.2f}", weight), no_wrap=True)


def numbers(shown: Shown) -> list[Text]:
    """Rate, speed, latency, queue and losses."""
    from rich.text import Text

    if shown.moment is None:
        return []
    found = live_words.numbers(shown.moment.t_us - shown.stage.start_us, shown.moment.stats)
    return [Text("   ".join(line), style=DIM, no_wrap=True) for line in found]


def strip_lines(shown: Shown, names: Sequence[str], width: int) -> list[Text]:
    """Of `labelled`, `decided`, `events`, `latency`, those asked for; newest on the right, all over the same time."""
    history, columns = shown.history, max(8, width - TITLE - SCALE)
    per = history.per_column(columns, shown.stage.bin_us, SPAN_S)
    truth, decided = (history.labels(which, columns, per).tolist() for which in ("labelled", "decided"))
    lines = []
    for name in names:
        if name == "labelled":
            lines.append(_titled(name, strips.labelled_strip(truth, history.names)))
        elif name == "decided":
            lines.append(_titled(name, strips.decided_strip(decided, truth, history.names)))
        else:
            values = history.numbers(
                "event_rate" if name == "events" else "latency_ms", columns, per, worst=name == "latency"
            )
            lines.append(_titled(name, strips.spark(values), _top(name, values)))
    return lines


def spike_lines(shown: Shown, width: int, rows: int, title: str = "spikes") -> list[Text]:
    """Spikes per neuron of the layers over time: a row each, or all in one row where there is but one."""
    layers = shown.history.layers
    last = shown.looks.rates if shown.looks else {}
    if rows < min(len(layers), 2):
        each = max(3, (width - TITLE) // max(1, len(layers)) - 10)
        return [_titled(title, "  ".join(f"{clipped(name, 7)} {_rates(shown, name, each)}" for name in layers))]
    bars = max(4, width - TITLE - SCALE - 4)
    found = {name: (_rates(shown, name, bars), f"{last.get(name, 0):.3f}") for name in layers[:rows]}
    return _by_layer(title, found)


def attention_lines(looks: Looks, width: int, rows: int, title: str = "attention") -> list[Text]:
    """Weights of the last steps by layer, the present one on the right; half way up is neutral."""
    neutral = looks.neutral or 0.0
    weights = {name: np.ravel(each) for name, each in looks.time.items() if np.size(each)}
    if rows < min(len(weights), 2):
        most = max(3, (width - TITLE) // max(1, len(weights)) - 10)
        found = (f"{clipped(name, 7)} {strips.centred(each[-most:], neutral)}" for name, each in weights.items())
        return [_titled(title, "  ".join(found))]
    most = max(4, width - TITLE - SCALE - 4)
    rest = {name: (strips.centred(weights[name][-most:], neutral), f"{weights[name][-1]:.2f}") for name in weights}
    return _by_layer(title, dict(list(rest.items())[:rows]))


def _by_layer(title: str, found: dict[str, tuple[str, str]]) -> list[Text]:
    """A row per layer: its strip, its number, its name; the title stands at the first."""
    rows = enumerate(found.items())
    return [
        _titled(title if place == 0 else "", bars, f"{number}  {clipped(printable(name), 8)}")
        for place, (name, (bars, number)) in rows
    ]


def position(shown: Shown, width: int) -> Text:
    """How far the recording is, as a bar."""
    from rich.text import Text

    stage, moment = shown.stage, shown.moment
    span = (stage.stop_us or 0) - stage.start_us
    share = (moment.t_us - stage.start_us) / span if moment and span > 0 else 0.0
    filled = round(min(1.0, max(0.0, share)) * width)
    return Text.assemble(("━" * filled, palette.ON), ("─" * (width - filled), palette.TRACK), no_wrap=True)


def key_hints(shown: Shown) -> Text:
    """Which key does what."""
    from rich.text import Text

    hints = ["space " + ("play" if shown.paused else "pause"), ". step"]
    hints += ["← → 1 s", "↓ ↑ 10 s"] if shown.stage.can_seek else []
    return Text("   ".join([*hints, "- + speed", "q stop"]), style=DIM, no_wrap=True)


def log_line(shown: Shown) -> str:
    """The newest moment in one line."""
    moment = shown.moment
    if moment is None:
        return ""
    said = "nothing decided" if moment.label is None else f"{printable(moment.label)} {moment.confidence:.2f}"
    labelled = f" (labelled {printable(moment.truth)})" if moment.truth is not None else ""
    words = ["   ".join(line) for line in live_words.numbers(moment.t_us - shown.stage.start_us, moment.stats)]
    return "   ".join([said + labelled, *words, *(["paused"] if moment.stats.get("paused") else [])])


def _titled(title: str, line: Text | str, after: str = "") -> Text:
    from rich.text import Text

    name = Text(clipped(printable(title), TITLE - 2), style=DIM)
    name.truncate(TITLE - 1, pad=True)
    drawn = Text(line, style=palette.SERIES[0]) if isinstance(line, str) else line
    return Text.assemble(name, " ", drawn, (f" {after}" if after else "", DIM), no_wrap=True)


def _top(name: str, values: NDArray[Any]) -> str:
    """The largest value on show, which is the strip's full height."""
    top = float(np.fmax.reduce(values, initial=-1.0))
    if top < 0:
        return ""
    return live_words.event_rate(top) if name == "events" else f"{top:.2f} ms"


def _rates(shown: Shown, layer: str, columns: int) -> str:
    per = shown.history.per_column(columns, shown.stage.bin_us, SPAN_S)
    return strips.spark(shown.history.rates(layer, columns, per))
