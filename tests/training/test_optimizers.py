"""Muon's steps against singular value decompositions and a plain computation, and what is left to AdamW."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.config import ModelConfig, TrainingConfig
from crnn_asr.training.model import CRNN
from crnn_asr.training.optimizers import make_optimizer, orthogonal_step

MODEL = ModelConfig(num_mels=12, conv_filters=(3, 4), projection_units=6, lstm_layers=2, lstm_units=5, num_symbols=4)
RATE, DECAY = 1e-2, 0.3


@pytest.mark.parametrize("shape", [(20, 20), (30, 12), (12, 30), (3, 3, 5, 16)])
@pytest.mark.parametrize(("product_type", "tolerance"), [(tf.float32, 1e-3), (tf.bfloat16, 0.1)])
def test_singular_values_become_alike_and_singular_vectors_stay(rng, shape, product_type, tolerance):
    momentum = rng.standard_normal(shape).astype(np.float32)
    matrix = momentum.reshape(-1, shape[-1])
    left, values, right = np.linalg.svd(matrix.astype(float), full_matrices=False)
    step = orthogonal_step(tf.constant(momentum), 1, product_type).numpy()
    assert step.shape == shape and step.dtype == np.float32
    turned = left.T @ step.reshape(matrix.shape) @ right.T / (0.2 * np.sqrt(max(matrix.shape)))
    found = np.diag(turned)
    assert np.abs(turned - np.diag(found)).max() < tolerance  # nothing is between different singular vectors
    assert (found[values / np.linalg.norm(values) > 0.01] > 0.6).all() and found.max() < 1.25


def test_each_singular_value_goes_through_the_polynomial_five_times(rng):
    left, right = (np.linalg.qr(rng.standard_normal((24, 24)))[0] for _ in range(2))
    values = np.geomspace(1, 1e-3, 24)
    step = orthogonal_step(tf.constant(left * values @ right, tf.float32), 1).numpy() / (0.2 * np.sqrt(24))
    x = values / np.linalg.norm(values)
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    np.testing.assert_allclose(left.T @ step @ right.T, np.diag(x), atol=2e-3)
    assert 0.1 < x[-1] < 0.5 < x[-4]  # one time less would show


def test_the_root_mean_square_of_a_step_is_that_of_adam(rng):
    for shape in ((64, 192), (256, 192), (3, 3, 64, 64)):
        step = orthogonal_step(tf.constant(rng.standard_normal(shape), tf.float32), 1).numpy()
        assert 0.15 < np.sqrt(np.mean(step**2)) < 0.25


def test_each_matrix_moves_as_if_it_were_alone(rng):
    kernel = rng.standard_normal((7, 8 * 5)).astype(np.float32)
    kernel[:, 5:10] *= 1e-3  # what is small beside others moves as far
    found = orthogonal_step(tf.constant(kernel), 8).numpy()
    for k in range(8):
        one = slice(5 * k, 5 * k + 5)
        np.testing.assert_allclose(found[:, one], orthogonal_step(tf.constant(kernel[:, one]), 1), rtol=1e-4, atol=1e-5)
    recurrent = rng.standard_normal((2, 5, 4 * 5)).astype(np.float32)
    found = orthogonal_step(tf.constant(recurrent), 4).numpy()
    for direction in range(2):
        alone = orthogonal_step(tf.constant(recurrent[direction]), 4)
        np.testing.assert_allclose(found[direction], alone, rtol=1e-4, atol=1e-5)


def test_no_gradient_is_no_step():
    np.testing.assert_array_equal(orthogonal_step(tf.zeros((6, 8)), 2), np.zeros((6, 8)))


def both(**changes: object) -> list[tuple[CRNN, keras.optimizers.Optimizer]]:
    """Models with the same weights, and Muon and AdamW for them."""
    learners = []
    for name in ("muon", "adamw"):
        keras.utils.set_random_seed(4)
        model = CRNN(MODEL)
        training = TrainingConfig(optimizer=name, weight_decay=DECAY, precision="float32", **changes)
        learners.append((model, make_optimizer(training, model)))
        learners[-1][1].learning_rate.assign(RATE)
    return learners


def test_two_steps_of_all_weights(rng):
    """Matrices between the layers by momentum 0.95 and Nesterov's look ahead; all others as AdamW has them."""
    (model, muon), (other, adamw) = both()
    weights = model.named_weights()
    matrices = {"conv1.kernel": 1, "projection.kernel": 1}
    matrices |= {f"lstm{i}.{name}": count for i in range(2) for name, count in (("kernel", 8), ("recurrent", 4))}
    names = {id(variable): name for name, variable in weights.items()}
    trained = [names[id(variable)] for variable in model.trainable_variables]
    assert set(matrices) < set(trained)
    gradients = [[rng.standard_normal(v.shape).astype(np.float32) for v in model.trainable_variables] for _ in range(2)]
    expected = {name: np.asarray(weights[name]) for name in matrices}
    momentum = dict.fromkeys(matrices, 0.0)
    for step in gradients:
        for name, gradient in zip(trained, step):
            if name in matrices:
                momentum[name] = 0.95 * momentum[name] + gradient
                ahead = tf.constant(gradient + 0.95 * momentum[name])
                moved = orthogonal_step(ahead, matrices[name]).numpy()
                expected[name] = expected[name] * (1 - RATE * DECAY) - RATE * moved
        muon.apply([tf.constant(gradient) for gradient in step])
        adamw.apply([tf.constant(gradient) for gradient in step])
    for name, value in other.named_weights().items():
        np.testing.assert_allclose(weights[name], expected.get(name, value), atol=1e-6, err_msg=name)


def test_a_matrix_has_no_second_moment_to_keep():
    (_, muon), (_, adamw) = both()
    matrices = sum("velocity" in v.path for v in adamw.variables) - sum("velocity" in v.path for v in muon.variables)
    assert matrices == 2 + 2 * MODEL.lstm_layers


def test_averages_are_kept_of_all_weights(rng):
    model, muon = both(average_steps=4)[0]
    average = [variable.numpy() for variable in model.trainable_variables]
    for number in range(3):
        muon.apply([tf.constant(rng.standard_normal(v.shape), tf.float32) for v in model.trainable_variables])
        now = [variable.numpy() for variable in model.trainable_variables]
        average = [0.75 * old + 0.25 * new for old, new in zip(average, now)] if number else now
    muon.finalize_variable_values(model.trainable_variables)
    for found, wanted in zip(model.trainable_variables, average):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_an_optimizer_that_is_none():
    with pytest.raises(ValueError, match="optimizer must be adamw or muon, got 'sgd'"):
        TrainingConfig(optimizer="sgd")
