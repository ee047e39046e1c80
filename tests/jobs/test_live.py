"""`dvspipe live` with everything around the network: playlists, damage, drops, resets, seeking, views and what they leave."""

import json
import re
import shutil
import signal
import socket
import struct
import threading
import time
import urllib.request

import numpy as np
import pytest
import torch

import dvspipe
from dvspipe.frames import to_frames
from dvspipe.jobs.live import Outlets, Playing, play
from dvspipe.jobs.live_session import Session
from dvspipe.jobs.runs import load_run
from dvspipe.live.sources.opening import open_source
from dvspipe.recordings.writers.aedat31 import write_aedat31


@pytest.fixture(scope="module")
def run(plain):
    return load_run(plain["run"])


@pytest.fixture
def source(archive):
    return f"{archive['archive']}#user24_fluorescent"


def session_of(source, run, **how):
    return Session(run, open_source(str(source), run.sensor_size), Playing(**{"speed": 0.0, **how}))


def outputs(session, seek=None):
    """(bin, evidence, label) of every bin; `seek` (after so many bins, to this time)."""
    found = []
    for each in session.decided():
        found.append((each.bin, each.evidence.copy(), each.row["label"]))
        if seek and len(found) == seek[0]:
            session.controls.seek(seek[1])
    return found


@pytest.mark.parametrize("block", [2, 7, 32])
def test_blocks_of_bins_decide_as_single_ones(source, run, block):
    """Law 4, through everything."""
    single, many = outputs(session_of(source, run)), outputs(session_of(source, run, block=block))
    assert [label for *_, label in single] == [label for *_, label in many]
    assert [each.index for each, *_ in single] == [each.index for each, *_ in many]
    for (_, one, _), (_, other, _) in zip(single, many):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_thread_and_a_view_decide_as_none(source, run):
    bare, seen = outputs(session_of(source, run)), outputs(session_of(source, run, looking=True))
    assert [label for *_, label in bare] == [label for *_, label in seen]


@pytest.mark.parametrize("looking", [False, True])
@pytest.mark.parametrize("stop_after", [5, None])
def test_a_session_says_how_it_ended(source, run, looking, stop_after):
    session = session_of(source, run, looking=looking)
    for count, _ in enumerate(session.decided(), 1):
        if count == stop_after:
            session.controls.stop()
    assert session.result()["ended"] == ("stopped" if stop_after else "the recording ended")


def test_seeking_starts_from_rest(source, run):
    """After a seek everything is as if the recording began there."""
    session = session_of(source, run)
    found = outputs(session, seek=(30, 400_000))
    again = found[30:]
    assert again[0][0].index == 8
    frames, _ = to_frames(dvspipe.open_recording(source), run.bin_us, downsample=run.downsample)
    with torch.no_grad():
        out, _ = run.model(torch.from_numpy(frames[8:, None]))
    session.decider.reset()
    rates = frames[8:].sum((1, 2, 3)) * 1e6 / run.bin_us
    labels, _ = session.decider.replay(out[:, 0].numpy(), rates)
    assert [label for *_, label in again] == [None if each < 0 else run.classes[each] for each in labels]


def test_a_long_silence_resets_and_a_short_one_does_not(run, tmp_path):
    def burst(first_us):
        rng = np.random.default_rng(0)
        t = first_us + np.sort(rng.integers(0, 400_000, 4000))
        x, y = (rng.integers(0, 128, 4000) for _ in range(2))
        return dvspipe.events.Events.of(t, x, y, t % 2, (128, 128))

    for gap_us, resets in ((300_000, 0), (800_000, 1)):
        path = tmp_path / f"{gap_us}.aedat"
        write_aedat31(path, [burst(0), burst(400_000 + gap_us)])
        session = session_of(path, run)
        begun, reset = [], session.network.reset
        session.network.reset = lambda at=begun, one=session, reset=reset: (at.append(one.bins), reset())
        found = outputs(session)
        assert session.resets == resets
        assert begun == [0, *[(400_000 + gap_us) // run.bin_us] * resets], "at the first bin with events again"
        never = outputs(session_of(path, run, reset_gap_ms=0))
        if not resets:
            assert all(np.array_equal(one[1], other[1]) for one, other in zip(found, never))
        assert len(found) == len(never)


@pytest.mark.parametrize("drop", ["oldest", "newest", "merge"])
def test_too_slow_a_network_loses_what_the_policy_says_and_counts_it(source, run, drop):
    session = session_of(source, run, speed=20.0, drop=drop, ring=2)
    slow, score = [], session.network.score

    def slowly(*arguments):
        time.sleep(0.01)
        slow.append(arguments[1])
        return score(*arguments)

    session.network.score = slowly
    list(session.decided())
    result = session.result()
    frames, _ = to_frames(dvspipe.open_recording(source), run.bin_us, downsample=run.downsample)
    assert result["bins"] + result["dropped_bins"] + result["merged_bins"] == len(frames)
    assert result["events"] + result["dropped_events"] == frames.sum()
    assert (result["merged_bins"] > 0) == (drop == "merge")
    assert (result["dropped_bins"] > 0) == (drop != "merge")
    assert result["late_bins"] > 0
    assert sum(slow) <= result["dropped_bins"] + result["merged_bins"], "gaps are told to the network"
    assert sum(slow) > 0


def test_a_folder_plays_as_a_playlist(workplace, run, archive, tmp_path, recordings_dir):
    shutil.copy(recordings_dir / "derived" / "user99_fluorescent.aedat", tmp_path / "b.aedat")
    shutil.copy(recordings_dir / "derived" / "user99_fluorescent_labels.csv", tmp_path / "b_labels.csv")
    shutil.copy(recordings_dir / "nmnist_sample.bin", tmp_path / "a.bin")
    (tmp_path / "c.txt").write_text("not one event\n")
    result = workplace.json("live", tmp_path, "--run", run.path, "--speed", 0, "--view", "none", "--out", "list.jsonl")
    rows = [json.loads(line) for line in (workplace.folder / "list.jsonl").read_text().splitlines()]
    assert result["recordings"] == 2
    assert len(result["skipped"]) == 1 and "c.txt" in result["skipped"][0]
    assert list(dict.fromkeys(row["recording"] for row in rows)) == ["a.bin", "b.aedat"]
    assert result["agreement"] is not None
    assert {"raw", "events", "confidence", "label", "latency_ms", "t_us", "bin"} <= set(rows[0])


@pytest.mark.parametrize(("policy", "code"), [("skip", 3), ("stop", 3), ("fail", 1)])
def test_damage_is_played_around_as_asked(workplace, run, recordings_dir, tmp_path, policy, code):
    whole = (recordings_dir / "derived" / "user99_fluorescent.aedat").read_bytes()
    (tmp_path / "hurt.aedat").write_bytes(whole[:500_000] + b"\xff" * 5_000 + whole[505_000:])
    got, out, err = workplace.call(
        "live",
        tmp_path / "hurt.aedat",
        "--run",
        run.path,
        "--speed",
        0,
        "--view",
        "none",
        "--on-damage",
        policy,
        "--json",
    )
    assert got == code, err
    if policy == "fail":
        assert "on_damage" in err or "damage" in err
        return
    result = json.loads(out)
    assert result["damage"]["offset"] >= 490_000
    assert (result["bins"] > 10) == (policy == "skip")


def test_report_video_and_decisions_are_left(run, source, tmp_path):
    outlets = Outlets(out=tmp_path / "o.jsonl", record=tmp_path / "o.webm", report=tmp_path / "o.html")
    played = play(source, run, Playing(speed=0.0), outlets)
    assert played.result["report"] == str(tmp_path / "o.html")
    text = (tmp_path / "o.html").read_text()
    assert "Decisions over time" in text
    assert "simulated" in text
    assert (tmp_path / "o.webm").stat().st_size > 10_000
    import av

    with av.open(str(tmp_path / "o.webm")) as video:
        seconds = played.result["bins"] * run.bin_us / 1e6
        assert float(video.duration) / 1e6 == pytest.approx(seconds, abs=0.2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.html", "o.jsonl", "o.webm"]


def test_a_video_that_cannot_be_written_is_told_and_leaves_nothing(run, source, tmp_path):
    with pytest.raises(dvspipe.errors.DvspipeError):
        play(source, run, Playing(speed=0.0), Outlets(record=tmp_path / "missing" / "o.webm"))
    with pytest.raises(dvspipe.errors.UsageError, match=r"\.mp4"):
        play(source, run, Playing(speed=0.0), Outlets(record=tmp_path / "o.wmv"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--view", "termnal"], "did you mean 'terminal'"),
        (["--block", "8", "--speed", "1", "--view", "none"], "--block"),
        (["--block", "8", "--speed", "0", "--view", "web"], "--block"),
        (["--speed", "nan"], "speed"),
        (["--convention", "raw", "--view", "none"], "convention"),
    ],
)
def test_options_that_do_not_fit_are_told(workplace, run, source, arguments, word):
    code, _, err = workplace.call("live", source, "--run", run.path, *arguments)
    assert code == 2
    assert word in err


def test_the_page_is_served_while_it_plays_and_a_camera_comes_by_udp(workplace, run):
    """The real command, a real socket: packets in, a page out, one JSON document at the end."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"udp://127.0.0.1:{port}?timeout=1.5"
    process = workplace.start("live", address, "--run", run.path, "--view", "web", "--json")
    heard = []
    url = None
    while url is None:
        heard.append(process.stderr.readline())
        assert heard[-1], "".join(heard)
        found = re.search(r"http://\S+", heard[-1])
        url = found and found.group()
    page = urllib.request.urlopen(url, timeout=5).read().decode()
    assert "<canvas" in page

    def camera():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for k in range(100):
                rows = [struct.pack("<QHHB", 10_000 * k + 100 * i, (k + i) % 128, i % 128, i % 2) for i in range(60)]
                out.sendto(b"".join(rows), ("127.0.0.1", port))
                time.sleep(0.01)

    thread = threading.Thread(target=camera)
    thread.start()
    out, err = process.communicate(timeout=60)
    thread.join()
    result = json.loads(out)
    assert process.returncode == 0, err
    assert result["bins"] >= 18
    told = ("events", "dropped_events", "late_events", "tail_events")
    assert sum(result[name] for name in told) == 6000, {name: result[name] for name in told}
    assert result["events"] >= 3000
    assert result["losses"]["lost_packets"] == 0
    assert result["damage"] is None


def test_ctrl_c_ends_a_session_and_keeps_everything(workplace, run, source, tmp_path):
    """The usual end of a camera's session: decisions, video, report and figures are there."""
    left = {name: tmp_path / name for name in ("o.jsonl", "o.webm", "o.html")}
    files = ("--out", left["o.jsonl"], "--record", left["o.webm"], "--report", left["o.html"])
    process = workplace.start("live", source, "--run", run.path, "--view", "none", *files, "--json")
    while not (left["o.jsonl"].exists() and left["o.jsonl"].read_text().count("\n") > 10):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    result = json.loads(out)
    assert result["ended"] == "interrupted"
    assert 10 < result["bins"] == left["o.jsonl"].read_text().count("\n")
    assert all(path.stat().st_size > 1000 for path in left.values())
