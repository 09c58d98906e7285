"""ONNX models in ONNX Runtime, against the network as it is trained and against ONNX Runtime's own quantizer."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from crnn_oracle import Weights, random_weights, reference_logits
from onnxruntime.quantization import QuantType, quantize_dynamic

from crnn_asr.config import ModelConfig
from crnn_asr.errors import ModelError
from crnn_asr.export.convert import SCHEMES, convert, file_name
from crnn_asr.export.onnx_file import build
from crnn_asr.presets import PRESETS
from crnn_asr.training.run import RunDirectory

AN4 = PRESETS["an4"].model


def random_architecture(rng: np.random.Generator) -> ModelConfig:
    layers = int(rng.integers(1, 4))
    return ModelConfig(
        num_mels=int(rng.integers(5, 41)),
        conv_filters=tuple(map(int, rng.integers(1, 8, layers))),
        conv_strides=tuple((int(time), int(frequency)) for time, frequency in rng.integers(1, 4, (layers, 2))),
        projection_units=int(rng.integers(1, 20)),
        lstm_layers=int(rng.integers(1, 4)),
        lstm_units=int(rng.integers(1, 14)),
        num_symbols=int(rng.integers(2, 40)),
    )


def open_session(model: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, features: np.ndarray) -> np.ndarray:
    return session.run(["logits"], {"features": features[None]})[0]


def operations(model: bytes) -> Counter[tuple[str, str]]:
    return Counter((node.domain, node.op_type) for node in onnx.load_from_string(model).graph.node)


@pytest.fixture(scope="module")
def an4_onnx(an4_weights) -> dict[str, bytes]:
    return convert(an4_weights, AN4, {}, ("onnx", "onnx-int8"))


@pytest.mark.parametrize("seed", range(6))
def test_random_architectures_equal_the_trained_network(seed):
    """A wrong order of gates, or a backward direction from the wrong end, is off by tenths."""
    from crnn_asr.training.model import CRNN

    rng = np.random.default_rng(seed)
    config = random_architecture(rng)
    model = CRNN(config)
    for weight in model.weights:  # as trained ones: no zeros, no ones
        signs = [1] if "variance" in weight.name else [1, -1]
        weight.assign(rng.uniform(0.1, 0.6, weight.shape) * rng.choice(signs, weight.shape))
    session = open_session(build(model.export_weights(), config))
    for frames in (1, 2, 37, 1_500):
        features = rng.standard_normal((frames, config.num_mels)).astype(np.float32)
        logits = run(session, features)
        assert logits.shape == (1, config.output_length(frames), config.num_symbols)
        expected = model((features[None], np.array([frames])), training=False)
        np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 398])
def test_a_real_size_equals_the_definition_and_int8_is_near(an4_onnx, an4_weights, rng, frames):
    features = rng.standard_normal((frames, 80)).astype(np.float32)
    expected = reference_logits(features, an4_weights, AN4)
    exact, rounded = (run(open_session(model), features)[0] for model in an4_onnx.values())
    np.testing.assert_allclose(exact, expected, atol=1e-4)
    assert 0.005 < np.sqrt(np.mean((rounded - expected) ** 2) / np.mean(expected**2)) < 0.1


def precise(model: bytes) -> onnxruntime.InferenceSession:
    """Sums that never saturate, on any CPU, with ONNX Runtime's slower kernels."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def test_int8_is_nearly_as_exact_as_what_the_quantizer_of_onnx_runtime_makes(an4_onnx, rng, tmp_path):
    quantize_dynamic(
        onnx.load_from_string(an4_onnx["onnx"]),
        tmp_path / "quantized.onnx",
        op_types_to_quantize=["MatMul", "LSTM"],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
    features = rng.standard_normal((200, 80)).astype(np.float32)
    expected = run(open_session(an4_onnx["onnx"]), features)
    ours, theirs = (
        np.sqrt(np.mean((run(session, features) - expected) ** 2))
        for session in (open_session(an4_onnx["onnx-int8"]), precise((tmp_path / "quantized.onnx").read_bytes()))
    )
    assert 1 < ours / theirs < 1.6


def test_int8_sums_saturate_on_no_cpu(an4_onnx, rng):
    """On CPUs with VNNI both are exact by themselves, and the sizes of the weights alone can fail."""
    model = an4_onnx["onnx-int8"]
    values = {
        tensor.name: onnx.numpy_helper.to_array(tensor).astype(int)
        for tensor in onnx.load_from_string(model).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and not tensor.name.endswith(".zero")
    }
    assert len(values) == 6  # of two dense layers, and two of each of two BiLSTMs
    for name, matrix in values.items():
        pairs = np.abs(matrix[..., 0::2, :]) + np.abs(matrix[..., 1::2, :])
        assert pairs.max() <= 128 and pairs.max(-2).min() >= 126, name
    features = 3 * rng.standard_normal((300, 80)).astype(np.float32)
    np.testing.assert_array_equal(run(open_session(model), features), run(precise(model), features))


def test_int8_is_small_and_all_but_convolutions_are(an4_onnx):
    assert len(an4_onnx["onnx-int8"]) <= 0.3 * len(an4_onnx["onnx"])
    found = operations(an4_onnx["onnx-int8"])
    products = {key: count for key, count in found.items() if any(word in key[1] for word in ("Mul", "LSTM", "Conv"))}
    own = "com.microsoft"
    scaling = {("", "Mul"): 2}  # of the layer norms
    assert products == {(own, "DynamicQuantizeLSTM"): 2, (own, "DynamicQuantizeMatMul"): 2, ("", "Conv"): 4} | scaling


def test_float_is_plain_onnx_of_an_old_version(an4_onnx):
    model = onnx.load_from_string(an4_onnx["onnx"])
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    assert model.ir_version == 7 and {domain for domain, _ in operations(an4_onnx["onnx"])} == {""}
    onnx.checker.check_model(model, full_check=True)


def test_outputs_without_weights_do_not_upset_the_scales(rng):
    config = ModelConfig(conv_filters=(4,), conv_strides=((2, 2),), projection_units=8, lstm_layers=1, lstm_units=8)
    weights: Weights = random_weights(config, rng)
    weights["output.kernel"][:, 4], weights["output.bias"][4] = 0, 0.7
    weights["lstm0.kernel"][:, 3] = weights["lstm0.recurrent"][0, :, 3] = 0
    features = rng.standard_normal((60, 80)).astype(np.float32)
    logits = run(open_session(build(weights, config, int8=True)), features)[0]
    np.testing.assert_allclose(logits[:, 4], 0.7, atol=1e-6)
    expected = reference_logits(features, weights, config)
    assert np.sqrt(np.mean((logits - expected) ** 2) / np.mean(expected**2)) < 0.1


def test_without_the_package_it_is_a_sentence(an4_weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r"need the package onnx; pip install -r requirements-onnx\.txt"):
        build(an4_weights, AN4)


def test_all_is_all_that_can_be_made_here(script, monkeypatch, capsys):
    module = script("quantize")
    assert module.schemes_of("all")[-2:] == ("onnx", "onnx-int8") and module.schemes_of("onnx") == ("onnx",)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxruntime" else name)
    assert set(module.schemes_of("all")) == set(SCHEMES)
    assert "note: left out: onnx and onnx-int8; pip install -r requirements-onnx.txt" in capsys.readouterr().err


def test_names_of_files_and_that_a_fresh_run_removes_them(tmp_path: Path):
    names = [file_name(scheme, *marks) for scheme in ("int8", "onnx", "onnx-int8") for marks in ((), ("rejected",))]
    assert names == [
        "model.int8.tflite",
        "model.int8.rejected.tflite",
        "model.onnx",
        "model.rejected.onnx",
        "model.int8.onnx",
        "model.int8.rejected.onnx",
    ]
    for name in (*names, "mine.onnx"):
        (tmp_path / name).touch()
    RunDirectory(tmp_path).clear()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.onnx"]
