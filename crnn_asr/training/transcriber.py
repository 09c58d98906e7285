"""Trained weights as a function from features to logits."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from crnn_asr.config import RunConfig
from crnn_asr.training.run import load_model

Model = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # features (T, F) → logits (T', V)


def open_model(path: Path) -> tuple[RunConfig, Model]:
    """A run directory's best weights, or a `model.keras`, ready to call; errors as of `load_model`."""
    config, model = load_model(path)
    return config, _compiled(model, config.features.num_mels)


def _compiled(model: keras.Model, num_mels: int) -> Model:
    @tf.function(input_signature=[tf.TensorSpec((1, None, num_mels))], autograph=False)
    def logits(features):  # type: ignore[no-untyped-def]
        return model((features, tf.shape(features)[1:2]), training=False)[0]

    return lambda features: logits(features[None]).numpy()
