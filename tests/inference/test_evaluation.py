"""Scoring a model on a manifest, with a model that answers as told."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from crnn_asr.config import FeatureConfig, TextConfig
from crnn_asr.corpus.manifest import Utterance
from crnn_asr.errors import DataError
from crnn_asr.inference.evaluation import evaluate
from crnn_asr.text.alphabet import ENGLISH, Alphabet

ALPHABET = Alphabet(ENGLISH)
SAID = ("One two, THREE!", "four", "five six", "")
HEARD = ("one too three", "four", "", "seven eight")


def answer(text: str) -> np.ndarray:
    """Logits that decode to the text: each symbol in a frame, a blank after it."""
    ids = [i for label in ALPHABET.encode(text) for i in (label, ALPHABET.blank_id)] or [ALPHABET.blank_id]
    return np.eye(ALPHABET.num_symbols, dtype=np.float32)[ids]


@pytest.fixture
def utterances(tmp_path, rng) -> list[Utterance]:
    found = []
    for number, text in enumerate(SAID):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(8_000 * (number + 1)), 16_000)
        found.append(Utterance(path, 0.5 * (number + 1), text, id=f"u{number}"))
    return found


def run(utterances, progress=lambda done, total: None):
    answers = iter(HEARD)
    return evaluate(lambda _: answer(next(answers)), FeatureConfig(), TextConfig(), ALPHABET, utterances, progress)


def test_rates_are_of_the_corpus_and_by_hand(utterances):
    result = run(utterances)
    words = result.scores.words
    assert (words.substitutions, words.deletions, words.insertions, words.units) == (1, 2, 2, 6)
    values = result.to_dict()
    assert values["wer"] == pytest.approx(100 * 5 / 6)
    assert values["sentence_error_rate"] == 75 and values["utterances"] == 4
    assert values["duration_s"] == pytest.approx(0.5 + 1 + 1.5 + 2)
    assert 0 < result.real_time_factor < 1
    assert values["results"][0] == {
        "id": "u0",
        "reference": "one two three",
        "hypothesis": "one too three",
        "errors": 1,
    }


def test_the_worst_come_first_and_the_right_ones_not_at_all(utterances):
    assert [item.id for item in run(utterances).worst(9)] == ["u3", "u2", "u0"]
    assert [item.id for item in run(utterances).worst(1)] == ["u3"]


def test_what_cannot_be_read_is_named_and_the_rest_scored(utterances, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(10), 16_000)
    gone = replace(utterances[0], audio_path=tmp_path / "gone.wav", id="gone")
    broken = [replace(utterances[0], audio_path=path, id=path.stem) for path in (bad, short)]
    seen = []
    result = run([gone, *broken, *utterances], lambda done, total: seen.append((done, total)))
    assert [problem.where for problem in result.problems] == ["gone", "bad", "short"]
    assert "bad.wav" in result.problems[1].reason and "400" in result.problems[2].reason
    assert result.scores == run(utterances).scores
    assert seen[-1] == (7, 7) and len(seen) >= 7


def test_nothing_readable_is_an_error(utterances, tmp_path):
    with pytest.raises(DataError, match=r"not one.*gone"):
        run([replace(utterances[0], audio_path=tmp_path / "x", id="gone")])
    with pytest.raises(DataError, match="no utterances"):
        run([])
