"""Made-up DVS128 Gesture folders in the exact layouts, built byte by byte."""

import struct
from types import SimpleNamespace

import numpy as np
import pytest

CLASSES = ["clap", "right wave", "left wave", "r cw", "r ccw", "l cw", "l ccw", "arm roll", "drums", "guitar", "other"]
WINDOW_US, PAUSE_US, ORIGIN_US = 100_000, 20_000, 80_000_000
ORDER = [1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11]  # arm roll twice, as in the real label files


class Gestures:
    """Writes folders. Every event lies at x = 10 * (class index), so that frames tell which window they came from."""

    classes = CLASSES

    def windows(self, order=tuple(ORDER)):
        """(class 1..11, start, stop) one after the other."""
        starts = ORIGIN_US + np.arange(len(order)) * (WINDOW_US + PAUSE_US)
        return [(label, int(start), int(start) + WINDOW_US) for label, start in zip(order, starts)]

    def events(self, windows, n=40):
        """t, x, y, p: n events per window, the first at its start and the last at its last microsecond."""
        rng = np.random.default_rng(0)
        t = np.concatenate([np.linspace(start, stop - 1, n).astype(np.int64) for _, start, stop in windows])
        x = np.repeat([10 * (label - 1) for label, _, _ in windows], n)
        return t, x, rng.integers(0, 128, len(t)), rng.random(len(t)) < 0.5

    def aedat(self, path, t, x, y, p):
        lines = [
            "#!AER-DAT3.1",
            "#Format: RAW",
            "#Source 1: DVS128",
            "#Start-Time: 2016-09-16",
            "#!END-HEADER",
        ]
        header = "".join(line + "\r\n" for line in lines).encode()
        words = np.empty((len(t), 2), "<u4")
        words[:, 0] = 1 | np.asarray(p, int) << 1 | np.asarray(y, int) << 2 | np.asarray(x, int) << 17
        words[:, 1] = t
        packet = struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, len(t), len(t), len(t))
        path.write_bytes(header + packet + words.tobytes())

    def labels(self, path, windows):
        rows = "".join(f"{label},{start},{stop}\n" for label, start, stop in windows)
        path.write_text("class,startTime_usec,endTime_usec\n" + rows)

    def trial(self, folder, name, windows=None, n=40):
        windows = self.windows() if windows is None else windows
        self.aedat(folder / f"{name}.aedat", *self.events(windows, n))
        self.labels(folder / f"{name}_labels.csv", windows)

    def ibm(self, folder, train=("user01_fluorescent", "user02_fluorescent_led"), test=("user24_led",), n=40):
        folder.mkdir(parents=True, exist_ok=True)
        for split, names in (("train", train), ("test", test)):
            for name in names:
                self.trial(folder, name, n=n)
            listed = "".join(f"{name}.aedat\n\n" for name in names)  # the real lists may hold blank lines
            (folder / f"trials_to_{split}.txt").write_text(listed)
        return folder

    def ibm_complete(self, folder):
        return self.ibm(folder, trials()[:98], trials()[98:], n=2)

    def tonic(self, folder, users=None, n=3):
        users = users or {"ibmGestureTrain": ["user01_led", "user02_fluorescent_led"], "ibmGestureTest": ["user24_lab"]}
        for split, names in users.items():
            for name in names:
                (folder / split / name).mkdir(parents=True)
                for label in range(11):
                    np.save(folder / split / name / f"{label}.npy", tonic_rows(label, n))
        return folder

    def tonic_complete(self, folder):
        self.tonic(folder, {"ibmGestureTrain": trials()[:98], "ibmGestureTest": trials()[98:]})
        (folder / "ibmGestureTrain" / trials()[0] / "7.npy").unlink()  # 98 x 11 - 1 = 1077
        return folder


def tonic_rows(label, n):
    """x, y, p, t in whole ms."""
    rng = np.random.default_rng(label)
    t = np.sort(rng.integers(5_000, 6_000, n))
    return np.stack([rng.integers(0, 128, n), rng.integers(0, 128, n), rng.integers(0, 2, n), t], 1).astype(float)


def trials():
    """122 trial names: subjects 1..23 with 98 trials, 24..29 with 24."""
    lights = ["fluorescent", "fluorescent_led", "lab", "led", "natural"]
    train = [f"user{user:02d}_{light}" for light in lights for user in range(1, 24)][:98]
    test = [f"user{user:02d}_{light}" for light in lights for user in range(24, 30)][:24]
    return train + test


@pytest.fixture(scope="session")
def gestures():
    return Gestures()


@pytest.fixture(scope="session")
def card():
    """What a dataset card says of DVS128 Gesture."""
    return SimpleNamespace(
        title="DVS128 Gesture",
        kind="gesture",
        licence="CC BY 4.0",
        sensor_size=(128, 128),
        classes=CLASSES,
        md5={
            "DvsGesture.tar.gz": "8a5c71fb11e24e5ca5b11866ca6c00a1",
            "gesture_mapping.csv": "109b2ae64a0e1f3ef535b18ad7367fd1",
        },
        counts={"ibm": {"train": 1176, "test": 288}, "tonic": {"train": 1077, "test": 264}},
    )
