"""CTC against the sum over all paths."""

import itertools

import numpy as np
import tensorflow as tf

from crnn_asr.training.loss import ctc_loss

FRAMES, SYMBOLS = 6, 4
BLANK = SYMBOLS - 1


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK)


def brute_force(logits: np.ndarray, labels: tuple[int, ...]) -> float:
    """-log of the summed probability of every path that collapses to the labels."""
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    paths = itertools.product(range(SYMBOLS), repeat=len(logits))
    total = sum(np.prod([p[s] for p, s in zip(probabilities, path)]) for path in paths if collapse(path) == labels)
    return -np.log(total)


def test_loss_and_gradient_equal_the_sum_over_all_paths(rng):
    logits = rng.standard_normal((4, FRAMES, SYMBOLS))
    labels = [(0, 1), (2, 2), (0, 1, 0, 2), (1,)]
    logit_lengths = [6, 4, 5, 1]
    padded = np.full((4, 4), 99, np.int32)
    for row, label in zip(padded, labels):
        row[: len(label)] = label

    def loss(values):
        return ctc_loss(values, tf.constant(logit_lengths), tf.constant(padded), tf.constant([2, 2, 4, 1]))

    values = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        found = loss(values)
    expected = [brute_force(logits[i, :n], labels[i]) for i, n in enumerate(logit_lengths)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    gradient = tape.gradient(found, values).numpy()
    for row, frame, symbol in [(0, 0, 0), (0, 5, BLANK), (1, 3, 2), (2, 4, 1)]:
        step = np.zeros_like(logits)
        step[row, frame, symbol] = 1e-5
        ends = [brute_force((logits + sign * step)[row, : logit_lengths[row]], labels[row]) for sign in (1, -1)]
        np.testing.assert_allclose(gradient[row, frame, symbol], (ends[0] - ends[1]) / 2e-5, atol=1e-5)
    np.testing.assert_array_equal(gradient[3, 1:], 0)  # beyond the true length
