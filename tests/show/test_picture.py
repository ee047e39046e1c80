"""Pictures and animations of events: colours by polarity, afterglow, and a bound on size."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from dvspipe.errors import ShapeError
from dvspipe.events import Events
from dvspipe.show import palette
from dvspipe.show.animation import LIMIT, animation
from dvspipe.show.picture import EventPicture, picture, shrink


def opened(address):
    head, data = address.split(",", 1)
    assert head == "data:image/gif;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_on_and_off_have_their_colours_and_nothing_is_dark():
    frame = np.zeros((2, 2, 2))
    frame[0, 0, 0] = frame[1, 1, 1] = 1
    shown = picture(frame)
    assert tuple(shown[0, 0]) == palette.rgb(palette.OFF)
    assert tuple(shown[1, 1]) == palette.rgb(palette.ON)
    assert tuple(shown[0, 1]) == palette.rgb(palette.BACKGROUND)


def test_events_and_their_frame_give_the_same_picture():
    events = Events.of([0, 1, 2, 3], [0, 3, 3, 1], [0, 1, 1, 2], [1, 0, 0, 1], (4, 3))
    frame = np.zeros((2, 3, 4))
    frame[1, 0, 0] = frame[1, 2, 1] = 1
    frame[0, 1, 3] = 2
    np.testing.assert_array_equal(picture(events), picture(frame))
    assert picture(Events.empty((4, 3))).shape == (3, 4, 3)


def test_glow_fades_by_the_decay_and_the_other_polarity_puts_it_out():
    view = EventPicture(decay=0.5, full=1)
    on = np.zeros((2, 1, 2))
    on[1] = 1
    view.add(on)
    off = np.zeros((2, 1, 2))
    off[0, 0, 0] = 1
    glow = view.add(off)
    assert glow[:, 0, 0].tolist() == [1, 0]
    assert glow[:, 0, 1].tolist() == [0, 0.5]


def test_a_burst_does_not_darken_the_picture_at_once():
    view = EventPicture()
    frame = np.ones((2, 4, 4))
    view.add(frame)
    view.add(100 * frame)
    assert view.add(frame).min() > 0.15


def test_shrinking_keeps_every_event_and_fits():
    frame = np.random.default_rng(0).poisson(1.0, (2, 260, 346))
    small = shrink(frame, 64, 64)
    assert small.sum() == frame.sum() and max(small.shape[1:]) <= 64
    assert shrink(frame, 260, 346) is frame


def test_animation_plays_every_frame_at_the_sensors_pace(clip):
    film = opened(animation(clip, frame_ms=50))
    assert (film.n_frames, film.size, film.info["duration"], film.info["loop"]) == (len(clip), (64, 64), 50, 0)
    first = np.asarray(next(ImageSequence.Iterator(film)).convert("RGB")).astype(int)
    lit = clip[0, 1] > 0
    assert np.abs(first[lit & (clip[0, 0] == 0)] - palette.rgb(palette.ON)).max() <= 2


def test_animation_stays_within_its_bound_whatever_comes():
    noise = np.random.default_rng(1).poisson(0.5, (120, 2, 128, 128))
    text = animation(noise)
    assert 20_000 < len(text) <= LIMIT
    assert opened(text).n_frames >= 16
    assert len(animation(noise[:40], limit=40_000)) <= 40_000


def test_thinned_animation_lasts_as_long():
    noise = np.random.default_rng(1).poisson(0.5, (64, 2, 32, 32))
    film = opened(animation(noise, frame_ms=50, limit=60_000))
    assert film.n_frames < 64
    assert sum(frame.info["duration"] for frame in ImageSequence.Iterator(film)) == 64 * 50


def test_captions_stand_below_the_picture(clip):
    film = opened(animation(clip[:3], ["arm roll 0.8", "…", ""]))
    still = np.asarray(film.convert("RGB")).astype(int)
    picture_height = still.shape[1]  # a square clip
    assert still.shape[0] > picture_height and still.shape[1] >= 240
    assert still[picture_height:].min(axis=2).max() > 200, "no white letters below the picture"


@pytest.mark.parametrize(
    ("frames", "captions"), [(np.zeros((0, 2, 4, 4)), []), (np.zeros((3, 4, 4)), []), (np.zeros((3, 2, 4, 4)), ["one"])]
)
def test_what_cannot_be_animated_is_refused(frames, captions):
    with pytest.raises(ShapeError, match=r"frames"):
        animation(frames, captions)
