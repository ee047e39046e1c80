"""Whole files of the formats that are streams of words: AEDAT 2.0, DAT, ES and Prophesee RAW."""

import evt_builders
import words_builders as words
from builders import tuples
from making import COUNT, SIZE, Made, of_steps, rising


def _records(header, records, row_bytes):
    """A header and records of one length, one event each."""
    data = header + b"".join(records)
    ends = range(len(header) + row_bytes, len(data) + 1, row_bytes)
    edges = {len(header), *ends}
    return data, of_steps(ends, range(1, COUNT + 1)), ((0, len(header)),), edges.__contains__


def aedat2():
    events = rising()
    data, *rest = _records(words.aedat2_header(), [words.dvs128(*row) for row in tuples(events)], 8)
    return Made(data, events, *rest)


def aedat2_davis():
    events = rising(size=(240, 180))
    make = words.davis((240, 180))
    header = words.aedat2_header(words.DAVIS + b"DAVIS240C")
    data, *rest = _records(header, [make(*row) for row in tuples(events)], 8)
    return Made(data, events, *rest)


def dat():
    events = rising(size=(304, 240))
    data, *rest = _records(words.dat_header(304, 240), [words.dat(*row) for row in tuples(events)], 8)
    return Made(data, events, *rest)


def es():
    events = rising(first=0, step=300)
    header, parts = words.es_header(SIZE), words.es(tuples(events))
    at, ends, edges = len(header), [], {len(header)}
    for part in parts:
        edges |= {*range(at, at + len(part) - 4)}  # bytes that lengthen a time stand alone
        at += len(part)
        edges.add(at)
        ends.append(at)
    return Made(
        header + b"".join(parts), events, of_steps(ends, range(1, COUNT + 1)), ((0, len(header)),), edges.__contains__
    )


def evt(encoding, beat_us=None):
    """Without `beat_us` the clock speaks only when it changes, as in small writers' files."""
    events = rising(size=(640, 480), step=300 if beat_us else 1_500, pauses=not beat_us)
    header, made = evt_builders.header(encoding), evt_builders.stream(encoding, tuples(events), beat_us)
    width = evt_builders.WORD_BYTES[encoding]
    data = header + made.data()
    ends = range(len(header) + width, len(data) + 1, width)
    edges = {len(header), *ends}
    return Made(data, events, of_steps(ends, made.whole), ((0, len(header)),), edges.__contains__)
