"""What is inside the files that training writes: a run directory, its `model.keras`, a checkpoint."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import RunConfig
from crnn_asr.inference.flatbuffer import Constant
from crnn_asr.inference.inspection import Inspection, Layer, layers, macs_per_second
from crnn_asr.strict_json import to_dict
from crnn_asr.training.checkpoint import read_checkpoint
from crnn_asr.training.keras_file import load_keras
from crnn_asr.training.run import RunDirectory, load_weights, model_at

Arrays = list[tuple[str, NDArray[Any]]]  # with the layer that each belongs to


def inspect_any(path: Path) -> Inspection:
    """Look into a run directory, a `model.keras`, a folder with one, or a checkpoint (`.npz`).

    Raises:
        ModelError: none of these, or damaged.
        OSError: it cannot be opened.
    """
    path = model_at(path)
    if not path.is_file():
        return _run(path)
    return _checkpoint(path) if path.suffix == ".npz" else _keras(path)


def _run(root: Path) -> Inspection:
    config, weights = load_weights(root)
    run = RunDirectory(root)
    summary = json.loads(run.summary.read_text(encoding="utf-8")) if run.summary.is_file() else {}
    sizes = {str(path.relative_to(root)): path.stat().st_size for path in sorted(root.rglob("*")) if path.is_file()}
    about = {**to_dict(config), "summary": summary, "files": sizes}
    arrays = [(name.split(".")[0], array) for name, array in weights.items()]
    return Inspection(str(root), "run directory", sum(sizes.values()), about, _layers(arrays, config))


def _keras(path: Path) -> Inspection:
    config, model = load_keras(path)
    layer_of = {"logits": "output", **{f"batch_norm{i}": f"conv{i}" for i in range(len(config.model.conv_filters))}}
    arrays = [
        (layer_of.get(layer.name, layer.name), np.asarray(weight)) for layer in model.layers for weight in layer.weights
    ]
    return Inspection(str(path), "Keras model", path.stat().st_size, to_dict(config), _layers(arrays, config))


def _checkpoint(path: Path) -> Inspection:
    """With the optimizer's arrays in the last one of a run; they have no names, so there are no layers."""
    progress, arrays = read_checkpoint(path)
    about = {
        "progress": to_dict(progress),
        "arrays": len(arrays),
        "values": sum(array.size for array in arrays),
        "types": sorted({array.dtype.name for array in arrays}),
    }
    return Inspection(str(path), "checkpoint", path.stat().st_size, about, ())


def _layers(arrays: Arrays, config: RunConfig) -> tuple[Layer, ...]:
    macs = macs_per_second(config.model, config.features)
    order = dict.fromkeys(name for layer in macs for name in (layer, layer.replace("lstm", "norm")))
    stored: dict[str, list[Constant]] = {name: [] for name in order}
    for number, (layer, array) in enumerate(arrays):
        stored[layer].append(Constant(number, array.dtype.name.upper(), array.size, array.nbytes))
    return layers(stored, macs)
