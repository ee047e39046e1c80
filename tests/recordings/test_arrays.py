"""Events in .npy, .npz and .mat files: layouts, units, cuts and what is refused."""

from io import BytesIO

import numpy as np
import pytest
from scipy.io import savemat

from dvspipe.errors import RecordingError
from dvspipe.recordings import open_recording


@pytest.fixture(scope="module")
def events(events_of):
    return events_of(150_000, first=0, step=40)


def table(events, order="xypt", signed=False, scale=1):
    columns = {"t": events.t * scale, "x": events.x, "y": events.y, "p": events.p * 2 - 1 if signed else events.p}
    return np.stack([columns[name] for name in order], axis=1)


def structured(events, kinds="x i2, y i2, p ?, t i8"):
    made = np.empty(len(events), [tuple(part.split()) for part in kinds.split(", ")])
    for name in made.dtype.names:
        made[name] = getattr(events, name[0])
    return made


@pytest.mark.parametrize("order", ["xypt", "txyp"])
@pytest.mark.parametrize("fortran", [False, True])
def test_npy_table_of_integers_is_in_us(tmp_path, events, same, order, fortran):
    made = table(events, order, signed=True).astype(np.int32)
    np.save(tmp_path / "made.npy", np.asfortranarray(made) if fortran else made)
    recording = open_recording(tmp_path / "made.npy")
    assert same(recording.load(), events)
    assert (recording.format, recording.sensor_size, recording.damage) == ("numpy", (128, 128), None)


def test_npy_table_of_floats_is_in_ms(tmp_path, events, same):
    np.save(tmp_path / "made.npy", table(events, scale=0.001))
    assert same(open_recording(tmp_path / "made.npy").load(), events)


@pytest.mark.parametrize("kinds", ["x i2, y i2, p ?, t i8", "ts u8, x u2, y u2, p i1", "t >i8, x f4, y f4, pol i2"])
def test_npy_named_fields(tmp_path, events, same, kinds):
    np.save(tmp_path / "made.npy", structured(events, kinds))
    assert same(open_recording(tmp_path / "made.npy").load(), events)


def test_cut_npy_gives_every_whole_row(tmp_path, events, same):
    np.save(tmp_path / "made.npy", structured(events))
    data = (tmp_path / "made.npy").read_bytes()
    cut = len(data) - 13 * 80_000
    (tmp_path / "made.npy").write_bytes(data[: cut + 5])
    recording = open_recording(tmp_path / "made.npy")
    assert same(recording.load(), events[:70_000])
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("truncated", cut, 5)
    assert damage.last_good_t_us == events.t[69_999]


def test_rows_outside_the_sensor_are_refused(tmp_path, events, same):
    made = structured(events)
    made["x"][[5, 100_000]] = -3, 4000
    np.save(tmp_path / "made.npy", made)
    recording = open_recording(tmp_path / "made.npy")
    keep = np.delete(np.arange(len(events)), [5, 100_000])
    assert same(recording.load(), events[keep])
    start = (tmp_path / "made.npy").stat().st_size - made.nbytes
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("out-of-bounds", start + 5 * 13, 26)


def test_stray_times_are_refused(tmp_path, events, same):
    made = table(events, scale=0.001)
    made[[7, 8, 90_000], 3] = np.nan, 1e12, -1e9
    np.save(tmp_path / "made.npy", made)
    recording = open_recording(tmp_path / "made.npy")
    assert same(recording.load(), events[np.delete(np.arange(len(events)), [7, 8, 90_000])])
    assert recording.damage.kind == "corrupt"


REFUSED = {
    "objects": (np.array([{"t": 1}], dtype=object), "Python objects"),
    "shape": (np.zeros((5, 3)), "expected N x 4"),
    "no polarity": (np.full((5, 4), 7), "polarities"),
    "seconds": (np.array([(0.5, 1, 1, 1)], [("t", "f8"), ("x", "i2"), ("y", "i2"), ("p", "i1")]), "not in us"),
    "number": (np.array(3), "single value"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_recording_is_refused(tmp_path, case):
    array, words = REFUSED[case]
    np.save(tmp_path / "made.npy", array, allow_pickle=True)
    with pytest.raises(RecordingError, match=words):
        open_recording(tmp_path / "made.npy").load()


def test_pickles_are_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("a pickle was run",)

    np.savez(tmp_path / "made.npz", t=np.array([Bomb()], dtype=object), x=[1], y=[1], p=[1])
    with pytest.raises(RecordingError, match="Python objects"):
        open_recording(tmp_path / "made.npz").load()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, events, same, save):
    save(tmp_path / "made.npz", t=events.t, x=events.x, y=events.y, p=events.p)
    recording = open_recording(tmp_path / "made.npz")
    assert same(recording.load(), events)
    assert (recording.format, recording.sensor_size, recording.damage) == ("npz", (128, 128), None)


def test_npz_may_store_its_sensor_size(tmp_path, events):
    named = {"t": events.t, "x": events.x, "y": events.y, "p": events.p}
    np.savez(tmp_path / "made.npz", sensor_size=[200, 150], **named)
    assert open_recording(tmp_path / "made.npz").sensor_size == (200, 150)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("lost", [100, 1_000, 50_000, 120_000])
def test_cut_npz_gives_what_all_columns_hold(tmp_path, events, same, save, lost):
    """The polarities are stored last, so of them are missing what was cut off; the table at the end is always gone."""
    path = tmp_path / "made.npz"
    save(path, t=events.t, x=events.x, y=events.y, p=events.p)
    data = path.read_bytes()
    path.write_bytes(data[:-lost])
    if save is np.savez_compressed and lost > 20_000:
        with pytest.raises(RecordingError, match=r"expected arrays t, x, y, p|damaged \.npy header"):
            open_recording(path)
        return
    recording = open_recording(path)
    read = recording.load()
    assert same(read, events[: len(read)])
    assert len(events) - 8 * lost <= len(read)
    assert (recording.damage is None) == (len(read) == len(events))
    if recording.damage:
        assert (recording.damage.kind, recording.damage.last_good_t_us) == ("truncated", read.t[-1])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_of_an_npz_is_reported(tmp_path, events, same, save):
    path = tmp_path / "made.npz"
    save(path, t=events.t, x=events.x, y=events.y, p=events.p)
    dirty = bytearray(path.read_bytes())
    dirty[len(dirty) // 3] ^= 1
    path.write_bytes(dirty)
    recording = open_recording(path)
    read = recording.load()
    assert same(read[:20_000], events[:20_000]) and not same(read, events)
    assert recording.damage.kind == "corrupt"


def test_a_zip_bomb_is_not_unpacked_whole(tmp_path):
    import tracemalloc
    import zipfile

    path = tmp_path / "made.npz"
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (1 << 40,), "fortran_order": False, "descr": "<i8"})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "txyp":
            with archive.open(f"{name}.npy", "w") as member:
                member.write(header.getvalue())
                for _ in range(32):
                    member.write(bytes(1 << 20))
    tracemalloc.start()
    recording = open_recording(path)
    next(iter(recording))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6


def test_npz_without_the_four_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "made.npz", a=[1], b=[2])
    with pytest.raises(RecordingError, match="holds a, b"):
        open_recording(tmp_path / "made.npz")
    np.savez(tmp_path / "made.npz", t=[1, 2], x=[1], y=[1], p=[1])
    with pytest.raises(RecordingError, match="one length"):
        open_recording(tmp_path / "made.npz").load()


MATLAB = {
    "table": lambda events: {"events": table(events, signed=True).astype(np.int32)},
    "doubles": lambda events: {"events": table(events, signed=True).astype(float), "note": "text"},
    "variables": lambda events: {"ts": events.t, "x": events.x, "y": events.y, "pol": events.p.astype(np.int8)},
    "struct": lambda events: {"TD": {"ts": events.t, "x": events.x, "y": events.y, "p": events.p * 2 - 1}},
}


@pytest.mark.parametrize("layout", MATLAB)
def test_matlab_layouts(tmp_path, events, same, layout):
    savemat(tmp_path / "made.mat", MATLAB[layout](events))
    recording = open_recording(tmp_path / "made.mat")
    assert same(recording.load(), events)
    assert (recording.format, recording.sensor_size, recording.damage) == ("matlab", (128, 128), None)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_matlab_file_is_refused(tmp_path, events, share):
    savemat(tmp_path / "made.mat", MATLAB["table"](events), do_compression=True)
    data = (tmp_path / "made.mat").read_bytes()
    (tmp_path / "made.mat").write_bytes(data[: int(share * len(data))])
    with pytest.raises(RecordingError, match="damaged MATLAB file"):
        open_recording(tmp_path / "made.mat")


def test_matlab_without_events_is_refused(tmp_path):
    savemat(tmp_path / "made.mat", {"a": np.zeros((3, 3)), "b": 1})
    with pytest.raises(RecordingError, match="holds a, b"):
        open_recording(tmp_path / "made.mat")
    (tmp_path / "made.mat").write_bytes(
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + bytes(400)
    )
    with pytest.raises(RecordingError, match="-v7"):
        open_recording(tmp_path / "made.mat")


def test_no_events_at_all(tmp_path):
    np.save(tmp_path / "made.npy", np.zeros((0, 4), np.int64))
    np.savez(tmp_path / "made.npz", **{name: np.zeros(0, np.int64) for name in "txyp"})
    for name in ("made.npy", "made.npz"):
        recording = open_recording(tmp_path / name)
        assert (len(recording.load()), recording.sensor_size, recording.damage) == (0, (128, 128), None)


REAL = {
    "dvs128_garfield.mat": (202_235, 0, 738_000, 0.548),
    "dvs128_stripes.mat": (340_394, 0, 1_197_752, 0.676),
    "derived/tonic_layout_garfield_0.npy": (82_259, 0, 399_000, None),
}


@pytest.mark.parametrize("name", REAL)
def test_real_recordings(recordings_dir, name):
    count, first, last, on = REAL[name]
    recording = open_recording(recordings_dir / name)
    events = recording.load()
    assert (len(events), events.t.min(), events.t.max(), recording.damage) == (count, first, last, None)
    assert on is None or round(float(events.p.mean()), 3) == on
