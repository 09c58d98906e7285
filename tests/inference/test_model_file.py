"""The model file: what is written comes back, and nothing else is taken for it."""

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crnn_asr.errors import ModelError
from crnn_asr.inference import model_file
from crnn_asr.inference.model_file import Encoding

FLATBUFFER = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path: Path, metadata) -> Path:
    model_file.write(tmp_path / "model.tflite", FLATBUFFER, metadata)
    return tmp_path / "model.tflite"


def rewrite(path: Path, **changes: object) -> None:
    """Change keys of the description, and nothing else; the checksum fits."""
    with zipfile.ZipFile(path) as archive:
        values = json.loads(archive.read("crnn_asr.json"))
    data = path.read_bytes()[: values["network_bytes"]]
    values = {key: value for key, value in {**values, **changes}.items() if value is not None}
    path.write_bytes(data)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("crnn_asr.json", json.dumps(values))
        archive.comment = b"0" * 64
    path.write_bytes(seal(path.read_bytes()[:-64]))


def seal(data: bytes) -> bytes:
    return data + hashlib.sha256(data).hexdigest().encode()


def test_round_trip(path, metadata):
    assert model_file.read(path) == (FLATBUFFER, metadata)


def test_it_is_a_flatbuffer_in_front_and_a_zip_behind(path, metadata):
    assert path.read_bytes().startswith(FLATBUFFER)
    with zipfile.ZipFile(path) as archive:
        values = json.loads(archive.read("crnn_asr.json"))
    assert (values["format"], values["format_version"], values["scheme"]) == ("crnn_asr", 2, "float32")
    assert "".join(values["alphabet"]) == "".join(metadata.alphabet)
    data = path.read_bytes()
    assert data == seal(data[:-64])


def test_equal_models_are_equal_files(path, metadata, tmp_path):
    model_file.write(tmp_path / "again.tflite", FLATBUFFER, metadata)
    assert path.read_bytes() == (tmp_path / "again.tflite").read_bytes()


def test_letters_beyond_ascii(tmp_path, metadata):
    az = replace(metadata, alphabet=tuple(" əğıiöşçü"), model=replace(metadata.model, num_symbols=10))
    model_file.write(tmp_path / "az.tflite", FLATBUFFER, az)
    assert model_file.read(tmp_path / "az.tflite")[1] == az


def test_every_flipped_byte_is_found(path, rng):
    """All behind the flatbuffer, description and container, and some within."""
    data = path.read_bytes()
    within = rng.integers(len(FLATBUFFER), size=300)
    for position in (0, 9, len(FLATBUFFER) - 1, *within, *range(len(FLATBUFFER), len(data))):
        flip = int(rng.integers(1, 256))
        path.write_bytes(data[:position] + bytes([data[position] ^ flip]) + data[position + 1 :])
        with pytest.raises(ModelError, match=r"model\.tflite: "):
            model_file.read(path)
    path.write_bytes(data)
    model_file.read(path)


def test_every_cut_is_found_and_what_is_missing_inside_or_too_much(path, rng):
    data = path.read_bytes()
    for length in (0, 1, 7, 8, *rng.integers(len(FLATBUFFER), size=50), *range(len(FLATBUFFER), len(data))):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError, match=r"model\.tflite: "):
            model_file.read(path)
    for position in rng.integers(len(data), size=100):
        for other in (data[position + 1 :], b"\0" + data[position:]):
            path.write_bytes(data[:position] + other)
            with pytest.raises(ModelError, match=r"model\.tflite: "):
                model_file.read(path)
    path.write_bytes(data + b"\n")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        model_file.read(path)


def test_int8_by_hand():
    encoding = Encoding("int8", 0.5, -3)
    values = np.array([0, 1, -1.2, 0.24, 0.26, 65, 65.5, -62.5, -1e9, 1e9], np.float32)
    steps = encoding.encode(values)
    assert steps.dtype == np.int8
    assert steps.tolist() == [-3, -1, -5, -3, -2, 127, 127, -128, -128, 127]
    numbers = encoding.decode(steps)
    assert numbers.dtype == np.float32
    assert numbers.tolist() == [0, 1, -1, 0, 0.5, 65, 65, -62.5, -62.5, 65]
    assert Encoding().decode(Encoding().encode(values)) is values


def test_encodings_come_back(tmp_path, metadata):
    other = replace(metadata, input=Encoding("int8", 0.0349, -15), output=Encoding("int8", 0.14, 127))
    model_file.write(tmp_path / "integer.tflite", FLATBUFFER, other)
    assert model_file.read(tmp_path / "integer.tflite")[1] == other


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "whisper"}, "format 'crnn_asr'"),
        ({"format_version": 3}, "version 2, got 3"),
        ({"format_version": None}, "version 2, got None"),
        ({"network_bytes": "many"}, "network_bytes: expected"),
        ({"network_bytes": -1}, "network_bytes: expected"),
        ({"network_bytes": 10**9}, "network_bytes: expected"),
        ({"alphabet": ["a", "b"]}, "expected 3, for 2 symbols"),
        ({"alphabet": None}, "missing key alphabet"),
        ({"features": {"num_mels": 40}}, "missing key"),
        ({"training": [1]}, "training"),
        ({"extra": 1}, "unknown key extra"),
        ({"input": {"type": "int16", "scale": 1.0, "zero_point": 0}}, "float32 or int8, got 'int16'"),
        ({"input": {"type": "int8", "scale": 0.0, "zero_point": 0}}, "positive scale"),
        ({"output": {"type": "int8", "scale": 1.0, "zero_point": 128}}, "zero point from -128 to 127"),
    ],
)
def test_descriptions_that_do_not_fit(path, changes, words):
    rewrite(path, **changes)
    with pytest.raises(ModelError, match=words):
        model_file.read(path)


def test_files_that_are_something_else(tmp_path):
    for name, content, words in (
        ("text.tflite", b"hello there\n" * 20, "got something else"),
        ("empty.tflite", b"", "an empty file"),
        ("bare.tflite", FLATBUFFER, "not ours"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=words):
            model_file.read(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("labels.txt", "a\nb")
    with pytest.raises(ModelError, match="something else"):
        model_file.read(tmp_path / "other.zip")
    with pytest.raises(FileNotFoundError):
        model_file.read(tmp_path / "missing.tflite")
    with pytest.raises(ModelError, match=r"got a folder; name one in it, such as .*model\.int8\.tflite"):
        model_file.read(tmp_path)


def test_a_huge_description_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.tflite"
    path.write_bytes(FLATBUFFER)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("crnn_asr.json", b" " * 50_000_000)
    with pytest.raises(ModelError, match="description is damaged"):
        model_file.read(path)


def test_a_failed_write_leaves_the_old_file(path, metadata, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(zipfile.ZipFile, "writestr", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        model_file.write(path, b"new" + FLATBUFFER, metadata)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
