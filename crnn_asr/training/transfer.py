"""A new run that starts from another model's weights: what of them fits, and where it goes.

A layer is kept whole where it has the same place and the same sizes. The output layer is kept symbol by symbol: two
alphabets may share some, and the blank always.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import ModelConfig, RunConfig
from crnn_asr.errors import ModelError
from crnn_asr.training.run import RunDirectory, load_weights, read_config

Weights = dict[str, NDArray[np.float32]]  # by the names of `CRNN.named_weights`


@dataclass(frozen=True)
class Inheritance:
    """Layers that are kept and layers that are drawn anew; symbols whose outputs are kept, and the others."""

    kept: tuple[str, ...]
    drawn: tuple[str, ...]
    kept_symbols: tuple[str, ...]
    drawn_symbols: tuple[str, ...]

    def __str__(self) -> str:
        total = len(self.kept_symbols) + len(self.drawn_symbols)
        kept, drawn = [*self.kept], [*self.drawn]
        if "output" not in drawn:
            kept.append(f"the outputs of {len(self.kept_symbols)} of {total} symbols and of the blank")
            drawn += [f"the outputs of {' '.join(map(repr, self.drawn_symbols))}"] if self.drawn_symbols else []
        return f"kept {', '.join(kept)}; drawn anew: {', '.join(drawn) or 'nothing'}"


def read_source(model: Path) -> RunConfig:
    """The configuration of what a training can start from: a run directory or a `.keras` file.

    Raises:
        ModelError: neither of the two.
        OSError: nothing there.
    """
    if model.suffix in (".tflite", ".onnx"):
        raise ModelError(
            f"{model}: expected a run directory or the model.keras in one, got a file for recognition, whose weights "
            "are rounded or out of order; name the run that it was made of"
        )
    return read_config(model)


def checked(config: RunConfig) -> tuple[RunConfig, Inheritance]:
    """A complete configuration that names a model, with the checksum filled in, and what the run will have of it.

    Raises:
        ModelError: the model hears other features, nothing of it fits, or a layer to be frozen does not.
        OSError: it cannot be opened.
    """
    model = Path(config.transfer.model)
    source = read_source(model)
    found = compare(source, config)
    if source.features != config.features:
        names = [
            name for name in vars(source.features) if getattr(source.features, name) != getattr(config.features, name)
        ]
        there, here = (
            ", ".join(f"{name} {getattr(features, name)}" for name in names)
            for features in (source.features, config.features)
        )
        raise ModelError(f"{model}: expected the features of this run ({here}), got a model of others ({there})")
    if not found.kept:
        raise ModelError(
            f"{model}: not one layer has the sizes of this run's network; leave out --preset to have its own"
        )
    for name in config.model.layers[: config.transfer.freeze]:
        if name not in found.kept:
            place = config.model.layers.index(name)
            raise ModelError(
                f"{model}: its {name} does not fit and would be drawn anew, so it cannot be frozen; "
                f"freeze {place} layers at most"
            )
    return replace(config, transfer=replace(config.transfer, sha256=_sha256(model))), found


def compare(source: RunConfig, wanted: RunConfig) -> Inheritance:
    """What a network of `wanted` can have of one of `source`."""
    theirs, ours = layer_sizes(source.model), layer_sizes(wanted.model)
    fits = [name for name in ours if ours[name] == theirs.get(name)]
    symbols = wanted.alphabet if "output" in fits else ()
    return Inheritance(
        tuple(name for name in fits if name != "output"),
        tuple(name for name in ours if name not in fits),
        tuple(symbol for symbol in symbols if symbol in source.alphabet),
        tuple(symbol for symbol in symbols if symbol not in source.alphabet),
    )


def layer_sizes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """What each layer takes and gives; of the output layer, which is kept by symbols, what it takes."""
    c, channels = config, (1, *config.conv_filters)
    convs = [channels[i : i + 2] for i in range(len(c.conv_filters))]
    projection = (c.conv_bins * channels[-1], c.projection_units)
    lstms = [(2 * c.lstm_units if i else c.projection_units, c.lstm_units) for i in range(c.lstm_layers)]
    return dict(zip(c.layers, [*convs, projection, *lstms, (2 * c.lstm_units,)], strict=True))


def inherit(model: Any, config: RunConfig) -> None:
    """Give a `CRNN` that was just drawn the weights that `checked` foretold.

    Raises:
        ModelError: the file has changed since, or is damaged.
        OSError: it cannot be opened.
    """
    path = Path(config.transfer.model)
    if _sha256(path) != config.transfer.sha256:
        raise ModelError(f"{path} has changed since this run was started from it; start over with --fresh")
    source, weights = load_weights(path)
    found = compare(source, config)
    for name, variable in model.named_weights().items():
        layer = name.partition(".")[0].replace("norm", "lstm")
        if layer in found.kept:
            variable.assign(weights[name])
        elif layer == "output" and layer not in found.drawn:
            variable.assign(_by_symbol(np.array(variable), config.alphabet, weights[name], source.alphabet))


def _by_symbol(
    drawn: NDArray[np.float32], alphabet: Sequence[str], trained: NDArray[np.float32], their_alphabet: Sequence[str]
) -> NDArray[np.float32]:
    """Outputs (…, V), those of shared symbols and of the blank, which is the last, from (…, V')."""
    pairs = [(i, their_alphabet.index(symbol)) for i, symbol in enumerate(alphabet) if symbol in their_alphabet]
    ours, theirs = zip(*pairs, (-1, -1))
    drawn[..., ours] = trained[..., theirs]
    return drawn


def _sha256(model: Path) -> str:
    path = model if model.is_file() else RunDirectory(model).best
    if not path.is_file():
        raise ModelError(
            f"{model} has no best checkpoint yet; let scripts/train.py --resume finish an epoch there first"
        )
    return hashlib.sha256(path.read_bytes()).hexdigest()
