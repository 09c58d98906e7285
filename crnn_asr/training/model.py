"""The network: Conv2D blocks, a projection, a stack of BiLSTMs, logits. An utterance's padding never reaches it.

Convolutions see zeros beyond the true end, batch norm counts true frames only, the backward LSTM starts at the true
end. So an utterance gives the same logits alone and inside any batch, and the same training statistics.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from crnn_asr.config import ModelConfig
from crnn_asr.training.bilstm import BiLSTM
from crnn_asr.training.replicas import sum_over_replicas

Tensor = Any
EPSILON = 1e-3


def frame_mask(lengths: Tensor, frames: Tensor, rank: int) -> Tensor:
    """1.0 for true frames and 0.0 for padding, shape (B, T, 1, …) of the given rank."""
    mask = tf.sequence_mask(lengths, frames, tf.float32)
    return tf.reshape(mask, tf.concat([tf.shape(mask), tf.ones(rank - 2, tf.int32)], 0))


def dropout(x: Tensor, rate: float, seed: Tensor) -> Tensor:
    """Dropout that is a function of its seed (2,), so that a resumed run draws the same masks.

    One random byte a value decides, drawn four at a time: the rate is rounded to a 256th, and the scale follows it.
    """
    dropped = round(256 * rate)
    if not dropped:
        return x
    size = tf.size(x)
    words = tf.random.stateless_uniform(((size + 3) // 4,), seed, None, None, tf.int32)
    drawn = tf.reshape(tf.bitcast(words, tf.uint8), (-1,))[:size]
    kept = tf.reshape(drawn >= dropped, tf.shape(x))
    return tf.where(kept, x * (256 / (256 - dropped)), 0.0)


@tf.custom_gradient
def _normalize_relu(x: Tensor, mask: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Any, Any]:
    """ReLU of batch norm over true frames: y (B, T, F, C), zero in the padding; mean (C,), variance (C,), count ().

    The gradient is written by hand because these arrays are the largest of all, and each pass over them counts. With
    n true values a channel, x̂ = (x - mean) / σ and dz the gradient behind the ReLU:

        dβ = Σ dz    dγ = Σ dz·x̂    dx = γ/σ · (dz - (dβ + x̂·dγ) / n)    (Ioffe & Szegedy 2015)

    Where replicas share a batch, n and all sums are over the whole batch; only the gradients of γ and β that are
    returned are a replica's own, because they are summed with those of all other weights. The gradients of mean,
    variance and count are not passed on: they go into running averages only.
    """
    axes = [0, 1, 2]
    count = tf.reduce_sum(mask) * tf.cast(tf.shape(x)[2], tf.float32)
    count, total = sum_over_replicas(count, tf.reduce_sum(x * mask, axes))
    divisor = tf.maximum(count, 1.0)  # without a true frame anywhere all is zero
    mean = total / divisor
    (squares,) = sum_over_replicas(tf.reduce_sum(tf.square((x - mean) * mask), axes))
    variance = squares / divisor
    inverse = tf.math.rsqrt(variance + EPSILON)
    scale = gamma * inverse
    y = tf.nn.relu(x * scale + (beta - mean * scale)) * mask

    def gradient(dy: Tensor, *_: Tensor) -> tuple[Tensor, Any, Tensor, Tensor]:
        dz = tf.raw_ops.ReluGrad(gradients=dy, features=y)  # zero in the padding, as y is
        dbeta = tf.reduce_sum(dz, axes)
        dgamma = inverse * (tf.reduce_sum(dz * x, axes) - mean * dbeta)
        all_dgamma, all_dbeta = sum_over_replicas(dgamma, dbeta)
        slope = scale * inverse * all_dgamma / divisor
        dx = dz * scale - (x * slope + (scale * all_dbeta / divisor - mean * slope)) * mask
        return dx, None, dgamma, dbeta

    return (y, mean, variance, count), gradient


class MaskedBatchNorm(keras.layers.Layer):
    """Batch norm over the last axis, then ReLU; statistics ignore padding, and what comes out there is zero."""

    momentum = 0.99

    def build(self, shape: Any, *_: Any) -> None:
        width = (shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=width, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=width, initializer="zeros")
        self.mean = self.add_weight(name="mean", shape=width, initializer="zeros", trainable=False)
        self.variance = self.add_weight(name="variance", shape=width, initializer="ones", trainable=False)

    def call(self, x: Tensor, mask: Tensor, training: bool = False) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map x (B, T, F, C) with mask (B, T, 1, 1) to the same shape; frozen, as out of training.

        In training there are also the mean (C,), variance (C,) and count () of this batch, for `moved`; else ().
        """
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if not (training and self.trainable):
            scale = gamma * tf.math.rsqrt(self.variance + EPSILON)
            return tf.nn.relu(x * scale + (beta - self.mean * scale)) * mask, ()
        y, *seen = _normalize_relu(x, mask, gamma, beta)
        return y, tuple(seen)

    def moved(self, averages: Sequence[Tensor], seen: tuple[Tensor, ...]) -> list[Tensor]:
        """Running mean and variance after a batch. Who trains assigns them, if the batch turns out to be good."""
        *values, count = seen
        after = [self.momentum * average + (1 - self.momentum) * value for average, value in zip(averages, values)]
        return [tf.where(count > 0, new, average) for new, average in zip(after, averages)]


class CRNN(keras.Model):
    """The recogniser as it is trained. Its weights in stock Keras layers: `crnn_asr.training.keras_file`.

    Args:
        precision: `bfloat16` has the large products in it, by Keras' policy `mixed_bfloat16`; weights, their gradients
            and all else are float32 in any case.
        frozen: so many of the first of `config.layers` are no longer trained: no gradient, no dropout in front of them,
            running statistics in their batch norms.
    """

    def __init__(self, config: ModelConfig, precision: str = "float32", frozen: int = 0) -> None:
        super().__init__()
        policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
        self.settings = c = config
        self.convs = [
            keras.layers.Conv2D(filters, 3, strides, padding="valid", use_bias=False, name=f"conv{i}")
            for i, (filters, strides) in enumerate(zip(c.conv_filters, c.conv_strides))
        ]
        self.batch_norms = [MaskedBatchNorm(name=f"batch_norm{i}") for i in range(len(self.convs))]
        self.projection = keras.layers.Dense(c.projection_units, name="projection", dtype=policy)
        self.lstms = [BiLSTM(c.lstm_units, name=f"lstm{i}", dtype=policy) for i in range(c.lstm_layers)]
        self.norms = [keras.layers.LayerNormalization(epsilon=EPSILON, name=f"norm{i}") for i in range(c.lstm_layers)]
        self.output_layer = keras.layers.Dense(c.num_symbols, name="logits")
        layers = [*zip(self.convs, self.batch_norms), (self.projection,), *zip(self.lstms, self.norms)]
        for layer in itertools.chain.from_iterable(layers[:frozen]):
            layer.trainable = False
        self.build()

    def build(self, *_: Any) -> None:
        c = self.settings
        channels = (1, *c.conv_filters)
        for i, (conv, norm) in enumerate(zip(self.convs, self.batch_norms)):
            conv.build((None, None, None, channels[i]))
            norm.build((None, None, None, channels[i + 1]))
        self.projection.build((None, None, c.conv_bins * channels[-1]))
        for i, (lstm, norm) in enumerate(zip(self.lstms, self.norms)):
            lstm.build((None, None, 2 * c.lstm_units if i else c.projection_units))
            norm.build((None, None, 2 * c.lstm_units))
        self.output_layer.build((None, None, 2 * c.lstm_units))
        self.built = True

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False, seed: Tensor | None = None) -> Tensor:
        """Logits of a padded batch, (B, ceil(T / time reduction), V): the last of `every_logits`."""
        return self.every_logits(inputs, training, seed)[-1]

    @property
    def running_statistics(self) -> list[Any]:
        """Mean and variance of each batch norm that is trained, one after another."""
        return [variable for norm in self.batch_norms if norm.trainable for variable in (norm.mean, norm.variance)]

    def moved_statistics(self, averages: Sequence[Tensor], seen: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
        """What `running_statistics`, now at `averages`, are after a batch in which the norms have `seen` this."""
        norms = [norm for norm in self.batch_norms if norm.trainable]
        pairs = zip(averages[::2], averages[1::2])
        return [value for norm, pair, batch in zip(norms, pairs, seen) for value in norm.moved(pair, batch)]

    def every_logits(
        self,
        inputs: tuple[Tensor, Tensor],
        training: bool = False,
        seed: Tensor | None = None,
        seen: list[tuple[Tensor, ...]] | None = None,
    ) -> list[Tensor]:
        """What the output layer says behind each BiLSTM, the last of which is the network's answer.

        Args:
            inputs: features (B, T, F) float32 and feature_lengths (B,) int32.
            training: batch statistics and dropout.
            seed: (2,) int32, what the dropout masks are drawn from; needed in training where there is dropout.
            seen: gets what each batch norm that is trained saw of the batch, for `moved_statistics`.

        Returns:
            For each BiLSTM that is trained, and the last, logits (B, ceil(T / time reduction), V); the true lengths are
            `settings.output_length(feature_lengths)`.
        """
        x, lengths = inputs
        rate = self.settings.dropout if training else 0.0
        x = tf.expand_dims(x, -1)
        x = tf.where(frame_mask(lengths, tf.shape(x)[1], 4) > 0, x, 0.0)  # whatever the padding holds, NaN too
        for conv, norm, (stride, _) in zip(self.convs, self.batch_norms, self.settings.conv_strides):
            x = conv(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]))
            lengths = (lengths + stride - 1) // stride
            mask = frame_mask(lengths, tf.shape(x)[1], 4)
            x, batch = norm(x, mask, training=training)
            if seen is not None and batch:
                seen.append(batch)
        shape = tf.shape(x)
        x = tf.reshape(x, (shape[0], shape[1], self.settings.conv_bins * self.settings.conv_filters[-1]))
        x = tf.transpose(tf.nn.relu(self.projection(x)), (1, 0, 2))
        x = tf.cast(x, tf.float32)
        layers, logits = [*self.lstms, self.output_layer], []

        def dropped(x: Tensor, i: int) -> Tensor:
            """What goes into layer i."""
            return dropout(x, rate, seed + tf.constant([i, 0])) if rate and layers[i].trainable else x

        x = dropped(x, 0)
        for i, (lstm, norm) in enumerate(zip(self.lstms, self.norms), 1):
            x = dropped(norm(lstm(x, lengths)), i)
            if lstm.trainable or i == len(self.lstms):
                logits.append(self.output_layer(tf.transpose(x, (1, 0, 2))))
        return logits

    def named_weights(self) -> dict[str, Any]:
        """All weights, Keras variables, by the names that `crnn_asr.export` knows."""
        layers: list[tuple[str, Any]] = [("projection", self.projection), ("output", self.output_layer)]
        for i, (conv, norm) in enumerate(zip(self.convs, self.batch_norms)):
            layers += [(f"conv{i}", conv), (f"conv{i}", norm)]
        for i, (lstm, norm) in enumerate(zip(self.lstms, self.norms)):
            layers += [(f"lstm{i}", lstm), (f"norm{i}", norm)]
        return {f"{name}.{weight.name}": weight for name, layer in layers for weight in layer.weights}

    def export_weights(self) -> dict[str, NDArray[np.float32]]:
        """The values of `named_weights`, float32."""
        return {name: np.asarray(weight, np.float32) for name, weight in self.named_weights().items()}
