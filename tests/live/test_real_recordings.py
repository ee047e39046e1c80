"""Live frames are the offline frames, bit by bit, on every real recording at every speed and chunk size."""

import numpy as np
import pytest

from dvspipe.events.fitting import fit_sensor
from dvspipe.frames import to_frames
from dvspipe.live.controls import Controls
from dvspipe.live.playing import Player, in_thread
from dvspipe.live.ring import Ring
from dvspipe.live.sources.files import FileSource
from dvspipe.recordings import open_recording

SIZE, BIN_US = (128, 128), 5_000


def in_pieces(count):
    """Opens recordings whose chunks are cut into pieces of `count` events."""

    def opened(path):
        recording, read = open_recording(path), open_recording(path).read

        def pieces(held):
            for chunk in read(held):
                for start in range(0, len(chunk), count):
                    yield chunk[start : start + count]

        recording.read = pieces
        return recording

    return opened


def offline(path):
    recording = open_recording(path)
    fitted = (fit_sensor(chunk, SIZE) for chunk in recording)
    return to_frames(fitted, BIN_US, SIZE, downsample=4)


@pytest.mark.parametrize(("speed", "piece"), [(0.0, 65_536), (0.0, 997), (50.0, 65_536)])
def test_live_frames_are_offline_frames(recording, speed, piece):
    frames, report = offline(recording)
    source = FileSource(recording, in_pieces(piece))
    player = Player(source, BIN_US, SIZE, 4, Controls(speed))
    found = list(in_thread(player, Ring(drop="block")))
    assert len(found) == len(frames)
    assert all(np.array_equal(each.frame, frame) for each, frame in zip(found, frames))
    assert [each.index for each in found] == list(range(len(frames)))
    assert (player.counts.binned, player.counts.late, player.counts.tail) == (report.binned, report.late, report.tail)
    assert player.stretches[0][1] == report.t0_us
