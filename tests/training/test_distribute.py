"""Shares of a batch on several replicas, or one after another, give the update of the whole batch."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.config import ModelConfig, TrainingConfig
from crnn_asr.errors import DataError
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import save_config
from crnn_asr.training.batches import Batch, add_rows, pad_batch
from crnn_asr.training.loop import Trainer
from crnn_asr.training.loss import ctc_loss
from crnn_asr.training.model import CRNN
from crnn_asr.training.optimizers import make_optimizer
from crnn_asr.training.run import RunDirectory
from crnn_asr.training.setup import prepare
from crnn_asr.training.step import make_accumulating_step, make_train_step
from crnn_asr.training.tf_config import worker

ROOT = Path(__file__).resolve().parents[2]
SMALL = ModelConfig(
    num_mels=12, conv_filters=(3, 4), projection_units=6, lstm_layers=1, lstm_units=5, num_symbols=4, dropout=0.0
)
CONFIG = TrainingConfig(clip_norm=0.5)
SEED, RATE = tf.constant([0, 0]), 1e-2


def utterances(rng: np.random.Generator, lengths: list[int]) -> list[tuple[np.ndarray, list[int]]]:
    return [(rng.standard_normal((n, 12)).astype(np.float32), [int(i) for i in rng.integers(0, 3, 2)]) for n in lengths]


def padded(rows: list[tuple[np.ndarray, list[int]]]) -> Batch:
    return pad_batch([features for features, _ in rows], [labels for _, labels in rows], 12)


def learner() -> tuple[CRNN, keras.optimizers.Optimizer]:
    keras.utils.set_random_seed(2)
    model = CRNN(SMALL)
    return model, make_optimizer(CONFIG, model)


def state(model: CRNN, optimizer: keras.optimizers.Optimizer) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in (*model.trainable_variables, *optimizer.variables)]


def accumulated(batches: list[Batch]) -> tuple[list[np.ndarray], np.ndarray, float]:
    model, optimizer = learner()
    begin, add, finish = make_accumulating_step(model, optimizer, CONFIG)
    for _ in range(2):  # the second step shows that the first left nothing behind
        begin()
        for batch in batches:
            add(*batch, SEED)
        totals, norm = finish(RATE)
    return state(model, optimizer), totals.numpy(), float(norm)


def test_accumulated_batches_give_the_update_of_the_large_batch(rng):
    """Where their batch norm statistics are those of the large batch: the same utterances once and twice."""
    rows = utterances(rng, [23, 17, 30])
    found, totals, norm = accumulated([padded(rows), padded(rows + rows)])
    model, optimizer = learner()
    step = make_train_step(model, optimizer, CONFIG)
    for _ in range(2):
        wanted_totals, wanted_norm = step(*padded(rows * 3), SEED, RATE)
    np.testing.assert_allclose(totals, wanted_totals, rtol=1e-5)
    assert totals[1:].tolist() == [9, 210] and norm == pytest.approx(float(wanted_norm), rel=1e-4)
    assert norm > CONFIG.clip_norm  # else clipping is not in the test
    for one, other in zip(found, state(model, optimizer), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_an_utterance_weighs_the_same_in_a_small_and_in_a_large_batch(rng):
    batches = [padded(utterances(rng, lengths)) for lengths in ([20], [31, 25, 28, 30, 22])]
    model, optimizer = learner()
    variables = [variable.value for variable in model.trainable_variables]
    sums = [np.zeros(variable.shape, np.float32) for variable in variables]
    for features, lengths, labels, label_lengths in batches:
        with tf.GradientTape() as tape:
            logits = model((features, lengths), training=True)
            loss = tf.reduce_sum(ctc_loss(logits, SMALL.output_length(lengths), labels, label_lengths))
        for total, gradient in zip(sums, tape.gradient(loss, variables)):
            total += gradient.numpy()
    begin, add, finish = make_accumulating_step(model, optimizer, CONFIG)
    begin()
    for batch in batches:
        add(*batch, SEED)
    norm = np.sqrt(sum(np.sum(np.square(total / 6)) for total in sums))
    assert float(finish(RATE)[1]) == pytest.approx(norm, rel=1e-4)


def test_a_row_of_length_zero_counts_nowhere(rng):
    rows = utterances(rng, [23, 17])
    results = []
    for batch in (padded(rows), padded([*rows, (np.zeros((0, 12), np.float32), [0])])):
        model, optimizer = learner()
        totals, norm = make_train_step(model, optimizer, CONFIG)(*batch, SEED, RATE)
        results.append([totals, norm, *state(model, optimizer), *map(np.asarray, model.non_trainable_weights)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_batch_of_nothing_changes_nothing():
    model, optimizer = learner()
    before = [np.asarray(variable) for variable in (*model.weights, *optimizer.variables)]
    totals, norm = make_train_step(model, optimizer, CONFIG)(*add_rows(padded([]), 1), SEED, RATE)
    assert totals.numpy().tolist() == [0, 0, 0] and float(norm) == 0
    for variable, value in zip((*model.weights, *optimizer.variables), before, strict=True):
        np.testing.assert_array_equal(variable, value)


def make_run(root: Path, corpus: Path, **changes: object) -> RunDirectory:
    """A run directory that --resume starts. Its 24 utterances make batches of 23 and of 1: one share is empty."""
    training = TrainingConfig(
        epochs=3,
        batch_frames=9_000,
        max_batch_utterances=23,
        warmup_steps=3,
        seed=5,
        learning_rate=2e-3,
        precision="float32",  # bfloat16 rounds the shares of a gradient, and not alike
    )
    config = replace(
        PRESETS["tiny"],
        model=replace(SMALL, num_mels=80),
        training=replace(training, **changes),
        train_manifests=(str(corpus / "train.jsonl"),),
        dev_manifest=str(corpus / "dev.jsonl"),
    )
    run = RunDirectory(root)
    root.mkdir()
    save_config(prepare(config, "auto").config, run.config)
    return run


def start_workers(run: RunDirectory, count: int = 2) -> list[subprocess.Popen[str]]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    cluster = {"worker": [f"localhost:{one.getsockname()[1]}" for one in sockets]}
    for one in sockets:
        one.close()
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "--out", str(run.root), "--resume"]
    environments = [
        {**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        for task in ({"type": "worker", "index": index} for index in range(count))
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen(command, env=environment, **pipes) for environment in environments]


def finish(workers: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    try:
        errors = [process.communicate(timeout=120)[1] for process in workers]
    finally:
        for process in workers:
            process.kill()
    return [(process.returncode, error) for process, error in zip(workers, errors)]


def train_alone(run: RunDirectory) -> Trainer:
    setup = prepare(run.load_config(), "")
    trainer = Trainer(run, setup.config, setup.train, setup.dev)
    assert list(trainer.events())
    return trainer


def assert_same_run(found: RunDirectory, wanted: RunDirectory) -> None:
    for one, other in zip(found.read_metrics(), wanted.read_metrics(), strict=True):
        for name in ("step", "train_loss", "dev_loss", "dev_wer", "dev_cer", "learning_rate", "skipped_steps"):
            assert one[name] == pytest.approx(other[name], rel=1e-4), name
    with np.load(found.last) as one, np.load(wanted.last) as other:
        assert one.files == other.files
        for name in set(one.files) - {"progress"}:
            np.testing.assert_allclose(one[name], other[name], atol=2e-4)


@pytest.fixture(scope="module")
def alone(tone_corpus, tmp_path_factory) -> RunDirectory:
    """The run of one process with whole batches."""
    run = make_run(tmp_path_factory.mktemp("runs") / "alone", tone_corpus)
    trainer = train_alone(run)
    source = trainer.train_source
    sizes = [np.count_nonzero(batch[1]) for epoch in range(3) for batch in source.dataset(source.plan(epoch))]
    assert sorted(sizes) == [1, 1, 1, 23, 23, 23] and trainer.progress.step == 6
    return run


def test_two_workers_are_one_process_with_the_whole_batch(tone_corpus, tmp_path, alone):
    run = make_run(tmp_path / "run", tone_corpus)
    for code, errors in finish(start_workers(run)):
        assert code == 0, errors
    assert_same_run(run, alone)
    assert (run.root / "skipped.worker1.jsonl").read_text() == ""


def test_two_devices_are_one_with_the_whole_batch(tone_corpus, tmp_path):
    """Two halves of the CPU stand for two GPUs. With Muon, for the workers above have AdamW."""
    run, alone = (make_run(tmp_path / name, tone_corpus, optimizer="muon") for name in ("run", "alone"))
    train_alone(alone)
    code = f"""
import tensorflow as tf
from pathlib import Path
from crnn_asr.training.loop import Trainer
from crnn_asr.training.run import RunDirectory
from crnn_asr.training.setup import prepare
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
run = RunDirectory(Path({str(run.root)!r}))
setup = prepare(run.load_config(), "")
list(Trainer(run, setup.config, setup.train, setup.dev, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])).events())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert_same_run(run, alone)


@pytest.mark.slow
def test_two_workers_accumulate_as_one_process_does(tone_corpus, tmp_path):
    changes = {"accumulate_batches": 2, "max_batch_utterances": 5}
    one, two = make_run(tmp_path / "one", tone_corpus, **changes), make_run(tmp_path / "two", tone_corpus, **changes)
    assert train_alone(one).progress.step == 3 * 3  # steps of batches 5 + 5, 5 + 5 and 4, in any order
    for code, errors in finish(start_workers(two)):
        assert code == 0, errors
    assert_same_run(two, one)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_ends_the_run_and_resume_goes_on(tone_corpus, tmp_path, victim):
    changes = {"epochs": 8, "accumulate_batches": 2, "max_batch_utterances": 3}
    whole, run = (
        make_run(tmp_path / "whole", tone_corpus, **changes),
        make_run(tmp_path / "run", tone_corpus, **changes),
    )
    assert [code for code, _ in finish(start_workers(whole))] == [0, 0]
    assert whole.read_metrics()[-1]["step"] == 8 * 4  # steps of two batches of three
    workers = start_workers(run)
    for line in workers[0].stdout:
        if line.startswith("epoch   3"):
            break
    workers[victim].kill()
    results = finish(workers)
    assert results[victim][0] == -signal.SIGKILL
    code, errors = results[1 - victim]
    assert code == 1 and "another worker was lost" in errors and "--resume" in errors and "Traceback" not in errors
    assert [code for code, _ in finish(start_workers(run))] == [0, 0]
    with np.load(run.last) as one, np.load(whole.last) as other:
        for name in set(one.files) - {"progress"}:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.slow
def test_a_signal_to_one_worker_stops_all_at_the_same_step(tone_corpus, tmp_path):
    run = make_run(tmp_path / "run", tone_corpus, epochs=200)
    workers = start_workers(run)
    for line in workers[0].stdout:
        if line.startswith("epoch   2"):
            break
    workers[1].send_signal(signal.SIGTERM)
    results = finish(workers)
    assert [code for code, _ in results] == [128 + signal.SIGTERM] * 2
    stopped = [errors.splitlines()[-1] for _, errors in results]
    assert stopped[0] == stopped[1] and "everything is saved" in stopped[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 1)),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}', (1, 2)),
        ('{"cluster": {"chief": ["c:1"], "worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}', (1, 2)),
        ('{"cluster": {"chief": ["c:1"], "worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', (0, 2)),
    ],
)
def test_the_place_in_the_cluster(monkeypatch, text, expected):
    monkeypatch.setenv("TF_CONFIG", text)
    assert worker() == expected


@pytest.mark.parametrize("text", ["two", "[]", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}'])
def test_a_wrong_cluster_is_a_sentence(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(DataError, match=r"docs/scale\.md"):
        worker()
