"""recombine.py with the shipped model and a synthetic voice: new utterances are made, faults are named."""

from pathlib import Path

import numpy as np
import pytest

from crnn_asr.audio.read import read_audio, write_audio
from crnn_asr.corpus.manifest import Utterance, read_manifest, write_manifest
from crnn_asr.corpus.speech import Speaker, Voice
from crnn_asr.inference.default_model import SHIPPED

TEXT = "enter seven two"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    with Speaker(Voice("en-us", "m1")) as speaker:
        samples = speaker.say(TEXT)
        silence = np.zeros(speaker.sample_rate_hz // 4, np.float32)
        samples = np.concatenate([silence, samples, silence])
        write_audio(tmp_path / "a.wav", samples, speaker.sample_rate_hz)
        duration_s = len(samples) / speaker.sample_rate_hz
    good = Utterance(tmp_path / "a.wav", duration_s, TEXT.upper(), "anna", "good")
    wrong = Utterance(tmp_path / "a.wav", duration_s, "go help stop", "anna", "wrong")
    write_manifest(tmp_path / "m.jsonl", [good, wrong])
    return tmp_path


def test_new_utterances_and_what_could_not_be_cut(script, corpus: Path, capsys):
    out = corpus / "out"
    arguments = [str(SHIPPED), str(corpus / "m.jsonl"), "--out", str(out), "--count", "6", "--words", "3", "4"]
    assert script("recombine").main(arguments) == 0
    said = capsys.readouterr()
    assert "recombined.jsonl: 6 utterances" in said.out and "of the words of 1\n" in said.out
    assert "not cut: wrong: the model hears something else than the transcript" in said.err
    made, _ = read_manifest(out / "recombined.jsonl")
    assert {item.speaker for item in made} == {"anna"} and len({item.text for item in made}) > 1
    for item in made:
        assert set(item.text.split()) <= set(TEXT.split()) and 3 <= len(item.text.split()) <= 4
        assert len(read_audio(item.audio_path)) / 16_000 == pytest.approx(item.duration_s, abs=1e-3)
    assert script("recombine").main(arguments) == 2 and "--force" in capsys.readouterr().err
    assert script("recombine").main([*arguments[:-5], "--times", "3", "--force"]) == 0
    assert len(read_manifest(out / "recombined.jsonl")[0]) == 6, "three times the manifest's two"
    assert script("recombine").main([*arguments, "--force", "--words", "3", "2"]) == 2
    assert "LOW not above HIGH, got 3 and 2" in capsys.readouterr().err


def test_a_missing_recording_is_named_and_the_rest_is_made(script, corpus: Path, capsys):
    (corpus / "list.txt").write_text("seven\n")
    with (corpus / "m.jsonl").open("a") as file:
        file.write('{"audio_filepath": "gone.wav", "duration": 1.0, "text": "seven"}\n')
    arguments = [
        str(SHIPPED),
        str(corpus / "m.jsonl"),
        "--out",
        str(corpus / "out"),
        "--only",
        str(corpus / "list.txt"),
    ]
    assert script("recombine").main(arguments) == 1
    assert "gone" in capsys.readouterr().err
    made, _ = read_manifest(corpus / "out" / "recombined.jsonl")
    assert len(made) == 3 and {word for item in made for word in item.text.split()} == {"seven"}
