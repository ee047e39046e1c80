"""The keyboard: which keys do what, on a real pseudo-terminal, and the terminal's mode afterwards."""

import io
import os
import pty
import signal
import subprocess
import sys
import termios
import time

import pytest

from dvspipe.errors import UsageError
from dvspipe.show.keys import SPEEDS, Keys, keys


class Remote:
    """Writes down what it is asked for."""

    def __init__(self):
        self.asked, self.paused, self.speed = [], False, 1.0

    def pause(self):
        self.asked.append("pause")
        self.paused = True

    def play(self):
        self.asked.append("play")
        self.paused = False

    def step(self):
        self.asked.append("step")

    def stop(self):
        self.asked.append("stop")

    def seek(self, t_us):
        self.asked.append(t_us)

    def set_speed(self, speed):
        self.asked.append(("speed", speed))
        self.speed = speed


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    with open(slave, closefd=False) as stream:
        yield master, slave, stream
    os.close(master)
    os.close(slave)


@pytest.fixture(autouse=True)
def _ours(monkeypatch):
    """A pseudo-terminal made by a test is nobody's controlling terminal."""
    monkeypatch.setattr("dvspipe.show.keys._in_front", lambda file: True)


def until(condition, seconds=3.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    assert condition()


def test_keys_on_a_terminal_reach_the_remote(terminal):
    master, _, stream = terminal
    remote = Remote()
    with Keys(remote, lambda: 30_000_000, stream) as listening:
        assert listening.active
        os.write(master, b" .xq")
        until(lambda: len(remote.asked) == 3)
    assert remote.asked == ["pause", "step", "stop"]


def test_space_pauses_and_plays():
    remote = Remote()
    pressed = Keys(remote, lambda: 0)
    for _ in range(2):
        pressed.press(b" ")
    assert remote.asked == ["pause", "play"]


@pytest.mark.parametrize(
    ("typed", "to_s"),
    [(b"\x1b[C", 31), (b"\x1b[D", 29), (b"\x1b[A", 40), (b"\x1b[B", 20), (b"\x1bOC", 31), (b"\x1b[1;2D", 20)],
)  # fmt: skip
def test_arrows_seek(terminal, typed, to_s):
    master, _, stream = terminal
    remote = Remote()
    with Keys(remote, lambda: 30_000_000, stream):
        os.write(master, typed)
        until(lambda: remote.asked)
    assert remote.asked == [to_s * 1_000_000]


def test_arrows_add_up_before_the_picture_follows():
    remote, now = Remote(), [500_000]
    pressed = Keys(remote, lambda: now[0])
    for _ in range(3):
        pressed.press(b"right")
    assert remote.asked == [1_500_000, 2_500_000, 3_500_000]
    now[0] = 3_525_000
    pressed.press(b"down")
    assert remote.asked[-1] == 0, "not before the beginning"


def test_speed_goes_up_and_down_the_ladder():
    remote = Remote()
    pressed = Keys(remote, lambda: 0)
    for _ in SPEEDS:
        pressed.press(b"+")
    assert remote.speed == SPEEDS[-1]
    for _ in range(2 * len(SPEEDS)):
        pressed.press(b"-")
    assert remote.speed == SPEEDS[0]
    remote.speed = 0
    pressed.press(b"-")
    assert remote.speed == SPEEDS[-1], "as fast as possible lies above the fastest"


def test_a_source_that_refuses_a_speed_goes_on():
    class Camera(Remote):
        def set_speed(self, speed):
            raise UsageError("a camera has its own time")

    Keys(Camera(), lambda: 0).press(b"+")


def test_sequences_arrive_in_pieces():
    assert keys(b"\x1b") == ([], b"\x1b")
    assert keys(b" \x1b[1;") == ([b" "], b"\x1b[1;")
    assert keys(b"\x1b[1;2C\x1b[A.") == ([b"shift-right", b"up", b"."], b"")
    assert keys(b"\x1b[15~\x1bq") == ([b"\x1b", b"q"], b""), "an unknown sequence is no series of keys"


@pytest.mark.parametrize("failure", [None, RuntimeError, KeyboardInterrupt])
def test_the_terminal_is_put_back_however_it_ends(terminal, failure):
    _, slave, stream = terminal
    before = termios.tcgetattr(slave)
    try:
        with Keys(Remote(), lambda: 0, stream):
            assert not termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO)
            assert termios.tcgetattr(slave)[3] & termios.ISIG, "Ctrl-C still interrupts"
            if failure:
                raise failure
    except (RuntimeError, KeyboardInterrupt):
        pass
    assert termios.tcgetattr(slave) == before


def test_no_terminal_no_controls(tmp_path):
    (tmp_path / "file").touch()
    with (tmp_path / "file").open() as stream, Keys(Remote(), lambda: 0, stream) as listening:
        assert not listening.active
    with Keys(Remote(), lambda: 0, io.StringIO("q")) as listening:
        assert not listening.active


def test_a_job_in_the_background_leaves_the_terminal_alone(terminal, monkeypatch):
    monkeypatch.setattr("dvspipe.show.keys._in_front", lambda file: False)
    _, slave, stream = terminal
    before = termios.tcgetattr(slave)
    with Keys(Remote(), lambda: 0, stream) as listening:
        assert not listening.active and termios.tcgetattr(slave) == before


CHILD = """
import time
from dvspipe.show.keys import Keys
with Keys(None, lambda: 0) as listening:
    print("listening" if listening.active else "deaf", flush=True)
    time.sleep(20)
"""


def test_ctrl_c_on_a_controlling_terminal_interrupts_and_restores():
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    own = {"start_new_session": True, "preexec_fn": lambda: __import__("fcntl").ioctl(slave, termios.TIOCSCTTY, 0)}
    done = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **own
    )
    try:
        assert done.stdout.readline() == b"listening\n"
        os.write(master, b"\x03")
        _, error = done.communicate(timeout=10)
        assert b"KeyboardInterrupt" in error and done.returncode in (-signal.SIGINT, 130, 1)
        assert termios.tcgetattr(slave) == before
    finally:
        done.kill()
        os.close(master)
        os.close(slave)
