"""Conversion: what comes out is small, integer and right; what goes wrong is a sentence."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from crnn_oracle import Weights, random_weights, reference_logits

from crnn_asr.config import ModelConfig
from crnn_asr.errors import ModelError
from crnn_asr.export import convert as convert_module
from crnn_asr.export import graph
from crnn_asr.export.calibrate import measure_ranges
from crnn_asr.export.convert import convert
from crnn_asr.export.flatbuffer import check_int8, num_products, operations
from crnn_asr.export.modes import Float, Int8
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.presets import PRESETS

AN4 = PRESETS["an4"].model
SMALL = ModelConfig(conv_filters=(4,), conv_strides=((2, 2),), projection_units=8, lstm_layers=1, lstm_units=8)


def convert_here(weights: Weights, mode: Float, folder: Path) -> bytes:
    """Convert in this process, with a mode of the test's own."""
    graph.save(graph.inference(weights, SMALL, mode), folder / "saved")
    return convert_module._flatbuffer(folder / "saved", "int8")


@pytest.fixture(scope="module")
def recognizers(an4_models, open_model) -> dict[str, Recognizer]:
    return {scheme: open_model(flatbuffer, AN4) for scheme, flatbuffer in an4_models.items()}


@pytest.mark.parametrize("frames", [1, 4, 5, 17, 255, 256, 257, 700])
def test_float_is_exact_and_int8_near(recognizers, an4_weights, rng, frames):
    features = rng.standard_normal((frames, 80)).astype(np.float32)
    expected = reference_logits(features, an4_weights, AN4)
    np.testing.assert_allclose(recognizers["float32"].logits(features), expected, atol=1e-4)
    error = np.sqrt(np.mean((recognizers["int8"].logits(features) - expected) ** 2) / np.mean(expected**2))
    assert 0.005 < error < 0.15


def test_a_minute_of_sound(recognizers, an4_weights, rng):
    features = rng.standard_normal((6_000, 80)).astype(np.float32)
    expected = reference_logits(features, an4_weights, AN4)
    np.testing.assert_allclose(recognizers["float32"].logits(features), expected, atol=1e-4)
    assert np.mean(recognizers["int8"].logits(features).argmax(1) == expected.argmax(1)) > 0.8


def test_every_product_but_the_last_is_int8_and_every_operation_builtin(an4_models):
    check_int8(an4_models["int8"], AN4)
    found = operations(an4_models["int8"])
    products = [op for op in found if op.name in ("CONV_2D", "FULLY_CONNECTED")]
    assert sum("FLOAT32" in op.inputs for op in products) == 1, "the output alone"
    assert len(products) == num_products(AN4) == 4 + 1 + 2 * 3 + 1
    assert not any(op.name == "CUSTOM" for op in found)
    gates = [op for op in found if op.name in ("LOGISTIC", "TANH")]
    assert gates and all({*op.inputs, *op.outputs} == {"FLOAT32"} for op in gates)


def test_int8_is_at_most_0_28_of_float(an4_models):
    assert len(an4_models["int8"]) <= 0.28 * len(an4_models["float32"])


def test_a_float_model_is_not_taken_for_int8(an4_models):
    with pytest.raises(
        ModelError, match=r"expected 12 products in INT8, the last in float, got 1 and .*FLOAT32 x FLOAT32"
    ):
        check_int8(an4_models["float32"], AN4)


@pytest.mark.parametrize("forgotten", ["features", "lstm0.recurrent", "lstm0.projected"])
def test_a_range_that_is_forgotten_is_found(tmp_path, forgotten):
    """The converter says nothing and leaves the product float."""

    class Forgetful(Int8):
        def quantize(self, x, name):
            return x if name == forgotten else super().quantize(x, name)

    weights = random_weights(SMALL, np.random.default_rng(0))
    names = ("features", "conv0", "projection", "lstm0.projected", "lstm0.recurrent", "norm0", "logits")
    flatbuffer = convert_here(weights, Forgetful(dict.fromkeys(names, (-6.0, 6.0))), tmp_path)
    with pytest.raises(ModelError, match="the converter left ranges out"):
        check_int8(flatbuffer, SMALL)


def test_outputs_without_weights_do_not_upset_the_scales(rng, tmp_path, open_model):
    """Dead channels, as training leaves them: no weight, or next to none, and a bias that matters."""
    weights = random_weights(SMALL, rng)
    for dead, bias, unit, size in (
        ("conv0.gamma", "conv0.beta", 0, 0),
        ("conv0.gamma", "conv0.beta", 1, 1e-9),
        ("projection.kernel", "projection.bias", 2, 0),
        ("lstm0.kernel", "lstm0.bias", 3, 1e-9),
        ("output.kernel", "output.bias", 4, 1e-9),
    ):
        weights[dead][..., unit] *= size
        weights[bias][unit] = 0.7
    features = rng.standard_normal((200, 80)).astype(np.float32)
    flatbuffer = convert_here(weights, Int8(measure_ranges(weights, SMALL, [features])), tmp_path)
    check_int8(flatbuffer, SMALL)
    rounded = open_model(flatbuffer, SMALL).logits(features)
    expected = reference_logits(features, weights, SMALL)
    assert np.sqrt(np.mean((rounded - expected) ** 2) / np.mean(expected**2)) < 0.1
    np.testing.assert_allclose(rounded[:, 4], 0.7, atol=0.05)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -SEGV $$", "crashed \\(SIGSEGV\\) at int8"),
        ("exit 139", "crashed \\(SIGSEGV\\) at int8"),
        ("touch $3/int8.tflite; kill -ABRT $$", "crashed \\(SIGABRT\\) at dynamic"),
        ("echo out of luck >&2; exit 3", "failed with exit code 3 at int8(.|\n)*out of luck"),
    ],
)
def test_a_crash_of_the_converter_is_a_sentence(tmp_path, monkeypatch, script, words):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", os.fspath(python))
    with pytest.raises(ModelError, match=words):
        convert(random_weights(SMALL, np.random.default_rng(0)), SMALL, {}, ("int8", "dynamic"))
