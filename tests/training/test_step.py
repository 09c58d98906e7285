"""The step's loss and gradient, put together by hand."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

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


def test_views_pull_each_other_together(rng):
    """The gradient against one that NumPy's own divergence and a plain tape give, the other view being a constant."""
    config = replace(CONFIG, dropout=0.0, lstm_layers=1)
    model, weight = CRNN(config), 0.2
    lengths = tf.constant([30, 30, 21, 21])
    labels = tf.constant([[1, 2, 3], [1, 2, 3], [4, 4, 0], [4, 4, 0]])
    label_lengths = tf.constant([3, 3, 2, 2])
    features = tf.constant(rng.standard_normal((4, 32, config.num_mels)), tf.float32)
    seed = tf.constant([7, 7])
    variables = [variable.value for variable in model.trainable_variables]
    logits = model((features, lengths), training=True, seed=seed).numpy()
    targets = softmax(logits[[1, 0, 3, 2]], -1)
    with tf.GradientTape() as tape:
        answers = model((features, lengths), training=True, seed=seed)
        ctc = tf.reduce_sum(ctc_loss(answers, config.output_length(lengths), labels, label_lengths))
        entropies = tf.nn.softmax_cross_entropy_with_logits(targets, answers)  # KL but for what has no gradient
        true = tf.sequence_mask(config.output_length(lengths), entropies.shape[1], tf.float32)
        wanted = (ctc + weight * tf.reduce_sum(entropies * true)) / 4
    expected = tape.gradient(wanted, variables)
    totals, gradients, _ = step._totals_and_gradients(
        model, [features, lengths, labels, label_lengths], seed, 4.0, TrainingConfig(consistency_weight=weight)
    )
    assert totals.numpy()[0] == pytest.approx(float(ctc), rel=1e-5)
    for found, value in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)


def test_statistics_move_once_a_batch_where_batches_are_accumulated(rng):
    """In a good step, as if each batch had been a step of its own."""
    config = TrainingConfig(accumulate_batches=2)
    model = CRNN(CONFIG)
    learner = step.make_accumulating_step(model, step.make_optimizer(config, model), config)
    model.batch_norms[0].mean.assign([3.0, -2.0, 5.0])
    batches = []
    for frames in (30, 45):
        features = rng.standard_normal((2, frames, CONFIG.num_mels)).astype(np.float32)
        lengths = np.array([frames, 20], np.int32)
        batches.append((features, lengths, np.array([[1], [2]], np.int32), np.ones(2, np.int32)))
    wanted = [np.asarray(variable) for variable in model.running_statistics]
    for features, lengths, *_ in batches:
        seen: list = []
        model.every_logits((features, lengths), training=True, seed=tf.constant([0, 0]), seen=seen)
        wanted = [0.99 * average + 0.01 * np.asarray(value) for average, value in zip(wanted, seen[0])]
    step.run_step(learner, batches, [tf.constant([0, 0])] * 2, 1e-3)
    for found, value in zip(model.running_statistics, wanted, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5)
