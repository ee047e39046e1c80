"""How every figure looks: type, lines, page colours, and SVG that can stand inside a page.

Text stays text (searchable, in the page's own type), and ink, grid and accent are written as CSS variables, so that
one figure is readable on a light and on a dark page. Knows nothing about what is drawn.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins that matplotlib understands; `svg` turns them into CSS variables with a fallback for a file opened alone.
INK, MUTED, LINE, ACCENT, ON_ACCENT, PAPER = (f"#01010{digit}" for digit in range(1, 7))
_VARIABLES = {
    INK: "var(--ink,#1b1e23)",
    MUTED: "var(--muted,#6a717c)",
    LINE: "var(--line,#dcdad3)",
    ACCENT: "var(--accent,#287edc)",
    ON_ACCENT: "var(--on-accent,#ffffff)",
    PAPER: "var(--card,#ffffff)",
}
NARROW, WIDE = 4.6, 9.6  # inches: half a page, a whole page

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dvspipe",
    "text.parse_math": False,  # a class may be called "$x$"
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 2,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def style() -> Iterator[None]:
    """Everything drawn inside (or in a function decorated with `@style()`) has the house style."""
    import matplotlib

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser's fonts draw it
        yield


def sheet(
    width: float = NARROW, height: float = 3.0, columns: int = 1, rows: int = 1, share: bool = False
) -> tuple[Figure, list[Axes]]:
    """An empty figure, sizes in inches, with its axes row by row; `share`: all have the same limits."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.03 if rows > 1 else 0.06, hspace=0.09)
    figure = Figure(figsize=(width, height), layout=layout)
    return figure, list(figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).flat)


def svg(figure: Figure, description: str) -> str:
    """One `<svg>` element for use inside HTML. `description` is read out to those who cannot see it."""
    from html import escape

    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Creator": None, "Date": None, "Format": None, "Type": None})
    body = text.getvalue()
    body = body[body.index("<svg") :].strip()
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, variable)
    body = _own_names(body, description)
    opening = re.search(r'viewBox="([^"]*)"', body)
    assert opening is not None
    inside = body[body.index(">") + 1 :]
    return (
        f'<svg class="figure" viewBox="{opening[1]}" role="img" aria-label="{escape(description)}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{inside}'
    )


def whole_numbers(axes: Axes, ticks: int = 8) -> None:
    """Ticks of the x axis at whole numbers only: steps and epochs have no halves."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=True))


def note(axes: Axes, text: str, at: tuple[float, float], colour: str = INK, size: float = 9) -> None:
    """Words just right of a point, vertically centred on it."""
    axes.annotate(text, at, (5, 0), textcoords="offset points", va="center", color=colour, size=size)


def end_labels(axes: Axes, labels: Sequence[tuple[str, float, str]], size: float = 9) -> None:
    """Words at the right edge, (text, y, colour), moved apart where their lines end close to each other."""
    low, high = axes.get_ylim()
    height = axes.figure.bbox.height / axes.figure.dpi * 72 * 0.72  # points of the axes, about
    apart = (high - low) * 1.25 * size / height
    texts = sorted(labels, key=lambda each: each[1])
    for (text, _, colour), y in zip(texts, spread([y for _, y, _ in texts], apart)):
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate(text, (1, y), (6, 0), va="center", color=colour, size=size, annotation_clip=False, **place)


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Ascending places moved to be `apart`; those in each other's way stand evenly around their mean."""
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1:
            (*_, before, after), reach = groups, 0.5 * apart * (len(groups[-1]) + len(groups[-2]))
            if sum(before) / len(before) + reach <= sum(after) / len(after):
                break
            groups[-2:] = [before + after]
    return [
        sum(group) / len(group) + (index - (len(group) - 1) / 2) * apart
        for group in groups
        for index in range(len(group))
    ]


def clipped(name: str, length: int = 18) -> str:
    """A name short enough for an axis."""
    return name if len(name) <= length else name[: length - 1] + "…"


def _own_names(body: str, description: str) -> str:
    """Several figures share a page: keep only the ids something points at, and make them this figure's own."""
    from hashlib import sha1

    own = sha1((description + body).encode(), usedforsecurity=False).hexdigest()[:8]
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', body))

    def rename(match: re.Match[str]) -> str:
        return f' id="{own}-{match[1]}"' if match[1] in used else ""

    body = re.sub(r' id="([^"]*)"', rename, body)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{own}-", body)
