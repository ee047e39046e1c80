"""Other people's HDF5: every known layout gives its events, and no damage gives anything but them."""

import random
import struct

import numpy as np
import pytest

from dvspipe.errors import DamagedRecordingError, RecordingError
from dvspipe.recordings import open_recording
from dvspipe.recordings.opening import recording_paths

h5py = pytest.importorskip("h5py")
hdf5plugin = pytest.importorskip("hdf5plugin")

COUNT, CHUNK = 20_000, 2_048
OFFSET_US = 1_605_537_493_000_000


@pytest.fixture(scope="module")
def events(events_of):
    return events_of(COUNT, size=(346, 260), first=0, step=9)


@pytest.fixture
def saved(tmp_path):
    """saved(fill) opens a new HDF5 file for `fill(file)` and returns its path."""

    def write(fill, **how):
        path = tmp_path / "made.h5"
        with h5py.File(path, "w", **how) as file:
            fill(file)
        return path

    return write


def dsec(events, **filters):
    filters = filters or hdf5plugin.Blosc(cname="zstd", clevel=1)

    def fill(file):
        file["t_offset"] = OFFSET_US
        for name, column in {
            "t": events.t.astype("<u4"),
            "x": events.x,
            "y": events.y,
            "p": events.p.astype("u1"),
        }.items():
            file.create_dataset(f"events/{name}", data=column, chunks=(CHUNK,), **filters)
        file["ms_to_idx"] = np.searchsorted(events.t, np.arange(0, events.t[-1], 1000)).astype("<u8")

    return fill


def rpg(events):
    def fill(file):
        for name, column in {"ts": events.t / 1e6, "xs": events.x, "ys": events.y, "ps": events.p}.items():
            file[f"events/{name}"] = column
        file.attrs["sensor_resolution"] = (260, 346)

    return fill


def m3ed(events):
    def fill(file):
        for side in ("left", "right"):
            for name in "txyp":
                file.create_dataset(
                    f"prophesee/{side}/{name}", data=getattr(events, name), chunks=(CHUNK,), compression="lzf"
                )
            file[f"prophesee/{side}/calib/resolution"] = (346, 260)
            file[f"prophesee/{side}/ms_map_idx"] = np.arange(7)

    return fill


def mvsec(events, first_s=0.0):
    def fill(file):
        for side, shift in (("left", 0), ("right", 5)):
            rows = [events.x, events.y, first_s + (events.t + shift) / 1e6, np.where(events.p, 1.0, -1.0)]
            file.create_dataset(f"davis/{side}/events", data=np.stack(rows, 1), chunks=(CHUNK, 4), compression="gzip")
            file[f"davis/{side}/imu"] = np.zeros((9, 6))

    return fill


def prophesee(events, **how):
    def fill(file):
        kind = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
        table = np.empty(len(events), kind)
        for name in "xypt":
            table[name] = getattr(events, name)
        file.create_dataset("CD/events", data=table, chunks=(CHUNK,), **how)
        file["CD/indexes"] = np.zeros(3, [("id", "<u8"), ("ts", "<i8")])
        file["EXT_TRIGGER/events"] = np.zeros(3, [("p", "<i2"), ("t", "<i8"), ("id", "<i2")])
        file.attrs["geometry"] = "346x260"

    return fill


LAYOUTS = {
    "rpg": rpg,
    "m3ed": m3ed,
    "mvsec": mvsec,
    "prophesee": prophesee,
    "prophesee-gzip": lambda events: prophesee(events, compression="gzip", shuffle=True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_its_events(saved, events, same, layout):
    recording = open_recording(saved(LAYOUTS[layout](events)))
    assert same(recording.load(), events)
    assert (recording.format, recording.sensor_size, recording.damage) == ("hdf5", (346, 260), None)


@pytest.mark.parametrize(
    "filters",
    [{}, {"compression": "gzip"}, {"compression": "lzf", "shuffle": True}, hdf5plugin.Zstd(), hdf5plugin.LZ4()],
)
def test_dsec_adds_the_offset_through_any_filter(saved, events, filters):
    recording = open_recording(saved(dsec(events, **filters)))
    read = recording.load()
    assert read.t.tolist() == (events.t + OFFSET_US).tolist()
    assert read.x.tolist() == events.x.tolist() and read.p.tolist() == events.p.tolist()
    assert recording.sensor_size == (346, 260)


def test_two_cameras_are_named_and_the_first_is_read_by_default(saved, events):
    path = saved(mvsec(events, first_s=1_500_000_000.0))
    assert recording_paths(path) == [f"{path}#left", f"{path}#right"]
    assert recording_paths(saved(dsec(events))) == [str(path)]
    path = saved(mvsec(events, first_s=1_500_000_000.0))
    for name, shift in (("", 0), ("#left", 0), ("#right", 5), ("#davis/right/events", 5)):
        read = open_recording(f"{path}{name}").load()
        assert np.abs(read.t - (1_500_000_000_000_000 + events.t + shift)).max() <= 1  # a double holds no more
    with pytest.raises(RecordingError, match=r"no recording 'middle'. It holds: left, right"):
        open_recording(f"{path}#middle")


def test_whole_float_times_are_microseconds_and_integers_in_a_table_too(saved, events, same):
    def floats(file):
        for name in "txyp":
            file[f"events/{name}"] = getattr(events, name).astype("f8")

    def table(file):
        file["events"] = np.stack([getattr(events, name).astype("u4") for name in "txyp"], 1)

    assert same(open_recording(saved(floats)).load(), events)
    assert same(open_recording(saved(table)).load(), events)


def test_links_out_of_the_file_and_loops_are_not_followed(saved, events, tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        rpg(events)(file)

    def fill(file):
        file["elsewhere"] = h5py.ExternalLink(str(other), "/events")
        file["loop/back"] = h5py.SoftLink("/")

    with pytest.raises(RecordingError, match="HDF5 without event columns"):
        open_recording(saved(fill))


def test_empty_recording(saved, events):
    recording = open_recording(saved(rpg(events[:0])))
    assert len(recording.load()) == 0 and recording.sensor_size == (346, 260) and recording.damage is None


def test_ecf_is_refused_with_what_to_do(saved, events):
    """The filter is not here, so a file is made with another one and its number rewritten."""
    path = saved(prophesee(events, compression=32015, allow_unknown_filter=True))
    data = path.read_bytes()
    assert data.count(struct.pack("<H", 32015)) >= 1
    path.write_bytes(data.replace(struct.pack("<H", 32015), struct.pack("<H", 36559)))
    with pytest.raises(RecordingError, match=r"ECF filter \(36559\).*metavision_file_to_dat.*HDF5_PLUGIN_PATH"):
        open_recording(path)


def test_outside_the_sensor_and_impossible_times_are_refused(saved, events):
    def fill(file):
        rpg(events)(file)
        file["events/xs"][700] = 346
        file["events/ts"][900] = np.nan
        file["events/ts"][1200] = 1e9

    recording = open_recording(saved(fill))
    read = recording.load()
    keep = np.delete(np.arange(COUNT), [700, 900, 1200])
    assert read.t.tolist() == events.t[keep].tolist()
    assert recording.damage.kind == "out-of-bounds" and recording.damage.last_good_t_us == events.t[699]


@pytest.mark.parametrize(
    "layout", [dsec, rpg, lambda events: mvsec(events), prophesee], ids=["dsec", "rpg", "mvsec", "prophesee"]
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95, 0.999])
def test_a_cut_file_gives_a_beginning_or_is_refused(saved, made, events, layout, share):
    path = saved(layout(events))
    whole = open_recording(path).load()
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    try:
        recording = open_recording(path)
        read = recording.load()
    except RecordingError as error:
        assert "cut" in str(error)
        return
    assert recording.damage.kind in ("truncated", "corrupt")
    order = {event: place for place, event in enumerate(made.tuples(whole))}
    places = [order[event] for event in made.tuples(read)]
    assert places == sorted(places)


def test_a_cut_keeps_every_row_before_it(saved, events):
    """Columns stored in one piece, the last of them cut in its middle."""
    path = saved(rpg(events))
    with h5py.File(path) as file:
        held = {
            name: (file[f"events/{name}"].id.get_offset(), file[f"events/{name}"].dtype.itemsize)
            for name in ("ts", "xs", "ys", "ps")
        }
    start, width = max(held.values())
    path.write_bytes(path.read_bytes()[: start + 12_345 * width])
    recording = open_recording(path)
    assert recording.load().t.tolist() == events.t[:12_345].tolist()
    damage = recording.damage
    assert (damage.kind, damage.last_good_t_us) == ("truncated", events.t[12_344])
    with pytest.raises(DamagedRecordingError, match="7655 events are missing behind"):
        open_recording(path, on_damage="fail").load()


@pytest.mark.parametrize("on_damage", ["skip", "stop"])
def test_a_damaged_chunk_costs_its_events_only(saved, events, on_damage):
    path = saved(dsec(events, compression="gzip", fletcher32=True))
    with h5py.File(path) as file:
        place = file["events/x"].id.get_chunk_info(3)
    data = bytearray(path.read_bytes())
    data[place.byte_offset + 50] ^= 0xFF
    path.write_bytes(data)
    recording = open_recording(path, on_damage)
    read = recording.load()
    low, high = 3 * CHUNK, 4 * CHUNK
    keep = np.r_[0:low, high:COUNT] if on_damage == "skip" else np.arange(low)
    assert read.t.tolist() == (events.t[keep] + OFFSET_US).tolist()
    damage = recording.damage
    assert (
        damage.kind == "corrupt"
        and damage.lost_bytes >= place.size
        and damage.note.startswith(f"rows {low} to {high - 1}")
    )
    assert damage.last_good_t_us == events.t[low - 1] + OFFSET_US


def test_a_chunk_missing_from_the_index_is_no_row_of_zeros(saved, events):
    def fill(file):
        dsec(events)(file)
        del file["events/x"]
        x = file.create_dataset("events/x", (COUNT,), "<u2", chunks=(CHUNK,))
        x[:CHUNK], x[2 * CHUNK :] = events.x[:CHUNK], events.x[2 * CHUNK :]

    recording = open_recording(saved(fill))
    assert recording.load().t.tolist() == (np.delete(events.t, np.s_[CHUNK : 2 * CHUNK]) + OFFSET_US).tolist()
    assert recording.damage.kind == "corrupt"


@pytest.mark.parametrize("layout", [dsec, mvsec, prophesee], ids=["dsec", "mvsec", "prophesee"])
def test_random_damage_never_crashes_and_stays_inside(saved, events, layout):
    path = saved(layout(events))
    data = path.read_bytes()
    for seed in range(25):
        rng = random.Random(seed)
        dirty = bytearray(data)
        low = rng.randrange(len(data))
        for _ in range(rng.choice([1, 8, 64])):
            dirty[rng.randrange(0 if seed % 2 else low, len(data))] ^= 1 << rng.randrange(8)
        if seed % 5 == 0:
            dirty[low : low + 3000] = bytes(len(dirty[low : low + 3000]))
        path.write_bytes(bytes(dirty[: rng.randrange(len(dirty))] if seed % 3 == 0 else dirty))
        try:
            recording = open_recording(path)
            width, height = recording.sensor_size
            for chunk in recording:
                assert np.all(chunk.x < width) and np.all(chunk.y < height), seed
        except RecordingError:
            continue


@pytest.mark.parametrize(
    "data", [b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(5000), b"\x89HDF\r\n\x1a\n" + b"\xff" * 5000]
)
def test_a_mark_and_nothing_behind_it(tmp_path, data):
    path = tmp_path / "made.h5"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="cut or damaged"):
        open_recording(path)


def test_real_layout(recordings_dir):
    recording = open_recording(recordings_dir / "derived" / "dvxplorer_dsec_layout.h5")
    events = recording.load()
    assert (len(events), recording.sensor_size, recording.damage) == (111_954, (320, 240), None)
    original = open_recording(recordings_dir / "dvxplorer_person.aedat4").load()
    assert all(np.array_equal(getattr(events, name), getattr(original, name)) for name in "txyp")
