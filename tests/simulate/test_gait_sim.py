"""Simulated walks, and the set on disk: read back by the reader of real data."""

import math
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from dvspipe.data.gait import read_gait_folder
from dvspipe.errors import DatasetError, UsageError
from dvspipe.events import Events
from dvspipe.recordings.archive import Archive, Segment
from dvspipe.simulate.gait_sim import GaitSim
from dvspipe.simulate.walk import Walk
from dvspipe.simulate.walker import WALKERS
from dvspipe.simulate.writing import write_archive, write_folder

SIZE = (128, 128)
SMALL = GaitSim(walkers=(3, 19), train_walks=2, test_walks=1, walk_s=0.5, seed=5)


def columns(events):
    return np.stack([events.t, events.x, events.y, events.p])


def walked(walker=3, session=1, number=0, walk_s=0.5, light="day", seed=0):
    return Events.concatenate(Walk(walker, session, number, walk_s, light, seed), SIZE)


def test_the_whole_set_is_everybody_in_both_sessions():
    trials = GaitSim().trials()
    assert len(trials) == 20 * (14 + 5) == len({trial.name for trial in trials})
    for split, session, count in (("train", 1, 14), ("test", 2, 5)):
        held = [trial for trial in trials if trial.split == split]
        assert {trial.session for trial in held} == {session}
        assert [trial.walker for trial in held] == [walker for walker in WALKERS for _ in range(count)]
    walk = trials[3 * 14 + 7]
    assert walk.name == "walker03_session1_007"
    assert walk.segments() == [Segment(walk.name, 3, 3, "train", 0, 1_600_000)]


def test_the_same_call_gives_the_same_walk_and_any_change_another():
    first = columns(walked(seed=1))
    assert (first == columns(walked(seed=1))).all()
    for change in ({"seed": 2}, {"number": 1}, {"session": 2}, {"walker": 4}, {"light": "night"}):
        other = columns(walked(**{"seed": 1, **change}))
        assert other.shape != first.shape or (other != first).any()


def test_a_walk_is_ordered_inside_the_sensor_and_in_short_chunks():
    walk = Walk(8, 2, 0, 0.7)
    events = Events.concatenate(walk, SIZE)
    assert (np.diff(events.t) >= 0).all() and events.t[0] >= 0 and events.t[-1] <= walk.end_us + 4_000
    assert events.x.max() < 128 and events.y.max() < 128
    assert 0.35 < events.p.mean() < 0.65
    assert max(int(chunk.t[-1] - chunk.t[0]) for chunk in walk if len(chunk)) <= 100_000


def test_a_person_walks_across_the_picture_and_fills_most_of_its_height():
    """Events of body parts move the way the walker is heading; both headings occur."""
    headings = set()
    for number in range(4):
        walk = Walk(11, 1, number, 0.8)
        events = Events.concatenate(walk, SIZE)
        steps = [events.between(t, t + 100_000) for t in (100_000, 600_000)]
        went = np.median(steps[1].x) - np.median(steps[0].x)
        assert math.copysign(1, went) == math.copysign(1, math.cos(walk.view.heading))
        headings.add(went > 0)
        rows = np.bincount(events.y, minlength=128) > 30
        assert np.ptp(np.flatnonzero(rows)) > 80
    assert headings == {True, False}


def test_day_and_night_are_the_same_walks_and_night_is_noisier_with_less_contrast():
    day, night = Walk(6, 1, 0, 0.6, "day"), Walk(6, 1, 0, 0.6, "night")
    assert day.person == night.person and day.gone_m(300_000) == night.gone_m(300_000)
    corner = [np.count_nonzero((e.y < 8) & (abs(e.x - 64) > 40)) for e in (walked(6), walked(6, light="night"))]
    assert corner[1] > 3 * corner[0]
    middle = [np.count_nonzero(abs(e.y - 64) < 40) for e in (walked(6), walked(6, light="night"))]
    assert middle[1] < 0.8 * middle[0]


def test_walkers_differ_more_than_walks_of_one_walker():
    """Silhouettes in one session: where the events of a walk are, about its own middle, as if all walked one way."""

    def shape(walker, number):
        walk = Walk(walker, 1, number, 1.2)
        events = Events.concatenate(walk, SIZE)
        at = [walk.view.project((0.0, 0.0, 0.0), walk.gone_m(int(t))) for t in range(0, 1_210_000, 10_000)]
        x = (events.x - np.array([p.x for p in at])[events.t // 10_000]) * math.copysign(1, math.cos(walk.view.heading))
        counts = np.histogram2d(events.y, x, bins=(16, 12), range=((0, 128), (-48, 48)))[0]
        return np.sqrt(counts / counts.sum()).ravel()

    shapes = np.array([[shape(walker, number) for number in range(4)] for walker in range(0, 20, 4)])
    within = np.linalg.norm(shapes - shapes.mean(1, keepdims=True), axis=2).mean()
    means = shapes.mean(1)
    between = np.linalg.norm(means[:, None] - means[None], axis=2)[np.triu_indices(5, 1)].mean()
    assert between > 1.3 * within


def test_the_archive_holds_the_same_for_any_number_of_processes(tmp_path):
    done = []
    write_archive(tmp_path / "one.h5", SMALL, done=done.append)
    write_archive(tmp_path / "two.h5", SMALL, workers=2)
    assert done == SMALL.trials()
    with Archive(tmp_path / "one.h5") as one, Archive(tmp_path / "two.h5") as two:
        assert one.attributes == two.attributes and one.attributes["source"] == "gait-sim"
        assert one.segments == two.segments == list(chain.from_iterable(t.segments() for t in SMALL.trials()))
        assert len(one.classes) == 20
        for trial in SMALL.trials():
            simulated = Events.concatenate(trial.open(), SIZE)
            for archive in (one, two):
                assert (columns(archive.events(trial.name, 0, 10**9)) == columns(simulated)).all()


def test_the_gait_folder_reads_back_as_it_was_simulated(tmp_path):
    everybody = GaitSim(train_walks=1, test_walks=1, walk_s=0.5)
    write_folder(tmp_path / "set", everybody)
    read = read_gait_folder(tmp_path / "set")
    assert read.notes == [] and read.totals() == {"train": 20, "test": 20}
    trials = {trial.name: trial for trial in everybody.trials()}
    for recording in read.recordings:
        (segment,), trial = recording.segments, trials[recording.name.rsplit("/")[-1]]
        assert (segment.label, segment.subject, segment.split) == (trial.walker, trial.walker, trial.split)
        if trial.walker % 5 == 0:
            simulated = Events.concatenate(trial.open(), SIZE)
            assert (columns(Events.concatenate(recording.chunks, SIZE)) == columns(simulated)).all()


def test_a_folder_of_few_walkers_is_read_with_partial(tmp_path):
    write_folder(tmp_path / "set", SMALL)
    with pytest.raises(DatasetError, match="18 of 20 people missing"):
        read_gait_folder(tmp_path / "set")
    assert read_gait_folder(tmp_path / "set", partial=True).totals() == {"train": 4, "test": 2}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"walkers": (3, 20)}, "walker 20: the simulator knows walkers 0 to 19"),
        ({"walkers": (3, 3)}, "twice"),
        ({"walkers": ()}, "somebody"),
        ({"walk_s": 0.3}, "walk_s = 0.3: a walk must last at least 0.5 s"),
        ({"light": "dusk"}, "light 'dusk': the simulator has day, night"),
        ({"train_walks": -1}, "train_walks = -1"),
        ({"seed": -1}, "negative"),
    ],
)
def test_faults_are_told_and_leave_nothing_behind(wrong, message, tmp_path):
    settings = replace(SMALL, **wrong)
    with pytest.raises(UsageError, match=message):
        write_archive(tmp_path / "set.h5", settings)
    with pytest.raises(UsageError, match=message):
        write_folder(tmp_path / "folder", settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("session", "number"), [(0, 0), (3, 0), (1, -1)])
def test_a_walk_that_is_none_is_refused(session, number):
    with pytest.raises(UsageError):
        Walk(0, session, number, 1.0)
