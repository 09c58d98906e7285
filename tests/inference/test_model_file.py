"""The model file: what is written comes back, and nothing else is taken for it."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from crnn_asr.errors import ModelError
from crnn_asr.inference import model_file

FLATBUFFER = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path: Path, metadata) -> Path:
    model_file.write(tmp_path / "model.tflite", FLATBUFFER, metadata)
    return tmp_path / "model.tflite"


def rewrite(path: Path, **changes: object) -> None:
    """Change keys of the description, and nothing else."""
    with zipfile.ZipFile(path) as archive:
        values = json.loads(archive.read("crnn_asr.json"))
    data = path.read_bytes()[: values["flatbuffer_bytes"]]
    values = {key: value for key, value in {**values, **changes}.items() if value is not None}
    path.write_bytes(data)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("crnn_asr.json", json.dumps(values))


def test_round_trip(path, metadata):
    assert model_file.read(path) == (FLATBUFFER, metadata)


def test_it_is_a_flatbuffer_in_front_and_a_zip_behind(path, metadata):
    assert path.read_bytes().startswith(FLATBUFFER)
    with zipfile.ZipFile(path) as archive:
        values = json.loads(archive.read("crnn_asr.json"))
    assert (values["format"], values["format_version"], values["scheme"]) == ("crnn_asr", 1, "float32")
    assert "".join(values["alphabet"]) == "".join(metadata.alphabet)


def test_equal_models_are_equal_files(path, metadata, tmp_path):
    model_file.write(tmp_path / "again.tflite", FLATBUFFER, metadata)
    assert path.read_bytes() == (tmp_path / "again.tflite").read_bytes()


def test_letters_beyond_ascii(tmp_path, metadata):
    az = replace(metadata, alphabet=tuple(" əğıiöşçü"), model=replace(metadata.model, num_symbols=10))
    model_file.write(tmp_path / "az.tflite", FLATBUFFER, az)
    assert model_file.read(tmp_path / "az.tflite")[1] == az


def test_every_flipped_bit_of_the_weights_and_every_cut_is_found(path):
    data = path.read_bytes()
    for position in (0, 9, 5_000, len(FLATBUFFER) - 1):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(ModelError, match="weights are damaged"):
            model_file.read(path)
    for length in (0, 1, 7, 8, 100, len(FLATBUFFER), len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError, match="expected a model file"):
            model_file.read(path)


def test_damage_to_the_description_is_a_model_error_or_changes_nothing(path, metadata):
    data = path.read_bytes()
    for position in range(len(FLATBUFFER), len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x15]) + data[position + 1 :])
        try:
            assert model_file.read(path) == (FLATBUFFER, metadata)
        except ModelError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "whisper"}, "format 'crnn_asr'"),
        ({"format_version": 2}, "version 1, got 2"),
        ({"flatbuffer_bytes": "many"}, "damaged"),
        ({"flatbuffer_bytes": -1}, "damaged"),
        ({"alphabet": ["a", "b"]}, "expected 3, for 2 symbols"),
        ({"alphabet": None}, "missing key alphabet"),
        ({"features": {"num_mels": 40}}, "missing key"),
        ({"training": [1]}, "training"),
        ({"extra": 1}, "unknown key extra"),
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
    with pytest.raises(IsADirectoryError):
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
