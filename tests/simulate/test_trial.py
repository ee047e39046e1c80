"""Uncut simulated recordings: labels, determinism, and that what moves is what the label says."""

from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest

from dvspipe.errors import UsageError
from dvspipe.events import Events
from dvspipe.simulate.body import subject_body
from dvspipe.simulate.trial import LIGHTINGS, Trial, simulate_trial

SIZE = (128, 128)


def recorded(subject=24, light=0, gestures=(1,), gesture_s=0.8, pause_s=0.5, seed=0):
    trial = Trial(subject, light, gestures, gesture_s, pause_s, seed)
    return Events.concatenate(trial, SIZE), trial.windows


def digest(chunks):
    """Of the columns, one after the other, whatever the chunks."""
    whole = Events.concatenate(chunks, SIZE)
    return sha256(b"".join(getattr(whole, name).tobytes() for name in "txyp")).hexdigest()


def image(events):
    """Where the events are: a normalised 16x16 map."""
    counts = np.zeros((16, 16))
    np.add.at(counts, (events.y // 8, events.x // 8), 1)
    return counts / np.linalg.norm(counts)


def test_labels_lie_inside_the_recording_in_order_and_apart():
    chunks, windows = simulate_trial(2, 1, [0, 7, 7, 10], gesture_s=0.4, pause_s=0.4, seed=1)
    events = Events.concatenate(chunks, SIZE)
    assert [window.label for window in windows] == [0, 7, 7, 10]
    assert windows[0].start_us >= 400_000
    for window, following in pairwise(windows):
        assert window.stop_us - window.start_us == 400_000
        assert following.start_us - window.stop_us == 400_000
    assert events.t[0] >= 0 and events.t[-1] > windows[-1].stop_us
    assert (np.diff(events.t) >= 0).all()
    assert events.sensor_size == SIZE


def test_chunks_are_short_so_memory_does_not_grow():
    spans = [int(chunk.t[-1] - chunk.t[0]) for chunk in Trial(3, 0, [3], 0.5, 0.4, 0) if len(chunk)]
    assert len(spans) > 5 and max(spans) <= 100_000


def test_the_same_call_gives_the_same_events_and_iterating_again_too():
    arguments = (5, 0, [4], 0.3, 0.4)
    trial = Trial(*arguments, seed=1)
    first = digest(trial)
    assert first == digest(trial) == digest(Trial(*arguments, seed=1))
    assert first != digest(Trial(*arguments, seed=2))


def test_lightings_differ():
    rates = [len(recorded(6, light, [3], 0.5)[0]) for light in range(len(LIGHTINGS))]
    assert len(set(rates)) == len(LIGHTINGS) == 3


@pytest.mark.parametrize(("gesture", "left_share"), [(1, 1), (3, 1), (4, 1), (2, 0), (5, 0), (6, 0)])
def test_the_subjects_right_is_image_left(gesture, left_share):
    events, windows = recorded(gestures=[gesture], gesture_s=1.0)
    played = events.between(windows[0].start_us, windows[0].stop_us)
    share = (played.x < subject_body(24).centre_px).mean()
    assert share > 0.6 if left_share else share < 0.4


def test_pauses_are_quieter_than_gestures():
    events, windows = recorded(gestures=[3, 8, 0], gesture_s=0.8, pause_s=1.4)
    during = [len(events.between(w.start_us, w.stop_us)) / 0.8 for w in windows]
    # The ways in and out belong to no window: only the middle of a pause is still.
    still = [len(events.between(w.stop_us + 620_000, w.stop_us + 780_000)) / 0.16 for w in windows]
    assert max(still) < 0.4 * min(during)


def test_subjects_do_not_look_alike():
    images = [image(recorded(subject, gestures=[0])[0]).ravel() for subject in (1, 2, 24, 25)]
    likeness = np.array(images) @ np.array(images).T
    assert likeness[np.triu_indices(4, 1)].max() < 0.97


def test_two_performances_of_one_subject_differ():
    trial = Trial(9, 0, [8, 8], 0.5, 0.5, 0)
    hands = [[trial.pose(w.start_us + step).right.hand for step in range(0, 500_000, 20_000)] for w in trial.windows]
    assert not np.allclose(hands[0], hands[1], atol=0.01)


def test_bodies_do_not_jump():
    trial = Trial(11, 0, range(11), 0.5, 0.6, 3)
    hands = np.array([(*trial.pose(t).right.hand, *trial.pose(t).left.hand) for t in range(0, trial.end_us, 4_000)])
    assert np.abs(np.diff(hands, axis=0)).max() < 0.06  # metres in 4 ms: 15 m/s is beyond any hand


def test_a_trial_without_gestures_is_a_person_standing():
    events, windows = recorded(gestures=())
    assert windows == [] and len(events)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"subject": 0}, "1 to 29"),
        ({"light": 3}, "0 to 2"),
        ({"gestures": [11]}, "classes"),
        ({"gesture_s": 0}, "longer than 0"),
        ({"pause_s": 0.1}, "pause"),
        ({"seed": -1}, "negative"),
    ],
)
def test_bad_arguments_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        recorded(**wrong)
