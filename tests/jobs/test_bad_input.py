"""Bad input by the real command: one clear message on stderr, the contract's exit code, nothing half-written."""

import errno
import json
import os
import shutil

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dvspipe.errors import RunError
from dvspipe.learn.checkpoint import write_whole


def complaint(workplace, *arguments, code):
    got, out, err = workplace.call(*arguments)
    assert got == code, err
    assert "Traceback" not in err
    assert out == ""
    return err


def test_a_missing_recording(workplace):
    assert "no-such.aedat" in complaint(workplace, "inspect", "no-such.aedat", code=1)


def test_an_empty_recording(workplace):
    (workplace.folder / "empty.aedat").write_bytes(b"")
    assert "empty" in complaint(workplace, "inspect", "empty.aedat", code=1)


def test_an_unknown_format(workplace):
    (workplace.folder / "song.mp3").write_bytes(b"ID3" + bytes(range(256)))
    message = complaint(workplace, "inspect", "song.mp3", code=1)
    assert "unknown format" in message
    assert "aedat" in message.lower()


def test_a_wrong_recipe_lists_all_faults(workplace):
    message = complaint(workplace, "train", "demo-none", "--set", "train.epoch=1", "--set", "snn.width=-1", code=2)
    assert "2 faults" in message
    assert "train.epochs" in message
    assert "snn.width" in message


def test_an_unknown_recipe(workplace):
    assert "did you mean 'demo-none'" in complaint(workplace, "train", "demo-non", code=2)


def test_an_unknown_option_and_verb(workplace):
    assert "--epoch" in complaint(workplace, "train", "demo-none", "--epoch", "3", code=2)
    assert "train" in complaint(workplace, "trian", code=2)


def test_a_real_process_returns_the_exit_code_and_one_document(workplace):
    assert "did you mean 'demo-none'" in workplace.run("describe", "demo-non", code=2)[1]
    out, err = workplace.run("describe", "demo-none", "--json")
    assert json.loads(out)["params"] > 0
    assert err == ""


def test_settings_that_do_not_fit_together(workplace, archive):
    message = complaint(workplace, "train", "tiny-TCSA.toml", "--set", "snn.c_ratio=64", code=2)
    assert "64" in message


def test_more_validation_subjects_than_there_are(workplace, archive):
    message = complaint(workplace, "train", "tiny-none.toml", "--set", "train.val_subjects=3", code=1)
    assert "val_subjects = 3" in message
    assert not (workplace.folder / "runs").exists()


def test_validation_is_said_once(workplace):
    for word in ("train.val_share=0.1", "train.val_subjects=0"):
        message = complaint(workplace, "train", "tiny-none.toml", "--set", word, code=2)
        assert "val_subjects" in message


def test_a_clip_longer_than_every_recording(workplace, archive):
    message = complaint(workplace, "train", "tiny-none.toml", "--set", "frames.n_bins=13", code=1)
    assert "lasts 650 ms, the longest of 22 training windows 600 ms" in message
    assert "frames.n_bins to at most 12" in message


def test_weights_of_another_T(workplace, trained, archive):
    arguments = ("--set", f"train.start={trained['run']}", "--set", "frames.n_bins=6")
    message = complaint(workplace, "train", "tiny-TCSA.toml", *arguments, code=1)
    assert "The run has T = 8, this recipe 6" in message
    assert "frames.n_bins=8" in message


def test_data_that_are_not_here(workplace):
    message = complaint(workplace, "train", "gesture-none", code=1)
    assert "dvspipe prepare gesture --from" in message
    assert "https://" in message


def test_a_dataset_folder_half_extracted(workplace):
    folder = workplace.folder / "DvsGesture"
    folder.mkdir()
    (folder / "trials_to_train.txt").write_text("user01_led.aedat\n")
    message = complaint(workplace, "prepare", "gesture", "--from", folder, "--out", "half.h5", code=1)
    assert "trials_to_test.txt" in message
    assert not (workplace.folder / "half.h5").exists()


def test_no_run_there(workplace):
    assert "no such run folder" in complaint(workplace, "evaluate", "nowhere", code=1)
    (workplace.folder / "bare").mkdir()
    assert "no weights" in complaint(workplace, "evaluate", "bare", code=1)


@pytest.fixture
def copy(workplace, plain):
    folder = workplace.folder / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    return shutil.copytree(plain["run"], folder)


def rewrite(path, **metadata):
    with safe_open(path, framework="pt") as file:
        held = file.metadata()
    save_file(load_file(path), path, {**held, **metadata})


def test_a_run_of_another_version(workplace, copy):
    rewrite(copy / "best.safetensors", run_version="99")
    message = complaint(workplace, "evaluate", "copy", code=1)
    assert "'99'" in message
    assert "'1'" in message


def test_a_run_whose_recipe_this_version_does_not_know(workplace, copy):
    with safe_open(copy / "best.safetensors", framework="pt") as file:
        recipe = json.loads(file.metadata()["recipe"])
    recipe["snn"]["wings"] = 2
    rewrite(copy / "best.safetensors", recipe=json.dumps(recipe))
    assert "snn.wings" in complaint(workplace, "evaluate", "copy", code=2)


def test_weights_cut_short(workplace, copy):
    path = copy / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "not a whole safetensors file" in complaint(workplace, "evaluate", "copy", code=1)


def test_weights_of_another_network(workplace, copy):
    path = copy / "best.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors.pop("layers.out.linear.bias")
    save_file(tensors, path, metadata)
    assert "the weights are not those that were written" in complaint(workplace, "evaluate", "copy", code=1)
    metadata.pop("digest")  # as runs of before digests were written
    save_file(tensors, path, metadata)
    assert "missing layers.out.linear.bias" in complaint(workplace, "evaluate", "copy", code=1)


def test_nothing_is_overwritten(workplace, plain):
    assert "holds a run already" in complaint(workplace, "train", "tiny-none.toml", "--out", "plain", code=1)


def test_resume_needs_the_same_recipe(workplace, plain):
    arguments = ("train", "tiny-none.toml", "--out", "plain", "--resume", "--set", "train.lr=0.5")
    assert "train.lr: run has 0.01, asked for 0.5" in complaint(workplace, *arguments, code=1)


def test_a_negative_speed(workplace, plain, archive):
    source = f"{archive['archive']}#user24_fluorescent"
    assert "speed -1" in complaint(workplace, "live", source, "--run", "plain", "--speed", "-1", code=2)


def test_an_archive_of_several_recordings_asks_which(workplace, plain, archive):
    assert "user24_fluorescent" in complaint(workplace, "live", archive["archive"], "--run", "plain", code=1)


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_text("old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        write_whole(path, lambda target: target.write_text("new"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_really_full_disk(workplace, archive):
    """/dev/full refuses every byte, as a full disk does."""
    source = f"{archive['archive']}#user24_fluorescent"
    message = complaint(
        workplace, "live", source, "--run", "plain", "--speed", "0", "--view", "none", "--out", "/dev/full", code=1
    )
    assert "No space left" in message
