"""Checkpoints: one `.npz` with all weights, the optimiser, and where the run stands. Whole or not there; no pickle."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.errors import ModelError
from crnn_asr.files import replacing
from crnn_asr.strict_json import from_dict, to_dict


@dataclass
class Progress:
    """Where a run stands. All randomness is drawn from the seed and these counters: resuming needs no more."""

    epoch: int = 0  # epochs completed
    step: int = 0  # steps completed
    batch: int = 0  # batches of the current epoch completed
    best_wer: float = float("inf")  # dev, as a share
    best_loss: float = float("inf")  # dev, breaks ties
    best_epoch: int = 0
    learning_rate_scale: float = 1.0  # lowered by the plateau schedule
    epochs_since_change: int = 0  # since the best or the last lowering
    loss_sum: float = 0.0  # of the current epoch, with the number of utterances
    utterances: int = 0
    skipped_steps: int = 0  # whose gradient was not finite
    seconds: float = 0.0  # spent in training, all sessions
    audio_seconds: float = 0.0  # of the current epoch
    epoch_seconds: float = 0.0
    wait_seconds: float = 0.0  # of the current epoch, for data
    finished: bool = False


def save_checkpoint(path: Path, variables: Sequence[Any], progress: Progress) -> None:
    """Write the variables, in order, and the progress."""
    arrays = {f"{i:04d}": np.asarray(variable) for i, variable in enumerate(variables)}
    with replacing(path) as partial:
        np.savez(partial, progress=np.array(json.dumps(to_dict(progress))), **arrays)


def read_checkpoint(path: Path) -> tuple[Progress, list[NDArray[Any]]]:
    """What `save_checkpoint` wrote: the progress, and the arrays in order.

    Raises:
        ModelError: damaged, or another file.
        OSError: it cannot be opened.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            progress = from_dict(Progress, json.loads(str(file["progress"])), str(path))
            return progress, [file[name] for name in sorted(set(file.files) - {"progress"})]
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ModelError(
            f"{path}: expected a checkpoint of this project, got a damaged or foreign file ({error})"
        ) from error


def load_checkpoint(path: Path, variables: Sequence[Any]) -> Progress:
    """Assign what `save_checkpoint` wrote. Nothing is assigned unless everything fits.

    Raises:
        ModelError: damaged, or of another architecture.
        OSError: it cannot be opened.
    """
    progress, arrays = read_checkpoint(path)
    expected = [tuple(variable.shape) for variable in variables]
    found = [array.shape for array in arrays]
    if found != expected:
        first = next((pair for pair in zip(expected, found) if pair[0] != pair[1]), (len(expected), len(found)))
        raise ModelError(
            f"{path}: this checkpoint is of another architecture; expected {len(expected)} arrays, got {len(found)}, "
            f"the first difference is {first[0]} against {first[1]}; use the configuration it was made with, or --fresh"
        )
    for variable, array in zip(variables, arrays):
        variable.assign(array)
    return progress
