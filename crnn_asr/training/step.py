"""One step of training and one of evaluation, compiled."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from crnn_asr.config import TrainingConfig
from crnn_asr.training.batches import BATCH_SPEC
from crnn_asr.training.loss import ctc_loss
from crnn_asr.training.model import CRNN

Tensor = Any
SCALAR = tf.TensorSpec((), tf.float32)
SEED = tf.TensorSpec((2,), tf.int32)


def make_optimizer(config: TrainingConfig, model: CRNN) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov & Hutter 2019); biases and norms are not decayed."""
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay, beta_2=0.98)
    optimizer.exclude_from_weight_decay(var_list=[w for w in model.trainable_variables if len(w.shape) < 2])
    optimizer.build(model.trainable_variables)
    return optimizer


def learning_rate(config: TrainingConfig, step: int, total_steps: int, scale: float) -> float:
    """The rate of a step: linear warm-up, then cosine to zero, or constant times what the plateau schedule left."""
    warmup = min(config.warmup_steps, total_steps // 2)
    if step < warmup:
        return config.learning_rate * scale * (step + 1) / warmup
    if config.schedule == "plateau":
        return config.learning_rate * scale
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total_steps - warmup)))


def make_train_step(model: CRNN, optimizer: keras.optimizers.Optimizer, clip_norm: float) -> Callable[..., Any]:
    """A compiled function of a batch, a dropout seed (2,) and a learning rate.

    It returns the summed loss and the norm of the gradient before clipping. A gradient that is not finite changes
    neither weights nor optimiser.
    """
    variables = [variable.value for variable in model.trainable_variables]

    @tf.function(input_signature=[*BATCH_SPEC, SEED, SCALAR], autograph=False)
    def train_step(
        features: Tensor, lengths: Tensor, labels: Tensor, label_lengths: Tensor, seed: Tensor, rate: Tensor
    ):  # type: ignore[no-untyped-def]
        with tf.GradientTape() as tape:
            logits = model((features, lengths), training=True, seed=seed)
            losses = ctc_loss(logits, model.settings.output_length(lengths), labels, label_lengths)
            loss = tf.reduce_mean(losses)
        gradients, norm = tf.clip_by_global_norm(tape.gradient(loss, variables), clip_norm)

        def update() -> Tensor:
            optimizer.learning_rate.assign(rate)
            optimizer.apply(gradients, model.trainable_variables)
            return norm

        return tf.reduce_sum(losses), tf.cond(tf.math.is_finite(norm), update, lambda: norm)

    return train_step


def make_dev_step(model: CRNN) -> Callable[..., Any]:
    """A compiled function of a batch: the logits, their lengths, and the loss of each utterance."""

    @tf.function(input_signature=[*BATCH_SPEC], autograph=False)
    def dev_step(features: Tensor, lengths: Tensor, labels: Tensor, label_lengths: Tensor):  # type: ignore[no-untyped-def]
        logits = model((features, lengths), training=False)
        logit_lengths = model.settings.output_length(lengths)
        return logits, logit_lengths, ctc_loss(logits, logit_lengths, labels, label_lengths)

    return dev_step
