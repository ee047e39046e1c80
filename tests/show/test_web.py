"""The page's server: what it says to whom, that it obeys commands only, and that nobody makes anybody wait."""

import contextlib
import gc
import http.client
import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from dvspipe.errors import UsageError
from dvspipe.show import palette, web_viewers
from dvspipe.show.web import WebView
from dvspipe.show.web_app import expected, files

from .web_stream import BIN_US, CLASSES, Hand, Player, moment, stage


def quiet(url):
    """Tells nobody where the page is."""


@pytest.fixture
def hand():
    return Hand()


@pytest.fixture
def view(hand):
    with WebView(hand, on_url=quiet) as view:
        yield view


@contextlib.contextmanager
def watching(view, **kept):
    with connect(view.url.replace("http", "ws") + "/ws", origin=view.url, close_timeout=0.1, **kept) as viewer:
        yield viewer


def hear(viewer, until, seconds=5):
    """Messages (lists of parts, or bytes) up to and with the first that `until` is true for."""
    heard, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        message = viewer.recv(timeout=seconds)
        heard.append(message if isinstance(message, bytes) else json.loads(message))
        if until(heard[-1]):
            return heard
    raise AssertionError(f"not heard in {seconds} s")


def last(kind, heard):
    parts = [part for parts in heard if isinstance(parts, list) for part in parts if part["kind"] == kind]
    return parts[-1]


def kinds(parts):
    return [part["kind"] for part in parts] if isinstance(parts, list) else []


def is_picture(message):
    return isinstance(message, bytes)


def wait_for(true, seconds=5):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"did not come true in {seconds} s"
        time.sleep(0.01)


def get(view, path, method="GET", **headers):
    line = http.client.HTTPConnection(view.url.removeprefix("http://"), timeout=5)
    line.request(method, path, headers=headers)
    answer = line.getresponse()
    body = answer.read()
    line.close()
    return answer.status, dict(answer.getheaders()), body


# --- The files


def test_serves_the_page_and_its_files_and_nothing_else(view):
    status, headers, body = get(view, "/")
    assert status == 200 and headers["content-type"].startswith("text/html") and body == files()["index.html"]
    for name in files():
        assert get(view, f"/{name}")[0] == 200, name
    assert get(view, "/app.js")[1]["content-type"].startswith("text/javascript")
    assert palette.ON in get(view, "/palette.css")[2].decode()
    for path in ("/nothing.js", "/../web.py", "/%2e%2e/web.py", "/..%2fweb.py", "/live/app.js", "//etc/passwd"):
        assert get(view, path)[0] == 404, path
    assert get(view, "/", "POST")[0] == 405


def test_every_answer_forbids_what_the_page_does_not_need(view):
    for path in ("/", "/app.js", "/nothing"):
        _, headers, _ = get(view, path)
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy


def test_the_page_asks_nobody_else_for_anything():
    for name, content in files().items():
        text = content.decode()
        addresses = re.findall(r"""["'(`](?:https?:|wss?:)?//\w[^"')]*""", text)
        assert [word for word in addresses if "www.w3.org/2000/svg" not in word] == [], name
        assert "innerHTML" not in text and "eval(" not in text and "document.write" not in text, name
    assert b"@import" not in files()["style.css"] and b"url(" not in files()["style.css"]


# --- The door


def test_a_strangers_name_for_this_machine_is_refused(view):
    status, headers, _ = get(view, "/", Host="evil.example")
    assert status == 403 and headers["cache-control"] == "no-store"
    port = view.url.rsplit(":", 1)[1]
    assert get(view, "/", Host=f"localhost:{port}")[0] == 200
    assert get(view, "/", Host="localhost:9999")[0] == 200, "a tunnel changes the port"


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "https://127.0.0.1.evil.example"])
def test_another_sites_page_cannot_watch_or_control(view, origin):
    with pytest.raises(InvalidStatus, match="403"):
        connect(view.url.replace("http", "ws") + "/ws", origin=origin)


def test_a_rebound_name_cannot_even_with_its_own_origin(view):
    host, port = view.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line, pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://evil.example:{port}/ws", sock=line, origin=f"http://evil.example:{port}")


@pytest.mark.parametrize(
    ("address", "bound", "answer"),
    [
        ("127.0.0.1:80", "127.0.0.1", True),
        ("LOCALHOST", "127.0.0.1", True),
        ("[::1]:80", "::1", True),
        ("192.168.1.5:80", "127.0.0.1", False),
        ("192.168.1.5:80", "0.0.0.0", True),
        ("192.168.1.5:80", "", True),
        ("lab.example", "lab.example", True),
        ("evil.example", "0.0.0.0", False),
        (f"{socket.gethostname()}:80", "0.0.0.0", True),
        ("", "", False),
        ("[", "0.0.0.0", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("evil.example@localhost", "127.0.0.1", True),  # the name behind the @ is what counts, and no browser sends it
    ],
)
def test_which_hosts_are_expected(address, bound, answer):
    assert expected(address, bound) is answer


# --- What viewers are told


def test_a_viewer_is_told_everything(view):
    with Player(view), watching(view) as viewer:
        heard = hear(viewer, lambda parts: is_picture(parts) and len(parts) == 4 + 2 * 32 * 32)
        first = heard[0]
        assert kinds(first)[0] == "stage" and kinds(first)[-1] == "now"
        assert (
            first[0]["classes"] == list(CLASSES) and first[0]["can_seek"] is True and first[0]["stop_us"] == 20_000_000
        )
        assert struct.unpack("<HH", heard[-1][:4]) == (32, 32) and any(heard[-1][4:])
        heard = hear(viewer, lambda parts: "looks" in kinds(parts))
        assert last("looks", heard)["rates"] == [["conv1", 0.1], ["hidden", 0.05]]
        assert last("now", heard)["stats"]["p99_ms"] == 3.5


def test_a_late_viewer_gets_the_whole_timeline_and_the_last_picture(view):
    view.open(stage())
    for index in range(200):
        view.update(moment(index, stage()))
    time.sleep(0.3)
    with watching(view) as viewer:
        heard = hear(viewer, is_picture)
    runs = last("runs", heard)
    edges = [run[1] for run in runs["items"]]
    assert runs["first"] == 0 and edges[0] == 0 and runs["items"][-1][2] == 200 * BIN_US
    assert [run[2] for run in runs["items"][:-1]] == edges[1:], "without a gap"
    assert last("now", heard)["t_us"] == 200 * BIN_US and any(heard[-1][4:])
    assert len(last("pulses", heard)["items"]) >= 1


def test_pause_is_told_though_no_bin_comes(view, hand):
    view.open(stage())
    view.update(moment(0, stage()))
    with watching(view) as viewer:
        hear(viewer, lambda parts: "now" in kinds(parts))
        hand.paused, hand.speed = True, 2.0
        heard = hear(viewer, lambda parts: "now" in kinds(parts) and last("now", [parts])["paused"])
    assert last("now", heard)["speed"] == 2.0


def test_the_server_gives_signs_of_life(view):
    view.open(stage())
    with watching(view) as viewer:
        start = time.monotonic()
        hear(viewer, lambda parts: "stage" in kinds(parts))
        hear(viewer, lambda parts: "now" in kinds(parts))
        assert 0.5 < time.monotonic() - start < 3


def test_another_recording_of_a_playlist_starts_anew(view):
    view.open(stage(title="first"))
    view.update(moment(0, stage()))
    with watching(view) as viewer:
        assert last("stage", hear(viewer, lambda parts: "stage" in kinds(parts)))["title"] == "first"
        view.open(stage(title="second"))
        heard = hear(viewer, lambda parts: "stage" in kinds(parts))
    assert last("stage", heard)["title"] == "second"
    assert last("now", [heard[-1]])["t_us"] is None and "runs" not in kinds(heard[-1])


def test_the_end_is_told_and_the_last_picture_stays(view):
    view.open(stage())
    view.update(moment(3, stage()))
    view.finish("end of the recording")
    with watching(view) as viewer:
        heard = hear(viewer, is_picture)
    assert last("now", heard)["ended"] == "end of the recording" and any(heard[-1][4:])


def test_who_is_there_when_the_server_closes_hears_why(hand):
    with contextlib.ExitStack() as viewers:
        with pytest.raises(KeyboardInterrupt), WebView(hand, on_url=quiet) as view:
            view.open(stage())
            view.update(moment(0, stage()))
            viewer = viewers.enter_context(watching(view))
            hear(viewer, is_picture)
            raise KeyboardInterrupt
        heard = hear(viewer, lambda parts: "now" in kinds(parts) and last("now", [parts])["ended"])
        assert last("now", heard)["ended"] == "stopped by KeyboardInterrupt"
        with pytest.raises(ConnectionClosed):
            viewer.recv(timeout=2)


# --- What viewers may ask


def test_commands_reach_the_run_and_everything_else_does_not(view, hand):
    view.open(stage())
    with watching(view) as viewer:
        hear(viewer, lambda parts: "stage" in kinds(parts))
        for asked in (
            {"do": "pause"}, "no JSON", {"do": "stop"}, {"do": "play"}, {"do": "seek", "t_us": 5000},
            {"do": "seek", "t_us": "x"}, {"do": "speed", "speed": 4}, {"do": "speed", "speed": 0}, {"do": "step"},
        ):  # fmt: skip
            viewer.send(asked if isinstance(asked, str) else json.dumps(asked))
        wait_for(lambda: "step" in hand.calls)
    assert hand.calls == ["pause", "play", ("seek", 5000), ("speed", 4.0), ("speed", 0.0), "step"]


def test_a_camera_has_no_controls(view, hand):
    view.open(stage(can_seek=False, seconds=None))
    with watching(view) as viewer:
        hear(viewer, lambda parts: "stage" in kinds(parts))
        for do in ("pause", "step", "play"):
            viewer.send(json.dumps({"do": do}))
        time.sleep(0.3)
    assert hand.calls == []


def test_what_is_too_long_ends_that_viewer_only(view):
    with Player(view), watching(view) as other, watching(view) as viewer:
        hear(viewer, is_picture)
        viewer.send(b"no text is no command")
        hear(viewer, is_picture)
        viewer.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            hear(viewer, lambda _: False)
        hear(other, is_picture)


# --- Nobody makes anybody wait


def stalled(view):
    """A viewer that never reads."""
    host, port = view.url.removeprefix("http://").split(":")
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect((host, int(port)))
    line.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: {view.url}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return line


def test_a_stalled_viewer_slows_nobody_and_is_let_go(view, monkeypatch):
    monkeypatch.setattr(web_viewers, "SEND_S", 0.3)
    connections = view._server.server_state.connections
    with Player(view, every_s=0.005, size=128) as player, stalled(view), watching(view) as viewer:
        hear(viewer, is_picture)
        wait_for(lambda: len(connections) == 2)
        start = time.monotonic()
        pictures = [heard for heard in hear(viewer, lambda _: time.monotonic() > start + 2) if is_picture(heard)]
        assert len(pictures) >= 20
        wait_for(lambda: len(connections) == 1, 10)
    costs = sorted(player.costs)
    assert costs[len(costs) // 2] < 0.001


def test_a_slow_viewer_gets_the_newest_and_the_whole_timeline(view):
    with Player(view, every_s=0.002), watching(view, max_queue=1) as viewer:
        told = []
        for _ in range(12):
            time.sleep(0.15)
            message = viewer.recv(timeout=2)
            for part in json.loads(message) if isinstance(message, str) else ():
                if part["kind"] == "runs":
                    assert part["first"] <= len(told), "a hole in the timeline"
                    told[part["first"] :] = part["items"]
    whole = [run for run in told if run[2] - run[1] == 1_000_000]
    assert len(whole) >= 1 and all(before[2] == after[1] or after[1] == 0 for before, after in pairwise(told))


def test_a_viewer_that_leaves_without_a_word_does_no_harm(view):
    with Player(view), watching(view) as other:
        gone = stalled(view)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        hear(other, is_picture)
        gone.close()
        for _ in range(5):
            hear(other, is_picture)


def test_viewers_are_not_too_many(view, monkeypatch):
    monkeypatch.setattr(web_viewers, "MOST", 2)
    with Player(view), watching(view) as first, watching(view) as second:
        hear(first, is_picture)
        hear(second, is_picture)
        with watching(view) as third, pytest.raises(ConnectionClosed) as closed:
            third.recv(timeout=5)
        assert closed.value.rcvd.code == 1013
        hear(first, is_picture)


def test_memory_stays_where_it_is(view):
    resource = pytest.importorskip("resource")
    of = stage(size=128)
    bins = [moment(index, of, 128) for index in range(40)]
    view.open(of)
    peaks = []
    for _ in range(2):
        for index in range(4000):
            view.update(bins[index % 40])
        gc.collect()
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert peaks[1] - peaks[0] < 30_000, "kB, for 500 MB of frames"


def test_an_update_takes_microseconds_with_and_without_a_viewer(view):
    of, bins = stage(), [moment(index, stage()) for index in range(400)]
    view.open(of)
    medians = []
    for watched in (False, True):
        with watching(view) if watched else contextlib.nullcontext() as viewer:
            if viewer is not None:
                hear(viewer, is_picture)
            costs = []
            for each in bins:
                before = time.perf_counter()
                view.update(each)
                costs.append(time.perf_counter() - before)
                time.sleep(0.0005)
            medians.append(sorted(costs)[len(costs) // 2])
    assert max(medians) < 300e-6, medians


# --- Start and stop


def test_goes_within_two_seconds_and_leaves_no_thread(hand):
    before = threading.active_count()
    with contextlib.ExitStack() as viewers:
        with WebView(hand, on_url=quiet) as view:
            viewers.enter_context(stalled(view))
            viewer = viewers.enter_context(watching(view))
            with Player(view, size=128):
                hear(viewer, is_picture)
                time.sleep(1.0)
            start = time.monotonic()
        assert time.monotonic() - start < 2
        assert not [thread for thread in threading.enumerate() if thread.name == "dvspipe-web"]
    wait_for(lambda: threading.active_count() <= before)


def test_the_port_is_free_again_at_once(hand):
    with WebView(hand, on_url=quiet) as view:
        port = int(view.url.rsplit(":", 1)[1])
        with watching(view):
            pass
    with WebView(hand, port=port, on_url=quiet) as view:
        assert view.url == f"http://127.0.0.1:{port}" and get(view, "/")[0] == 200


def test_a_port_in_use_is_named(view, hand):
    port = int(view.url.rsplit(":", 1)[1])
    with pytest.raises(UsageError, match=f"port {port} on 127.0.0.1 is in use.*another port"), WebView(hand, port=port):
        pass


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [("127.0.0.1", 70_000, "0 to 65535"), ("no.such.invalid", 0, "no.such.invalid")],
)
def test_an_address_that_cannot_be_had_is_named(hand, host, port, words):
    with pytest.raises(UsageError, match=words), WebView(hand, host=host, port=port):
        pass


def test_says_where_it_is_on_stderr(hand, capsys):
    with WebView(hand) as view:
        pass
    out, err = capsys.readouterr()
    assert out == "" and view.url in err


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_serves_ipv6(hand):
    try:
        view = WebView(hand, host="::1", on_url=quiet).__enter__()
    except UsageError as error:
        pytest.skip(str(error))
    with view:
        assert view.url.startswith("http://[::1]:") and get(view, "/")[0] == 200
        with watching(view):
            pass


def test_the_server_is_loaded_only_where_it_is_used():
    code = (
        "import sys, dvspipe.show.web; "
        "print([name for name in ('starlette', 'uvicorn', 'websockets', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
