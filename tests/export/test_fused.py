"""Scheme `integer`: the fused LSTM, from a graph that says the network to a file without float arithmetic."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from crnn_oracle import Weights, calm, random_weights, reference_logits

from crnn_asr.config import FeatureConfig, ModelConfig, TextConfig
from crnn_asr.errors import ModelError
from crnn_asr.export import flatbuffer, graph
from crnn_asr.export.convert import _flatbuffer, convert
from crnn_asr.export.flatbuffer import check_int8, check_integer
from crnn_asr.export.fused import MAX_CALIBRATION_FRAMES, bilstm, fold_norms, representative
from crnn_asr.export.modes import Float, Int8
from crnn_asr.inference import model_file
from crnn_asr.inference.flatbuffer import operations
from crnn_asr.inference.model_file import Encoding, Metadata
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.presets import PRESETS
from crnn_asr.text.alphabet import ENGLISH

TINY = PRESETS["tiny"].model
SMALL = ModelConfig(conv_filters=(4,), conv_strides=((2, 2),), projection_units=8, lstm_layers=2, lstm_units=8)
UNEVEN = ModelConfig(
    num_mels=23, conv_filters=(3,), conv_strides=((3, 2),), projection_units=7, lstm_layers=2, lstm_units=5
)


def calm_weights(config: ModelConfig) -> Weights:
    return calm(random_weights(config, np.random.default_rng(2)))


def spectrograms(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    return [rng.standard_normal((frames, 80)).astype(np.float32) for frames in lengths]


def error(logits: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((logits - expected) ** 2) / np.mean(expected**2)))


@pytest.fixture(scope="module")
def weights() -> Weights:
    return calm_weights(TINY)


@pytest.fixture(scope="module")
def flatbuffers(weights: Weights) -> dict[str, bytes]:
    return convert(weights, TINY, {}, ("float32", "integer"), spectrograms(40, 150, 300))


@pytest.fixture(scope="module")
def recognizer(flatbuffers: dict[str, bytes], open_model) -> Recognizer:
    return open_model(flatbuffers["integer"], TINY)


@pytest.fixture(scope="module")
def int8_ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The small network with INT8 input and output, in both schemes; converted in this process."""
    lstm = [
        f"{part}{i}{end}"
        for i in range(2)
        for part, end in (("lstm", ".projected"), ("lstm", ".recurrent"), ("norm", ""))
    ]
    ranges = dict.fromkeys(("features", "conv0", "projection", *lstm, "logits"), (-8.0, 8.0))
    weights, folder = calm_weights(SMALL), tmp_path_factory.mktemp("saved")
    graph.save(graph.inference(weights, SMALL, Int8(ranges, "int8")), folder / "int8")
    graph.save(graph.inference(fold_norms(weights, SMALL), SMALL, Float(), bilstm), folder / "integer")
    samples = spectrograms(40, 150, 16)
    return {scheme: _flatbuffer(folder / scheme, scheme, samples, "int8") for scheme in ("int8", "integer")}


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 25, 100])
def test_the_graph_is_the_network(frames, rng):
    weights = random_weights(UNEVEN, np.random.default_rng(6))
    features = rng.standard_normal((frames, 23)).astype(np.float32)
    function = graph.inference(fold_norms(weights, UNEVEN), UNEVEN, Float(), bilstm)
    expected = reference_logits(features, weights, UNEVEN)
    np.testing.assert_allclose(function(features[None])[0], expected, atol=1e-4)


def test_folding_norms_changes_nothing_and_leaves_nothing_to_do(rng):
    weights = random_weights(UNEVEN, rng)
    folded = fold_norms(weights, UNEVEN)
    features = rng.standard_normal((30, 23)).astype(np.float32)
    expected = reference_logits(features, weights, UNEVEN)
    np.testing.assert_allclose(reference_logits(features, folded, UNEVEN), expected, atol=1e-5)
    for i in range(2):
        assert set(folded[f"norm{i}.gamma"]) == {1} and set(folded[f"norm{i}.beta"]) == {0}


@pytest.mark.parametrize("frames", [1, 2, 5, 17, 64, 300, 1_500])
def test_integer_is_near_float_at_any_length(recognizer, weights, rng, frames):
    features = rng.standard_normal((frames, 80)).astype(np.float32)
    assert 0.005 < error(recognizer.logits(features), reference_logits(features, weights, TINY)) < 0.15


def test_nothing_is_left_of_the_utterance_before(recognizer):
    """The operation keeps its state: without a reset, the second call of a length differs from the first."""
    one, other = spectrograms(60, 60)
    first = recognizer.logits(one)
    between = recognizer.logits(other)
    np.testing.assert_array_equal(recognizer.logits(one), first)
    assert not np.array_equal(between, first)


def test_all_is_integer_but_the_two_ends(flatbuffers):
    check_integer(flatbuffers["integer"], TINY)
    found = operations(flatbuffers["integer"])
    assert sum(op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM" for op in found) == 4
    assert {kind for op in found[1:-1] for kind in op.inputs + op.outputs} <= {"INT8", "INT16", "INT32", ""}
    assert (found[0].name, found[-1].name) == ("QUANTIZE", "DEQUANTIZE")
    with pytest.raises(ModelError, match=r"expected 10 products in INT8, .*, got 3 and .*SEQUENCE_LSTM INT8 x INT8"):
        check_int8(flatbuffers["integer"], TINY)


def test_what_is_only_copied_keeps_its_scale(flatbuffers):
    """A hidden state is an output, the state of the next frame and the kernel's own, and is copied to be reversed."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffers["integer"])
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    (graph,) = model.subgraphs

    def scale(tensor: int) -> tuple[float, int]:
        quantization = graph.tensors[tensor].quantization
        return quantization.scale[0], quantization.zeroPoint[0]

    copies = ("CONCATENATION", "EXPAND_DIMS", "PAD", "RESHAPE", "REVERSE_V2", "STRIDED_SLICE", "TRANSPOSE")
    seen = Counter()
    for op in graph.operators:
        name = names[model.operatorCodes[op.opcodeIndex].builtinCode]
        same = {
            "UNIDIRECTIONAL_SEQUENCE_LSTM": [op.inputs[18], op.intermediates[4]] if op.intermediates is not None else []
        }
        same |= dict.fromkeys(copies, op.inputs if name == "CONCATENATION" else op.inputs[:1])
        for tensor in same.get(name, ()):
            assert scale(tensor) == scale(op.outputs[0]), name
            seen[name] += 1
    assert seen["UNIDIRECTIONAL_SEQUENCE_LSTM"] == 8 and seen["REVERSE_V2"] == 4 and seen["CONCATENATION"] == 4


def test_it_is_at_most_0_28_of_float(flatbuffers):
    assert len(flatbuffers["integer"]) <= 0.28 * len(flatbuffers["float32"])


def test_a_model_that_stayed_float_is_refused(tmp_path, flatbuffers):
    with pytest.raises(ModelError, match="expected 8 products in INT8, got 0 and"):
        check_integer(flatbuffers["float32"], TINY)
    graph.save(graph.inference(calm_weights(SMALL), SMALL, Float(), bilstm), tmp_path / "saved")
    with pytest.raises(ModelError, match=r"expected 7 products in INT8, got 0 and .*SEQUENCE_LSTM FLOAT32"):
        check_integer(_flatbuffer(tmp_path / "saved", "dynamic"), SMALL)


def test_float_between_integer_products_is_refused(flatbuffers, int8_ends, monkeypatch):
    with pytest.raises(
        ModelError, match="expected 7 products in INT8, got 9 and no others"
    ):  # of the scheme int8, gates in float
        check_integer(int8_ends["int8"], SMALL)
    found = operations(flatbuffers["integer"])
    norm = next(number for number, op in enumerate(found) if op.name == "RSQRT")
    found[norm] = replace(found[norm], outputs=("FLOAT32",))
    monkeypatch.setattr(flatbuffer, "operations", lambda _: found)
    with pytest.raises(ModelError, match=r"got \{'RSQRT': 1\} in float"):
        check_integer(flatbuffers["integer"], TINY)


@pytest.mark.parametrize("scheme", ["int8", "integer"])
def test_int8_input_and_output(int8_ends, scheme, open_model):
    found = operations(int8_ends[scheme])
    assert not any(op.name in ("QUANTIZE", "DEQUANTIZE") for op in (found[0], found[-1]))
    recognizer = open_model(int8_ends[scheme], SMALL)
    assert (recognizer.metadata.input.type, recognizer.metadata.output.type) == ("int8", "int8")
    weights = calm_weights(SMALL)
    for features in spectrograms(90, 300, 90, 2):
        logits = recognizer.logits(features)
        assert logits.dtype == np.float32
        assert 0.005 < error(logits, reference_logits(features, weights, SMALL)) < 0.25
    steps = logits / recognizer.metadata.output.scale
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)


def test_what_is_beyond_the_range_of_the_input_is_its_end_and_not_the_other(int8_ends, open_model):
    recognizer = open_model(int8_ends["integer"], SMALL)
    end = recognizer.metadata.input.decode(np.array([127], np.int8))
    (features,) = spectrograms(50)
    at_end, beyond = features.copy(), features.copy()
    at_end[10:20], beyond[10:20] = end, 10 * end
    np.testing.assert_array_equal(recognizer.logits(beyond), recognizer.logits(at_end))


@pytest.mark.parametrize("ends", [(Encoding(), Encoding()), (Encoding("int8", 0.1, 0), Encoding())])
def test_a_description_of_other_ends_is_refused(int8_ends, ends, tmp_path):
    metadata = Metadata("integer", FeatureConfig(), SMALL, TextConfig(), ENGLISH, {}, *ends)
    model_file.write(tmp_path / "model.tflite", int8_ends["integer"], metadata)
    with pytest.raises(ModelError, match="input and output are int8 and int8; its description says"):
        Recognizer(tmp_path / "model.tflite")


def test_utterances_to_measure_on_are_enough_and_not_too_many():
    few = spectrograms(1, 3, 200, 5)
    chosen = representative(few)
    assert [len(values) for values in chosen] == [1, 3, 200, 5, 1, 4, 16]
    np.testing.assert_array_equal(chosen[-1], few[2][100:116])
    assert [len(values) for values in representative(few[:1])] == [1, 1, 1, 1]
    many = [np.zeros((500, 1), np.float32)] * 200
    assert sum(map(len, representative(many))) == MAX_CALIBRATION_FRAMES + 1 + 4 + 16


def test_the_command_makes_it_with_int8_ends(new_melody_run, melodies, script, capsys):
    assert script("quantize").main([str(new_melody_run), "--scheme", "integer", "--io", "int8", "--samples", "3"]) == 0
    recognizer = Recognizer(new_melody_run / "model.integer.tflite")
    assert recognizer.metadata.scheme == "integer" and recognizer.metadata.input.type == "int8"
    assert script("evaluate").main([str(new_melody_run / "model.integer.tflite"), str(melodies / "dev.jsonl")]) == 0
    assert "WER   0.00 %" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", ["dynamic", "float16", "float32", "all"])
def test_other_schemes_have_no_int8_ends(scheme, script, capsys):
    with pytest.raises(SystemExit) as stopped:
        script("quantize").main(["models/none", "--scheme", scheme, "--io", "int8"])
    assert stopped.value.code == 2
    assert "--io int8 goes with --scheme int8 or integer" in capsys.readouterr().err
