"""Resume states on disk: whole or refused, the older ones beside them, and nothing lost at any moment of writing."""

import contextlib
import errno
import os
import shutil

import pytest
import torch

from dvspipe.errors import RunError
from dvspipe.learn.checkpoint import digest, load_state, save_state


def state(number):
    tensors = {"a": torch.full((3, 4), float(number)), "b": torch.tensor(number, dtype=torch.bfloat16)}
    return {"format": 2, "done": number, "step": 3, "network": tensors, "list": [1, (2.5, None)], "name": "π"}


@pytest.fixture
def path(tmp_path):
    for number in range(4):
        save_state(tmp_path / "last.ckpt", state(number), keep=3)
    return tmp_path / "last.ckpt"


def test_the_newest_are_kept_in_order(path):
    assert sorted(each.name for each in path.parent.iterdir()) == ["last-1.ckpt", "last-2.ckpt", "last.ckpt"]
    for name, number in (("last.ckpt", 3), ("last-1.ckpt", 2), ("last-2.ckpt", 1)):
        found = load_state(path.with_name(name))
        assert found["done"] == number
        assert torch.equal(found["network"]["a"], state(number)["network"]["a"])


def test_one_is_enough_where_one_is_asked_for(tmp_path):
    for number in range(3):
        save_state(tmp_path / "last.ckpt", state(number))
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


def test_every_cut_and_every_flipped_bit_is_noticed(path):
    """At places all over the file: where none of the state is (padding of the archive), nothing may change."""
    whole = path.read_bytes()
    good, noticed = load_state(path), 0
    for place in range(7, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(bytes(damaged))
        try:
            assert digest(load_state(path)) == digest(good), place
        except RunError as error:
            noticed += 1
            assert "last-1.ckpt (epoch 3, 3 steps in)" in str(error)
            assert "last-2.ckpt" in str(error)
    assert noticed > 5
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(RunError, match="damaged"):
            load_state(path)


def test_changed_numbers_are_noticed_in_a_file_that_is_whole(path):
    held = torch.load(path, weights_only=True)
    held["network"]["a"][1, 2] += 1e-6
    torch.save(held, path)
    with pytest.raises(RunError, match="do not have the digest"):
        load_state(path)
    held.pop("digest")
    torch.save(held, path)
    with pytest.raises(RunError, match="do not have the digest"):
        load_state(path)


def test_nothing_whole_is_left(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"PK")
    with pytest.raises(RunError, match="Start again without --resume"):
        load_state(tmp_path / "last.ckpt")
    with pytest.raises(RunError, match="nothing to resume from"):
        load_state(tmp_path / "none" / "last.ckpt")


def test_states_of_before_there_were_digests_are_read(tmp_path):
    torch.save({"done": 3, "network": {}}, tmp_path / "last.ckpt")
    assert load_state(tmp_path / "last.ckpt")["done"] == 3


@pytest.mark.parametrize("call", range(12))
def test_a_stop_at_any_system_call_leaves_a_whole_state(path, monkeypatch, call):
    """The process ends (or the disk refuses) before the n-th call that touches the folder."""
    calls = 0

    class Killed(BaseException):
        pass

    def stopping(function):
        def at(*arguments, **settings):
            nonlocal calls
            calls += 1
            if calls > call:  # the dead do nothing more: no clean-up either
                raise Killed
            return function(*arguments, **settings)

        return at

    for name in ("fsync", "link", "unlink", "rename", "replace"):
        monkeypatch.setattr(os, name, stopping(getattr(os, name)))
    with contextlib.suppress(Killed):
        save_state(path, state(9), keep=3)
    monkeypatch.undo()
    assert load_state(path)["done"] in (3, 9)
    older = [load_state(each)["done"] for each in path.parent.glob("last-*.ckpt")]
    assert older
    assert set(older) <= {1, 2, 3}


def test_a_full_disk_leaves_the_last_good_one(path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        save_state(path, state(9), keep=3)
    assert load_state(path)["done"] == 3
    assert len(list(path.parent.iterdir())) == 3


def test_without_hard_links(path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    save_state(path, state(9), keep=2)
    assert [load_state(path.with_name(name))["done"] for name in ("last.ckpt", "last-1.ckpt")] == [9, 3]


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_disk_that_is_really_full(tmp_path):
    import subprocess

    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("the system does not let us mount a small disk")
    try:
        save_state(tmp_path / "last.ckpt", {"format": 2, "done": 1})
        with pytest.raises(RunError, match="cannot be written"):
            save_state(tmp_path / "last.ckpt", {"format": 2, "done": 2, "much": torch.zeros(100_000)}, keep=2)
        assert load_state(tmp_path / "last.ckpt")["done"] == 1
    finally:
        subprocess.run(["umount", tmp_path], check=True)
