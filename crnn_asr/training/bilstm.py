"""A bidirectional LSTM made for training on CPUs, which uses cuDNN where there is a GPU.

Both directions run in one loop over time, the input projection of all frames is one product before it, and the backward
pass is written by hand: what does not depend on the running gradients is computed for all frames at once, and the
gradient of the recurrent weights is one product after the loop. The equations are those of Hochreiter & Schmidhuber
1997 with the forget gate of Gers et al. 2000, as in `keras.layers.LSTM`:

    i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)     z = x·W + h·R + b
    c' = f·c + i·tanh(z_g)        h' = o·tanh(c')

On a GPU the loop would start a few kernels a frame; cuDNN's one kernel runs each direction instead, from the same
weights. That path could not be run where this was written: its parameters are tested against those that Keras hands to
the same operation, the rest by reading.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

Tensor = Any


def _time_major_array(steps: Tensor, batch: Tensor, width: int) -> tf.TensorArray:
    return tf.TensorArray(tf.float32, size=steps, element_shape=(2, None, width), clear_after_read=False)


@tf.custom_gradient
def _recurrence(projected: Tensor, recurrent: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
    """Run the recurrence of both directions forward in time.

    Args:
        projected: (T, 2, B, 4u), x·W + b with gates in the order i, f, o, g.
        recurrent: (2, u, 4u), gates in the same order.

    Returns:
        Hidden states (T, 2, B, u), and the function that turns their gradient into those of the arguments.
    """
    units = recurrent.shape[1]
    steps, batch = tf.shape(projected)[0], tf.shape(projected)[2]
    zeros = tf.zeros((2, batch, units))

    def forward(t: Tensor, h: Tensor, c: Tensor, gates: Any, cells: Any, hidden: Any) -> tuple[Any, ...]:
        z = tf.gather(projected, t) + tf.matmul(h, recurrent)
        sigmoids, g = tf.sigmoid(z[..., : 3 * units]), tf.tanh(z[..., 3 * units :])
        i, f, o = tf.split(sigmoids, 3, -1)
        c = f * c + i * g
        h = o * tf.tanh(c)
        return t + 1, h, c, gates.write(t, tf.concat([sigmoids, g], -1)), cells.write(t, c), hidden.write(t, h)

    arrays = [_time_major_array(steps, batch, width) for width in (4 * units, units, units)]
    loop = tf.while_loop(lambda t, *_: t < steps, forward, (0, zeros, zeros, *arrays), parallel_iterations=1)
    gates, cells, hidden = (array.stack() for array in loop[3:])

    def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
        # With dh the gradient of h and dc that of c: dz = [dc, dc, dh, dc] · slopes, dc = dc' · f' + dh · cell_slope.
        i, f, o, g = tf.split(gates, 4, -1)
        squashed = tf.tanh(cells)
        previous_cells = tf.concat([zeros[None], cells[:-1]], 0)
        slopes = tf.concat([g * i * (1 - i), previous_cells * f * (1 - f), squashed * o * (1 - o), i * (1 - g * g)], -1)
        cell_slopes = o * (1 - squashed * squashed)
        transposed = tf.transpose(recurrent, (0, 2, 1))

        def backward(t: Tensor, dh: Tensor, dc: Tensor, dzs: Any) -> tuple[Any, ...]:
            dh = dh + tf.gather(upstream, t)
            dc = dc + dh * tf.gather(cell_slopes, t)
            dz = tf.concat([dc, dc, dh, dc], -1) * tf.gather(slopes, t)
            return t - 1, tf.matmul(dz, transposed), dc * tf.gather(f, t), dzs.write(t, dz)

        start = (steps - 1, zeros, zeros, _time_major_array(steps, batch, 4 * units))
        dz = tf.while_loop(lambda t, *_: t >= 0, backward, start, parallel_iterations=1)[3].stack()
        before = tf.concat([zeros[None], hidden[:-1]], 0)
        rows = tf.reshape(tf.transpose(before, (1, 3, 0, 2)), (2, units, -1))
        columns = tf.reshape(tf.transpose(dz, (1, 0, 2, 3)), (2, -1, 4 * units))
        return dz, tf.matmul(rows, columns)

    return hidden, gradient


def cudnn_parameters(kernel: Tensor, recurrent: Tensor, bias: Tensor) -> Tensor:
    """Weights of one direction, gates in Keras' order, as the one vector that cuDNN takes.

    Each gate's input matrix, then each gate's recurrent one, all transposed, then two biases a gate, of which one is 0.
    """
    matrices = [tf.transpose(gate) for weights in (kernel, recurrent) for gate in tf.split(weights, 4, -1)]
    return tf.concat([tf.reshape(part, (-1,)) for part in (*matrices, tf.zeros_like(bias), bias)], 0)


def _cudnn(x: Tensor, lengths: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor) -> Tensor:
    """One direction, forward in time: x (T, B, F) to hidden states (T, B, u), zero past the lengths."""
    state = tf.zeros((1, tf.shape(x)[1], recurrent.shape[0]))
    return tf.raw_ops.CudnnRNNV3(
        input=x,
        input_h=state,
        input_c=state,
        params=cudnn_parameters(kernel, recurrent, bias),
        sequence_lengths=tf.maximum(lengths, 1),  # cuDNN knows no sequence of none
        rnn_mode="lstm",
        time_major=True,
        is_training=True,
    )[0]


def _gates_ifgo_to_ifog(weights: Tensor) -> Tensor:
    i, f, g, o = tf.split(weights, 4, -1)
    return tf.concat([i, f, o, g], -1)


class BiLSTM(keras.layers.Layer):
    """Forward and backward LSTM, outputs concatenated; frames past a length never reach the valid ones.

    Weights: `kernel` (F, 8u) holds the forward direction's 4u columns, then the backward one's, gates in Keras' order
    i, f, g, o; `recurrent` (2, u, 4u); `bias` (8u,), 1 for the forget gates at the start.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape: Any, *_: Any) -> None:
        def glorot(shape: Any, dtype: Any = None) -> Any:  # each direction as a layer of its own
            halves = [keras.initializers.GlorotUniform()((shape[0], shape[1] // 2), dtype) for _ in range(2)]
            return keras.ops.concatenate(halves, -1)

        def orthogonal(shape: Any, dtype: Any = None) -> Any:
            return keras.ops.stack([keras.initializers.Orthogonal()(shape[1:], dtype) for _ in range(2)])

        def forget_one(shape: Any, dtype: Any = None) -> Any:
            u = self.units
            return keras.ops.tile(
                keras.ops.concatenate([keras.ops.zeros(u), keras.ops.ones(u), keras.ops.zeros(2 * u)]), 2
            )

        u = self.units
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 8 * u), initializer=glorot)
        self.recurrent = self.add_weight(name="recurrent", shape=(2, u, 4 * u), initializer=orthogonal)
        self.bias = self.add_weight(name="bias", shape=(8 * u,), initializer=forget_one)

    def call(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map x (B, T, F) with lengths (B,) int32 to (B, T, 2u)."""
        kernels = tf.split(tf.convert_to_tensor(self.kernel), 2, -1)
        biases = tf.split(tf.convert_to_tensor(self.bias), 2, -1)
        recurrent = tf.convert_to_tensor(self.recurrent)
        x = tf.transpose(x, (1, 0, 2))
        if tf.config.list_logical_devices("GPU"):
            backward = tf.reverse_sequence(x, lengths, seq_axis=0, batch_axis=1)
            directions = zip((x, backward), kernels, tf.unstack(recurrent), biases)
            forward, backward = (_cudnn(values, lengths, *weights) for values, *weights in directions)
        else:
            forward, backward = self._both(x, lengths, kernels, recurrent, biases)
        backward = tf.reverse_sequence(backward, lengths, seq_axis=0, batch_axis=1)
        joined = tf.transpose(tf.concat([forward, backward], -1), (1, 0, 2))
        return tf.ensure_shape(joined, (None, None, 2 * self.units))

    def _both(self, x: Tensor, lengths: Tensor, kernels: Any, recurrent: Tensor, biases: Any) -> list[Tensor]:
        """Hidden states (T, B, u) of each direction, the backward one still reversed."""
        kernel = tf.concat([_gates_ifgo_to_ifog(half) for half in kernels], -1)
        bias = tf.concat([_gates_ifgo_to_ifog(half) for half in biases], -1)
        projected = tf.matmul(tf.reshape(x, (-1, x.shape[-1])), kernel) + bias
        projected = tf.reshape(projected, (tf.shape(x)[0], tf.shape(x)[1], 8 * self.units))
        forward, backward = tf.split(projected, 2, -1)
        backward = tf.reverse_sequence(backward, lengths, seq_axis=0, batch_axis=1)
        hidden = _recurrence(tf.stack([forward, backward], 1), _gates_ifgo_to_ifog(recurrent))
        return tf.unstack(hidden, axis=1)
