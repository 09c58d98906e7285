"""Tuning: logits once, settings kept in the model file, and taken from there."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.corpus.manifest import Utterance, write_manifest
from crnn_asr.errors import ModelError
from crnn_asr.inference import model_file
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.inference.tune import errors_by_setting, keep, listen
from crnn_asr.language.arpa import write_arpa
from crnn_asr.language.decoding import Decoding
from crnn_asr.language.histories import LanguageModel
from crnn_asr.language.kneser_ney import estimate
from crnn_asr.language.tuning import Tuning, sha256_of
from crnn_asr.text.metrics import score


@pytest.fixture
def arpa(tmp_path) -> Path:
    write_arpa(tmp_path / "m.arpa", estimate(["oh no", "a", "i am", "oh a a"], 2).model)
    return tmp_path / "m.arpa"


@pytest.fixture
def utterances(tmp_path, rng) -> list[Utterance]:
    found = []
    for number in range(3):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(12_000 + 4_000 * number), 16_000)
        found.append(Utterance(path, 0.75 + 0.25 * number, "oh a", id=f"u{number}"))
    return found


@pytest.fixture
def copy(model_path, tmp_path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(model_path.read_bytes())
    return path


def test_a_setting_scores_as_the_recognizer_does(copy, arpa, utterances):
    recognizer = Recognizer(copy)
    greedy, logits = listen(recognizer, utterances)
    assert [item.hypothesis for item in greedy.utterances] == [
        recognizer.transcribe(item.audio_path).text for item in utterances
    ]
    errors = errors_by_setting(recognizer, LanguageModel(arpa), greedy, logits)
    for alpha, beta, beam in ((0.0, 0.0, 8), (0.7, 2.0, 16)):
        other = Recognizer(copy, decoding=Decoding(lm=arpa, alpha=alpha, beta=beta, beam=beam))
        heard = [other.transcribe(item.audio_path).text for item in utterances]
        assert errors(alpha, beta, beam) == score(["oh a"] * 3, heard)
    assert len(logits) == 3


def test_what_is_kept_comes_back_and_changes_nothing_else(copy, arpa):
    network, before = model_file.read(copy)
    first = Tuning("e" * 64, "e.arpa", 0.2, 1.0, 16, 9.0, 5.0, 12.0, 100)
    second = Tuning(sha256_of(arpa), "m.arpa", 0.4, 3.0, 32, 8.0, 4.0, 12.0, 100)
    for tuning in (first, second, replace(first, alpha=0.6)):
        keep(copy, tuning)
    assert model_file.read(copy) == (network, replace(before, tunings=(second, replace(first, alpha=0.6))))


def test_a_file_without_tunings_is_as_it_was_before_there_were_any(copy, metadata, tmp_path):
    assert b"tunings" not in copy.read_bytes()
    keep(copy, Tuning("e" * 64, "e.arpa", 0.2, 1.0, 16, 9.0, 5.0, 12.0, 100))
    network, tuned = model_file.read(copy)
    model_file.write(tmp_path / "again.tflite", network, replace(tuned, tunings=()))
    assert model_file.read(tmp_path / "again.tflite")[1] == metadata


def test_a_damaged_tuning_is_refused(copy):
    keep(copy, Tuning("e" * 64, "e.arpa", 0.2, 1.0, 16, 9.0, 5.0, 12.0, 100))
    network, metadata = model_file.read(copy)
    bad = metadata.tunings[0]
    object.__setattr__(bad, "alpha", -1.0)
    model_file.write(copy, network, replace(metadata, tunings=(bad,)))
    with pytest.raises(ModelError, match="expected a finite alpha from 0"):
        model_file.read(copy)


def test_the_recognizer_takes_words_of_a_lexicon_alone_with_times(copy, tmp_path, rng):
    (tmp_path / "words.txt").write_text("a\ni\noh\n")
    recognizer = Recognizer(copy, decoding=Decoding(lexicon=tmp_path / "words.txt"))
    samples = (0.1 * rng.standard_normal(48_000)).astype(np.float32)
    result = recognizer.transcribe(samples)
    assert result.words and {word.text for word in result.words} <= {"a", "i", "oh"}
    times = [time for word in result.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= 3
    assert result.text != Recognizer(copy).transcribe(samples).text


def test_the_script_tunes_stores_and_the_others_take_it(script, copy, arpa, utterances, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("crnn_asr.language.tuning.ALPHAS", (0.0, 0.5))
    monkeypatch.setattr("crnn_asr.language.tuning.BETAS", (0.0, 2.0))
    monkeypatch.setattr("crnn_asr.language.tuning.BEAMS", (8, 32))
    write_manifest(tmp_path / "dev.jsonl", utterances)
    assert script("tune_lm").main([str(copy), str(tmp_path / "dev.jsonl"), "--lm", str(arpa)]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1 + 1 + 5 + 2
    (tuning,) = model_file.read(copy)[1].tunings
    assert (tuning.sha256, tuning.file, tuning.utterances) == (sha256_of(arpa), "m.arpa", 3)
    assert f"alpha {tuning.alpha:g}, beta {tuning.beta:g}, beam {tuning.beam} for m.arpa" in out

    evaluate = ["--json", str(tmp_path / "r.json"), str(copy), str(tmp_path / "dev.jsonl")]
    assert script("evaluate").main([*evaluate, "--lm", str(arpa)]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["wer"] == tuning.wer
    assert script("evaluate").main(evaluate) == 0
    assert json.loads((tmp_path / "r.json").read_text())["wer"] == tuning.greedy_wer
    capsys.readouterr()

    write_arpa(tmp_path / "other.arpa", estimate(["oh no", "a"], 2).model)
    clip = str(utterances[0].audio_path)
    assert script("infer_tflite").main([clip, "--model", str(copy), "--lm", str(tmp_path / "other.arpa")]) == 0
    assert "tuned for another language model, m.arpa" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--alpha", "0.5"], ["--hotword", "yes=much"], ["--beam", "0"], ["--unknown-penalty", "3"], ["--beta", "inf"]],
)
def test_wrong_usage(script, arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        script("infer_tflite").main(["a.wav", *arguments])
    assert stopped.value.code == 2 and "expected" in capsys.readouterr().err
