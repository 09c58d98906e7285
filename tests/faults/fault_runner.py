"""A tiny run in a process of its own, which may be killed. The process is forked from one that has TensorFlow already.

The run saves after every step or so: this is where kills are to hit.
"""

import multiprocessing
import os
import signal
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from crnn_asr import files
from crnn_asr.config import ModelConfig, TrainingConfig
from crnn_asr.native import load_tensorflow
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import save_config

load_tensorflow()

from crnn_asr.training.events import StepDone  # noqa: E402
from crnn_asr.training.loop import Trainer  # noqa: E402
from crnn_asr.training.run import RunDirectory  # noqa: E402
from crnn_asr.training.setup import prepare  # noqa: E402

MODEL = ModelConfig(conv_filters=(4, 4), projection_units=16, lstm_layers=1, lstm_units=12, dropout=0.2)
TRAINING = TrainingConfig(
    epochs=2,
    batch_frames=350,
    warmup_steps=4,
    seed=5,
    checkpoint_every_s=0.0,
    average_steps=5,
    optimizer="muon",
)
INSIDE = ("write", "sync", "rename")  # of a save


def make_trainer(root: Path, corpus: Path, **changes: object) -> Trainer:
    """A trainer of the tiny run in `root`, which is made where it is not there; it has not been resumed."""
    config = replace(
        PRESETS["tiny"],
        model=MODEL,
        training=replace(TRAINING, **changes),
        train_manifests=(str(corpus / "train.jsonl"),),
        dev_manifest=str(corpus / "dev.jsonl"),
    )
    run = RunDirectory(root)
    root.mkdir(exist_ok=True)
    setup = prepare(config, "auto")
    save_config(setup.config, run.config)
    trainer = Trainer(run, setup.config, setup.train, setup.dev)
    # These take most of the time of so small a run, and it reads nothing back from them.
    trainer.write_keras = lambda: None  # type: ignore[method-assign]
    return trainer


def arrays(root: Path) -> list[np.ndarray]:
    """All weights and the optimizer of the last checkpoint, in order."""
    with np.load(root / "checkpoints" / "last.npz") as file:
        return [file[name] for name in sorted(file.files) if name != "progress"]


def start(
    root: Path, corpus: Path, kill: tuple[str, int] = ("", 0)
) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    """Start or resume the run. The pipe gives the number of each step that is done, "ready" before the first.

    Args:
        kill: where in a save the process kills itself, of `INSIDE`, and in which of these calls, from 1 on.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crnn_asr.training.loop"])
    pipe, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(root, corpus, kill, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, pipe


def _train(root: Path, corpus: Path, kill: tuple[str, int], pipe: Connection) -> None:
    run = RunDirectory(root)
    with run.locked():
        trainer = make_trainer(root, corpus)
        trainer.resume()
        _arm(*kill)
        pipe.send(("ready", trainer.progress.step))
        for event in trainer.events():
            if isinstance(event, StepDone):
                pipe.send(("step", trainer.progress.step))


def _arm(place: str, number: int) -> None:
    """Have the process kill itself in the given call of a function that a save consists of."""
    calls = 0

    def is_time() -> bool:
        nonlocal calls
        calls += 1
        return calls == number

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    savez, sync, rename = np.savez, files.sync, Path.replace

    def half_written(path: Path, **values: np.ndarray) -> None:
        savez(path, **values)
        if is_time():
            os.truncate(path, path.stat().st_size // 2)
            die()

    def before_sync(path: Path) -> None:
        if is_time():
            die()
        sync(path)

    def after_rename(path: Path, target: Path) -> Path:
        result = rename(path, target)
        if is_time():
            die()
        return result

    if place == "write":
        np.savez = half_written
    elif place == "sync":
        files.sync = before_sync
    elif place == "rename":
        Path.replace = after_rename  # type: ignore[method-assign]
