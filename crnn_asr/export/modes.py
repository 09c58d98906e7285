"""The ways to run the inference graph: plain float, watching values, and rounding as INT8 kernels do.

The graph calls its mode at the input and the output of every product, so one text of the network serves them all.
Weights need no mark: the converter rounds them itself, with one scale for each output of a product.
"""

from typing import Any

import tensorflow as tf

from crnn_asr.export.ranges import Ranges

Tensor = Any

_NARROWEST = 1e-3  # of a range, so that a layer which gives only zeros still has a scale


class Float:
    """Nothing is rounded, but hidden states where they wait for the next layer, if `stored` says so."""

    def __init__(self, stored: tf.DType = tf.float32) -> None:
        self.stored = stored

    def observe(self, x: Tensor, name: str) -> None:
        """Take note of the values that `name` has."""

    def quantize(self, x: Tensor, name: str) -> Tensor:
        """Round to 256 steps of the range of `name`. For loop bodies, where nothing can be observed."""
        return x

    def activation(self, x: Tensor, name: str) -> Tensor:
        """Observe and quantize."""
        self.observe(x, name)
        return self.quantize(x, name)

    def hidden(self, h: Tensor) -> Tensor:
        """Round the hidden state of an LSTM, which lies in [-1, 1] by its definition."""
        return h

    def store(self, h: Tensor) -> Tensor:
        """A hidden state in the type that it is kept in."""
        return tf.cast(tf.round(h * self.stored.max), self.stored) if self.stored.is_integer else h

    def restore(self, stored: Tensor) -> Tensor:
        """What `store` was given, up to rounding."""
        return tf.cast(stored, tf.float32) / self.stored.max if self.stored.is_integer else stored

    def log_probs(self, logits: Tensor) -> Tensor:
        """Log-softmax, for a graph that ends in log-probabilities."""
        return tf.nn.log_softmax(logits)


class Observing(Float):
    """Float, and `seen` collects the values of every name, as tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, Tensor] = {}

    def observe(self, x: Tensor, name: str) -> None:
        self.seen[name] = x


class Int8(Float):
    """Rounded to INT8 in the places where the converter then puts INT8 kernels.

    A product becomes integer arithmetic only if its input and its output are marked; one mark forgotten, and it stays
    float in silence. `flatbuffer.check_int8` looks for that.

    The last product, from the last layer norm to the logits, is float unless the output is to be INT8: one step of
    logits that span 30 is an eighth of a nat, the largest error of all, and the product is too small to cost anything
    (docs/log.md). Log-softmax follows it: float, or the integer kernel with its steps of 1/16.
    """

    def __init__(self, ranges: Ranges, output: str = "float32") -> None:
        super().__init__(tf.int8)
        self.ranges = ranges
        last_norm = f"norm{sum(name.startswith('norm') for name in ranges) - 1}"
        self.left_float = {last_norm, "logits"} if output == "float32" else set()

    def quantize(self, x: Tensor, name: str) -> Tensor:
        if name in self.left_float:
            return x
        low, high = self.ranges[name]
        return self._round(x, low, high)

    def _round(self, x: Tensor, low: Any, high: Any) -> Tensor:
        return tf.quantization.fake_quant_with_min_max_args(x, low, max(high, low + _NARROWEST))

    def hidden(self, h: Tensor) -> Tensor:
        return tf.quantization.fake_quant_with_min_max_args(h, -1.0, 1.0)


class Simulated(Int8):
    """`Int8` with ranges that are tensors, so that one compiled graph tries any; it is not for conversion."""

    def _round(self, x: Tensor, low: Any, high: Any) -> Tensor:
        return tf.quantization.fake_quant_with_min_max_vars(x, low, tf.maximum(high, low + _NARROWEST))


def for_scheme(scheme: str, ranges: Ranges, io: str) -> Float:
    """How the graph of a scheme is run. `dynamic` rounds the input of each product itself, where it runs."""
    if scheme == "int8":
        return Int8(ranges, io)
    return Float(tf.int8 if scheme == "dynamic" else tf.float32)
