"""Checkpoints come back whole or are refused."""

import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.errors import ModelError
from crnn_asr.training.checkpoint import load_checkpoint, load_newest, newest, save_checkpoint, set_aside
from crnn_asr.training.state import Progress


def variables(*shapes):
    return [tf.Variable(np.random.default_rng(len(shape)).standard_normal(shape)) for shape in shapes]


def test_round_trip(tmp_path):
    path, saved = tmp_path / "x.npz", variables((2, 3), (4,), ())
    progress = Progress(epoch=2, step=17, batch=3, best_wer=0.25, learning_rate_scale=0.5, loss_sum=0.1, finished=True)
    save_checkpoint(path, saved, progress)
    loaded = [tf.Variable(tf.zeros_like(variable)) for variable in saved]
    assert load_checkpoint(path, loaded) == progress
    for found, wanted in zip(loaded, saved):
        np.testing.assert_array_equal(found, wanted)
    assert [item.name for item in tmp_path.iterdir()] == ["x.npz"]


def test_progress_of_a_new_run_round_trips(tmp_path):
    save_checkpoint(tmp_path / "x.npz", [], Progress())
    assert load_checkpoint(tmp_path / "x.npz", []) == Progress()


@pytest.mark.parametrize("shapes", [((2, 3),), ((2, 3), (5,)), ((2, 3), (4,), (1,))])
def test_another_architecture_is_refused_and_nothing_assigned(tmp_path, shapes):
    path = tmp_path / "x.npz"
    save_checkpoint(path, variables((2, 3), (4,)), Progress())
    target = [tf.Variable(tf.zeros(shape, tf.float64)) for shape in shapes]
    with pytest.raises(ModelError, match="another architecture"):
        load_checkpoint(path, target)
    assert not any(np.any(variable) for variable in target)


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "empty"])
def test_damage_is_found(tmp_path, damage):
    path, saved = tmp_path / "x.npz", variables((50, 30))
    save_checkpoint(path, saved, Progress())
    data = bytearray(path.read_bytes())
    data[6_000] ^= 1
    path.write_bytes({"cut": data[:7_000], "flip": bytes(data), "text": b"hello", "empty": b""}[damage])
    with pytest.raises(ModelError, match=r"x\.npz"):
        load_checkpoint(path, saved)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path, saved = tmp_path / "x.npz", variables((3,))
    save_checkpoint(path, saved, Progress(step=1))

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, saved, Progress(step=2), keep=2)
    assert load_checkpoint(path, saved).step == 1
    assert [item.name for item in tmp_path.iterdir()] == ["x.npz"]


def test_the_newest_few_are_kept(tmp_path):
    path, saved = tmp_path / "last.npz", variables((3,))
    for step in range(5):
        save_checkpoint(path, saved, Progress(step=step), keep=3)
    assert [load_checkpoint(item, saved).step for item in newest(path, 3)] == [4, 3, 2]
    assert {item.name for item in tmp_path.iterdir()} == {"last.npz", "last.1.npz", "last.2.npz"}


def test_the_one_before_is_used_where_the_last_is_damaged_or_not_there(tmp_path):
    path, saved = tmp_path / "last.npz", variables((3,))
    for step in range(3):
        save_checkpoint(path, [saved[0] + step], Progress(step=step), keep=3)
    target, paths = [tf.Variable(tf.zeros(3, tf.float64))], newest(path, 3)
    path.write_bytes(path.read_bytes()[:-9])
    progress, damaged = load_newest(paths, target)
    assert progress.step == 1 and list(damaged) == [path]
    assert "last.npz: expected a checkpoint" in damaged[path]
    assert damaged[path].endswith("last.1.npz, of step 1, is used instead")
    np.testing.assert_array_equal(target[0], saved[0] + 1)
    set_aside(path)
    assert (tmp_path / "last.damaged").is_file()
    progress, damaged = load_newest(paths, target)
    assert progress.step == 1 and not damaged


def test_without_any_checkpoint_from_the_start_and_with_damaged_ones_alone_a_sentence(tmp_path):
    paths = newest(tmp_path / "last.npz", 2)
    assert load_newest(paths, []) == (Progress(), {})
    for path in paths:
        path.write_text("hello")
    for _ in range(2):  # trying does not change what there is
        with pytest.raises(ModelError, match=r"no whole checkpoint .*last\.npz.*last\.1\.npz.*--fresh"):
            load_newest(paths, [])


def test_no_bit_of_the_arrays_or_the_progress_can_change(tmp_path, rng):
    """Bits of the zip's own structure may, such as its dates; then all that is read is as it was written."""
    path, saved = tmp_path / "x.npz", variables((7, 3), (4,), ())
    wanted = Progress(step=3, best_scores={"dev_wer": 1.5})
    save_checkpoint(path, saved, wanted)
    data, found = path.read_bytes(), 0
    for place in rng.choice(8 * len(data), 600, replace=False).tolist():
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        target = [tf.Variable(tf.zeros_like(variable)) for variable in saved]
        try:
            progress = load_checkpoint(path, target)
        except ModelError:
            found += 1
            continue
        assert progress == wanted
        for one, other in zip(target, saved):
            np.testing.assert_array_equal(one, other)
    assert found > 300


def test_a_checksum_that_the_zip_does_not_have(tmp_path):
    """Arrays swapped by hand: each is whole for itself."""
    path, saved = tmp_path / "x.npz", variables((3,), (3,))
    save_checkpoint(path, saved, Progress())
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["0000"], arrays["0001"] = arrays["0001"] + 1, arrays["0000"]
    np.savez(path, **arrays)
    with pytest.raises(ModelError, match="its checksum is wrong"):
        load_checkpoint(path, saved)
