"""The hand-written BiLSTM against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.training.bilstm import BiLSTM, cudnn_parameters

BATCH, STEPS, WIDTH, UNITS = 3, 9, 5, 4


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[BiLSTM, keras.layers.Layer]:
    ours, stock = BiLSTM(UNITS), keras.layers.Bidirectional(keras.layers.LSTM(UNITS, return_sequences=True))
    ours.build((None, None, WIDTH))
    stock.build((None, None, WIDTH))
    weights = [rng.normal(0, 0.5, weight.shape).astype(np.float32) for weight in stock.weights]
    stock.set_weights(weights)
    kernel, recurrent, bias, backward_kernel, backward_recurrent, backward_bias = weights
    ours.set_weights(
        [
            np.concatenate([kernel, backward_kernel], -1),
            np.stack([recurrent, backward_recurrent]),
            np.concatenate([bias, backward_bias]),
        ]
    )
    return ours, stock


def time_major(layer: BiLSTM, x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """The layer on x (B, T, F)."""
    return tf.transpose(layer(tf.transpose(x, (1, 0, 2)), lengths), (1, 0, 2))


@pytest.mark.parametrize("lengths", [[9, 9, 9], [9, 4, 1]])
def test_outputs_and_all_gradients_equal_keras(pair, rng, lengths):
    ours, stock = pair
    x = tf.constant(rng.standard_normal((BATCH, STEPS, WIDTH)), tf.float32)
    mask = tf.sequence_mask(lengths, STEPS)
    weight = tf.cast(mask, tf.float32)[..., None] * rng.standard_normal((BATCH, STEPS, 2 * UNITS)).astype(np.float32)
    results = []
    for layer, arguments in ((ours, {"lengths": tf.constant(lengths)}), (stock, {"mask": mask})):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, **arguments) if layer is stock else time_major(layer, x, **arguments)
            total = tf.reduce_sum(tf.sin(y) * weight)
        gradients = tape.gradient(total, [x, *(variable.value for variable in layer.trainable_variables)])
        results.append((y * tf.cast(mask, tf.float32)[..., None], gradients))
    (y, (dx, *ours_gradients)), (stock_y, (stock_dx, *stock_gradients)) = results
    k, r, b, backward_k, backward_r, backward_b = stock_gradients
    expected = [tf.concat([k, backward_k], -1), tf.stack([r, backward_r]), tf.concat([b, backward_b], 0)]
    np.testing.assert_allclose(y, stock_y, atol=1e-5)
    np.testing.assert_allclose(dx, stock_dx, atol=1e-5)
    for found, wanted in zip(ours_gradients, expected):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_bfloat16_differs_by_rounding_only(rng):
    exact, rounded = BiLSTM(16), BiLSTM(16, dtype="mixed_bfloat16")
    for layer in (exact, rounded):
        layer.build((None, None, 8))
        layer.set_weights(exact.get_weights())
    x, lengths = tf.constant(rng.standard_normal((20, BATCH, 8)), tf.float32), tf.constant([20, 13, 1])
    valid = tf.transpose(tf.sequence_mask(lengths, 20, tf.float32))[..., None]
    outputs, gradients = [], []
    for layer in (exact, rounded):
        with tf.GradientTape() as tape:
            outputs.append(tf.cast(layer(x, lengths), tf.float32) * valid)
            total = tf.reduce_sum(outputs[-1] * outputs[-1])
        gradients.append(tape.gradient(total, [variable.value for variable in layer.trainable_variables]))
    assert rounded.compute_dtype == "bfloat16"
    assert 0 < np.abs(outputs[0] - outputs[1]).max() < 0.02  # of values up to 1, with 8 bits of mantissa
    for reference, found in zip(*gradients):
        assert found.dtype == tf.float32
        assert np.linalg.norm(found - reference) < 0.02 * np.linalg.norm(reference)


def test_what_the_padding_holds_reaches_nothing(pair, rng):
    ours, _ = pair
    x, lengths = rng.standard_normal((STEPS, BATCH, WIDTH)).astype(np.float32), tf.constant([9, 4, 1])
    valid = tf.transpose(tf.sequence_mask(lengths, STEPS, tf.float32))[..., None]
    results = []
    for padding in (0.0, 100.0):
        with tf.GradientTape() as tape:
            y = ours(tf.constant(np.where(valid, x, np.float32(padding))), lengths) * valid
            total = tf.reduce_sum(tf.sin(y))
        results.append([y, *tape.gradient(total, [variable.value for variable in ours.trainable_variables])])
    for first, second in zip(*results):
        np.testing.assert_array_equal(first, second)


def test_initial_weights_are_those_of_two_keras_layers():
    layer = BiLSTM(64)
    layer.build((None, None, 32))
    limit = np.sqrt(6 / (32 + 4 * 64))  # Glorot, of one direction
    assert 0.9 * limit < np.abs(layer.kernel).max() <= limit
    for recurrent in np.asarray(layer.recurrent):
        np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(64), atol=1e-5)
    forget = np.asarray(layer.bias).reshape(2, 4, 64)
    np.testing.assert_array_equal(forget[:, 1], 1)
    np.testing.assert_array_equal(forget[:, [0, 2, 3]], 0)


def test_cudnn_gets_the_parameters_that_keras_gives_it(rng):
    from keras.src.backend.tensorflow.rnn import _standardize_cudnn_weights

    kernel, recurrent = (tf.constant(rng.standard_normal((size, 4 * UNITS)), tf.float32) for size in (WIDTH, UNITS))
    bias = tf.constant(rng.standard_normal(4 * UNITS), tf.float32)
    weights = tf.split(kernel, 4, 1) + tf.split(recurrent, 4, 1)
    biases = tf.split(tf.concat([tf.zeros_like(bias), bias], 0), 8)
    wanted = _standardize_cudnn_weights(weights, biases, tf.constant([-1]), transpose_weights=True)
    np.testing.assert_array_equal(cudnn_parameters(kernel, recurrent, bias), wanted)


def stand_in_for_cudnn(input, input_h, input_c, params, sequence_lengths, **options):
    """`CudnnRNNV3` by its documentation, in NumPy: Wi, Wf, Wg, Wo, Ri, Rf, Rg, Ro, eight biases; zeros past the end."""
    assert options == {"rnn_mode": "lstm", "time_major": True, "is_training": True}
    sizes = [UNITS * WIDTH] * 4 + [UNITS * UNITS] * 4 + [UNITS] * 8
    parts = np.split(np.asarray(params), np.cumsum(sizes)[:-1])
    (h,), (c,), outputs = input_h.numpy(), input_c.numpy(), np.zeros((STEPS, BATCH, UNITS), np.float32)
    for t, x in enumerate(input.numpy()):
        z = [
            x @ parts[g].reshape(UNITS, WIDTH).T
            + h @ parts[4 + g].reshape(UNITS, UNITS).T
            + parts[8 + g]
            + parts[12 + g]
            for g in range(4)
        ]
        i, f, o = (1 / (1 + np.exp(-z[g])) for g in (0, 1, 3))
        c = f * c + i * np.tanh(z[2])
        h = o * np.tanh(c)
        outputs[t] = h * (t < sequence_lengths.numpy())[:, None]
    return (tf.constant(outputs),)


def test_on_a_gpu_the_same_weights_go_to_cudnn(pair, rng, monkeypatch):
    ours, _ = pair
    x, lengths = tf.constant(rng.standard_normal((BATCH, STEPS, WIDTH)), tf.float32), tf.constant([9, 4, 1])
    on_cpu = time_major(ours, x, lengths)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", stand_in_for_cudnn)
    valid = tf.sequence_mask(lengths, STEPS, tf.float32)[..., None]
    np.testing.assert_allclose(time_major(ours, x, lengths) * valid, on_cpu * valid, atol=1e-5)
