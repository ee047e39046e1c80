import importlib.util
from contextlib import contextmanager
from pathlib import Path

import pytest

from dvspipe.events import Events


def _module(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made():
    """The byte-level builders of `builders.py`."""
    return _module("builders")


@pytest.fixture(scope="session")
def words():
    """The byte-level builders of `words_builders.py`: AEDAT 2.0, DAT and ES."""
    return _module("words_builders")


@pytest.fixture(scope="session")
def events_of(made):
    """Random time-ordered Events: events_of(count, **how)."""

    def build(count, size=(128, 128), **how):
        rows = made.random_events(count, size=size, **how)
        t, x, y, p = zip(*rows) if rows else ((), (), (), ())
        return Events.of(t, x, y, p, size)

    return build


@pytest.fixture(scope="session")
def same():
    """Whether two Events hold the same events in the same order, in the right types."""

    def compare(one, other):
        kinds = [getattr(one, name).dtype == getattr(other, name).dtype for name in "txyp"]
        return all(kinds) and all(getattr(one, name).tolist() == getattr(other, name).tolist() for name in "txyp")

    return compare


@pytest.fixture
def small_disk():
    """A context in which no file can grow beyond some bytes: the system then refuses as it does when a disk is full."""
    resource = pytest.importorskip("resource", reason="file size limits exist on Unix only")

    @contextmanager
    def limited(limit):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
