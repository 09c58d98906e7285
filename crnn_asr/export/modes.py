"""The three ways to run the inference graph: plain float, watching ranges, and rounding as INT8 kernels do.

The graph calls a mode at every weight and around every product, so one text of the network serves all three.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Tensor = Any
Range = tuple[float, float]
Ranges = dict[str, Range]

_NARROWEST = 1e-3  # of a range, so that a layer which gives only zeros still has a scale
_CHANNEL_FLOOR = 1e-3  # of the largest channel's range; a bias is stored in units of it, and must fit 32 bits


class Float:
    """Nothing is rounded."""

    def observe(self, x: Tensor, name: str) -> None:
        """Take note of the values that `name` has."""

    def quantize(self, x: Tensor, name: str) -> Tensor:
        """Round to 256 steps of the range of `name`. For loop bodies, where nothing can be observed."""
        return x

    def activation(self, x: Tensor, name: str) -> Tensor:
        """Observe and quantize: the input or the output of a product."""
        self.observe(x, name)
        return self.quantize(x, name)

    def hidden(self, h: Tensor) -> Tensor:
        """Round the hidden state of an LSTM, which lies in [-1, 1] by its definition."""
        return h

    def matrix(self, weights: NDArray[np.float32]) -> Tensor:
        return tf.constant(weights)

    def kernel(self, weights: NDArray[np.float32]) -> Tensor:
        return tf.constant(weights)


class Observing(Float):
    """Float, and `seen` collects the lowest and highest value of every name as tensors."""

    def __init__(self) -> None:
        self.seen: dict[str, Tensor] = {}

    def observe(self, x: Tensor, name: str) -> None:
        self.seen[name] = tf.stack([tf.reduce_min(x), tf.reduce_max(x)])


class Int8(Float):
    """Rounded to INT8 in the places where the converter then puts INT8 kernels.

    It gives a product integer arithmetic only if its weights, its input and its output are marked; any mark forgotten,
    and the product stays float in silence. `flatbuffer.check_int8` looks for that.
    """

    def __init__(self, ranges: Ranges) -> None:
        self.ranges = ranges

    def quantize(self, x: Tensor, name: str) -> Tensor:
        low, high = self.ranges[name]
        return tf.quantization.fake_quant_with_min_max_args(x, low, max(high, low + _NARROWEST))

    def hidden(self, h: Tensor) -> Tensor:
        return tf.quantization.fake_quant_with_min_max_args(h, -1.0, 1.0)

    def matrix(self, weights: NDArray[np.float32]) -> Tensor:
        """One scale for all: with one a column, the converter fails ("mismatched quantized axes" of a transpose)."""
        bound = max(float(np.abs(weights).max()), _NARROWEST)
        return tf.quantization.fake_quant_with_min_max_args(weights, -bound, bound, narrow_range=True)

    def kernel(self, weights: NDArray[np.float32]) -> Tensor:
        """One scale for each output channel, the last axis of a convolution's kernel."""
        bounds = np.abs(weights).max(axis=(0, 1, 2))
        bounds = np.maximum(bounds, max(_CHANNEL_FLOOR * float(bounds.max()), _NARROWEST))
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(weights, -bounds, bounds, narrow_range=True)
