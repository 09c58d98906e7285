"""Numbers that are not finite: in audio, in features, in the loss, in the gradient, in batch norm."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from fault_runner import MODEL, TRAINING, arrays, make_trainer

from crnn_asr.errors import DataError
from crnn_asr.training import loop, step
from crnn_asr.training.events import EpochDone, Incident, StepDone, Stopped
from crnn_asr.training.loop import Trainer
from crnn_asr.training.model import CRNN
from crnn_asr.training.optimizers import make_optimizer

BROKEN_STEPS = range(7, 13)  # the last good state before them is that of step 4, though 8 is a multiple of 4 too


def state(model: CRNN, optimizer: object) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in (*model.weights, *optimizer.variables)]


def batch(rng: np.random.Generator) -> list[np.ndarray]:
    features = rng.standard_normal((2, 32, 80)).astype(np.float32)
    return [features, np.array([30, 25], np.int32), np.array([[1, 2], [2, 0]], np.int32), np.array([2, 1], np.int32)]


@pytest.mark.parametrize(
    ("fault", "accumulate"),
    [
        ("features", 2),
        ("gradient", 1),
        *(pytest.param(*x, marks=pytest.mark.slow) for x in [("loss", 1), ("loss", 2), ("features", 1)]),
        *(pytest.param(*x, marks=pytest.mark.slow) for x in [("gradient", 2), ("statistics", 1), ("statistics", 2)]),
    ],
)
def test_a_step_that_is_not_finite_changes_nothing_at_all(rng, monkeypatch, tally, fault, accumulate):
    """Weights, optimizer with its averages, batch norm: to the bit. A good step after it changes all of them."""
    broken = tf.Variable(0.0)
    ctc = step.ctc_loss
    if fault == "loss":
        monkeypatch.setattr(step, "ctc_loss", lambda *x: ctc(*x) + tf.stop_gradient(broken))
    elif fault == "gradient":

        @tf.custom_gradient
        def with_broken_gradient(losses):
            return losses, lambda upstream: upstream + broken

        monkeypatch.setattr(step, "ctc_loss", lambda *x: with_broken_gradient(ctc(*x)))
    model = CRNN(MODEL)
    optimizer = make_optimizer(TRAINING, model)
    make = step.make_train_step if accumulate == 1 else step.make_accumulating_step
    learner = make(model, optimizer, TRAINING)
    good, bad = batch(rng), batch(rng)
    if fault == "features":
        bad[0][0, 3, 5] = np.nan
    elif fault == "statistics":  # their squares are too large, and everything behind the batch norm is finite again
        bad[0] *= np.float32(1e25)
    seeds = [tf.constant([0, number]) for number in range(accumulate)]
    before = state(model, optimizer)
    broken.assign(math.nan)
    _, norm = step.run_step(learner, [good, bad][-accumulate:], seeds, 1e-2)
    assert math.isnan(norm)
    for found, wanted in zip(state(model, optimizer), before, strict=True):
        np.testing.assert_array_equal(found, wanted)
    broken.assign(0.0)
    _, norm = step.run_step(learner, [good] * accumulate, seeds, 1e-2)
    assert math.isfinite(norm)
    still = [np.array_equal(one, other) for one, other in zip(model.get_weights(), before)]
    assert not any(still) and np.isfinite(np.concatenate([w.ravel() for w in state(model, optimizer)])).all()
    tally(f"{fault} not finite, {accumulate} batches a step", 1, 0, 0)


def break_steps(trainer: Trainer, is_broken: Callable[[int, float], bool]) -> None:
    """Put NaN into the features of steps, by their number and the share of the learning rate that is left."""
    train_step = trainer.learner.train_step

    def broken(features, lengths, labels, label_lengths, seed, rate):
        if is_broken(int(seed[1]), trainer.progress.learning_rate_scale):
            features = features + np.float32(np.nan)
        return train_step(features, lengths, labels, label_lengths, seed, rate)

    trainer.learner.train_step = broken


def test_a_bad_step_is_named_and_the_run_goes_on(tone_corpus, tmp_path):
    trainer = make_trainer(tmp_path / "run", tone_corpus)
    break_steps(trainer, lambda number, _: number in (3, 12))
    plan, examples = trainer.train_source.plan(0), trainer.train_source.examples
    names = [examples[i].utterance.id for i in plan.batches[3].indices]
    events = list(trainer.events())
    first, second = (event for event in events if isinstance(event, Incident))
    assert (first.kind, first.epoch, first.step, list(first.utterances)) == ("not_finite", 1, 3, names)
    assert second.step == 12 and trainer.progress.health.skipped_steps == 2
    rows = [json.loads(line) for line in (tmp_path / "run" / "incidents.jsonl").read_text().splitlines()]
    assert [row["utterances"] for row in rows] == [names, list(second.utterances)]
    assert "loss" not in rows[0]  # NaN is no JSON
    lines = trainer.run.read_metrics()
    assert [line["skipped_steps"] for line in lines] == [1, 2]
    assert all(0 < line["gradient_norm_mean"] <= line["gradient_norm_max"] < 1e3 for line in lines)
    assert all(np.isfinite(array).all() for array in arrays(tmp_path / "run"))


@pytest.fixture
def soon_back(monkeypatch) -> dict[str, int]:
    """States to return to are kept every four steps; three bad steps are too many."""
    monkeypatch.setattr(loop, "GOOD_EVERY_STEPS", 4)
    return {"max_bad_steps": 3}


def broken_until_halved(number: int, scale: float) -> bool:
    return number in BROKEN_STEPS and scale > 0.3


def test_back_to_a_good_state_with_half_the_rate_and_resumed_to_the_bit(tone_corpus, tmp_path, soon_back):
    """Twice, until the rate is low enough; stopped at many steps, within the bad ones too, it is the same run."""
    whole = make_trainer(tmp_path / "whole", tone_corpus, **soon_back)
    break_steps(whole, broken_until_halved)
    events = list(whole.events())
    kinds = [event.kind for event in events if isinstance(event, Incident)]
    assert kinds == (["not_finite"] * 3 + ["went_back"]) * 2
    returns = [event.sentence for event in events if isinstance(event, Incident) and event.kind == "went_back"]
    assert ["back to step 4 with" in sentence for sentence in returns] == [True, True]
    p = whole.progress
    assert (p.health.returns, p.health.skipped_steps, p.learning_rate_scale, p.finished) == (2, 6, 0.25, True)
    assert len((tmp_path / "whole" / "incidents.jsonl").read_text().splitlines()) == p.incidents == 8
    assert [row["epoch"] for row in whole.run.read_metrics()] == [1, 2]
    root, steps = tmp_path / "run", sum(isinstance(event, StepDone) for event in events)
    for more in (8, 4, 2, steps):  # among the bad steps, at the return, after it
        part = make_trainer(root, tone_corpus, **soon_back)
        part.resume()
        break_steps(part, broken_until_halved)
        done = iter([False] * more)
        stopped = isinstance(list(part.events(lambda: next(done, True)))[-1], Stopped)  # noqa: B023
        assert stopped == (more != steps)
    for one, other in zip(arrays(root), arrays(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(one, other)
    found, wanted = ((path / "incidents.jsonl").read_text() for path in (root, tmp_path / "whole"))
    assert found == wanted


@pytest.mark.slow
def test_after_three_returns_a_sentence(tone_corpus, tmp_path, soon_back, tally):
    trainer = make_trainer(tmp_path / "run", tone_corpus, **soon_back)
    break_steps(trainer, lambda number, _: number >= 9)
    returns, last = [], 0
    with pytest.raises(DataError, match=r"3 steps in a row .* after 3 returns .*incidents\.jsonl .*--learning-rate"):
        for event in trainer.events():
            if isinstance(event, Incident) and event.kind == "went_back":
                returns.append(last + 1 - event.step)
            last = event.step if isinstance(event, Incident) else last
    assert returns == [4, 4, 4] and trainer.progress.learning_rate_scale == 0.125
    assert all(np.isfinite(array).all() for array in arrays(tmp_path / "run"))
    tally("loss not finite from a step on", 1, max(returns), 0)


def test_audio_that_is_not_finite_is_skipped_and_named(tone_corpus, tmp_path, tally):
    corpus = tmp_path / "corpus"
    shutil.copytree(tone_corpus, corpus)
    victim = corpus / "train" / "train-03.wav"
    samples, rate = soundfile.read(victim, dtype="float32")
    samples[500] = np.nan
    soundfile.write(victim, samples, rate, subtype="FLOAT")
    trainer = make_trainer(tmp_path / "run", corpus)
    events = list(trainer.events())
    assert isinstance(events[-1], EpochDone) and not any(isinstance(event, Incident) for event in events)
    assert list(trainer.train_source.problems) == ["train-03"]
    assert all(np.isfinite(array).all() for array in arrays(tmp_path / "run"))
    tally("NaN in audio", 1, 0, 0)


def test_features_that_are_not_finite_are_skipped_and_named(tone_corpus, tmp_path, monkeypatch):
    from crnn_asr.training import batches

    compute = batches.compute_features

    def broken(samples, config):
        features = compute(samples, config)
        if len(features) == shortest:
            features[-1, -1] = np.inf
        return features

    trainer = make_trainer(tmp_path / "run", tone_corpus)
    plan = trainer.dev.plan
    shortest = int(plan.num_frames.min())
    monkeypatch.setattr(batches, "compute_features", broken)
    for planned in plan.batches:
        trainer.dev.source.load(plan, planned)
    problems = trainer.dev.source.problems
    assert 0 < len(problems) < len(plan.num_frames)
    assert all("not finite" in problem.reason for problem in problems.values())


def test_strange_numbers_are_told_with_the_utterances(tone_corpus, tmp_path, monkeypatch):
    """Levels that were learned elsewhere, so that this short run is strange to them."""
    trainer = make_trainer(tmp_path / Path("run"), tone_corpus, epochs=1)
    for level, usual in ((trainer.progress.health.norm, 1e-4), (trainer.progress.health.loss, 1e-9)):
        level.steps, level.mean = 100, math.log(usual)
    kinds = [event.kind for event in trainer.events() if isinstance(event, Incident) and event.utterances]
    assert kinds[0] == "explosion"
    (row,) = trainer.run.read_metrics()
    assert row["exploded_steps"] > 0 and row["loss_jumps"] > 0 and row["skipped_steps"] == 0
