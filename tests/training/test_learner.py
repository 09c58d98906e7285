"""A batch in parts is the batch: same utterances, same update."""

from collections import Counter
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.config import ModelConfig, RunConfig, TrainingConfig
from crnn_asr.errors import DataError
from crnn_asr.training import learner as learner_module
from crnn_asr.training.batches import Batch, pad_batch
from crnn_asr.training.learner import Learner, split
from crnn_asr.training.replicas import Replicas

MODEL = ModelConfig(
    num_mels=12, conv_filters=(3, 4), projection_units=6, lstm_layers=1, lstm_units=5, num_symbols=4, dropout=0.0
)
CONFIG = RunConfig(model=MODEL, training=TrainingConfig(clip_norm=0.5, average_steps=3))
RATE = 1e-2


def batch(rng: np.random.Generator, lengths: list[int], times: int = 1) -> Batch:
    features = [rng.standard_normal((length, 12)).astype(np.float32) for length in lengths]
    return pad_batch(features * times, [[0, 1], [2, 0], [1, 2]][: len(lengths)] * times, 12)


def learner(config: RunConfig = CONFIG) -> Learner:
    keras.utils.set_random_seed(2)
    return Learner(config, Replicas(tf.distribute.get_strategy()))


def trained(one: Learner) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in (*one.model.trainable_variables, *one.optimizer.variables)]


@pytest.fixture
def memory_for(monkeypatch):
    """Have memory run out in steps with a batch of more padded frames; counts the rows of what was tried."""

    def limit(most: int) -> Counter:
        tried: Counter = Counter()
        run_step = learner_module.run_step

        def limited(step, batches, seeds, rate):
            for number, one in enumerate(batches):
                tried[len(one[0])] += 1
                if one[0].shape[0] * one[0].shape[1] > most:
                    if number:  # those before are summed already
                        run_step((step[0], step[1], lambda _: None), batches[:number], seeds[:number], rate)
                    raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
            return run_step(step, batches, seeds, rate)

        monkeypatch.setattr(learner_module, "run_step", limited)
        return tried

    return limit


def test_in_halves_when_memory_runs_out_with_the_update_of_the_whole(rng, memory_for):
    """Halves of the same utterances, so that batch norm sees the same."""
    whole = batch(rng, [23, 17, 30], 2)
    wanted, found = learner(), learner()
    ones = [wanted.step([whole], number, RATE) for number in range(3)]
    tried, limit = memory_for(3 * whole[0].shape[1]), 0
    for number, one in enumerate(ones):
        other = found.step([whole], number, RATE, limit)
        limit = other.limit
        assert (other.utterances, other.frames, limit) == (one.utterances, one.frames, 3 * whole[0].shape[1])
        assert other.loss == pytest.approx(one.loss, rel=1e-5) and other.norm == pytest.approx(one.norm, rel=1e-4)
    assert one.norm > CONFIG.training.clip_norm and one.limit == 0
    for a, b in zip(trained(found), trained(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert tried == {6: 1, 3: 6}  # the whole the first time only: then the limit is known


def test_once_there_is_a_limit_smaller_batches_are_taken_in_the_same_way(rng):
    """Sums that are divided at the end round differently, and a resumed run does not know which came first."""
    one = learner()
    one.step([batch(rng, [23])], 0, RATE)
    assert callable(one.train_step)
    one.step([batch(rng, [23])], 1, RATE, limit=10_000)
    assert not callable(one.train_step)


def test_what_ran_out_of_memory_leaves_nothing_behind(rng, memory_for):
    """A part that was added before the one that did not fit counts once."""
    whole, long = batch(rng, [23, 17, 30], 2), batch(rng, [90, 80, 85], 2)
    config = replace(CONFIG, training=replace(CONFIG.training, accumulate_batches=2))
    wanted, found = learner(config), learner(config)
    one = wanted.step([whole, long], 0, RATE)
    tried = memory_for(3 * long[0].shape[1])
    other = found.step([whole, long], 0, RATE)
    assert tried == {6: 3, 3: 2}
    assert other.limit == 3 * long[0].shape[1] > whole[0].shape[0] * whole[0].shape[1]
    assert (other.utterances, other.frames) == (one.utterances, one.frames) == (12, 650)
    for a, b in zip(trained(found), trained(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_quarters_and_then_a_sentence(rng, memory_for):
    found = learner()
    memory_for(40)
    outcome = found.step([batch(rng, [23, 17, 30])], 0, RATE)  # padded to 32
    assert (outcome.utterances, outcome.limit) == (3, 32)
    before = trained(found)
    with pytest.raises(DataError, match=r"one utterance of 1 s; lower --max-duration"):
        found.step([batch(rng, [90])], 1, RATE, outcome.limit)
    for a, b in zip(trained(found), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("count", "sizes"), [(1, [5]), (2, [2, 3]), (3, [1, 2, 2]), (5, [1] * 5)])
def test_every_row_is_in_one_part(rng, count, sizes):
    whole = pad_batch([rng.standard_normal((9, 12)).astype(np.float32) for _ in range(5)], [[1, 2]] * 5, 12)
    parts = split(whole, count)
    assert [len(part[0]) for part in parts] == sizes
    for position in range(4):
        np.testing.assert_array_equal(np.concatenate([part[position] for part in parts]), whole[position])


def test_a_replica_may_have_nothing(rng):
    many, few = batch(rng, [20, 22, 25]), batch(rng, [21])
    parts = split([*many, *few], 3)
    assert [len(part[0]) for part in parts] == [1, 1, 1]
    assert [part[5].tolist() for part in parts] == [[0], [0], [21]]
    assert [part[7].tolist() for part in parts] == [[1], [1], [2]]  # a label that CTC insists on


def test_parts_draw_masks_of_their_own():
    one = learner()
    seeds = [tuple(one._seed(7, part).numpy().tolist()) for part in range(3)]
    assert seeds == [(0, 7), (1_000, 7), (2_000, 7)]
