"""A bidirectional LSTM as TensorFlow Lite runs it fast: written out, both directions in one loop, in two levels.

What the shape of it follows from (numbers in docs/log.md):

- Time goes to the number of operations in a step, not to arithmetic; so both directions share them, as rows 0 and 1.
- WHILE copies its variables every turn. In one loop over T frames that is quadratic in T; here a turn of the outer loop
  takes a chunk of frames out, and the inner loop copies no more than the chunk.
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

BLOCK_STEPS = 4  # written out in the body of the inner loop
CHUNK_BLOCKS = 16  # turns of the inner loop in one of the outer


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

    hidden = _scan(tf.reshape(projected, (-1, 4 * units)), step, units)
    products = [tf.matmul(half, matrix) for half, matrix in zip(tf.split(hidden, 2, 1), recurrent)]
    mode.observe(tf.concat(products, 0), f"{name}.recurrent")  # inside the loop nothing can be observed
    return hidden


def _scan(projected: Tensor, step: Step, units: int) -> Tensor:
    """Run `step` along the frames of both directions.

    Args:
        projected: (2T, 4u), row 2t the forward direction's at frame t, row 2t + 1 the backward one's.

    Returns:
        Hidden states (T, 2u). Frames that fill the last block repeat a true one, and are not in the result.
    """
    frames = tf.shape(projected)[0] // 2
    blocks = (frames + BLOCK_STEPS - 1) // BLOCK_STEPS
    chunks = (blocks + CHUNK_BLOCKS - 1) // CHUNK_BLOCKS
    chunk_frames = CHUNK_BLOCKS * BLOCK_STEPS
    steps = tf.minimum(tf.range(chunks * chunk_frames), frames - 1)
    rows = tf.reshape(_both_ways(steps, frames), (chunks, 2 * chunk_frames))

    def run_chunk(index: Tensor, h: Tensor, c: Tensor, outputs: Any) -> tuple[Any, ...]:
        chunk = tf.reshape(tf.gather(projected, tf.gather(rows, index)), (CHUNK_BLOCKS, 2 * BLOCK_STEPS, 4 * units))
        blocks_here = tf.minimum(CHUNK_BLOCKS, blocks - index * CHUNK_BLOCKS)

        def run_block(turn: Tensor, h: Tensor, c: Tensor, states: Any) -> tuple[Any, ...]:
            written = []
            for z in tf.split(tf.gather(chunk, turn), BLOCK_STEPS):
                h, c = step(z, h, c)
                written.append(h)
            return turn + 1, h, c, states.write(turn, tf.concat(written, 0))

        empty = _array(CHUNK_BLOCKS, 2 * BLOCK_STEPS, units).unstack(outputs.read(index))  # zeros, but not in the file
        _, h, c, states = tf.while_loop(lambda turn, *_: turn < blocks_here, run_block, (0, h, c, empty))
        return index + 1, h, c, outputs.write(index, states.stack())

    start = (0, tf.zeros((2, units)), tf.zeros((2, units)), _array(chunks, CHUNK_BLOCKS, 2 * BLOCK_STEPS, units))
    outputs = tf.while_loop(lambda index, *_: index < chunks, run_chunk, start)[-1]
    hidden = tf.gather(tf.reshape(outputs.stack(), (-1, units)), _both_ways(tf.range(frames), frames))
    return tf.reshape(hidden, (-1, 2 * units))


def _both_ways(steps: Tensor, frames: Tensor) -> Tensor:
    """Rows (S, 2) of step s in a table of alternating directions: the s-th frame from the start and from the end.

    It is its own inverse: it reads frames in the order of steps, and steps in the order of frames.
    """
    return tf.stack([2 * steps, 2 * (frames - 1 - steps) + 1], 1)


def _array(size: Tensor, *shape: int) -> tf.TensorArray:
    return tf.TensorArray(tf.float32, size=size, element_shape=shape, clear_after_read=False)
