"""The gesture cards agree with the code that reads the folders."""

import tomllib

import pytest

from dvspipe.data import gesture


@pytest.fixture(params=["gesture", "gesture-sim"])
def table(request, checkout):
    path = checkout / "datasets" / f"{request.param}.toml"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# dvspipe ")
    assert request.param in first
    return tomllib.loads(path.read_text(encoding="utf-8"))


def test_sensor_and_classes(table):
    assert tuple(table["sensor_size"]) == gesture.SENSOR
    assert len(set(table["classes"])) == gesture.N_CLASSES


def test_counts_and_sources(checkout):
    from tonic.datasets import DVSGesture

    table = tomllib.loads((checkout / "datasets" / "gesture.toml").read_text(encoding="utf-8"))
    assert table["counts"]["tonic"] == gesture.TONIC_COUNTS
    assert table["counts"]["ibm"] == {split: 12 * count for split, count in gesture.RECORDINGS.items()}
    assert table["md5"][DVSGesture.train_filename] == DVSGesture.train_md5
    assert table["md5"][DVSGesture.test_filename] == DVSGesture.test_md5
    assert {DVSGesture.train_url, DVSGesture.test_url} < set(table["source"])


def test_as_many_people_are_simulated_as_were_recorded(checkout):
    simulate = tomllib.loads((checkout / "datasets" / "gesture-sim.toml").read_text(encoding="utf-8"))["simulate"]
    assert simulate["subjects"] == list(range(1, 30))
