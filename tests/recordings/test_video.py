"""Videos in and out: what is written can be watched, what is watched becomes events, and damage is told."""

import random

import av
import numpy as np
import pytest

from dvspipe.errors import DamagedRecordingError, RecordingError, ShapeError, UsageError
from dvspipe.events import Events
from dvspipe.recordings import open_recording
from dvspipe.recordings.formats import video as video_format
from dvspipe.recordings.layouts.video_container import container_of, missing_bytes
from dvspipe.recordings.video_writer import KINDS, VideoWriter
from dvspipe.sensor.pixel import DvsPixels

SUFFIXES = sorted(KINDS)


def pictures(count, size=(64, 48), step=2):
    """A bright bar that moves to the right."""
    for index in range(count):
        rgb = np.full((size[1], size[0], 3), 30, np.uint8)
        rgb[:, (index * step) % size[0] : (index * step) % size[0] + 6] = (255, 160, 77)
        yield rgb


def write(path, count=30, size=(64, 48), fps=50):
    with VideoWriter(path, size, fps) as video:
        for rgb in pictures(count, size):
            video.write(rgb)
    return path


def decoded(path):
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def encode(path, frames, codec, times_ms=None, pixels="yuv420p"):
    """A video by PyAV alone, with any times: our writer cannot hide a fault of our reader."""
    from fractions import Fraction

    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=50)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            if times_ms:
                frame.pts, frame.time_base = times_ms[index], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


# ---------------------------------------------------------------------------------------------------------------- out


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_picture_is_in_the_video_at_its_time(tmp_path, suffix):
    held = decoded(write(tmp_path / f"made{suffix}"))
    assert [time for time, _ in held] == pytest.approx([index / 50 for index in range(30)])
    difference = [np.abs(rgb.astype(int) - wanted).mean() for (_, rgb), wanted in zip(held, pictures(30))]
    assert max(difference) < (0.01 if suffix == ".gif" else 6)
    assert [each.name for each in tmp_path.iterdir()] == [f"made{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_odd_sizes_are_padded_not_scaled(tmp_path, suffix):
    held = decoded(write(tmp_path / f"made{suffix}", 3, (33, 21)))
    height, width = held[0][1].shape[:2]
    assert (width, height) == ((33, 21) if suffix == ".gif" else (34, 22))
    assert np.abs(held[0][1][:21, :33].astype(int) - next(pictures(1, (33, 21)))).mean() < 12


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_block_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"made{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), VideoWriter(path, (64, 48)) as video:
        video.write(next(pictures(1)))
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk_is_said_and_nothing_is_left(tmp_path, small_disk, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (40, 96, 128, 3), dtype=np.uint8)
    refused = pytest.raises(RecordingError, match="cannot be written")
    with small_disk(20_000), refused, VideoWriter(tmp_path / f"made{suffix}", (128, 96)) as video:
        for rgb in noise:
            video.write(rgb)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_pictures_are_one_black_one(tmp_path, suffix):
    with VideoWriter(tmp_path / f"made{suffix}", (64, 48)):
        pass
    assert len(decoded(tmp_path / f"made{suffix}")) == 1


def test_wrong_words_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.mp4, \.webm, \.gif"):
        VideoWriter(tmp_path / "made.mpg", (64, 48))
    with pytest.raises(UsageError, match="pictures a second"):
        VideoWriter(tmp_path / "made.gif", (64, 48), fps=100)
    with pytest.raises(UsageError, match="pixels a side"):
        VideoWriter(tmp_path / "made.gif", (64, 0))
    with pytest.raises(ShapeError, match=r"\[48, 64, 3\]"), VideoWriter(tmp_path / "made.mp4", (64, 48)) as video:
        video.write(np.zeros((64, 48, 3), np.uint8))
    with pytest.raises(RecordingError, match="cannot be written"), VideoWriter(tmp_path / "no" / "made.mp4", (64, 48)):
        pass
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------------------------- in


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_moving_bar_becomes_moving_edges(tmp_path, suffix):
    recording = open_recording(write(tmp_path / f"made{suffix}"))
    events = recording.load()
    assert (recording.format, recording.sensor_size, recording.damage) == ("video", (64, 48), None)
    assert events.t[0] > 0 and events.t[-1] <= 29 * 20_000
    assert (np.diff(events.t) >= 0).all()
    for start in range(100_000, 500_000, 100_000):  # the front of the bar is ON, its back OFF
        part = events.between(start, start + 20_000)
        bar = (start // 20_000 * 2 + np.arange(10)) % 64
        assert np.isin(part.x, bar).mean() > 0.9
        assert part.x[part.p].mean() > part.x[~part.p].mean()


def test_events_are_those_of_the_sensor_before_the_screen(tmp_path, same):
    grays = [np.full((32, 32, 3), value, np.uint8) for value in (20, 60, 200, 90)]
    recording = open_recording(encode(tmp_path / "made.mkv", grays, "ffv1", [0, 40, 60, 700], "gray"))
    pixels, light = DvsPixels((32, 32)), lambda gray: ((gray / 255 + 0.055) / 1.055) ** 2.4
    frames = [np.full((32, 32), round(65535 * light(int(gray[0, 0, 0]))), np.uint16) for gray in grays]
    parts = [pixels.step(frame, t) for frame, t in zip(frames, (0, 40_000, 60_000, 700_000))]
    assert same(recording.load(), Events.concatenate(parts, (32, 32)))


def test_large_pictures_are_shrunk_by_area(tmp_path):
    recording = open_recording(write(tmp_path / "made.mp4", 5, (1280, 720)))
    assert recording.sensor_size == (346, 195)
    assert recording.details["video_size"] == [1280, 720]
    assert max(len(chunk) for chunk in recording) <= 65_536


def test_a_long_still_stands(tmp_path):
    frames = list(pictures(4))
    recording = open_recording(encode(tmp_path / "made.mkv", frames, "ffv1", times_ms=[0, 20, 600_000, 600_020]))
    events = recording.load()
    assert recording.damage is None
    still = events.between(1_000_000, 599_000_000)
    assert len(still) < 0.35 * 64 * 48 * 598  # only leak and noise: nothing moves while a picture stands
    assert len(events.between(599_000_001, 600_000_001)) > 300


@pytest.mark.parametrize("stray_ms", [5, 700_000, 10**8])
def test_a_stray_frame_time_is_left_out(tmp_path, stray_ms):
    times = [0, 20, 40, 60, stray_ms, 100, 120, 140]
    video = video_format._Camera(open_recording(write(tmp_path / "made.mp4", 8)))
    picture = np.zeros((48, 64), np.uint16)
    video._decoded = lambda: ((1000 * t, picture) for t in times)
    assert [t // 1000 for t, _ in video.in_time()] == [0, 20, 40, 60, 100, 120, 140]
    assert video.recording.damage.kind == "corrupt"


def test_two_pictures_of_one_time_are_no_damage(tmp_path):
    video = video_format._Camera(open_recording(write(tmp_path / "made.mp4", 8)))
    video._decoded = lambda: ((1000 * t, np.full((48, 64), i, np.uint16)) for i, t in enumerate([0, 20, 20, 40]))
    assert [(t // 1000, int(picture[0, 0])) for t, picture in video.in_time()] == [(0, 0), (20, 2), (40, 3)]
    assert video.recording.damage is None


def test_the_way_a_phone_was_held(tmp_path):
    recording = open_recording(write(tmp_path / "made.mp4", 5, (64, 48)))
    data = (tmp_path / "made.mp4").read_bytes()
    upright = b"".join(value.to_bytes(4, "big") for value in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    turned = b"".join(
        (value % (1 << 32)).to_bytes(4, "big") for value in (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    )
    place = data.index(upright, data.index(b"tkhd"))
    (tmp_path / "turned.mp4").write_bytes(data[:place] + turned + data[place + 36 :])
    assert recording.sensor_size == (64, 48)
    held = open_recording(tmp_path / "turned.mp4")
    assert held.sensor_size == (48, 64)
    assert len(held.load()) > 0


# -------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize(
    "suffix, codec", [(".webm", "libvpx-vp9"), (".avi", "mpeg4"), (".mkv", "mpeg4"), (".gif", None)]
)
@pytest.mark.parametrize("kept", [0.8, 0.95])
def test_a_cut_video_gives_what_was_before_the_cut(tmp_path, made, suffix, codec, kept):
    path = tmp_path / f"made{suffix}"
    whole = open_recording(encode(path, list(pictures(40)), codec) if codec else write(path, 40)).load()
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    recording = open_recording(path)
    events = recording.load()
    assert len(events) > 0.3 * len(whole)
    assert made.tuples(events) == made.tuples(whole)[: len(events)]
    assert recording.damage is not None and recording.damage.last_good_t_us <= events.t[-1]


def test_a_cut_mp4_has_no_index_and_says_so(tmp_path):
    path = write(tmp_path / "made.mp4")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RecordingError, match="no video that can be decoded"):
        open_recording(path)


def test_damage_inside_is_reported_and_passed_over(tmp_path):
    path = encode(tmp_path / "made.mp4", list(pictures(60)), "mpeg4")
    data = bytearray(path.read_bytes())
    middle = data.index(b"moov") // 2
    data[middle : middle + 100] = bytes(100)
    path.write_bytes(data)
    recording = open_recording(path)
    events = recording.load()
    assert recording.damage.kind == "corrupt"
    assert events.t[-1] > 1_000_000 and (np.diff(events.t) >= 0).all()
    stopped = open_recording(path, "stop")
    assert stopped.load().t[-1] < events.t[-1]
    with pytest.raises(DamagedRecordingError):
        open_recording(path, "fail").load()


@pytest.mark.parametrize(
    "head", [b"\0\0\0\x18ftypmp42", b"\x1a\x45\xdf\xa3", b"RIFF\0\0\0\0AVI LIST", b"GIF89a\x40\0\x30\0"]
)
def test_garbage_behind_a_good_mark_is_refused(tmp_path, head):
    path = tmp_path / "made.bin"
    path.write_bytes(head + random.Random(1).randbytes(3_000))
    with pytest.raises(RecordingError, match="no video that can be decoded"):
        open_recording(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("seed", range(8))
def test_any_bytes_end_well(tmp_path, suffix, seed):
    path = write(tmp_path / f"made{suffix}", 12)
    data, rng = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(rng.choice([1, 5, 50])):
        data[rng.randrange(16, len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data[: rng.choice([len(data), rng.randrange(100, len(data))])])
    try:
        recording = open_recording(path)
        events = recording.load()
    except RecordingError:
        return
    width, height = recording.sensor_size
    assert (np.diff(events.t) >= 0).all()
    assert not len(events) or (events.x.max() < width and events.y.max() < height and events.t[-1] < 10**9)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_container_knows_its_length(tmp_path, suffix):
    path = write(tmp_path / f"made{suffix}", 5)
    container = container_of(path.read_bytes()[:16])
    assert missing_bytes(path, container) == 0
    path.write_bytes(path.read_bytes()[:-3])
    assert missing_bytes(path, container) > 0
