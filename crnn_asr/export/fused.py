"""A bidirectional LSTM as TensorFlow Lite's fused operation, which is integer inside, and what goes with it.

For targets that have no float arithmetic. The converter recognizes the recurrence by an attribute of the function it is
in, not by what the function does. So a graph from here runs in TensorFlow like the one it becomes.

The operation keeps its state after a run: `reset_all_variables()` before the next utterance.
"""

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from crnn_asr.config import ModelConfig
from crnn_asr.export.modes import Float

Tensor = Any
Features = NDArray[np.float32]

MAX_CALIBRATION_FRAMES = 20_000  # 200 s; more only takes longer (docs/log.md)
_SHORT_FRAMES = (1, 4, 16)
_STATE_INPUT, _HIDDEN = 18, 4  # places among the operation's inputs and its intermediate values


def bilstm(
    x: Tensor,
    kernel: NDArray[np.float32],
    recurrent: NDArray[np.float32],
    bias: NDArray[np.float32],
    mode: Float,
    name: str,
) -> Tensor:
    """The same as `crnn_asr.export.bilstm.bilstm`: x (T, In) to hidden states (T, 2u), forward then backward.

    `mode` and `name` have no part in it: the converter measures the ranges inside by itself.
    """
    x = tf.expand_dims(x, 0)
    parts = zip(np.split(kernel, 2, 1), recurrent, np.split(bias, 2))
    (forward, backward) = (tuple(tf.constant(array) for array in part) for part in parts)
    hidden = [_lstm(x, *forward), tf.reverse(_lstm(tf.reverse(x, [1]), *backward), [1])]
    return tf.reshape(tf.concat(hidden, 2), (-1, 2 * recurrent.shape[1]))


def _lstm(x: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor) -> Tensor:
    """Hidden states (1, T, u) of x (1, T, In): a function with the signature that the converter looks for."""
    attributes = {
        "api_implements": f"lstm_{uuid.uuid4()}",  # another for each, or TensorFlow takes them for variants of one
        "api_preferred_device": "CPU",
        "go_backwards": False,
        "time_major": False,
    }
    units = recurrent.shape[0]

    @tf.function(autograph=False, experimental_attributes=attributes)
    def standard_lstm(x, h, c, kernel, recurrent, bias):  # type: ignore[no-untyped-def]
        frames = tf.shape(x)[1]

        def step(t: Tensor, h: Tensor, c: Tensor, states: Any) -> tuple[Any, ...]:
            gates = tf.matmul(tf.gather(x[0], [t]), kernel) + tf.matmul(h, recurrent) + bias
            i, f, g, o = tf.split(gates, 4, 1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
            return t + 1, h, c, states.write(t, h[0])

        states = tf.TensorArray(tf.float32, size=frames, element_shape=(units,))
        _, h, c, states = tf.while_loop(lambda t, *_: t < frames, step, (0, h, c, states))
        sequence = tf.expand_dims(states.stack(), 0)
        return h, sequence, h, c, tf.constant(0.0)

    zeros = tf.zeros((1, units))
    return standard_lstm(x, zeros, zeros, kernel, recurrent, bias)[1]


def fold_norms(weights: dict[str, NDArray[np.float32]], config: ModelConfig) -> dict[str, NDArray[np.float32]]:
    """Move scale and shift of every layer norm into the product after it: two operations less that round.

    (x·gamma + beta)·W + b = x·(gamma·W) + (beta·W + b). What is left is a multiplication by one and an addition of
    zero, which the converter drops.
    """
    folded = dict(weights)
    for i in range(config.lstm_layers):
        after = f"lstm{i + 1}" if i + 1 < config.lstm_layers else "output"
        gamma, beta, kernel = weights[f"norm{i}.gamma"], weights[f"norm{i}.beta"], weights[f"{after}.kernel"]
        folded[f"{after}.kernel"] = gamma[:, None] * kernel
        folded[f"{after}.bias"] = beta @ kernel + weights[f"{after}.bias"]
        folded[f"norm{i}.gamma"], folded[f"norm{i}.beta"] = np.ones_like(gamma), np.zeros_like(beta)
    return folded


def with_one_scale(flatbuffer: bytes) -> bytes:
    """The converted model with one scale and zero point for all tensors that hold the same hidden states.

    The operation computes a hidden state once and stores the same bytes as its output and as the state for the next
    frame. The converter measures the ranges of these one by one, the state's at the end of utterances only, and gives
    each what it measured. And of the backward direction, it gives what REVERSE_V2 copies another scale than it had, the
    one of both directions. Either way numbers are read as others than were written (docs/log.md).
    """
    from ai_edge_litert.schema_py_generated import BuiltinOperator
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    codes = [code.builtinCode for code in model.operatorCodes]
    (graph,) = model.subgraphs

    def those(code: int) -> list[Any]:
        return [op for op in graph.operators if codes[op.opcodeIndex] == code]

    reversed_as = {op.inputs[0]: op.outputs[0] for op in those(BuiltinOperator.REVERSE_V2)}
    for op in those(BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM):
        (output,) = op.outputs
        wanted = graph.tensors[reversed_as.get(output, output)].quantization
        for other in (output, op.inputs[_STATE_INPUT], op.intermediates[_HIDDEN]):
            found = graph.tensors[other].quantization
            found.scale, found.zeroPoint = wanted.scale, wanted.zeroPoint
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def representative(features: Sequence[Features]) -> list[Features]:
    """What the converter measures ranges on: utterances (T, F), evenly taken, and some cuts of a few frames.

    Without the cuts, one over the deviation of a hidden state that has hardly moved from zero at both ends is beyond
    all ranges, and recordings of a few frames come out wrong.
    """
    every = -(-sum(map(len, features)) // MAX_CALIBRATION_FRAMES)
    one = features[len(features) // 2]
    return [*features[::every], *(one[len(one) // 2 :][:frames] for frames in _SHORT_FRAMES)]
