"""An `.onnx` model file: described as a `.tflite` is, checked as one, run by the same recognizer."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from crnn_oracle import random_weights, reference_logits

from crnn_asr.errors import ModelError
from crnn_asr.export.convert import convert
from crnn_asr.inference import model_file, onnx_entry
from crnn_asr.inference.model_file import Metadata
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.inference.tune import keep
from crnn_asr.language.tuning import Tuning

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def network(metadata) -> bytes:
    weights = random_weights(metadata.model, np.random.default_rng(5))  # those of `model_path`
    return convert(weights, metadata.model, {}, ["onnx"])["onnx"]


@pytest.fixture
def path(network, metadata: Metadata, tmp_path: Path) -> Path:
    model_file.write(tmp_path / "model.onnx", network, replace(metadata, scheme="onnx"))
    return tmp_path / "model.onnx"


def test_round_trip(path, network, metadata):
    assert model_file.read(path) == (network, replace(metadata, scheme="onnx"))


def test_other_readers_find_the_description(path, network, metadata):
    """Protobuf's own parser, and ONNX Runtime."""
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    values = json.loads(entries["crnn_asr.json"])
    assert (values["format"], values["scheme"], values["network_bytes"]) == ("crnn_asr", "onnx", len(network))
    assert entries["crnn_asr.sha256"] == hashlib.sha256(path.read_bytes()[:-64]).hexdigest()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == entries


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_entries_of_any_size_are_those_of_protobuf(size):
    value = "ə" * (size // 2) + "x" * (size % 2)
    model = onnx.ModelProto(ir_version=300, producer_name="p")
    data = onnx_entry.append(onnx_entry.append(model.SerializeToString(), "other", "1"), "key", value)
    assert onnx_entry.find(data, "key").decode() == value
    onnx.helper.set_model_props(model, {"other": "1", "key": value})
    assert data == model.SerializeToString()


def test_the_recognizer_runs_it_as_it_runs_a_tflite(path, model_path, metadata, rng):
    weights = random_weights(metadata.model, np.random.default_rng(5))
    recognizer = Recognizer(path, num_threads=1)
    assert recognizer.metadata.scheme == "onnx"
    for frames in (300, 1, 65):
        features = rng.standard_normal((frames, 80)).astype(np.float32)
        expected = reference_logits(features, weights, metadata.model)
        np.testing.assert_allclose(recognizer.logits(features), expected, atol=1e-4)
    samples = (0.1 * rng.standard_normal(24_000)).astype(np.float32)
    heard, expected = recognizer.transcribe(samples), Recognizer(model_path).transcribe(samples)
    assert heard.text and heard.words == expected.words


def test_every_flipped_bit_and_every_cut_is_found(path, network):
    data = path.read_bytes()
    for position in (1, len(network) // 2, len(network) - 1, len(network) + 40, len(data) - 70, len(data) - 1):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(ModelError, match=r"damaged|not ours, or cut short|got another"):
            model_file.read(path)
    for length in (0, 1, 2, 100, len(network), len(network) + 1, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError, match=r"expected a model file|damaged"):
            model_file.read(path)


def test_damage_to_the_description_is_a_model_error_or_changes_nothing(path, network, metadata):
    data, expected = path.read_bytes(), model_file.read(path)
    for position in range(len(network), len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x95]) + data[position + 1 :])
        try:
            assert model_file.read(path) == expected
        except ModelError as error:
            assert str(path) in str(error)


def test_models_of_others_are_refused(network, metadata, tmp_path):
    for name, data, words in (
        ("bare.onnx", network, "an .onnx without our description"),
        ("noise.onnx", b"\x08" + b"\xff" * 1_000_000, "an .onnx without our description"),
        ("short.onnx", b"\x08", "an .onnx without our description"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelError, match=words):
            Recognizer(tmp_path / name)
    other = replace(metadata, alphabet=tuple("ab"), model=replace(metadata.model, num_symbols=3))
    model_file.write(tmp_path / "other.onnx", network, other)
    with pytest.raises(ModelError, match="widths"):
        Recognizer(tmp_path / "other.onnx")
    model_file.write(tmp_path / "empty.onnx", b"\x08\x07", metadata)
    with pytest.raises(ModelError, match="ONNX Runtime does not run this model"):
        Recognizer(tmp_path / "empty.onnx")


def test_a_tuning_is_kept_in_it_and_others_still_read_it(path, network, metadata):
    tuning = Tuning("e" * 64, "e.arpa", 0.2, 1.0, 16, 9.0, 5.0, 12.0, 100)
    keep(path, tuning)
    assert model_file.read(path) == (network, replace(metadata, scheme="onnx", tunings=(tuning,)))
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(entries["crnn_asr.json"])["tunings"][0]["alpha"] == 0.2
    assert Recognizer(path).metadata.tunings == (tuning,)


def test_without_onnx_runtime_it_is_a_sentence_and_a_tflite_runs(path, model_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"needs ONNX Runtime; pip install -r requirements-onnx\.txt"):
        Recognizer(path)
    assert Recognizer(model_path).metadata.scheme == "float32"


def test_opening_one_says_nothing_and_needs_neither_litert_nor_onnx(path):
    code = (
        "import sys; from crnn_asr import Recognizer\n"
        f"Recognizer({str(path)!r})\n"
        "print({'ai_edge_litert', 'onnx', 'tensorflow'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "set()\n", "")
