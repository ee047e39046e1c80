"""What a page is told: the timeline is whole whoever reads when, pictures are the newest, and only commands are obeyed."""

import json
import struct
import threading
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvspipe.show import wire
from dvspipe.show.board import Board, Seen
from dvspipe.show.feed import FRAMES, RUNS, Feed, Log, Pulse, Run, blended
from dvspipe.show.moment import Label, Looks, Moment, Stage

STAGE = Stage(
    "a recording", "a run", ("left", "right"), 1000, (4, 4), 0, 10_000, (Label("left", 0, 5000),), True, "causal"
)


def moment(index, label=None, frame=None, **kept):
    frame = np.zeros((2, 4, 4), np.int32) if frame is None else frame
    stats = {"event_rate": 1000.0 * index, "latency_ms": 0.5}
    return Moment(index, 1000 * (index + 1), frame, {"left": 0.25, "right": 0.5}, label, 0.5, "left", stats, **kept)


def run_lengths(labels):
    """The slow and plain way."""
    start = 0
    for label, group in groupby(labels):
        stop = start + len(list(group))
        yield Run(label, 1000 * start, 1000 * stop)
        start = stop


@given(
    labels=st.lists(st.sampled_from(["left", "right", None]), min_size=1, max_size=60),
    reads=st.sets(st.integers(0, 59)),
    late=st.integers(0, 59),
)
def test_every_reader_gets_the_whole_timeline_whenever_it_reads(labels, reads, late):
    feed, board, seen, told = Feed(), Board(STAGE, 1), Seen(), []
    feed.open(STAGE)
    for index, label in enumerate(labels):
        feed.put(moment(index, label))
        if index in reads:
            board.keep(feed.take())
            read(board, seen, told)
    board.keep(feed.take())
    read(board, seen, told)
    newcomer = []
    read(board, Seen(), newcomer)
    expected = [list(run) for run in run_lengths(labels)]
    assert told == newcomer == expected


def read(board, seen, told):
    """What the page does with runs."""
    board.render(0.0, False, 1.0, None)
    text, _ = board.unseen(seen)
    for part in json.loads(text):
        if part["kind"] == "runs":
            told[part["first"] :] = part["items"]


def test_a_missing_bin_starts_a_new_run():
    feed = Feed()
    feed.open(STAGE)
    for index in (0, 1, 3, 4, 2):  # a dropped bin, then back
        feed.put(moment(index, "left"))
    assert feed.take().runs == [Run("left", 0, 2000), Run("left", 3000, 5000), Run("left", 2000, 3000)]


def test_what_waits_is_bounded_and_numbered_rightly_when_nobody_reads():
    feed = Feed()
    feed.open(STAGE)
    for index in range(2 * RUNS + 5):
        feed.put(moment(index, "left" if index % 2 else None))
    news = feed.take()
    assert len(news.frames) == FRAMES and len(news.pulses) < 5000 and len(news.runs) <= 2 * RUNS
    last = news.first_run + len(news.runs) - 1
    assert last == 2 * RUNS + 4 and news.runs[-1].stop_us == 1000 * (last + 1)


def test_news_come_once_and_the_open_run_again():
    feed = Feed()
    feed.open(STAGE)
    feed.put(moment(0, "left"))
    assert feed.take().moment.bin == 0
    again = feed.take()
    assert again.moment is None and again.frames == [] and again.runs == [Run("left", 0, 1000)] and again.first_run == 0
    feed.put(moment(1, "right"))
    assert [run.label for run in feed.take().runs] == ["left", "right"]
    assert feed.take().first_run == 1


def test_another_recording_starts_anew_and_an_end_is_told():
    feed = Feed()
    feed.open(STAGE)
    feed.put(moment(0, "left"))
    feed.finish("end")
    assert feed.take().ended == "end"
    feed.open(STAGE)
    news = feed.take()
    assert (news.serial, news.runs, news.moment, news.ended) == (2, [], None, None)


@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(), max_size=5)), max_size=20),
    st.integers(0, 30),
)
def test_a_log_is_a_list_that_forgets_its_start(most, splices, since):
    log, plain = Log(most), []
    for back, items in splices:
        first = max(0, len(plain) - min(back, most))
        plain[first:] = items
        log.splice(first, items)
    asked = min(since, len(plain))
    number, kept = log.since(asked)
    assert kept == plain[number:] and number >= asked and log.end == len(plain)
    assert number == asked or len(kept) <= most, "what is left out at the start was forgotten"


def test_a_log_with_a_gap_keeps_what_is_behind_it():
    log = Log(10)
    log.splice(0, [1, 2])
    log.splice(7, [8, 9])
    assert log.since(0) == (7, [8, 9])


def test_frames_between_two_sends_are_summed_fading():
    frames = [np.full((2, 1, 1), value) for value in (4, 2, 1)]
    assert blended(frames)[0, 0, 0] == 1 + 2 / 2 + 4 / 4
    with pytest.raises(ValueError, match="no frame"):
        blended([])


def test_every_frame_between_two_sends_is_seen():
    board = Board(STAGE, 1)
    feed = Feed()
    feed.open(STAGE)
    for index in range(2):
        frame = np.zeros((2, 4, 4), np.int32)
        frame[1, index, index] = 5
        feed.put(moment(index, frame=frame))
    board.keep(feed.take())
    board.render(0.0, False, 1.0, None)
    _, picture = board.unseen(Seen())
    assert struct.unpack("<HH", picture[:4]) == (4, 4)
    glow = np.frombuffer(picture, np.uint8, offset=4).reshape(2, 4, 4)
    assert glow[1, 0, 0] and glow[1, 1, 1] and not glow[0].any() and not glow[1, 2, 2]


@pytest.mark.parametrize(
    ("shape", "size"), [((2, 128, 128), (128, 128)), ((2, 720, 1280), (128, 72)), ((2, 1, 1), (1, 1))]
)
def test_pictures_are_never_larger_than_a_screen_needs(shape, size):
    board = Board(STAGE, 1)
    feed = Feed()
    feed.open(STAGE)
    feed.put(moment(0, frame=np.ones(shape, np.int32)))
    board.keep(feed.take())
    board.render(0.0, False, 1.0, None)
    _, picture = board.unseen(Seen())
    assert struct.unpack("<HH", picture[:4]) == size and len(picture) == 4 + 2 * size[0] * size[1]


def test_a_viewer_gets_everything_once():
    board, seen = Board(STAGE, 1), Seen()
    feed = Feed()
    feed.open(STAGE)
    feed.put(moment(0, "left", looks=Looks({"conv1": 0.1})))
    board.keep(feed.take())
    board.render(0.0, False, 1.0, None)
    text, picture = board.unseen(seen)
    assert [part["kind"] for part in json.loads(text)] == ["stage", "runs", "pulses", "looks", "now"] and picture
    board.render(1.0, True, 2.0, "end")
    text, picture = board.unseen(seen)
    runs, now = json.loads(text)
    assert runs["kind"] == "runs" and not picture
    assert (now["paused"], now["speed"], now["ended"]) == (True, 2.0, "end")


def test_a_long_history_comes_in_pieces():
    feed, board, seen, told = Feed(), Board(STAGE, 1), Seen(), []
    feed.open(STAGE)
    labels = ["left" if index % 2 else None for index in range(5000)]
    for index, label in enumerate(labels):
        feed.put(moment(index, label))
    board.keep(feed.take())
    sizes = []
    while len(told) < 5000:
        before = len(told)
        read(board, seen, told)
        sizes.append(len(told) - before)
    assert sizes == [2000, 2000, 1000] and told == [list(run) for run in run_lengths(labels)]


def test_a_moment_as_json():
    now = json.loads(wire.now_part(STAGE, moment(2, "right"), False, 1.0, None))
    assert now["evidence"] == [0.25, 0.5] and now["t_us"] == 3000 and now["label"] == "right" and now["truth"] == "left"
    assert now["stats"]["event_rate"] == 2000 and now["stats"]["queue"] is None
    assert json.loads(wire.now_part(STAGE, None, True, 0.0, None)) == {
        "kind": "now", "t_us": None, "paused": True, "speed": 0.0, "ended": None,
    }  # fmt: skip


def test_no_nan_and_no_numpy_reach_the_page():
    odd = Moment(
        np.int64(0), np.int64(1000), np.zeros((2, 4, 4)), {"left": np.float32("nan")}, None, np.float64(0.5), None,
        {"event_rate": np.float32("inf"), "queue": np.int64(3)},
    )  # fmt: skip
    text = wire.now_part(STAGE, odd, False, 1.0, None)
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["evidence"] == [None, None] and json.loads(text)["stats"]["queue"] == 3
    assert "NaN" not in wire.looks_part(Looks({"a": np.nan}, {"a": np.array([np.nan])}, {"a": np.full((2, 2), np.nan)}))
    assert wire.pulses_part(0, [wire.summary([])]).endswith("[[null,null]]}")


def test_maps_of_attention_keep_their_weights():
    import base64

    weights = np.linspace(0.2, 0.8, 12).reshape(3, 4).astype(np.float32)
    big = np.ones((100, 64), np.float32)
    told = json.loads(
        wire.looks_part(Looks(space={"conv1": weights, "conv2": big}, time={"conv1": weights}, neutral=0.5))
    )
    small, large = told["space"]
    levels = np.frombuffer(base64.b64decode(small["levels"]), np.uint8).reshape(3, 4)
    back = small["low"] + levels / 255 * (small["high"] - small["low"])
    assert np.allclose(back, weights, atol=0.003) and (small["width"], small["height"]) == (4, 3)
    assert (large["low"], large["high"]) == (1, 1) and large["width"] <= 32 and large["height"] <= 32
    assert told["time"] == [["conv1", [round(float(weight), 4) for weight in weights.ravel()]]]


def test_several_bins_as_one_pulse():
    assert wire.summary([Pulse(100.0, 1.0), Pulse(None, 5.0), Pulse(300.0, None)]) == Pulse(200.0, 5.0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"do": "play"}', ("play", 0)),
        ('{"do": "pause"}', ("pause", 0)),
        ('{"do": "step"}', ("step", 0)),
        ('{"do": "seek", "t_us": 1500}', ("seek", 1500)),
        ('{"do": "speed", "speed": 0}', ("speed", 0.0)),
        ('{"do": "speed", "speed": 0.25}', ("speed", 0.25)),
    ],
)
def test_commands(text, found):
    assert wire.command(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", '"play"', "{", '{"do": "stop"}', '{"do": ["play"]}', '{"do": null}', '{"play": 1}',
        '{"do": "seek"}', '{"do": "seek", "t_us": "1"}', '{"do": "seek", "t_us": 1.5}', '{"do": "seek", "t_us": true}',
        '{"do": "seek", "t_us": -1}', '{"do": "seek", "t_us": 1e400}', '{"do": "seek", "t_us": 99999999999999999999}',
        '{"do": "speed", "speed": NaN}', '{"do": "speed", "speed": Infinity}', '{"do": "speed", "speed": -1}',
        '{"do": "speed", "speed": 1e9}', '{"do": "speed", "speed": true}', '{"do": "speed", "speed": "1"}',
        "[" * 250, '{"do": "play", "x": "' + "x" * 300 + '"}',
    ],
)  # fmt: skip
def test_what_is_no_command_is_ignored(text):
    assert wire.command(text) is None


@settings(max_examples=300)
@given(st.text(max_size=300))
def test_no_text_breaks_the_ear(text):
    found = wire.command(text)
    assert found is None or found.do in ("play", "pause", "step", "seek", "speed")


def test_writer_and_reader_in_two_threads_lose_no_decision():
    feed, log = Feed(), Log(RUNS)
    feed.open(STAGE)
    labels = ["left" if index // 3 % 2 else "right" for index in range(9000)]

    def write():
        for index, label in enumerate(labels):
            feed.put(moment(index, label))

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        news = feed.take()
        log.splice(news.first_run, news.runs)
    writer.join()
    news = feed.take()
    log.splice(news.first_run, news.runs)
    assert log.since(0)[1] == list(run_lengths(labels))
