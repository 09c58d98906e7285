"""The recognizer: words and their times, any order of lengths, errors as sentences."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from crnn_oracle import random_weights, reference_logits

import crnn_asr
from crnn_asr.audio.features import compute_features
from crnn_asr.errors import AudioError, ModelError
from crnn_asr.inference import default_model, model_file
from crnn_asr.inference.default_model import find_model
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.inference.transcript import Transcript, Word, split_words
from crnn_asr.text.decode import Symbol, greedy_text

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recognizer(model_path) -> Recognizer:
    return Recognizer(model_path)


def test_logits_of_any_length_in_any_order_are_the_networks(recognizer, metadata, rng):
    weights = random_weights(metadata.model, np.random.default_rng(5))
    for frames in (1, 300, 2, 300, 7, 1, 65):
        features = rng.standard_normal((frames, 80)).astype(np.float32)
        logits = recognizer.logits(features)
        assert logits.shape == (metadata.model.output_length(frames), 29)
        np.testing.assert_allclose(logits, reference_logits(features, weights, metadata.model), atol=1e-4)


def test_a_file_its_samples_and_its_features_give_the_same(recognizer, rng, tmp_path):
    samples = (0.1 * rng.standard_normal(24_000)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    features = compute_features(samples, recognizer.metadata.features)
    expected = greedy_text(recognizer.logits(features), recognizer.alphabet)
    results = [
        recognizer.transcribe(tmp_path / "a.wav"),
        recognizer.transcribe(str(tmp_path / "a.wav")),
        recognizer.transcribe(samples),
        recognizer.transcribe_features(features),
    ]
    assert expected and {result.text for result in results} == {expected}
    assert [result.duration_s for result in results] == pytest.approx([1.5, 1.5, 1.5, 1.495])
    for result in results:
        assert 0 < result.seconds < 5
        assert result.real_time_factor == result.seconds / result.duration_s
        ends = [time for word in result.words for time in (word.start_s, word.end_s)]
        assert ends == sorted(ends) and ends[0] >= 0 and ends[-1] <= result.duration_s


def test_a_chosen_channel_is_heard(recognizer, rng, tmp_path):
    left, right = (0.1 * rng.standard_normal((2, 16_000))).astype(np.float32)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], 1), 16_000, subtype="FLOAT")
    assert recognizer.transcribe(tmp_path / "two.wav", channel=1).text == recognizer.transcribe(right).text
    assert recognizer.transcribe(right).text != recognizer.transcribe(left).text


def test_the_package_offers_it(model_path):
    assert crnn_asr.Recognizer is Recognizer
    assert crnn_asr.Recognizer(str(model_path), num_threads=2).metadata.scheme == "float32"


def test_words_are_divided_by_spaces_and_timed_by_their_letters():
    text = [(" ", 0, 1), ("a", 2, 3), ("b", 3, 5), (" ", 6, 7), (" ", 8, 9), ("c", 10, 14), (" ", 14, 15)]
    symbols = [Symbol(*item) for item in text]
    assert split_words(symbols, 0.5, 6.5) == (Word("ab", 1.0, 2.5), Word("c", 5.0, 6.5))
    assert split_words([], 0.5, 6.5) == split_words(symbols[:1], 0.5, 6.5) == ()
    assert Transcript((), 1.0, 0.1).text == ""


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros(399, np.float32), np.zeros((2, 9_000))])
def test_samples_that_cannot_be_used(recognizer, samples):
    with pytest.raises(AudioError):
        recognizer.transcribe(samples)


@pytest.mark.parametrize("shape", [(0, 80), (5, 40), (80,), (1, 5, 80)])
def test_features_that_do_not_fit(recognizer, shape):
    with pytest.raises(ModelError, match=r"expected features of shape \(frames, 80\)"):
        recognizer.logits(np.zeros(shape, np.float32))


def test_a_description_of_another_network_is_refused(model_path, metadata, tmp_path):
    flatbuffer, _ = model_file.read(model_path)
    other = replace(metadata, alphabet=tuple("ab"), model=replace(metadata.model, num_symbols=3))
    model_file.write(tmp_path / "other.tflite", flatbuffer, other)
    with pytest.raises(ModelError, match="widths"):
        Recognizer(tmp_path / "other.tflite")
    model_file.write(tmp_path / "noise.tflite", b"\x1c\0\0\0TFL3" + bytes(400), metadata)
    with pytest.raises(ModelError, match="does not run this model"):
        Recognizer(tmp_path / "noise.tflite")


def test_opening_a_model_says_nothing_and_lets_others_speak(model_path):
    code = (
        "import os, sys\n"
        "from crnn_asr.inference.recognizer import Recognizer\n"
        "from crnn_asr.native import without_native_lines\n"
        f"Recognizer({str(model_path)!r})\n"
        "with without_native_lines(b'INFO: '): os.write(2, b'INFO: chatter\\nERROR: real\\n')\n"
        "print('after', file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "ERROR: real\nafter\n")


def test_the_default_is_the_newest_model(tmp_path, monkeypatch):
    import os

    monkeypatch.chdir(tmp_path)
    assert find_model() == default_model.SHIPPED == ROOT / "models" / "an4" / "model.int8.tflite"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "an4").symlink_to(ROOT / "models" / "an4")  # not what the demo has left beside it
    assert find_model() == default_model.SHIPPED
    (tmp_path / "models" / "an4").unlink()
    monkeypatch.setattr(default_model, "SHIPPED", tmp_path / "gone")
    with pytest.raises(ModelError, match=r"run scripts/train\.py, then scripts/quantize\.py"):
        find_model()
    for name, time in (("a", 100), ("b", 300), ("c", 200)):
        path = tmp_path / "models" / name / "model.int8.tflite"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (time, time))
    (tmp_path / "models" / "d").mkdir()
    (tmp_path / "models" / "d" / "model.int8.rejected.tflite").touch()
    assert find_model() == Path("models/b/model.int8.tflite")
