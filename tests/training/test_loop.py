"""The loop: a run that was stopped and resumed is the run that was not, to the bit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crnn_asr.config import ModelConfig, RunConfig, TrainingConfig
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import save_config
from crnn_asr.training.checkpoint import read_checkpoint
from crnn_asr.training.choice import Choice
from crnn_asr.training.events import EpochDone, StepDone, Stopped
from crnn_asr.training.loop import Trainer
from crnn_asr.training.run import RunDirectory, load_weights
from crnn_asr.training.setup import prepare
from crnn_asr.training.step import learning_rate

MODEL = ModelConfig(conv_filters=(4, 4), projection_units=16, lstm_layers=1, lstm_units=12, dropout=0.2)
TRAINING = TrainingConfig(epochs=3, batch_frames=700, warmup_steps=4, seed=5)


def trainer(root: Path, corpus: Path, **changes: object) -> Trainer:
    config = replace(
        PRESETS["tiny"],
        model=MODEL,
        training=replace(TRAINING, **changes),
        train_manifests=(str(corpus / "train.jsonl"),),
        dev_manifest=str(corpus / "dev.jsonl"),
    )
    setup = prepare(config, "auto")
    run = RunDirectory(root)
    root.mkdir(exist_ok=True)
    save_config(setup.config, run.config)
    return Trainer(run, setup.config, setup.train, setup.dev)


def arrays(root: Path) -> dict[str, np.ndarray]:
    with np.load(root / "checkpoints" / "last.npz") as file:
        return {name: file[name] for name in file.files if name != "progress"}


def metrics(root: Path) -> list[dict]:
    timing = ("seconds", "audio_seconds_per_second", "wait_share", "resident_mib")
    return [{k: v for k, v in row.items() if k not in timing} for row in RunDirectory(root).read_metrics()]


@pytest.fixture(scope="module")
def whole_run(tone_corpus, tmp_path_factory) -> Trainer:
    run = trainer(tmp_path_factory.mktemp("runs") / "whole", tone_corpus)
    assert isinstance(list(run.events())[-1], EpochDone)
    return run


@pytest.fixture(scope="module")
def whole(whole_run) -> Path:
    return whole_run.run.root


def test_dev_and_the_best_checkpoint_have_averaged_weights(tone_corpus, tmp_path):
    averaging = trainer(tmp_path / "run", tone_corpus, average_steps=4, epochs=1)
    average: list[np.ndarray] = []
    for event in averaging.events():
        now = [weight.numpy() for weight in averaging.model.trainable_variables]
        if isinstance(event, StepDone):
            average = [0.75 * old + 0.25 * new for old, new in zip(average, now)] or now
    for found, expected in zip(averaging.dev.model.trainable_variables, average):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    weights = load_weights(tmp_path / "run")[1]
    np.testing.assert_array_equal(weights["output.kernel"], averaging.dev.model.output_layer.kernel)
    assert np.abs(weights["output.kernel"] - averaging.model.output_layer.kernel.numpy()).max() > 1e-4


@pytest.mark.parametrize("stops", [[1], [3, 5], pytest.param([5, 6, 7, 11], marks=pytest.mark.slow)])
def test_stopped_and_resumed_equals_uninterrupted(tone_corpus, tmp_path, whole, stops):
    root = tmp_path / "run"
    for step in stops:
        part = trainer(root, tone_corpus)
        part.resume()
        assert isinstance(list(part.events(lambda: part.progress.step >= step))[-1], Stopped)  # noqa: B023
        assert part.progress.step == step
    last = trainer(root, tone_corpus)
    last.resume()
    assert last.progress.step == stops[-1]
    list(last.events())
    assert metrics(root) == metrics(whole)
    found, wanted = arrays(root), arrays(whole)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)


def test_work_after_the_last_checkpoint_is_done_again(tone_corpus, tmp_path, whole):
    """As a kill would leave it: an epoch's line and best weights are written, its checkpoint is not."""
    root = tmp_path / "run"
    part = trainer(root, tone_corpus)
    save = part.save
    part.save = lambda: save() if part.progress.epoch < 2 else part.events_ended  # which is not there
    with pytest.raises(AttributeError, match="events_ended"):
        list(part.events())
    assert len(metrics(root)) == 2
    again = trainer(root, tone_corpus)
    again.resume()
    assert again.progress.epoch == 1 and len(metrics(root)) == 1
    list(again.events())
    assert metrics(root) == metrics(whole)
    for name, value in arrays(whole).items():
        np.testing.assert_array_equal(arrays(root)[name], value)


def test_another_seed_is_another_run(tone_corpus, tmp_path, whole):
    list(trainer(tmp_path / "run", tone_corpus, seed=6).events())
    assert metrics(tmp_path / "run") != metrics(whole)


def test_it_learns_and_a_run_directory_describes_itself(tone_corpus, tmp_path):
    root = tmp_path / "run"
    run = trainer(root, tone_corpus, epochs=40, learning_rate=2e-2, batch_frames=350)
    events = list(run.events())
    rows = metrics(root)
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    best = rows[rows[-1]["best_epoch"] - 1]
    assert best["dev_loss"] == min(row["dev_loss"] for row in rows if row["dev_wer"] <= best["dev_wer"])
    assert best["dev_wer"] < 50
    summary = json.loads((root / "summary.json").read_text())
    assert summary["best_epoch"] == best["epoch"] and summary["dev_wer"] == best["dev_wer"]
    for name in ("config.json", "metrics.jsonl", "predictions.csv", "model.keras"):
        assert (root / name).stat().st_size > 0
    steps = [event for event in events if isinstance(event, StepDone)]
    assert all(0 <= event.wait_share <= 1 and event.seconds_left >= 0 for event in steps)
    config, weights = load_weights(root)
    assert isinstance(config, RunConfig)
    assert weights["output.kernel"].shape == (24, 5)


def test_steps_of_many_shapes_are_compiled_once(whole_run):
    """And the shapes and the padding of each epoch stand in its line."""
    assert whole_run.learner.train_step.experimental_get_tracing_count() == 1
    assert whole_run.dev.step.experimental_get_tracing_count() == 1
    plans = [whole_run.train_source.plan(epoch) for epoch in range(TRAINING.epochs)]
    assert len({(batch.rows, batch.frames) for plan in plans for batch in plan.batches}) > 3
    for row, plan in zip(metrics(whole_run.run.root), plans, strict=True):
        assert row["batch_shapes"] == plan.num_shapes and row["padding_share"] == round(plan.padding_share, 4)


def test_the_schedule_ends_with_the_run_whatever_is_drawn(tone_corpus, tmp_path):
    """Rates fall from step to step, to that of the last step of a cosine, though epochs differ in length."""
    run = trainer(
        tmp_path / "run", tone_corpus, epochs=40, accumulate_batches=2, warmup_steps=0, max_batch_utterances=2
    )
    plans = [run.train_source.plan(epoch) for epoch in range(40)]
    plans[7:9] = [replace(plan, batches=plan.batches[:-5]) for plan in plans[7:9]]
    assert len({len(plan.batches) for plan in plans}) > 1
    rates = []
    for run.progress.epoch, plan in enumerate(plans):
        batches = len(plan.batches)
        rates += [run._rate(batch / batches) for batch in range(0, batches, 2)]
    assert (np.diff(rates) < 0).all() and rates[0] == TRAINING.learning_rate
    assert rates[-1] == pytest.approx(TRAINING.learning_rate * (np.pi / 2 / len(rates)) ** 2, rel=0.1)


@pytest.mark.parametrize(
    ("keep", "ramp", "bests"),
    [("best", 0.0, [1, 1, 1]), ("best", 0.3, [1, 2, 2]), ("best", 0.5, [1, 2, 3]), ("last", 0.0, [1, 2, 3])],
)
def test_the_epoch_that_is_kept(tone_corpus, tmp_path, keep, ramp, bests):
    """Where augmentation grows over 0.9 and 1.5 of three epochs, the second and the third are the first in full."""
    run = trainer(tmp_path / "run", tone_corpus, keep=keep, augment_ramp_share=ramp)
    kept = bests[-1]
    events = []
    for event in run.events():
        if isinstance(event, EpochDone):
            events.append(event)
            run.progress.best_wer, run.progress.best_loss, run.progress.lowest_wer = (
                -1.0,
                -1.0,
                -1.0,
            )  # not to be beaten
    assert [event.metrics["best_epoch"] for event in events] == bests
    assert [event.is_best for event in events] == [keep == "best" and best == n for n, best in enumerate(bests, 1)]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["best_epoch"], summary["dev_wer"]) == (kept, events[kept - 1].metrics["dev_wer"])
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "best.npz")[0].epoch == kept


def test_a_run_that_gets_no_better_ends_early(tone_corpus, tmp_path):
    run = trainer(tmp_path / "run", tone_corpus, epochs=9, early_stopping_epochs=2)
    run.progress.best_wer = run.progress.lowest_wer = -1.0
    run.progress.best_epoch = 1
    run.progress.best_scores = {"dev_wer": 0.0, "dev_cer": 0.0}
    list(run.events())
    assert run.progress.finished and run.progress.epoch == 3


def test_learning_rate_schedules():
    cosine = TrainingConfig(learning_rate=1.0, warmup_steps=10)
    rates = [learning_rate(cosine, step, 110, 1.0) for step in range(110)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[10] == 1.0 and rates[60] == pytest.approx(0.5) and rates[-1] < 1e-3
    plateau = TrainingConfig(learning_rate=1.0, warmup_steps=10, schedule="plateau")
    assert learning_rate(plateau, 50, 110, 0.25) == 0.25


def test_plateau_halves_the_rate_after_patience(tone_corpus, tmp_path):
    run = trainer(tmp_path / "run", tone_corpus, schedule="plateau", plateau_patience=2)
    for epoch, (is_best, scale) in enumerate([(True, 1), (False, 1), (False, 0.5), (False, 0.5), (False, 0.25)]):
        run.progress.epoch = epoch + 1
        run._judge(Choice(epoch + 1 if is_best else 1, 0.5, 1.0, 0.5))
        assert run.progress.learning_rate_scale == scale
    assert run.progress.best_epoch == 1
