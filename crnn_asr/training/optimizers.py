"""AdamW and Muon."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from crnn_asr.config import TrainingConfig
from crnn_asr.training.model import CRNN

Tensor = Any
BETA_2 = 0.98
MOMENTUM = 0.95
RMS = 0.2  # of what Muon adds to a weight, at a learning rate of 1: about what AdamW does (Liu et al. 2025)
_A, _B, _C = 3.4445, -4.7750, 2.0315  # a·x + b·x³ + c·x⁵, five times, brings 0.01 and more to 0.7 to 1.2
_ITERATIONS = 5


class _Summed:
    """What makes Keras take gradients that have been summed over replicas before: clipping comes between."""

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars


class SummedAdamW(_Summed, keras.optimizers.AdamW):
    """AdamW (Loshchilov & Hutter 2019)."""


class SummedMuon(_Summed, keras.optimizers.Muon):
    """Muon (Jordan et al. 2024) for the matrices between the layers, AdamW for all else.

    A matrix moves by its momentum with all singular values brought near to 1. Keras' own takes 2-D weights as they
    are; here kernels of convolutions are matrices too, and each gate of an LSTM is one, in each direction.

    Args:
        blocks: for each weight that is not AdamW's, by its path, how many matrices stand side by side in it.
        product_type: of the products that orthogonalise.
        learning_rate, weight_decay, **average: as Keras has them.
    """

    def __init__(
        self, blocks: Mapping[str, int], product_type: Any, learning_rate: float, weight_decay: float, **average: Any
    ) -> None:
        super().__init__(
            learning_rate,
            adam_beta_2=BETA_2,
            adam_weight_decay=weight_decay,
            weight_decay=weight_decay,
            momentum=MOMENTUM,
            rms_rate=RMS,
            **average,
        )
        self.blocks, self.product_type = dict(blocks), product_type

    def build(self, variables: Any) -> None:
        super().build(variables)
        self.counts = [self.blocks.get(variable.path, 0) for variable in variables]

    def _should_use_adamw(self, variable: Any) -> bool:
        return variable.path not in self.blocks

    def _muon_update_step(self, gradient: Tensor, variable: Any, rate: Tensor, momentum: Any) -> None:
        count = self.counts[self._get_variable_index(variable)]
        gradient = tf.convert_to_tensor(gradient)
        moved = MOMENTUM * tf.convert_to_tensor(momentum) + gradient
        self.assign(momentum, moved)
        step = orthogonal_step(gradient + MOMENTUM * moved, count, self.product_type)
        self.assign_sub(variable, rate * step)

    def _apply_weight_decay(self, variables: Any) -> None:
        super(keras.optimizers.Muon, self)._apply_weight_decay(variables)  # Keras' Muon has none for replicas


def orthogonal_step(momentum: Tensor, count: int, product_type: Any = tf.float32) -> Tensor:
    """What Muon subtracts from a weight, at a learning rate of 1.

    Args:
        momentum: shape (m, n), (h, w, m, n), a convolution's, or (k, m, n), k weights; of `count` matrices side by
            side, n / count columns each.
        product_type: of the products that orthogonalise; the result is float32.

    Returns:
        The same shape: of each matrix U·S·Vᵀ about U·Vᵀ, scaled to a root mean square of about 0.2.
    """
    shape = momentum.shape
    weights = tf.unstack(momentum) if len(shape) == 3 else [tf.reshape(momentum, (-1, shape[-1]))]
    steps = [
        tf.concat([_orthogonal(block, product_type) for block in tf.split(weight, count, -1)], -1) for weight in weights
    ]
    scale = RMS * max(steps[0].shape[0], shape[-1] // count) ** 0.5
    return scale * tf.reshape(tf.stack(steps), shape)


def _orthogonal(matrix: Tensor, product_type: Any) -> Tensor:
    """About U·Vᵀ of a matrix U·S·Vᵀ, by Newton and Schulz's iteration; singular values of almost 0 stay below 1.

    Of y = ⁴√c · x, for which c is 1, the polynomial is y · ((y² + h)² + g): three products, and no other work on arrays
    than adding to their diagonals.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    root = _C**0.25
    h = _B / (2 * root**2)
    g = _A - h**2
    h_eye, g_eye = (tf.constant(value * np.eye(min(matrix.shape)), product_type) for value in (h, g))
    y = tf.cast(matrix * (root / (tf.norm(matrix) + 1e-7)), product_type)
    for _ in range(_ITERATIONS):
        shifted = tf.matmul(y, y, transpose_a=tall, transpose_b=not tall) + h_eye
        factor = tf.matmul(shifted, shifted) + g_eye
        y = tf.matmul(y, factor) if tall else tf.matmul(factor, y)
    return tf.cast(y, tf.float32) / root


def make_optimizer(config: TrainingConfig, model: CRNN) -> keras.optimizers.Optimizer:
    """The optimizer of a run; biases and norms are not decayed.

    With `average_steps` it keeps a moving average of the weights, which `finalize_variable_values` gives out.
    """
    options: dict[str, Any] = {"learning_rate": config.learning_rate, "weight_decay": config.weight_decay}
    if config.average_steps > 1:
        options |= {"use_ema": True, "ema_momentum": 1 - 1 / config.average_steps}
    if config.optimizer == "muon":
        product_type = tf.bfloat16 if config.precision == "bfloat16" else tf.float32
        optimizer = SummedMuon(_matrices(model), product_type, **options)
    else:
        optimizer = SummedAdamW(beta_2=BETA_2, **options)
    optimizer.exclude_from_weight_decay(var_list=[w for w in model.trainable_variables if len(w.shape) < 2])
    optimizer.build(model.trainable_variables)
    return optimizer


def _matrices(model: CRNN) -> dict[str, int]:
    """The weights, by path, that map features to features, and the matrices side by side in each.

    Not the first convolution, which maps a single channel, nor the output layer, which chooses symbols.
    """
    matrices = {layer.kernel.path: 1 for layer in (*model.convs[1:], model.projection)}
    for lstm in model.lstms:
        matrices |= {lstm.kernel.path: 8, lstm.recurrent.path: 4}  # gates, of both directions and of each
    return matrices
