"""Checkpoints come back whole or are refused."""

import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.errors import ModelError
from crnn_asr.training.checkpoint import load_checkpoint, save_checkpoint
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
        save_checkpoint(path, saved, Progress(step=2))
    assert load_checkpoint(path, saved).step == 1
