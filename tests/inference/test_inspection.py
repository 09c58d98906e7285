"""What is inside a model file, against the arrays that went in."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from crnn_oracle import Weights, random_weights

from crnn_asr.config import FeatureConfig, ModelConfig, TextConfig
from crnn_asr.errors import ModelError
from crnn_asr.export.convert import SCHEMES, convert
from crnn_asr.inference import model_file
from crnn_asr.inference.flatbuffer import Constant, Operation, encodings, operations
from crnn_asr.inference.inspection import inspect_model_file, macs_per_second, render, weights_by_layer
from crnn_asr.inference.model_file import Metadata
from crnn_asr.presets import PRESETS
from crnn_asr.text.alphabet import ENGLISH

ROOT = Path(__file__).resolve().parents[2]
MODEL = ModelConfig(conv_filters=(4, 6), projection_units=12, lstm_layers=2, lstm_units=8)
TYPES = {"float32": ("FLOAT32",), "float16": ("FLOAT16",), "int8": ("INT8", "INT32"), "integer": ("INT8", "INT32")}


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(MODEL, np.random.default_rng(5))


@pytest.fixture(scope="module")
def files(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model file in every scheme."""
    lstm = [
        f"{part}{i}{end}"
        for i in range(2)
        for part, end in (("lstm", ".projected"), ("lstm", ".recurrent"), ("norm", ""))
    ]
    ranges = dict.fromkeys(("features", "conv0", "conv1", "projection", *lstm, "logits"), (-8.0, 8.0))
    features = [np.random.default_rng(1).standard_normal((60, 80)).astype(np.float32)]
    folder, paths = tmp_path_factory.mktemp("schemes"), {}
    for scheme, flatbuffer in convert(weights, MODEL, ranges, SCHEMES, features).items():
        paths[scheme] = folder / f"model.{scheme}.tflite"
        summary = {"epochs": 3, "dev_wer": 12.5}
        ends = encodings(flatbuffer)
        metadata = Metadata(scheme, FeatureConfig(), MODEL, TextConfig(), ENGLISH, summary, *ends)
        model_file.write(paths[scheme], flatbuffer, metadata)
    return paths


def parameters(weights: Weights, layer: str) -> int:
    """As the file has them: batch norm is a bias."""
    if layer.startswith("conv"):
        return weights[f"{layer}.kernel"].size + weights[f"{layer}.beta"].size
    return sum(array.size for name, array in weights.items() if name.startswith(f"{layer}."))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_weight_is_found_in_its_layer(files, weights, scheme):
    found = inspect_model_file(files[scheme])
    layers = {layer.name: layer for layer in found.layers}
    products = ["conv0", "conv1", "projection", "lstm0", "lstm1", "output"]
    assert [name for name in layers if not name.startswith("norm")] == products
    for name, layer in layers.items():  # norms may be part of the next product
        assert layer.parameters == parameters(weights, name), name
        if scheme in TYPES and not name.startswith("norm"):
            exact = scheme == "int8" and name == "output"
            assert layer.types == (TYPES["float32"] if exact else TYPES[scheme])
    assert sum(layer.num_bytes for layer in found.layers) < found.about["network_bytes"] < found.num_bytes
    if scheme == "float32":
        assert all(layer.num_bytes == 4 * layer.parameters for layer in found.layers)
    if scheme == "integer":
        biases = 4 + 6 + 12 + 2 * 8 * 8 + 29
        stored = sum(layer.num_bytes for layer in found.layers)
        assert stored == sum(layer.parameters for layer in found.layers) + 3 * biases


def test_work_by_hand():
    """The preset an4: 100 frames a second, halved twice, and 80 bins, halved three times."""
    macs = macs_per_second(PRESETS["an4"].model, FeatureConfig())
    assert macs == {
        "conv0": 50 * 40 * 32 * 9,
        "conv1": 25 * 20 * 64 * 32 * 9,
        "conv2": 25 * 10 * 64 * 64 * 9,
        "conv3": 25 * 10 * 64 * 64 * 9,
        "projection": 25 * (10 * 64) * 256,
        "lstm0": 25 * 2 * (256 * 768 + 192 * 768),
        "lstm1": 25 * 2 * (384 * 768 + 192 * 768),
        "output": 25 * 384 * 29,
    }
    thirds = ModelConfig(num_mels=10, conv_filters=(2,), conv_strides=((3, 3),), projection_units=1, lstm_units=1)
    assert macs_per_second(thirds, FeatureConfig(num_mels=10))["conv0"] == pytest.approx(100 / 3 * 4 * 2 * 9)


def test_operations_are_those_that_the_interpreter_runs(files):
    """In the scheme without loops, where the interpreter lists all."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    flatbuffer, _ = model_file.read(files["integer"])
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=flatbuffer, experimental_op_resolver_type=resolver)
    expected = [op["op_name"] for op in interpreter._get_ops_details()]
    assert [op.name for op in operations(flatbuffer)] == expected
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    last = interpreter._get_ops_details()[-2]
    assert operations(flatbuffer)[-2].inputs[0].lower() == np.dtype(details[last["inputs"][0]]["dtype"]).name


def test_operations_are_counted_in_loops_too(files):
    found = inspect_model_file(files["int8"])
    counts = {(kind.name, kind.in_loop): 0 for kind in found.operations}
    for kind in found.operations:
        counts[kind.name, kind.in_loop] += kind.count
    assert counts["CONV_2D", False] == 2
    assert counts["FULLY_CONNECTED", False] == 4  # projection, two LSTMs' inputs, output
    assert counts["FULLY_CONNECTED", True] == 2 * 2  # layers, directions
    assert counts["WHILE", False] == counts["WHILE", True] == 2
    assert counts["TANH", True] == 2 * 2  # layers, twice a step


def test_what_is_stored_once_is_counted_once_in_the_layer_that_reads_it_first():
    def product(name: str, *buffers: int, in_loop: bool = False) -> Operation:
        constants = tuple(Constant(buffer, "INT8", 10 + buffer, 10 + buffer) for buffer in buffers)
        return Operation(name, ("INT8",) * (1 + len(buffers)), ("INT8",), (None, *constants), in_loop)

    loop = [product("FULLY_CONNECTED", buffer, in_loop=True) for buffer in (5, 6, 5, 6)]
    dense = [product("FULLY_CONNECTED", *buffers) for buffers in ((2, 3), (4, 3), (7, 8))]
    norm, other = product("MUL", 9), product("GATHER", 10)
    found = [product("CONV_2D", 1), dense[0], dense[1], *loop, other, norm, dense[2]]
    one = ModelConfig(conv_filters=(1,), conv_strides=((1, 1),), lstm_layers=1)
    stored = weights_by_layer(found, one)
    assert {name: [constant.buffer for constant in constants] for name, constants in stored.items()} == {
        "conv0": [1],
        "projection": [2, 3],
        "lstm0": [4, 5, 6],
        "norm0": [9],
        "output": [7, 8],
    }


def test_the_command_shows_all_of_it(files, script, capsys):
    main = script("inspect_model").main
    assert main([str(files["int8"])]) == 0
    text = capsys.readouterr().out
    for words in (
        "scheme          int8",
        "28 symbols",
        "dev_wer 12.5",
        "sample_rate_hz 16000",
        "lstm1",
        " operations",
    ):
        assert words in text
    assert main([str(files["int8"]), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["about"]["features"]["num_mels"] == 80
    assert values["about"]["format_version"] == 2
    assert "".join(values["about"]["alphabet"]) == "".join(ENGLISH)
    assert values["parameters"] == sum(layer["parameters"] for layer in values["layers"])
    assert {
        "name": "CONV_2D",
        "inputs": ["INT8", "INT8", "INT32"],
        "outputs": ["INT8"],
        "in_loop": False,
        "count": 2,
    } in (values["operations"])
    assert values["num_bytes"] == files["int8"].stat().st_size
    assert render(inspect_model_file(files["integer"])).count("UNIDIRECTIONAL_SEQUENCE_LSTM INT8 × 9, INT32 × 4") == 1


def test_other_and_damaged_files_are_sentences(files, tmp_path, script):
    data = files["int8"].read_bytes()
    (tmp_path / "cut.tflite").write_bytes(data[:-100])
    (tmp_path / "notes.txt").write_text("hello")
    for name, words in (("cut.tflite", "cut short"), ("notes.txt", "something else")):
        with pytest.raises(ModelError, match=words):
            script("inspect_model").main([str(tmp_path / name)])
    with pytest.raises(FileNotFoundError):
        script("inspect_model").main([str(tmp_path / "none")])
    (tmp_path / "flipped.tflite").write_bytes(data[:5_000] + bytes([data[5_000] ^ 4]) + data[5_001:])
    command = [sys.executable, ROOT / "scripts" / "inspect_model.py", tmp_path / "flipped.tflite"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and "SHA-256" in result.stderr
