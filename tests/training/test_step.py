"""The step's loss and gradient, put together by hand."""

import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.config import ModelConfig, TrainingConfig
from crnn_asr.training import step
from crnn_asr.training.loss import ctc_loss
from crnn_asr.training.model import CRNN

CONFIG = ModelConfig(conv_filters=(3,), conv_strides=((2, 2),), projection_units=8, lstm_layers=3, lstm_units=5)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_inner_losses_have_their_weight_in_the_gradient_and_not_in_the_loss(rng, weight):
    model = CRNN(CONFIG)
    lengths = tf.constant([30, 21])
    labels, label_lengths = tf.constant([[1, 2, 3], [4, 4, 0]]), tf.constant([3, 2])
    features = tf.constant(rng.standard_normal((2, 32, CONFIG.num_mels)), tf.float32)
    seed = tf.constant([7, 7])
    with tf.GradientTape() as tape:
        losses = [
            tf.reduce_sum(ctc_loss(logits, CONFIG.output_length(lengths), labels, label_lengths))
            for logits in model.every_logits((features, lengths), training=True, seed=seed)
        ]
        first, second, last = losses
        wanted = ((1 - weight) * last + weight * (first + second) / 2) / 2
    expected = tape.gradient(wanted, [variable.value for variable in model.trainable_variables])
    totals, gradients, _ = step._totals_and_gradients(
        model, [features, lengths, labels, label_lengths], seed, 2.0, TrainingConfig(inner_loss_weight=weight)
    )
    assert totals.numpy()[0] == pytest.approx(float(last), rel=1e-5)
    for found, value in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
