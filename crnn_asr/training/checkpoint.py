"""Checkpoints: one `.npz` with all weights, the optimizer, and where the run stands. Whole or not there; no pickle.

The newest few are kept: `last.npz`, before it `last.1.npz`, before that `last.2.npz`, … A checksum tells a damaged one.
"""

import hashlib
import json
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.errors import ModelError
from crnn_asr.files import replacing, sync
from crnn_asr.strict_json import from_dict, to_dict
from crnn_asr.training.state import Progress

_DAMAGE = (  # what reading a damaged file raises; NumPy takes headers for Python, and looks into them with its tools
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    ValueError,
    EOFError,
    NotImplementedError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
)


def save_checkpoint(path: Path, variables: Sequence[Any], progress: Progress, keep: int = 1) -> None:
    """Write the variables, in order, and the progress. When this returns, they are on the disk.

    Args:
        keep: how many are there afterwards: this one and the ones before.

    Raises:
        OSError: it cannot be written; those that were there are as they were.
    """
    arrays = {f"{i:04d}": np.asarray(variable) for i, variable in enumerate(variables)}
    text = json.dumps(to_dict(progress))
    with replacing(path) as partial:
        np.savez(partial, progress=np.array([text, _digest(text, arrays)]), **arrays)
        if keep > 1:
            sync(partial)  # before the others are touched
            _move_back(path, keep)
    sync(path.parent)


def _move_back(path: Path, keep: int) -> None:
    """Make room for a new checkpoint. Killed in between, there is a gap in the numbers and nothing is lost."""
    paths = newest(path, keep)
    for older, newer in zip(paths[:0:-1], paths[-2::-1]):
        if newer.is_file():
            newer.replace(older)


def newest(path: Path, keep: int) -> list[Path]:
    """Where a checkpoint and those before it are, if they are there; the newest first."""
    return [path, *(path.with_suffix(f".{number}{path.suffix}") for number in range(1, keep))]


def _digest(text: str, arrays: dict[str, NDArray[Any]]) -> str:
    """SHA-256 of a text and of arrays, with their names, types and shapes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def read_checkpoint(path: Path) -> tuple[Progress, list[NDArray[Any]]]:
    """What `save_checkpoint` wrote: the progress, and the arrays in order.

    Raises:
        ModelError: damaged, or another file.
        OSError: it cannot be opened.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        text, checksum = map(str, arrays.pop("progress"))
        if checksum != _digest(text, arrays):
            raise ValueError("its checksum is wrong")
        progress = from_dict(Progress, json.loads(text), str(path))
    except _DAMAGE as error:
        raise ModelError(
            f"{path}: expected a checkpoint of this project, got a damaged or foreign file ({error})"
        ) from error
    return progress, [arrays[name] for name in sorted(arrays)]


def assign(path: Path, variables: Sequence[Any], arrays: Sequence[NDArray[Any]]) -> None:
    """Give variables the arrays of the checkpoint at `path`. Nothing is assigned unless everything fits.

    Raises:
        ModelError: it is of another architecture.
    """
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


def load_checkpoint(path: Path, variables: Sequence[Any]) -> Progress:
    """Read a checkpoint and assign it; errors as of both."""
    progress, arrays = read_checkpoint(path)
    assign(path, variables, arrays)
    return progress


def load_newest(paths: Sequence[Path], variables: Sequence[Any]) -> tuple[Progress, dict[Path, str]]:
    """Assign the first of these checkpoints that is there and whole; a new `Progress` where none ever was.

    Returns:
        The progress, and a sentence for each damaged one before it.

    Raises:
        ModelError: all that are there are damaged, or the first whole one is of another architecture.
        OSError: one cannot be opened.
    """
    damaged: dict[Path, ModelError] = {}
    for path in filter(Path.is_file, paths):
        try:
            progress, arrays = read_checkpoint(path)
        except ModelError as error:
            damaged[path] = error
            continue
        assign(path, variables, arrays)
        instead = f"{path.name}, of step {progress.step}, is used instead"
        return progress, {bad: f"{error}; {instead}" for bad, error in damaged.items()}
    if damaged:
        reasons = "; ".join(map(str, damaged.values()))
        raise ModelError(f"no whole checkpoint is left to go on from: {reasons}; start over with --fresh")
    return Progress(), {}


def set_aside(path: Path) -> None:
    """Rename a damaged checkpoint to `….damaged`, so that it does not push out a good one later."""
    if path.is_file():
        path.replace(path.with_suffix(".damaged"))
