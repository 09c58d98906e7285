"""A bidirectional LSTM as TensorFlow Lite runs it fast: written out, one frame of both directions in each turn.

What the shape of it follows from (numbers in docs/log.md):

- The recurrent weights just fit a core's cache. XNNPACK packs a copy of them for every product in the file, so frames
  written out side by side would drive each other's weights out of it.
- A turn costs a fifth of a microsecond, but WHILE and the writing of a frame into an array copy the whole array. So a
  turn of the outer loop takes a chunk of frames out, the inner loop copies no more than the chunk, and hidden states
  wait in it in the fewest bytes that the mode allows.
- The integer SLICE and REVERSE are slow reference kernels, GATHER is a memcpy a row; so the order of frames is a table
  of row numbers, before the loop and after it.
- A sigmoid in front of a SPLIT is rounded to 8 bits by the converter; so gates are split first, and stay float.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from crnn_asr.export.modes import Float

Tensor = Any
Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

CHUNK_FRAMES = 32  # turns of the inner loop in one of the outer


def bilstm(
    x: Tensor,
    kernel: NDArray[np.float32],
    recurrent: NDArray[np.float32],
    bias: NDArray[np.float32],
    mode: Float,
    name: str,
) -> Tensor:
    """Map x (T, In), rounded by `mode` if need be, to hidden states (T, 2u), forward then backward.

    Args:
        kernel, recurrent, bias: (In, 8u), (2, u, 4u) and (8u,), gates in Keras' order i, f, g, o.
        name: of the layer, for the ranges of its products.
    """
    units = recurrent.shape[1]
    projected = mode.activation(tf.matmul(x, kernel) + bias, f"{name}.projected")

    def step(z: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One frame of both directions: z (2, 4u), what the input adds to the gates; h and c (2, u)."""
        states = tf.split(mode.hidden(h), 2)
        products = [tf.matmul(state, matrix) for state, matrix in zip(states, recurrent)]
        i, f, g, o = tf.split(z + mode.quantize(tf.concat(products, 0), f"{name}.recurrent"), 4, 1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    hidden = _scan(tf.reshape(projected, (-1, 4 * units)), step, units, mode)
    products = [tf.matmul(half, matrix) for half, matrix in zip(tf.split(hidden, 2, 1), recurrent)]
    mode.observe(tf.concat(products, 0), f"{name}.recurrent")  # inside the loop nothing can be observed
    return hidden


def _scan(projected: Tensor, step: Step, units: int, mode: Float) -> Tensor:
    """Run `step` along the frames of both directions.

    Args:
        projected: (2T, 4u), row 2t the forward direction's at frame t, row 2t + 1 the backward one's.

    Returns:
        Hidden states (T, 2u). Frames that fill the last chunk repeat a true one, and are not in the result.
    """
    frames = tf.shape(projected)[0] // 2
    chunks = (frames + CHUNK_FRAMES - 1) // CHUNK_FRAMES
    steps = tf.minimum(tf.range(chunks * CHUNK_FRAMES), frames - 1)
    rows = tf.reshape(_both_ways(steps, frames), (chunks, 2 * CHUNK_FRAMES))

    def array(size: Tensor, *shape: int) -> tf.TensorArray:
        return tf.TensorArray(mode.stored, size=size, element_shape=shape, clear_after_read=False)

    def run_chunk(index: Tensor, h: Tensor, c: Tensor, outputs: Any) -> tuple[Any, ...]:
        chunk = tf.reshape(tf.gather(projected, tf.gather(rows, index)), (CHUNK_FRAMES, 2, 4 * units))
        frames_here = tf.minimum(CHUNK_FRAMES, frames - index * CHUNK_FRAMES)

        def run_frame(turn: Tensor, h: Tensor, c: Tensor, states: Any) -> tuple[Any, ...]:
            h, c = step(tf.gather(chunk, turn), h, c)
            return turn + 1, h, c, states.write(turn, mode.store(h))

        empty = array(CHUNK_FRAMES, 2, units).unstack(outputs.read(index))  # zeros, but not in the file
        _, h, c, states = tf.while_loop(lambda turn, *_: turn < frames_here, run_frame, (0, h, c, empty))
        return index + 1, h, c, outputs.write(index, states.stack())

    # Filled as float: TensorFlow Lite's way to fill an integer tensor takes longer than all the rest.
    zeros = tf.cast(tf.fill((chunks, CHUNK_FRAMES, 2, units), 0.0), mode.stored)
    start = (0, tf.zeros((2, units)), tf.zeros((2, units)), array(chunks, CHUNK_FRAMES, 2, units).unstack(zeros))
    outputs = tf.while_loop(lambda index, *_: index < chunks, run_chunk, start)[-1]
    hidden = tf.gather(tf.reshape(outputs.stack(), (-1, units)), _both_ways(tf.range(frames), frames))
    return mode.restore(tf.reshape(hidden, (-1, 2 * units)))


def _both_ways(steps: Tensor, frames: Tensor) -> Tensor:
    """Rows (S, 2) of step s in a table of alternating directions: the s-th frame from the start and from the end.

    It is its own inverse: it reads frames in the order of steps, and steps in the order of frames.
    """
    return tf.stack([2 * steps, 2 * (frames - 1 - steps) + 1], 1)
