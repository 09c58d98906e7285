"""Networks that end in log-softmax, in every scheme."""

import numpy as np
import pytest
from crnn_oracle import calm, random_weights, reference_logits
from scipy.special import log_softmax

from crnn_asr.config import ModelConfig
from crnn_asr.export.calibrate import measure_ranges
from crnn_asr.export.convert import INT8_IO_SCHEMES, ONNX_SCHEMES, SCHEMES, convert
from crnn_asr.export.flatbuffer import check_int8, check_integer
from crnn_asr.inference.flatbuffer import operations
from crnn_asr.inference.recognizer import Recognizer

SMALL = ModelConfig(
    num_mels=16, conv_filters=(4,), conv_strides=((2, 2),), projection_units=12, lstm_layers=1, lstm_units=10
)
WEIGHTS = calm(random_weights(SMALL, np.random.default_rng(3)))
CALIBRATION = [np.random.default_rng(n).standard_normal((200, 16)).astype(np.float32) for n in range(8)]


@pytest.fixture(scope="module")
def networks() -> dict[tuple[str, str], bytes]:
    """By scheme and by type of input and output."""
    ranges, found = measure_ranges(WEIGHTS, SMALL, CALIBRATION), {}
    for io, schemes in (("float32", (*SCHEMES, *ONNX_SCHEMES)), ("int8", INT8_IO_SCHEMES)):
        made = convert(WEIGHTS, SMALL, ranges, schemes, CALIBRATION, io, log_probs=True)
        found |= {(scheme, io): network for scheme, network in made.items()}
    return found


@pytest.fixture(scope="module")
def ending_in_logits() -> dict[str, bytes]:
    return convert(WEIGHTS, SMALL, measure_ranges(WEIGHTS, SMALL, CALIBRATION), ("int8", "integer"), CALIBRATION)


@pytest.mark.parametrize("scheme", [*SCHEMES, *ONNX_SCHEMES])
def test_outputs_are_the_logarithms_of_probabilities(networks, scheme, open_model, rng):
    model = open_model(networks[scheme, "float32"], SMALL)
    for frames in (1, 60):
        features = rng.standard_normal((frames, 16)).astype(np.float32)
        expected = log_softmax(reference_logits(features, WEIGHTS, SMALL), -1)
        found = model.logits(features)
        if scheme not in INT8_IO_SCHEMES:  # which have the next test
            tolerance = {"float32": 1e-4, "onnx": 1e-4, "float16": 0.03, "onnx-int8": 0.5}.get(scheme, 0.5)
            np.testing.assert_allclose(found, expected, atol=tolerance)
        sums = np.exp(found.astype(np.float64)).sum(-1)
        np.testing.assert_allclose(sums, 1, atol=0.1 if scheme == "integer" else 1e-5)


@pytest.mark.parametrize(("scheme", "tolerance"), [("int8", 1e-5), ("integer", 1.1 / 32)])
def test_log_softmax_loses_nothing_or_half_a_step(networks, ending_in_logits, scheme, tolerance, open_model, rng):
    """Against the same network without it, where it is above the lowest step."""
    models = [open_model(network, SMALL) for network in (networks[scheme, "float32"], ending_in_logits[scheme])]
    for frames in (1, 60, 301):
        features = rng.standard_normal((frames, 16)).astype(np.float32)
        found, logits = (model.logits(features) for model in models)
        np.testing.assert_allclose(found, np.maximum(log_softmax(logits, -1), -255 / 16), atol=tolerance)


@pytest.mark.parametrize(("scheme", "io"), [("integer", "float32"), ("integer", "int8"), ("int8", "int8")])
def test_as_int8_they_have_steps_of_a_sixteenth(networks, scheme, io, open_model, rng):
    model = open_model(networks[scheme, io], SMALL)
    found = model.logits(rng.standard_normal((90, 16)).astype(np.float32))
    np.testing.assert_array_equal(found * 16, np.rint(found * 16))
    assert -255 / 16 <= found.min() < -6 and found.max() <= 0
    if io == "int8":
        assert (model.metadata.output.scale, model.metadata.output.zero_point) == (1 / 16, 127)


def test_log_softmax_is_integer_where_all_is(networks):
    """And float where the logits are."""
    for (scheme, io), kind in {
        ("int8", "float32"): "FLOAT32",
        ("int8", "int8"): "INT8",
        ("integer", "int8"): "INT8",
    }.items():
        softmax = [op for op in operations(networks[scheme, io]) if op.name == "LOG_SOFTMAX"]
        assert [(op.inputs, op.outputs) for op in softmax] == [((kind,), (kind,))]
    for io in ("float32", "int8"):
        check_integer(networks["integer", io], SMALL)
        check_int8(networks["int8", io], SMALL)


def test_the_command_says_so_in_the_file(new_melody_run, melodies, script, capsys):
    options = ["--scheme", "int8", "--output", "log-probs", "--no-speed", "--max-wer-increase", "0", "--samples", "5"]
    assert script("quantize").main([str(new_melody_run), *options]) == 0
    model = Recognizer(new_melody_run / "model.int8.tflite")
    assert model.metadata.log_probs
    features = np.random.default_rng(0).standard_normal((50, 80)).astype(np.float32)
    np.testing.assert_allclose(np.exp(model.logits(features)).sum(-1), 1, atol=1e-5)
    assert script("evaluate").main([str(new_melody_run / "model.int8.tflite"), str(melodies / "dev.jsonl")]) == 0
    assert "WER   0.00 %" in capsys.readouterr().out
    assert script("quantize").parse_args([]).output == "logits"
