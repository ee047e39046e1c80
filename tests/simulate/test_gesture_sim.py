"""The simulated data set on disk: read back by the readers of real data."""

from itertools import chain

import numpy as np
import pytest

from dvspipe.errors import UsageError
from dvspipe.events import Events
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Archive
from dvspipe.recordings.labels import read_labels
from dvspipe.simulate.gesture_sim import GestureSim
from dvspipe.simulate.writing import write_archive, write_folder

SMALL = GestureSim(subjects=(23, 24), lightings=(0,), gestures=(1, 7), gesture_s=0.2, pause_s=0.4, seed=5)


def columns(events):
    return np.stack([events.t, events.x, events.y, events.p])


def test_the_whole_set_is_every_subject_in_every_lighting():
    trials = GestureSim().trials()
    assert len(trials) == 29 * 3 == len({trial.name for trial in trials})
    assert sum(trial.split == "test" for trial in trials) == 6 * 3
    assert {trial.subject for trial in trials if trial.split == "test"} == set(range(24, 30))
    assert trials[0].name == "user01_fluorescent"
    assert {s.label for s in trials[0].segments()} == set(range(11))


def test_the_ibm_folder_reads_back_as_it_was_simulated(tmp_path):
    done = []
    write_folder(tmp_path / "DvsGesture", SMALL, done=done.append)
    assert done == SMALL.trials()
    folder = tmp_path / "DvsGesture"
    assert sorted(path.name for path in folder.iterdir()) == [
        "trials_to_test.txt",
        "trials_to_train.txt",
        "user23_fluorescent.aedat",
        "user23_fluorescent_labels.csv",
        "user24_fluorescent.aedat",
        "user24_fluorescent_labels.csv",
    ]
    assert (folder / "trials_to_train.txt").read_text() == "user23_fluorescent.aedat\n"
    assert (folder / "trials_to_test.txt").read_text() == "user24_fluorescent.aedat\n"
    for trial in SMALL.trials():
        simulated = Events.concatenate(trial.open(), (128, 128))
        read = open_recording(folder / f"{trial.name}.aedat").load()
        assert (columns(read) == columns(simulated)).all() and read.sensor_size == (128, 128)
        assert read_labels(folder / f"{trial.name}_labels.csv") == [tuple(w) for w in trial.open().windows]


def test_the_archive_holds_the_same_for_any_number_of_processes(tmp_path):
    write_archive(tmp_path / "one.h5", SMALL)
    write_archive(tmp_path / "two.h5", SMALL, workers=2)
    with Archive(tmp_path / "one.h5") as one, Archive(tmp_path / "two.h5") as two:
        assert one.attributes == two.attributes and one.attributes["source"] == "gesture-sim"
        assert one.segments == two.segments == list(chain.from_iterable(t.segments() for t in SMALL.trials()))
        assert len(one.classes) == 11
        for trial in SMALL.trials():
            simulated = Events.concatenate(trial.open(), (128, 128))
            for archive in (one, two):
                assert (columns(archive.events(trial.name, 0, 10**9)) == columns(simulated)).all()


def test_faults_leave_nothing_behind(tmp_path):
    for wrong in (GestureSim(subjects=(1, 31)), GestureSim(lightings=(7,)), GestureSim(subjects=(1, 1))):
        with pytest.raises(UsageError):
            write_archive(tmp_path / "set.h5", wrong)
        with pytest.raises(UsageError):
            write_folder(tmp_path / "folder", wrong)
    assert not list(tmp_path.iterdir())
