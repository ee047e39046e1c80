"""A fixed small sample of `fuzz.py`: damaged files of every format, every promise, no crash and no hang."""

from pathlib import Path

import pytest

FILES = 60
SLOW = {"hdf5-dsec": 6, "hdf5-rpg": 6, "video": 3}  # these are read in a process of their own
HERE = str(Path(__file__).parent)

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(HERE)
    import damaging
    import families
    import fuzz
    import promises


@pytest.mark.parametrize("name", families.FAMILIES)
def test_no_damage_breaks_a_promise(name):
    tally = fuzz.run(families.FAMILIES[name], SLOW.get(name, FILES), seed=1)
    assert (tally.crashes, tally.hangs, tally.broken) == ([], [], {})
    assert tally.outcomes["reported"] + tally.outcomes["refused"] > tally.files / 4


def test_damage_is_the_same_for_a_seed_and_says_where_it_begins():
    whole = bytes(range(256)) * 40
    kinds = set()
    for index in range(300):
        hurt = damaging.damage(whole, 100, 5, index)
        assert hurt == damaging.damage(whole, 100, 5, index)
        assert hurt.data[: hurt.first] == whole[: hurt.first]
        assert hurt.data[hurt.first : hurt.first + 1] != whole[hurt.first : hurt.first + 1] or hurt.data == whole
        kinds.add(hurt.kind)
    assert kinds >= set(damaging.KINDS) - {"empty"}


BAD_READERS = {
    "crash": "crashes",
    "hang": "hangs",
    "loses": "broken",
    "outside": "broken",
    "raises": "broken",
    "silent": "broken",
}


@pytest.mark.parametrize("fault", BAD_READERS)
def test_the_harness_notices(fault, monkeypatch):
    """What the harness is for: a reader that does any of this is found."""
    monkeypatch.setattr(fuzz, "LIMIT_S", 0.5)
    family = families.FAMILIES["aedat31"]
    read = promises.read

    def bad(path, on_damage):
        reading = read(path, on_damage)
        if reading.recording is None or reading.recording.damage is None:
            return reading
        if fault == "crash":
            import os

            os.abort()
        if fault == "hang":
            import time

            time.sleep(5)
        if fault == "raises":
            raise ValueError("not ours")
        if fault == "loses":
            reading.events = reading.events[1:]
        if fault == "outside":
            reading.recording.sensor_size = (64, 64)
        if fault == "silent":
            reading.recording.damage = None
        return reading

    monkeypatch.setattr(promises, "read", bad)
    tally = fuzz.run(family, 4, seed=0)
    assert getattr(tally, BAD_READERS[fault])
    assert tally.files == 4
