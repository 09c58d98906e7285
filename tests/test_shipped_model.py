"""The model that comes with the project: whole, small, used when no other is there, and one that hears."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio, write_audio
from crnn_asr.corpus.speech import Speaker, Voice
from crnn_asr.export.systems import open_system
from crnn_asr.inference.default_model import SHIPPED
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.language.decoding import Decoding
from crnn_asr.language.tuning import sha256_of
from crnn_asr.text.metrics import score

FILES = [SHIPPED, SHIPPED.with_name("model.dynamic.tflite")]
ARPA = SHIPPED.with_name("an4.arpa")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_are_small_and_know_their_language_model(path: Path):
    assert path.stat().st_size <= 3_000_000
    metadata = Recognizer(path).metadata
    assert "".join(metadata.alphabet) == " abcdefghijklmnopqrstuvwxyz"
    assert [tuning.sha256 for tuning in metadata.tunings] == [sha256_of(ARPA)]


def test_the_model_to_start_from_is_the_one_that_hears(spoken: Path):
    """Apart from the activations, which only the file for recognition rounds; and it names no file of a machine."""
    start, recognizer = SHIPPED.with_name("model.keras"), Recognizer(FILES[1])
    features = compute_features(read_audio(spoken, 16_000), recognizer.metadata.features)
    system, _ = open_system(start)
    np.testing.assert_allclose(system.model(features), recognizer.logits(features), atol=0.5)
    with zipfile.ZipFile(start) as file:
        config = json.loads(file.read("crnn_asr.json"))
    assert not [value for value in config.values() if isinstance(value, str) and "/" in value]
    assert config["train_manifests"] == config["pool_manifests"] == []


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A synthetic voice, which the model never heard the like of, with silence around it."""
    with Speaker(Voice("en-us", "m1")) as speaker:
        samples = speaker.say("enter seven two")
        silence = np.zeros(speaker.sample_rate_hz // 4, np.float32)
        write_audio(tmp_path / "spoken.wav", np.concatenate([silence, samples, silence]), speaker.sample_rate_hz)
    return tmp_path / "spoken.wav"


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(lm=str(ARPA))], ids=["greedy", "3-gram"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_hears(path: Path, decoding: Decoding, spoken: Path):
    assert Recognizer(path, decoding=decoding).transcribe(spoken).text == "enter seven two"


def test_without_a_model_of_ones_own_it_is_used_and_that_is_said(script, spoken, monkeypatch, capsys):
    monkeypatch.chdir(spoken.parent)
    assert script("infer_tflite").main([spoken.name]) == 0
    out, said = capsys.readouterr()
    assert out == "enter seven two\n"
    assert said.startswith("note: no model named and none made: the one in models/an4")


@pytest.mark.realdata
def test_it_knows_what_it_was_trained_on(shared_data: Path):
    """40 utterances of AN4, so no score: only that the file hears real speech as its run did."""
    folder = shared_data / "an4"
    lines = (folder / "etc" / "an4_train.transcription").read_text().splitlines()
    names = (folder / "etc" / "an4_train.fileids").read_text().split()
    recognizer = Recognizer(SHIPPED)
    references = [line.split("(")[0].replace("<s>", "").replace("</s>", "").lower().strip() for line in lines[::24]]
    heard = [recognizer.transcribe(folder / "wav" / f"{name}.sph").text for name in names[::24]]
    assert score(references, heard).words.percent < 5
