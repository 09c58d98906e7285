"""What is usual, what is strange, and what must not be taken."""

import math

import numpy as np
import pytest

from crnn_asr.config import TrainingConfig
from crnn_asr.errors import ModelError
from crnn_asr.strict_json import from_dict, to_dict
from crnn_asr.training.guards import LOSS_RATIO, NORM_RATIO, WARMUP_STEPS, Health, Level, judge, steady_growth
from crnn_asr.training.state import Progress


def learned(rng: np.random.Generator, scale: float = 1.0, sigma: float = 0.3, steps: int = 300) -> Level:
    level = Level()
    for value in scale * np.exp(sigma * rng.standard_normal(steps)):
        level.add(float(value), NORM_RATIO)
    return level


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_level_is_the_mean_and_the_spread_of_the_logarithm(rng, scale):
    level = learned(rng, scale)
    assert level.mean == pytest.approx(math.log(scale), abs=0.15)
    assert level.spread == pytest.approx(0.3 * math.sqrt(2 / math.pi), rel=0.3)  # of a normal distribution
    assert level.bound(NORM_RATIO) == pytest.approx(10 * scale, rel=0.2)


def test_nothing_is_strange_before_it_is_known_what_is_usual():
    level = Level()
    found = [level.add(value, NORM_RATIO) for value in [1.0, 1e9] * (WARMUP_STEPS // 2)]
    assert not any(found) and level.bound(NORM_RATIO) < math.inf


@pytest.mark.parametrize("sigma", [0.01, 0.3, 0.8])
def test_usual_numbers_are_not_reported_however_they_scatter(rng, sigma):
    level = learned(rng, 1.0, sigma)
    values = np.exp(sigma * rng.standard_normal(5_000))
    assert sum(level.add(float(value), LOSS_RATIO) for value in values) <= 1
    assert level.add(float(np.exp(10 * sigma + 3)), LOSS_RATIO)


def test_one_explosion_does_not_move_the_level(rng):
    level = learned(rng)
    mean, bound = level.mean, level.bound(NORM_RATIO)
    assert level.add(1e30, NORM_RATIO)
    assert level.mean == pytest.approx(mean, abs=0.05) and level.bound(NORM_RATIO) < 2 * bound


def test_a_new_level_is_learned(rng):
    """A loss that falls for good, or rises when augmentation grows, is soon usual."""
    level = learned(rng)
    found = [level.add(float(value), LOSS_RATIO) for value in 3 * np.exp(0.3 * rng.standard_normal(500))]
    assert level.mean == pytest.approx(math.log(3), abs=0.15) and not any(found[-300:])


def test_verdicts():
    health = Health()
    for _ in range(WARMUP_STEPS):
        assert judge(health, 200.0, 100, 1.5).kind == ""
    assert judge(health, 200.0, 100, 16.0).kind == "explosion"
    jump = judge(health, 900.0, 100, 1.5)
    assert (jump.is_good, jump.kind) == (True, "loss_jump") and "4.5 times" in jump.sentence
    assert judge(health, 0.0, 0, 0.0) == judge(Health(), 0.0, 0, 0.0)  # a batch of nothing
    before = to_dict(health)
    for number, (loss, norm) in enumerate([(math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (1.0, math.inf)], 1):
        verdict = judge(health, loss, 100, norm)
        assert (verdict.is_good, verdict.kind, health.bad_in_a_row) == (False, "not_finite", number)
    after = to_dict(health)
    assert after["norm"] == before["norm"] and after["loss"] == before["loss"]
    judge(health, 0.0, 100, 0.0)  # both may come to nothing
    assert (health.bad_in_a_row, health.skipped_steps, health.exploded_steps, health.loss_jumps) == (0, 4, 1, 1)


def test_returning_twice_to_one_state_and_to_a_later_one_comes_to_the_same():
    """The rate is halved once a return, whichever of them the state that is returned to knows of."""
    late = Progress(step=900)
    late.health.returns, late.health.skipped_steps, late.best_epoch, late.incidents = 1, 45, 3, 50
    for known, scale in ((0, 1.0), (1, 0.5)):
        state = Progress(step=500, learning_rate_scale=scale)
        state.health.returns = known
        state.gone_back_from(late)
        assert (state.learning_rate_scale, state.health.returns, state.health.skipped_steps) == (0.25, 2, 45)
        assert (state.step, state.best_epoch, state.incidents, state.health.bad_in_a_row) == (500, 3, 50, 0)


def test_progress_is_the_same_after_json(rng):
    progress = Progress(best_scores={"dev_wer": 0.1 + 0.2})
    progress.health.norm = learned(rng)
    assert from_dict(Progress, to_dict(progress)) == progress


def test_a_leak_is_steady_and_a_cache_fills_up():
    assert steady_growth([900.0 + 15 * i for i in range(12)]) == pytest.approx(15)
    assert steady_growth([900.0 + 15 * i for i in range(11)]) == 0  # too short to tell
    assert steady_growth([900.0 + 15 * i + 5 * (-1) ** i for i in range(12)]) > 0
    assert steady_growth([600.0, *(1041.0 - 141 * 0.7**i for i in range(12))]) == 0  # oneDNN's shapes
    assert steady_growth([900.0 + i for i in range(40)]) == 0  # too little to matter
    assert steady_growth([900.0] * 30) == steady_growth([0] * 30) == 0
    assert steady_growth([*(900.0 + 15 * i for i in range(8)), *(700.0 + 15 * i for i in range(4))]) == 0  # resumed


@pytest.mark.parametrize("name", ["keep_checkpoints", "max_bad_steps"])
def test_counts_that_make_no_sense(name):
    with pytest.raises(ModelError, match=f"{name} must be at least 1, got 0"):
        TrainingConfig(**{name: 0})
