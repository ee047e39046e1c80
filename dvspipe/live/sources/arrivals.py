"""Packets as they arrive -> parts of a camera: a part is a stretch in which the camera's clock runs on.

A time far from the clock is either damaged or a camera that started anew: one packet is left out and counted, several in a
row that agree begin a new part. Knows no socket.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from dvspipe.events import Events
from dvspipe.live.sources.part import Part

FAR_US = 10_000_000  # further than this from the camera's clock, a time is not believed at once
AGREEING = 3  # packets that agree on another clock


class Decoder(Protocol):
    """Bytes of one encoding -> events of one sensor (W, H); counts what it has to leave out, never raises."""

    sensor_size: tuple[int, int]
    malformed_bytes: int
    outside_events: int

    def whole(self, data: bytes) -> int:
        """How many bytes from the start of `data` are whole records."""
        ...

    def decode(self, packet: bytes, now_us: int) -> Events:
        """The events of a packet that arrived at `now_us`."""
        ...


class Arrivals:
    """Decodes packets for as long as they come. `losses` counts everything that never became an event.

    `timeout_s`: ends when nothing has come for so long; None never.
    """

    def __init__(self, decoder: Decoder, timeout_s: float | None = None) -> None:
        self.decoder, self.timeout_s = decoder, timeout_s
        self.losses = dict.fromkeys(
            ("lost_packets", "malformed_bytes", "outside_events", "far_times", "clock_restarts"), 0
        )
        self._start = self._heard = time.perf_counter()
        self._last_t: int | None = None
        self._far: list[Events] = []
        self.ended = False

    def parts(self, title: str, packets: Callable[[], Iterator[bytes]]) -> Iterator[Part]:
        """Parts until the stream ends or falls silent."""
        arriving = packets()
        size = self.decoder.sensor_size
        while not self.ended:
            yield Part(title, size, lambda from_us: self._chunks(arriving), losses=self.losses)

    def _chunks(self, arriving: Iterator[bytes]) -> Iterator[Events]:
        """One part's events; an empty chunk when there was silence. What began another clock is delivered first."""
        if self._far:
            restarted, self._far = Events.concatenate(self._far, self.decoder.sensor_size), []
            self._last_t = int(restarted.t[-1])
            yield restarted
        self._heard = time.perf_counter()
        for packet in arriving:
            now = time.perf_counter()
            silence_s = now - self._heard
            if packet:
                self._heard = now
            elif self.timeout_s is not None and silence_s > self.timeout_s:
                break
            events = self.decoder.decode(packet, int((now - self._start) * 1e6))
            events = self._believed(events, FAR_US + int(silence_s * 1e6))
            if len(self._far) >= AGREEING:
                self.losses["clock_restarts"] += 1
                return
            yield events
        self.ended = True

    def _believed(self, events: Events, far_us: int) -> Events:
        """The events within `far_us` of the camera's clock; packets on another clock are held until enough agree."""
        self.losses["malformed_bytes"] = self.decoder.malformed_bytes
        self.losses["outside_events"] = self.decoder.outside_events
        if not len(events):
            return events
        middle = int(np.median(events.t))
        near = np.abs(events.t - middle) <= FAR_US
        self.losses["far_times"] += int(np.count_nonzero(~near))
        events = events if near.all() else events[near]
        if self._last_t is not None and abs(middle - self._last_t) > far_us:
            self._hold(events, middle)
            return events[:0]
        self._forget()
        self._last_t = int(events.t[-1])
        return events

    def _hold(self, events: Events, middle: int) -> None:
        if self._far and abs(middle - int(self._far[-1].t[-1])) > FAR_US:
            self._forget()
        self._far.append(events)

    def _forget(self) -> None:
        self.losses["far_times"] += sum(len(each) for each in self._far)
        self._far = []
