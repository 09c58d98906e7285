"""Contracts of the network: padding changes nothing, lengths are true, stock Keras gives the same."""

import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.config import ModelConfig
from crnn_asr.errors import ModelError
from crnn_asr.presets import PRESETS
from crnn_asr.training.keras_file import assign, load_keras, save_keras, stock_model
from crnn_asr.training.model import CRNN, _normalize_relu

SMALL = ModelConfig(num_mels=12, conv_filters=(3, 4), projection_units=6, lstm_layers=2, lstm_units=5, num_symbols=4)
DEEP = replace(SMALL, conv_filters=(3, 3, 4), conv_strides=((2, 2), (1, 1), (2, 1)), lstm_layers=1)
LENGTHS = np.array([23, 14, 1], np.int32)


def random_model(config: ModelConfig, rng: np.random.Generator) -> CRNN:
    model = CRNN(config)
    for weight in model.weights:
        value = rng.normal(0, 0.4, weight.shape)
        weight.assign(np.abs(value) + 0.5 if weight.name in ("variance", "gamma") else value)
    return model


def batch(rng: np.random.Generator, num_mels: int) -> np.ndarray:
    features = rng.standard_normal((3, 23, num_mels)).astype(np.float32)
    for row, length in zip(features, LENGTHS):
        row[length:] = np.nan
    return features


@pytest.mark.parametrize("config", [SMALL, DEEP])
def test_an_utterance_alone_and_in_a_batch_gives_the_same_logits(config, rng):
    model, features = random_model(config, rng), batch(rng, config.num_mels)
    together = model((tf.constant(features), tf.constant(LENGTHS))).numpy()
    for row, length in enumerate(LENGTHS):
        alone = model((tf.constant(features[row : row + 1, :length]), tf.constant(LENGTHS[row : row + 1]))).numpy()[0]
        assert alone.shape == (config.output_length(int(length)), config.num_symbols)
        np.testing.assert_allclose(together[row, : len(alone)], alone, atol=1e-4)


def test_padding_does_not_reach_training_statistics_or_gradients(rng):
    config = replace(SMALL, dropout=0.0)
    features = batch(rng, config.num_mels)
    results = []
    for extra in (0, 9):  # more padding
        model = random_model(config, np.random.default_rng(1))
        padded = np.pad(features, ((0, 0), (0, extra), (0, 0)), constant_values=7)
        with tf.GradientTape() as tape:
            seen = []
            logits = model.every_logits((tf.constant(padded), tf.constant(LENGTHS)), training=True, seen=seen)[-1]
            mask = tf.sequence_mask(config.output_length(LENGTHS), tf.shape(logits)[1], tf.float32)
            loss = tf.reduce_sum(tf.square(logits) * mask[..., None])
        variables = [variable.value for variable in model.trainable_variables]
        statistics = [np.asarray(value) for value in model.moved_statistics(model.running_statistics, seen)]
        assert len(statistics) == 2 * len(config.conv_filters)
        results.append((statistics, tape.gradient(loss, variables)))
    (statistics, gradients), (padded_statistics, padded_gradients) = results
    for found, wanted in zip(padded_statistics, statistics):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    for found, wanted in zip(padded_gradients, gradients):
        assert np.abs(found - wanted).max() <= 1e-4 * max(1.0, np.abs(wanted).max())


def test_batch_norm_statistics_are_those_of_the_true_frames(rng):
    model, features = CRNN(SMALL), batch(rng, SMALL.num_mels)
    before, seen = [np.asarray(weight) for weight in model.weights], []
    model.every_logits(
        (tf.constant(features), tf.constant(LENGTHS)), training=True, seed=tf.constant([0, 0]), seen=seen
    )
    for weight, value in zip(model.weights, before, strict=True):  # it is up to who trains whether they move
        np.testing.assert_array_equal(weight, value)
    mean, variance, *_ = model.moved_statistics(model.running_statistics, seen)
    kernel = np.asarray(model.convs[0].kernel)[:, :, 0]
    frames = []
    for row, length in zip(features, LENGTHS):
        padded = np.pad(row[:length], 1)
        for t in range(0, length, 2):
            for f in range(0, 12, 2):
                frames.append(np.einsum("tfc,tf->c", kernel, padded[t : t + 3, f : f + 3]))
    np.testing.assert_allclose(mean, 0.01 * np.mean(frames, 0), atol=1e-6)
    np.testing.assert_allclose(variance, 0.99 + 0.01 * np.var(frames, 0), atol=1e-5)


@pytest.mark.parametrize("config", [SMALL, DEEP])
def test_stock_keras_layers_give_the_same(config, rng):
    model, features = random_model(config, rng), np.nan_to_num(batch(rng, config.num_mels), nan=5.0)
    stock = stock_model(config)
    assign(stock, config, model.export_weights())
    inputs = (tf.constant(features), tf.constant(LENGTHS))
    ours, theirs = model(inputs).numpy(), stock(inputs).numpy()
    for row, length in enumerate(config.output_length(LENGTHS)):
        np.testing.assert_allclose(ours[row, :length], theirs[row, :length], atol=1e-4)


def test_model_keras_loads_in_a_fresh_process_without_this_package(tmp_path, rng):
    config = replace(PRESETS["tiny"], model=SMALL, alphabet=("a", "b", "c"))
    model, path = random_model(SMALL, rng), tmp_path / "model.keras"
    save_keras(path, config, model.export_weights())
    features = rng.standard_normal((1, 20, 12)).astype(np.float32)
    np.save(tmp_path / "features.npy", features)
    code = (
        "import sys; sys.modules['crnn_asr'] = None\n"
        "import keras, numpy as np\n"
        "model = keras.saving.load_model('model.keras')\n"
        "np.save('logits.npy', model((np.load('features.npy'), np.array([20]))))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path)
    wanted = model((tf.constant(features), tf.constant([20])))
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), wanted, atol=1e-4)
    assert load_keras(path)[0] == config


def test_a_foreign_keras_file_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("not a zip")
    with pytest.raises(ModelError, match=r"model\.keras"):
        load_keras(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(ModelError, match="another file"):
        load_keras(path)


def test_dropout_is_a_function_of_its_seed(rng):
    model = random_model(replace(SMALL, dropout=0.5), rng)
    inputs = (tf.constant(np.nan_to_num(batch(rng, 12))), tf.constant(LENGTHS))
    first, again, other = (model(inputs, training=True, seed=tf.constant(seed)) for seed in ([0, 1], [0, 1], [0, 2]))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_presets_have_their_sizes():
    millions = {name: CRNN(preset.model).count_params() / 1e6 for name, preset in PRESETS.items()}
    assert millions["tiny"] < 0.5
    assert millions["an4"] == pytest.approx(2, abs=0.2)
    assert millions["base"] == pytest.approx(8, abs=0.5)
    assert millions["librispeech"] > 15
    reductions = {name: preset.model.time_reduction for name, preset in PRESETS.items()}
    assert reductions == {"tiny": 4, "an4": 4, "clean": 4, "words": 2, "base": 4, "librispeech": 4}


def test_the_hand_written_gradient_of_batch_norm_is_the_automatic_one(rng):
    x = tf.constant(rng.standard_normal((2, 5, 3, 4)), tf.float32)
    gamma, beta = (tf.constant(rng.standard_normal(4), tf.float32) for _ in range(2))
    mask = tf.reshape(tf.sequence_mask([5, 2], 5, tf.float32), (2, 5, 1, 1))
    weight = rng.standard_normal(x.shape).astype(np.float32)

    def plain(x, mask, gamma, beta):
        count = 7.0 * 3
        mean = tf.reduce_sum(x * mask, [0, 1, 2]) / count
        variance = tf.reduce_sum(tf.square(x - mean) * mask, [0, 1, 2]) / count
        y = tf.nn.relu(gamma * (x - mean) / tf.sqrt(variance + 1e-3) + beta) * mask
        return y, mean, variance

    results = []
    for function in (_normalize_relu, plain):
        with tf.GradientTape() as tape:
            tape.watch([x, gamma, beta])
            outputs = function(x, mask, gamma, beta)[:3]
            total = tf.reduce_sum(tf.sin(outputs[0]) * weight)
        results.append((*outputs, *tape.gradient(total, [x, gamma, beta])))
    for found, wanted in zip(*results):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
