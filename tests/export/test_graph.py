"""The inference graph against the network's definition in NumPy, as TensorFlow function and as `.tflite`."""

import numpy as np
import pytest
from crnn_oracle import random_weights, reference_logits

from crnn_asr.config import ModelConfig
from crnn_asr.export.bilstm import CHUNK_FRAMES as CHUNK
from crnn_asr.export.graph import inference
from crnn_asr.export.modes import Float

UNEVEN = ModelConfig(
    num_mels=23,
    conv_filters=(3, 4, 5),
    conv_strides=((1, 2), (3, 1), (1, 3)),
    projection_units=7,
    lstm_layers=3,
    lstm_units=5,
    num_symbols=6,
)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 11, 12, 13, 3 * CHUNK - 1, 3 * CHUNK, 3 * CHUNK + 1, 6 * CHUNK + 2])
def test_any_shape_and_length_equals_the_definition(uneven, rng, frames):
    weights, function = uneven
    features = rng.standard_normal((frames, 23)).astype(np.float32)
    logits = function(features[None]).numpy()
    assert logits.shape == (1, UNEVEN.output_length(frames), 6)
    np.testing.assert_allclose(logits[0], reference_logits(features, weights, UNEVEN), atol=1e-4)


@pytest.fixture(scope="module")
def uneven():
    weights = random_weights(UNEVEN, np.random.default_rng(6))
    return weights, inference(weights, UNEVEN, Float())


def test_keras_gives_the_same(rng):
    from crnn_asr.training.model import CRNN

    model = CRNN(UNEVEN)
    for weight in model.weights:  # as trained ones: no zeros, no ones
        weight.assign(
            rng.uniform(0.1, 0.6, weight.shape) * rng.choice([1, -1] if "variance" not in weight.name else [1])
        )
    features = rng.standard_normal((1, 50, 23)).astype(np.float32)
    expected = model((features, np.array([50])), training=False)
    np.testing.assert_allclose(inference(model.export_weights(), UNEVEN, Float())(features), expected, atol=1e-4)
