"""A bidirectional LSTM made for training on CPUs, which uses cuDNN where there is a GPU.

The input projection of all frames is one product before the loop over time. Each direction has a loop of its own, and
TensorFlow runs the two side by side. The backward pass is written by hand: the forward loop leaves the slopes of the
gates behind, and the gradient of the recurrent weights is one product after the loop.
The equations are those of Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, as in
`keras.layers.LSTM`:

    i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)     z = x·W + h·R + b
    c' = f·c + i·tanh(z_g)        h' = o·tanh(c')

Under the policy `mixed_bfloat16` products are in bfloat16; gates, cells and running gradients stay in float32.

On a GPU the loop would start a few kernels a frame; cuDNN's one kernel runs each direction instead, from the same
weights. That path could not be run where this was written: its parameters are tested against those that Keras hands to
the same operation, the rest by reading.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

Tensor = Any
CLOSED = -1e4  # what closes an input gate: sigmoid and slope are 0


def _recurrence(projected: Tensor, recurrent: Tensor, reverse: bool) -> Tensor:
    """Run one direction, from the first frame to the last or the other way.

    Args:
        projected: (T, B, 4u), x·W + b, gates in Keras' order i, f, g, o.
        recurrent: (u, 4u), of the same type.

    Returns:
        Hidden states (T, B, u), of the same type.
    """
    units, dtype = recurrent.shape[0], projected.dtype
    steps, batch = tf.shape(projected)[0], tf.shape(projected)[1]
    zeros = tf.zeros((batch, units))

    def frame(k: Tensor) -> Tensor:
        return steps - 1 - k if reverse else k

    def before(states: Tensor) -> Tensor:
        """What each frame found: the states one step before."""
        start = tf.zeros((1, batch, units), states.dtype)
        return tf.concat([states[1:], start] if reverse else [start, states[:-1]], 0)

    def array(width: int, dtype: Any) -> tf.TensorArray:
        return tf.TensorArray(dtype, size=steps, element_shape=(None, width), clear_after_read=False)

    @tf.custom_gradient
    def run(projected: Tensor, recurrent: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        # With dh the gradient of h and dc that of c: dz = [dc, dc, dc, dh] · slopes, dc = dc' · f' + dh · cell_slope.
        # Slopes are computed in the forward loop, where what they are made of is in the cache.
        def forward(k: Tensor, h: Tensor, c: Tensor, hidden: Any, *kept: Any) -> tuple[Any, ...]:
            t = frame(k)
            z = tf.cast(tf.gather(projected, t), tf.float32) + tf.cast(tf.matmul(h, recurrent), tf.float32)
            z_i, z_f, z_g, z_o = tf.split(z, 4, -1)
            i, f, g, o = tf.sigmoid(z_i), tf.sigmoid(z_f), tf.tanh(z_g), tf.sigmoid(z_o)
            old, new = f * c, i * g
            c = old + new
            squashed = tf.tanh(c)
            h = o * squashed
            slopes = tf.concat([new - new * i, old - old * f, i - new * g, h - h * o], -1)
            kept = tuple(array.write(t, value) for array, value in zip(kept, (slopes, o - h * squashed, f)))
            h = tf.cast(h, dtype)
            return k + 1, h, c, hidden.write(t, h), *kept

        kept = (array(4 * units, tf.float32), array(units, tf.float32), array(units, tf.float32))
        start = (0, tf.cast(zeros, dtype), zeros, array(units, dtype), *kept)
        loop = tf.while_loop(lambda k, *_: k < steps, forward, start, parallel_iterations=1)
        hidden, (slopes, cell_slopes, forgets) = loop[3].stack(), loop[4:]

        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            transposed = tf.transpose(recurrent)

            def backward(k: Tensor, dh: Tensor, dc: Tensor, dzs: Any) -> tuple[Any, ...]:
                t = frame(k)
                dh = dh + tf.cast(tf.gather(upstream, t), tf.float32)
                dc = dc + dh * cell_slopes.read(t)
                dz = tf.cast(tf.concat([dc, dc, dc, dh], -1) * slopes.read(t), dtype)
                dh = tf.cast(tf.matmul(dz, transposed), tf.float32)
                return k - 1, dh, dc * forgets.read(t), dzs.write(t, dz)

            end = (steps - 1, zeros, zeros, array(4 * units, dtype))
            dz = tf.while_loop(lambda k, *_: k >= 0, backward, end, parallel_iterations=1)[3].stack()
            rows, columns = tf.reshape(before(hidden), (-1, units)), tf.reshape(dz, (-1, 4 * units))
            return dz, tf.matmul(rows, columns, transpose_a=True)

        return hidden, gradient

    return run(projected, recurrent)


def cudnn_parameters(kernel: Tensor, recurrent: Tensor, bias: Tensor) -> Tensor:
    """Weights of one direction, gates in Keras' order, as the one vector that cuDNN takes.

    Each gate's input matrix, then each gate's recurrent one, all transposed, then two biases a gate, of which one is 0.
    """
    matrices = [tf.transpose(gate) for weights in (kernel, recurrent) for gate in tf.split(weights, 4, -1)]
    return tf.concat([tf.reshape(part, (-1,)) for part in (*matrices, tf.zeros_like(bias), bias)], 0)


def _cudnn(x: Tensor, lengths: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor) -> Tensor:
    """One direction, forward in time: x (T, B, F) to hidden states (T, B, u), zero past the lengths."""
    state = tf.zeros((1, tf.shape(x)[1], recurrent.shape[0]), x.dtype)
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


class BiLSTM(keras.layers.Layer):
    """Forward and backward LSTM over time-major frames; those past a length never reach the valid ones.

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
        """Map x (T, B, F) with lengths (B,) int32 to (T, B, 2u), forward states, then backward ones."""
        kernels = tf.split(tf.convert_to_tensor(self.kernel), 2, -1)
        recurrents = tf.unstack(tf.convert_to_tensor(self.recurrent))
        biases = tf.split(tf.convert_to_tensor(self.bias), 2, -1)
        run = self._on_gpu if tf.config.list_logical_devices("GPU") else self._on_cpu
        directions = zip(kernels, recurrents, biases, (False, True))
        return tf.concat([run(x, lengths, *weights_and_way) for weights_and_way in directions], -1)

    def _on_cpu(
        self, x: Tensor, lengths: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, reverse: bool
    ) -> Tensor:
        projected = tf.nn.bias_add(tf.matmul(tf.reshape(x, (-1, x.shape[-1])), kernel), bias)
        projected = tf.reshape(projected, (tf.shape(x)[0], tf.shape(x)[1], 4 * self.units))
        if reverse:  # padding comes first: closed input gates keep cells, states and all gradients at zero through it
            valid = tf.transpose(tf.sequence_mask(lengths, tf.shape(x)[0]))[..., None]
            closed = tf.constant([CLOSED] * self.units + [0.0] * 3 * self.units, projected.dtype)
            projected = tf.where(valid, projected, closed)
        return _recurrence(projected, recurrent, reverse)

    def _on_gpu(
        self, x: Tensor, lengths: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, reverse: bool
    ) -> Tensor:
        def turned(values: Tensor) -> Tensor:
            return tf.reverse_sequence(values, lengths, seq_axis=0, batch_axis=1) if reverse else values

        return turned(_cudnn(turned(x), lengths, kernel, recurrent, bias))
