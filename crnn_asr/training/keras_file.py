"""`model.keras`: the trained weights in stock Keras layers, so that `keras.saving.load_model(path)` needs only Keras.

The file is a zip; ours carries one more member, `crnn_asr.json`, with the run's configuration.
"""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from crnn_asr.config import ModelConfig, RunConfig
from crnn_asr.errors import ModelError
from crnn_asr.files import replacing
from crnn_asr.strict_json import from_dict, to_dict
from crnn_asr.training.model import EPSILON

MEMBER = "crnn_asr.json"


def stock_model(config: ModelConfig) -> keras.Model:
    """The network in stock layers: [features (B, T, F), feature_lengths (B,) int32] → logits (B, T', V)."""
    features = keras.Input((None, config.num_mels), name="features")
    lengths = keras.Input((), dtype="int32", name="feature_lengths")

    def mask(x: keras.KerasTensor, lengths: keras.KerasTensor) -> keras.KerasTensor:
        """(B, T) bool from a tensor of rank 4; `cumsum` stands for `arange`, which needs a static size."""
        ones = ops.ones_like(x[:, :, 0, 0], dtype="int32")
        return ops.cumsum(ones, axis=1) <= ops.expand_dims(lengths, 1)

    def silence(x: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
        return ops.where(ops.expand_dims(ops.expand_dims(mask, -1), -1), x, 0.0)

    x, valid_lengths = ops.expand_dims(features, -1), lengths
    valid = mask(x, valid_lengths)
    x = silence(x, valid)
    for i, (filters, strides) in enumerate(zip(config.conv_filters, config.conv_strides)):
        x = layers.ZeroPadding2D(1)(x)
        x = layers.Conv2D(filters, 3, strides, use_bias=False, name=f"conv{i}")(x)
        x = layers.BatchNormalization(epsilon=EPSILON, name=f"batch_norm{i}")(x)
        valid_lengths = (valid_lengths + strides[0] - 1) // strides[0]
        valid = mask(x, valid_lengths)
        x = silence(layers.ReLU()(x), valid)
    x = layers.Reshape((-1, config.conv_bins * config.conv_filters[-1]))(x)
    x = layers.Dense(config.projection_units, activation="relu", name="projection")(x)
    for i in range(config.lstm_layers):
        lstm = layers.LSTM(config.lstm_units, return_sequences=True)
        x = layers.Bidirectional(lstm, name=f"lstm{i}")(x, mask=valid)
        x = layers.LayerNormalization(epsilon=EPSILON, name=f"norm{i}")(x)
    logits = layers.Dense(config.num_symbols, name="logits")(x)
    return keras.Model([features, lengths], logits, name="crnn")


def assign(model: keras.Model, config: ModelConfig, weights: dict[str, NDArray[np.float32]]) -> None:
    """Copy the arrays of `CRNN.export_weights` into a `stock_model`."""
    for i in range(len(config.conv_filters)):
        model.get_layer(f"conv{i}").set_weights([weights[f"conv{i}.kernel"]])
        names = ("gamma", "beta", "mean", "variance")
        model.get_layer(f"batch_norm{i}").set_weights([weights[f"conv{i}.{name}"] for name in names])
    for i in range(config.lstm_layers):
        kernels, biases = (np.split(weights[f"lstm{i}.{name}"], 2, -1) for name in ("kernel", "bias"))
        recurrent = weights[f"lstm{i}.recurrent"]
        parts = [part for half in range(2) for part in (kernels[half], recurrent[half], biases[half])]
        model.get_layer(f"lstm{i}").set_weights(parts)
        model.get_layer(f"norm{i}").set_weights([weights[f"norm{i}.gamma"], weights[f"norm{i}.beta"]])
    for layer, name in (("projection", "projection"), ("logits", "output")):
        model.get_layer(layer).set_weights([weights[f"{name}.kernel"], weights[f"{name}.bias"]])


def weights_of(model: keras.Model, config: ModelConfig) -> dict[str, NDArray[np.float32]]:
    """The arrays that `assign` was given."""
    layers: list[tuple[str, str, tuple[str, ...]]] = [("projection", "projection", ("kernel", "bias"))]
    layers.append(("logits", "output", ("kernel", "bias")))
    for i in range(len(config.conv_filters)):
        layers.append((f"conv{i}", f"conv{i}", ("kernel",)))
        layers.append((f"batch_norm{i}", f"conv{i}", ("gamma", "beta", "mean", "variance")))
    layers += [(f"norm{i}", f"norm{i}", ("gamma", "beta")) for i in range(config.lstm_layers)]
    weights = {
        f"{ours}.{name}": value
        for theirs, ours, names in layers
        for name, value in zip(names, model.get_layer(theirs).get_weights(), strict=True)
    }
    for i in range(config.lstm_layers):
        values = model.get_layer(f"lstm{i}").get_weights()
        kernels, recurrents, biases = (values[part::3] for part in range(3))
        weights[f"lstm{i}.kernel"], weights[f"lstm{i}.bias"] = np.concatenate(kernels, -1), np.concatenate(biases, -1)
        weights[f"lstm{i}.recurrent"] = np.stack(recurrents)
    return weights


def save_keras(path: Path, config: RunConfig, weights: dict[str, NDArray[np.float32]]) -> None:
    """Write the model with its configuration inside, whole or not at all."""
    model = stock_model(config.model)
    assign(model, config.model, weights)
    with replacing(path) as partial:
        model.save(partial)
        with zipfile.ZipFile(partial, "a") as file:
            file.writestr(MEMBER, json.dumps(to_dict(config), ensure_ascii=False))


def load_keras(path: Path) -> tuple[RunConfig, keras.Model]:
    """Read what `save_keras` wrote.

    Raises:
        ModelError: not a `.keras` file, or not one of this project.
        OSError: it cannot be opened.
    """
    return read_config(path), keras.saving.load_model(path, compile=False)


def read_config(path: Path) -> RunConfig:
    """The configuration in what `save_keras` wrote; errors as of `load_keras`."""
    try:
        with zipfile.ZipFile(path) as file:
            return from_dict(RunConfig, json.loads(file.read(MEMBER)), str(path))
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise ModelError(f"{path}: expected a model.keras that train.py wrote, got another file ({error})") from error
