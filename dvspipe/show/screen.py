"""A live run as pictures, for a video of it: every panel of the page on one screen, one picture per bin.

Knows a stage and moments; not how pictures become a file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import UsageError
from dvspipe.show import live_words, palette, screen_inside, screen_strips
from dvspipe.show.canvas import Box, Picture, fill, panel, write
from dvspipe.show.history import History
from dvspipe.show.live_words import printable
from dvspipe.show.moment import Looks, Moment, Stage
from dvspipe.show.picture import EventPicture, shrink

SMALLEST = (480, 270)
_DESIGN = 720  # lines that the sizes below are meant for; others are in proportion
_PIXELS = 256  # of the events, each way, at most: sums of blocks beyond


class Screen:
    """`draw` every moment in order; each call gives a new picture uint8 [height,width,3].

    History, afterglow and the last look inside the network are kept here. Raises UsageError for a screen too small to
    be read.
    """

    def __init__(self, stage: Stage, width: int = 1280, height: int = 720) -> None:
        if width < SMALLEST[0] or height < SMALLEST[1]:
            raise UsageError(f"a screen of {width}x{height} is too small to be read: give at least 480x270.")
        self.stage, self.width, self.height = stage, width, height
        self.history = History(stage.classes)
        self._picture = EventPicture(decay=0.55)
        self._tint = palette.class_colours(stage.classes)
        self._looks: Looks | None = None
        self._labelled = bool(stage.labels)
        self._place()

    def draw(self, moment: Moment) -> Picture:
        """The screen after one more bin."""
        if (moment.looks is not None and self._looks is None) or (moment.truth is not None and not self._labelled):
            self._labelled = self._labelled or moment.truth is not None
            self._looks = moment.looks
            self._place()
        self._looks = moment.looks or self._looks
        self.history.add(moment)
        screen = self._still.copy()
        self._state(screen, moment)
        self._events(screen, moment.frame)
        self._decision(screen, moment)
        self._evidence(screen, moment)
        screen_strips.draw(screen, self._strips, self.history, moment, self._unit)
        if self._looks is not None:
            screen_inside.draw(screen, self._inside, self.history, self._looks, self.stage.bin_us, self._unit)
        return screen

    def _unit(self, size: float) -> int:
        """Pixels for a length in the design."""
        return max(1, round(size * min(self.height / _DESIGN, self.width / 1280)))

    def _place(self) -> None:
        """Where everything stands, and what of it never changes, drawn once."""
        unit, edge, gap = self._unit, self._unit(24), self._unit(14)
        top, low = unit(62), unit(232 if self._labelled else 200)
        high = self.height - top - low - gap - unit(20)
        inside = unit(300) if self._looks is not None else 0
        side = min(high, (self.width - inside) * 2 // 5)
        self._events_box = Box(edge, top, side, high)
        left = edge + side + gap
        self._side = Box(left, top, self.width - edge - left - (inside + gap if inside else 0), high)
        self._inside = Box(self.width - edge - inside, top, inside, high)
        strips = Box(edge, top + high + gap, self.width - 2 * edge, low)
        self._still = np.empty((self.height, self.width, 3), np.uint8)
        self._still[:] = palette.rgb(palette.PAGE)
        for box, colour in (
            (self._events_box, palette.BACKGROUND),
            (self._side, palette.PANEL),
            (strips, palette.PANEL),
        ):
            panel(self._still, box, colour, unit(12))
        if inside:
            panel(self._still, self._inside, palette.PANEL, unit(12))
        self._strips = screen_strips.place(self._still, strips, self.stage.bin_us, self._labelled, unit)
        self._title(self._still)

    def _title(self, screen: Picture) -> None:
        unit, stage = self._unit, self.stage
        x, y = unit(24), unit(42)
        x += write(screen, "dvspipe", (x, y), unit(20), palette.ON, bold=True) + unit(14)
        title = printable(stage.title)
        x += write(screen, title, (x, y), unit(20), palette.WORDS, bold=True, width=self.width // 3) + unit(14)
        rest = " · ".join(printable(name) for name in (stage.run, stage.mode) if name)
        write(screen, rest, (x, y), unit(15), palette.QUIET, width=max(0, self.width - x - unit(360)))

    def _state(self, screen: Picture, moment: Moment) -> None:
        """Sensor time and speed, top right."""
        unit, stage, stats = self._unit, self.stage, moment.stats
        x, y = self.width - unit(24), unit(42)
        if stage.stop_us is not None:
            words = f" / {live_words.clock(stage.stop_us - stage.start_us)}"
            x -= write(screen, words, (x, y), unit(15), palette.QUIET, anchor="right")
        words = live_words.clock(moment.t_us - stage.start_us)
        x -= write(screen, words, (x, y), unit(20), palette.WORDS, bold=True, anchor="right") + unit(18)
        if stats.get("paused"):
            write(screen, "paused", (x, y), unit(15), palette.ON, bold=True, anchor="right")
        elif stats.get("speed") is not None:
            words = f"{live_words.speed(stats['speed'])} real time"
            write(screen, words, (x, y), unit(15), palette.QUIET, anchor="right")

    def _events(self, screen: Picture, frame: NDArray[np.int32]) -> None:
        """The events, as large as the box allows, pixels left square."""
        import cv2

        self._picture.add(shrink(frame, _PIXELS, _PIXELS))
        pixels, box = self._picture.rgb(), self._events_box
        room = self._unit(8)
        scale = min((box.width - 2 * room) / pixels.shape[1], (box.height - 2 * room) / pixels.shape[0])
        size = (max(1, int(pixels.shape[1] * scale)), max(1, int(pixels.shape[0] * scale)))
        way = cv2.INTER_NEAREST if scale >= 1 else cv2.INTER_AREA
        x, y = box.x + (box.width - size[0]) // 2, box.y + (box.height - size[1]) // 2
        screen[y : y + size[1], x : x + size[0]] = cv2.resize(pixels, size, interpolation=way)

    def _decision(self, screen: Picture, moment: Moment) -> None:
        """What is decided, how surely, and what is labelled; a wrong one by mark and word, not by colour alone."""
        unit, box = self._unit, self._side
        x, y, width = box.x + unit(22), box.y + unit(46), box.width - unit(44)
        truth, label = moment.truth, moment.label
        right = label == truth if label is not None and truth is not None else None
        if label is None:
            write(screen, "nothing decided", (x, y), unit(28), palette.IDLE, bold=True, width=width)
        else:
            colour = palette.WORDS if right is None else palette.RIGHT if right else palette.WRONG
            sure = write(screen, f"{moment.confidence:.2f}", (x + width, y), unit(24), palette.QUIET, anchor="right")
            mark = "" if right is None else "✓ " if right else "✗ "
            words = mark + printable(label)
            write(screen, words, (x, y), unit(28), colour, bold=True, width=width - sure - unit(12))
        if self._labelled:
            words = "nothing labelled" if truth is None else f"labelled {printable(truth)}"
            write(screen, words, (x, y + unit(28)), unit(15), palette.QUIET, width=width)

    def _evidence(self, screen: Picture, moment: Moment) -> None:
        """A bar per class, in two columns where they are many; the strongest where not all fit."""
        unit, box = self._unit, self._side
        top = box.y + unit(94 if self._labelled else 74)
        room = box.y + box.height - unit(14) - top
        columns = 1 if room >= unit(20) * len(moment.evidence) else 2
        names = live_words.chosen(moment.evidence, columns * max(1, room // unit(18)), (moment.label, moment.truth))
        down = -(-len(names) // columns)
        step, gap = min(unit(54), room // max(1, down)), unit(26)
        width = (box.width - unit(44) - gap * (columns - 1)) // columns
        for place, name in enumerate(names):
            column, row = divmod(place, down)
            line = Box(box.x + unit(22) + column * (width + gap), top + row * step, width, step)
            self._bar(screen, line, name, moment.evidence[name], name == moment.label)

    def _bar(self, screen: Picture, line: Box, name: str, value: float, chosen: bool) -> None:
        """One class: name, bar, number."""
        unit, size = self._unit, min(self._unit(18), max(self._unit(12), int(line.height * 0.58)))
        colour, middle = palette.WORDS if chosen else palette.QUIET, line.y + line.height // 2
        base, named = middle + int(size * 0.36), min(int(0.46 * line.width), unit(250))
        write(screen, printable(name), (line.x, base), size, colour, bold=chosen, width=named)
        write(screen, f"{value:.2f}", (line.x + line.width, base), size, colour, bold=chosen, anchor="right")
        tall = min(unit(14), max(3, int(line.height * 0.42)))
        wide = max(4, line.width - named - unit(10) - 3 * size)
        track = Box(line.x + named + unit(10), middle - tall // 2, wide, tall)
        fill(screen, track, palette.TRACK)
        filled = round(wide * min(1.0, max(0.0, value)))
        fill(screen, track._replace(width=filled), self._tint.get(name, palette.IDLE))
