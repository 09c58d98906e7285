"""Which utterances go together: each once, within the budget, with little padding and in few shapes."""

import time

import numpy as np
import pytest

from crnn_asr.training.plan import STEP_FRAMES, Plan, padded_length, plan_batches


@pytest.fixture
def speech_like(rng) -> np.ndarray:
    """Frames of 3 000 utterances, most of 2 to 6 seconds."""
    return (100 * np.clip(rng.gamma(6, 0.6, 3_000), 0.5, 20)).astype(int)


def indices(batches) -> list[list[int]]:
    return [batch.indices.tolist() for batch in batches]


def test_padded_lengths_hold_and_waste_little():
    lengths = np.arange(40_000)
    padded = padded_length(lengths)
    assert (padded >= lengths).all() and (np.diff(padded) >= 0).all() and not (padded % STEP_FRAMES).any()
    np.testing.assert_array_equal(padded_length(padded), padded)
    assert (padded[200:] <= 1.1 * lengths[200:]).all()
    assert len(np.unique(padded[50:3_001])) < 60, "half a second to half a minute"
    assert padded_length(10_000_000) >= 10_000_000, "a day"


@pytest.mark.parametrize("seed", [None, 3])
def test_every_utterance_once_within_budget_and_shape(speech_like, seed):
    rng = seed and np.random.default_rng(seed)
    batches = plan_batches(speech_like, 6_000, 16, rng)
    assert sorted(index for batch in indices(batches) for index in batch) == list(range(3_000))
    for batch in batches:
        assert speech_like[batch.indices].max() <= batch.frames == padded_length(batch.frames)
        assert len(batch.indices) <= batch.rows <= 16 and batch.rows * batch.frames <= 6_000


def test_padding_and_shapes_are_few(speech_like):
    rng, shapes = np.random.default_rng(0), set()
    for epoch in range(20):
        spoken = np.rint(speech_like / rng.uniform(0.9, 1.1, 3_000)).astype(int)
        spoken = spoken[: 2_960 + 2 * epoch]  # so that each epoch leaves another number over
        plan = Plan(epoch, plan_batches(spoken, 6_000, 16, rng), None, spoken)
        padded = [np.full(batch.rows, batch.frames) for batch in plan.batches]
        assert plan.padding_share == pytest.approx(1 - spoken.sum() / np.concatenate(padded).sum())
        assert plan.padding_share < 0.05
        assert plan.num_shapes == len({(len(rows), rows[0]) for rows in padded})
        shapes |= {(batch.rows, batch.frames) for batch in plan.batches}
    assert len(shapes) <= 50
    by_length = [frames for rows, frames in shapes if frames > min(frames for _, frames in shapes) + 40]
    assert len(by_length) == len(set(by_length)), "a length has one number of rows, but for what is left over"


def test_grouping_is_a_function_of_the_draw_and_changes_with_it(speech_like):
    first, again, other = (
        plan_batches(speech_like, 6_000, 16, np.random.default_rng(seed)) for seed in ((5, 1), (5, 1), (5, 2))
    )
    assert indices(first) == indices(again)
    together = {frozenset(batch) for batch in indices(first)} & {frozenset(batch) for batch in indices(other)}
    assert len(together) < 0.05 * len(first)
    frames = [batch.frames for batch in first]
    assert abs(np.corrcoef(frames, np.arange(len(frames)))[0, 1]) < 0.2, "short and long ones come in any order"


def test_without_a_draw_from_long_to_short():
    (long, short) = plan_batches(np.array([50, 4_000, 60, 55]), 200, 10)
    assert long.indices.tolist() == [1] and (long.rows, long.frames) == (1, padded_length(4_000)), "over the budget"
    assert short.indices.tolist() == [2, 0, 3] and (short.rows, short.frames) == (3, 64)


def test_a_corpus_smaller_than_a_batch_is_not_padded_to_one():
    (batch,) = plan_batches(np.array([100, 90, 95]), 8_000, 32, np.random.default_rng(0))
    assert batch.rows == 3


def test_what_is_left_over_has_a_quarter_of_the_rows_at_least():
    rows = {plan_batches(np.full(16 + left, 100), 8_000, 16)[-1].rows for left in range(1, 17)}
    assert rows == {4, 8, 12, 16}


def test_a_large_corpus_is_planned_in_a_moment(rng):
    """300 000 utterances took 0.15 s; a loop over utterances with draws of their own took 6.5 s."""
    frames = rng.integers(100, 3_000, 300_000)
    start = time.process_time()
    batches = plan_batches(frames, 32_000, 32, rng)
    assert time.process_time() - start < 3
    assert sum(len(batch.indices) for batch in batches) == 300_000
