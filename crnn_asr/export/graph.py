"""The network for inference, from a dictionary of weights alone: one utterance of any length, batch norm folded.

It says the same as `crnn_asr.training.model` in the operations that TensorFlow Lite runs well. Weights by name, float32
(i counts layers from 0, u is the number of LSTM units):

    conv{i}.kernel (3, 3, in, out)   conv{i}.gamma, .beta, .mean, .variance (out,)
    projection.kernel, .bias         lstm{i}.kernel (in, 8u), .recurrent (2, u, 4u), .bias (8u,)
    norm{i}.gamma, .beta (2u,)       output.kernel (2u, V), .bias (V,)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from crnn_asr.config import ModelConfig
from crnn_asr.export.bilstm import bilstm
from crnn_asr.export.fold import EPSILON, folded_convolution
from crnn_asr.export.modes import Float

Tensor = Any
Weights = dict[str, NDArray[np.float32]]
Recurrence = Callable[..., Tensor]  # as `bilstm`


def forward(
    features: Tensor, weights: Weights, config: ModelConfig, mode: Float, recurrence: Recurrence = bilstm
) -> Tensor:
    """Logits (1, T', V) of normalised features (1, T, F), with T' = `config.output_length(T)`."""
    x = mode.activation(features[..., None], "features")
    for i, strides in enumerate(config.conv_strides):
        x = _convolution(x, weights, i, strides, mode)
    x = tf.reshape(x, (-1, config.conv_bins * config.conv_filters[-1]))
    x = tf.nn.relu(tf.matmul(x, weights["projection.kernel"]) + weights["projection.bias"])
    x = mode.activation(x, "projection")
    for i in range(config.lstm_layers):
        arrays = (weights[f"lstm{i}.{name}"] for name in ("kernel", "recurrent", "bias"))
        x = recurrence(x, *arrays, mode, f"lstm{i}")
        x = mode.activation(_layer_norm(x, weights[f"norm{i}.gamma"], weights[f"norm{i}.beta"]), f"norm{i}")
    logits = tf.matmul(x, weights["output.kernel"]) + weights["output.bias"]
    return mode.activation(logits, "logits")[None]


def _convolution(x: Tensor, weights: Weights, i: int, strides: tuple[int, int], mode: Float) -> Tensor:
    """Convolution, batch norm and ReLU."""
    kernel, bias = folded_convolution(weights, i)
    x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    x = tf.nn.conv2d(x, kernel, (1, *strides, 1), "VALID")
    return mode.activation(tf.nn.relu(x + bias), f"conv{i}")


def _layer_norm(x: Tensor, gamma: NDArray[np.float32], beta: NDArray[np.float32]) -> Tensor:
    centered = x - tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(centered * centered, -1, keepdims=True)
    return centered * tf.math.rsqrt(variance + EPSILON) * gamma + beta


def compiled(call: Callable[[Tensor], Any], config: ModelConfig) -> Any:
    """A function of features (1, T, F) as a `tf.function` that is traced once for every T."""
    signature = [tf.TensorSpec((1, None, config.num_mels), tf.float32, name="features")]
    return tf.function(call, input_signature=signature, autograph=False)


def inference(
    weights: Weights, config: ModelConfig, mode: Float, recurrence: Recurrence = bilstm, log_probs: bool = False
) -> Any:
    """The whole network as a compiled function of features (1, T, F), to logits or to log-probabilities."""

    def call(features: Tensor) -> Tensor:
        logits = forward(features, weights, config, mode, recurrence)
        return mode.log_probs(logits) if log_probs else logits

    return compiled(call, config)


def save(function: Any, path: Path) -> None:
    """Write a compiled function as a SavedModel, which the converter reads best."""
    module = tf.Module()
    module.call = function
    tf.saved_model.save(module, str(path), signatures=function.get_concrete_function())
