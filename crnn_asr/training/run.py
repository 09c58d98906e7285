"""A run directory: what it holds, under which names, and how it is read back."""

import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import RunConfig
from crnn_asr.corpus.manifest import Problem
from crnn_asr.errors import ModelError
from crnn_asr.files import naming, remove_partial, write_text
from crnn_asr.strict_json import load_config
from crnn_asr.training.model_card import is_own

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "librosa", "soundfile", "soxr")
OTHER_FILES = (  # that training, quantizing or profiling makes, under names of their own
    "model.*.tflite",
    "model.onnx",
    "model.*.onnx",
    "skipped.worker*.jsonl",
    "checkpoints/last.*",
    "tensorboard/events.out.tfevents.*",
    "profile/operations.csv",
    "profile/plugins/profile/*/*.xplane.pb",
)


class RunDirectory:
    """Paths of a run. Making one touches nothing on the disk.

    Of several workers, only number 0 writes here, but each keeps its own list of what it could not use.
    """

    def __init__(self, root: Path, worker: int = 0) -> None:
        self.root = root
        self.config = root / "config.json"
        self.environment = root / "environment.json"
        self.data = root / "data.json"
        self.metrics = root / "metrics.jsonl"
        self.incidents = root / "incidents.jsonl"
        self.skipped = root / (f"skipped.worker{worker}.jsonl" if worker else "skipped.jsonl")
        self.predictions = root / "predictions.csv"
        self.history = root / "history.csv"
        self.curves = root / "curves.png"
        self.summary_picture = root / "summary.png"
        self.model_card = root / "README.md"
        self.tensorboard = root / "tensorboard"
        self.profile = root / "profile"
        self.summary = root / "summary.json"
        self.keras_model = root / "model.keras"
        self.report_json = root / "report.json"
        self.report_markdown = root / "report.md"
        self.report_picture = root / "report.png"
        self.last = root / "checkpoints" / "last.npz"
        self.best = root / "checkpoints" / "best.npz"
        self.good = root / "checkpoints" / "good.npz"

    def exists(self) -> bool:
        return self.config.is_file()

    def clear(self) -> None:
        """Remove what an earlier run wrote here, and nothing else."""
        for path in vars(self).values():
            if path != self.root and not path.is_dir() and (path != self.model_card or is_own(path)):
                path.unlink(missing_ok=True)
        for pattern in OTHER_FILES:
            for path in self.root.glob(pattern):
                path.unlink()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other trainers out of this directory, which is made where it is not there, until the block ends.

        The lock ends with the process, however that ends, so there is never a stale one. What a killed one was writing
        is cleaned away, and a directory that was made for nothing, because what began in it failed at once.

        Raises:
            ModelError: another trainer is at work here.
            OSError: the directory cannot be written.
        """
        was_there = self.root.is_dir()
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / ".lock"
        with path.open("ab+", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ModelError(
                    f"another trainer (process {path.read_text().strip() or 'unknown'}) is at work in {self.root}; "
                    "wait for it, stop it, or choose another --out"
                ) from None
            with naming(path):
                file.truncate(0)
                file.write(f"{os.getpid()}\n".encode())
            for folder in (self.root, self.last.parent, self.tensorboard, self.profile):
                remove_partial(folder)
            try:
                yield
            finally:
                if not was_there and list(self.root.glob("*")) == [path]:
                    path.unlink()
                    self.root.rmdir()

    def require_there(self) -> None:
        """Raise `FileNotFoundError` where the directory went away during the run, instead of making another."""
        if not self.last.parent.is_dir():
            raise FileNotFoundError(
                f"{self.last.parent} is no longer there: it was moved, deleted, or its disk is gone; bring it back and "
                "go on from its last checkpoint with --resume"
            )

    def load_config(self) -> RunConfig:
        """The run's configuration; a sentence where there is no run."""
        if not self.root.is_dir():
            raise FileNotFoundError(
                f"no run directory at {self.root}; train one with scripts/train.py --out {self.root}"
            )
        if not self.exists():
            raise ModelError(f"{self.root} is not a run directory (no config.json); expected one that train.py wrote")
        return load_config(RunConfig, self.config)

    def read_metrics(self) -> list[dict[str, Any]]:
        """One dictionary an epoch."""
        if not self.metrics.is_file():
            return []
        try:
            return [json.loads(line) for line in self.metrics.read_text(encoding="utf-8").splitlines()]
        except ValueError as error:
            raise ModelError(
                f"{self.metrics}: expected a JSON object a line ({error}); delete what is damaged"
            ) from error

    def read_incidents(self) -> list[str]:
        """Lines as they are, each with its end."""
        if not self.incidents.is_file():
            return []
        return self.incidents.read_text(encoding="utf-8").splitlines(keepends=True)

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))

    def write_skipped(self, problems: list[Problem]) -> None:
        rows = ({"where": problem.where, "reason": problem.reason} for problem in problems)
        write_text(self.skipped, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def write_environment(self) -> None:
        """Write what this session of the run is trained on, and when and how each session began."""
        session = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "command": sys.argv}
        sessions = [*self.read_environment().get("sessions", []), session]
        write_text(self.environment, json.dumps({**environment(), "sessions": sessions}, indent=2) + "\n")

    def read_environment(self) -> dict[str, Any]:
        """What `write_environment` wrote; nothing where that is not there, or damaged: no run depends on it."""
        try:
            values: dict[str, Any] = json.loads(self.environment.read_text(encoding="utf-8"))
            return values
        except (OSError, ValueError):
            return {}


def environment() -> dict[str, Any]:
    """What the run is trained on: versions, devices, and the commit where there is one."""
    import tensorflow as tf

    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = ""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "processors": os.cpu_count(),
        "devices": [device.name for device in tf.config.list_physical_devices()],
        "git_commit": commit,
    }


def model_at(path: Path) -> Path:
    """`path`, or the model.keras in it where it is a folder with no run, such as models/an4."""
    directory = RunDirectory(path)
    return directory.keras_model if directory.keras_model.is_file() and not directory.exists() else path


def read_config(path: Path) -> RunConfig:
    """The configuration of a run directory, of a `model.keras`, or of a folder with one.

    Raises:
        ModelError: none of the three.
        OSError: nothing there.
    """
    from crnn_asr.training import keras_file

    model = model_at(path)
    return keras_file.read_config(model) if model.is_file() else RunDirectory(model).load_config()


def load_model(path: Path) -> tuple[RunConfig, Any]:
    """The configuration and the network, of what `read_config` knows: a run's `CRNN` with the best weights, or Keras'.

    Raises:
        ModelError: nothing of the kind, damaged, no checkpoint yet, or one of another architecture.
        OSError: nothing there.
    """
    from crnn_asr.training.checkpoint import load_checkpoint
    from crnn_asr.training.keras_file import load_keras
    from crnn_asr.training.model import CRNN

    found = model_at(path)
    if found.is_file():
        return load_keras(found)
    run = RunDirectory(found)
    config = run.load_config()
    if not run.best.is_file():
        raise ModelError(f"{path} has no best checkpoint yet; let scripts/train.py --resume finish an epoch first")
    model = CRNN(config.model)
    load_checkpoint(run.best, model.weights)
    return config, model


def load_weights(path: Path) -> tuple[RunConfig, dict[str, NDArray[np.float32]]]:
    """As `load_model`, with the weights by the names of `CRNN.export_weights`."""
    from crnn_asr.training.keras_file import weights_of
    from crnn_asr.training.model import CRNN

    config, model = load_model(path)
    return config, model.export_weights() if isinstance(model, CRNN) else weights_of(model, config.model)
