"""Which decoder the settings give, which weights, and what they refuse."""

import math

import numpy as np
import pytest

from crnn_asr.config import TextConfig
from crnn_asr.errors import DataError, ModelError
from crnn_asr.language import decoding
from crnn_asr.language.arpa import write_arpa
from crnn_asr.language.decoding import Decoding, open_decoder
from crnn_asr.language.kneser_ney import estimate
from crnn_asr.language.tuning import Tuning, sha256_of
from crnn_asr.text.alphabet import ENGLISH, Alphabet
from crnn_asr.text.decode import greedy_symbols

ALPHABET = Alphabet(ENGLISH)
TEXT = TextConfig()


@pytest.fixture
def arpa(tmp_path):
    write_arpa(tmp_path / "m.arpa", estimate(["stop now", "go", "stop"], 2).model)
    return tmp_path / "m.arpa"


@pytest.fixture
def given(monkeypatch):
    """The arguments that scores of words and the search are made with."""
    found = {}

    def words(*arguments):
        names = ("model", "alpha", "beta", "vocabulary", "penalty", "hotwords")
        return found.update(zip(names, arguments))

    monkeypatch.setattr(decoding, "WordScores", words)
    monkeypatch.setattr(decoding, "BeamDecoder", lambda alphabet, width, words: found.update(beam=width))
    return found


def tuning(arpa, alpha=0.3, beta=4.0, beam=8, sha256=None) -> Tuning:
    return Tuning(sha256 or sha256_of(arpa), "tuned.arpa", alpha, beta, beam, 9.0, 5.0, 12.0, 100)


def test_nothing_asked_is_greedy(rng):
    decoder, notes = open_decoder(Decoding(), ALPHABET, TEXT, 0.04)
    logits = rng.normal(size=(50, 29)).astype(np.float32)
    assert notes == []
    assert decoder(logits) == greedy_symbols(logits, ALPHABET)


@pytest.mark.parametrize("asked", [Decoding(), Decoding(beam=4)])
def test_a_long_pause_divides_words(asked):
    decoder, _ = open_decoder(asked, ALPHABET, TEXT, 0.04)
    for blanks, text in ((12, "ab"), (13, "a b")):
        path = [*ALPHABET.encode("a"), *[ALPHABET.blank_id] * blanks, *ALPHABET.encode("b")]
        symbols = decoder(10 * np.eye(ALPHABET.num_symbols, dtype=np.float32)[path])
        assert "".join(symbol.character for symbol in symbols) == text


def test_usual_values(arpa, given, tmp_path):
    open_decoder(Decoding(beam=7), ALPHABET, TEXT, 0.04)
    assert (given["model"], given["vocabulary"], given["beta"], given["beam"]) == (None, None, 0, 7)
    open_decoder(Decoding(lm=arpa), ALPHABET, TEXT, 0.04)
    assert [given[name] for name in ("alpha", "beta", "penalty", "beam")] == [0.5, 1.5, 10, 32]
    assert given["vocabulary"] == {"stop", "now", "go"}
    (tmp_path / "words.txt").write_text("Stop\nYES\n")
    open_decoder(Decoding(lm=str(arpa), lexicon=str(tmp_path / "words.txt")), ALPHABET, TEXT, 0.04)
    assert given["vocabulary"] == {"stop", "yes"} and given["penalty"] == math.inf
    open_decoder(Decoding(lexicon=tmp_path / "words.txt", unknown_penalty=4, hotwords={"GO!": 3}), ALPHABET, TEXT, 0.04)
    assert (given["model"], given["penalty"], given["hotwords"]) == (None, 4, {"go": 3})


def test_what_was_tuned_is_taken_unless_told_otherwise(arpa, given):
    _, notes = open_decoder(Decoding(lm=arpa), ALPHABET, TEXT, 0.04, [tuning(arpa), tuning(arpa, 0.9, 1, 64, "f" * 64)])
    assert [given[name] for name in ("alpha", "beta", "beam")] == [0.3, 4, 8] and notes == []
    open_decoder(Decoding(lm=arpa, alpha=0, beta=-1, beam=5), ALPHABET, TEXT, 0.04, [tuning(arpa)])
    assert [given[name] for name in ("alpha", "beta", "beam")] == [0, -1, 5]
    open_decoder(Decoding(beam=5), ALPHABET, TEXT, 0.04, [tuning(arpa)])
    assert given["beta"] == 0  # a word bonus is for a language model, which makes each word cost


def test_another_language_model_takes_the_last_tuning_with_a_note(arpa, given):
    others = [tuning(arpa, 0.1, 0, 4, "e" * 64), tuning(arpa, 0.9, 1, 64, "f" * 64)]
    _, notes = open_decoder(Decoding(lm=arpa, beta=2), ALPHABET, TEXT, 0.04, others)
    assert [given[name] for name in ("alpha", "beta", "beam")] == [0.9, 2, 64]
    assert len(notes) == 1 and "alpha 0.9 and beta 1 were tuned for another language model, tuned.arpa" in notes[0]
    assert open_decoder(Decoding(lm=arpa, alpha=1, beta=2), ALPHABET, TEXT, 0.04, others)[1] == []


def test_a_vocabulary_that_the_model_cannot_write_is_refused(arpa, tmp_path):
    write_arpa(tmp_path / "upper.arpa", estimate(["STOP NOW", "go"], 2).model)
    with pytest.raises(ModelError, match=r"upper\.arpa: 2 of 3 words have symbols .* such as 'NOW'; it writes \" 'abc"):
        open_decoder(Decoding(lm=tmp_path / "upper.arpa"), ALPHABET, TEXT, 0.04)
    (tmp_path / "words.txt").write_text("\n".join(["na\u00efve", *(f"a{'b' * n}" for n in range(10))]))
    _, notes = open_decoder(Decoding(lexicon=tmp_path / "words.txt"), ALPHABET, TEXT, 0.04)
    assert len(notes) == 1 and "1 of 11 words" in notes[0] and notes[0].endswith("they cannot come out")


@pytest.mark.parametrize(
    ("hotword", "words"),
    [
        ("san francisco", "expected one word, got 2"),
        ("!", "expected one word, got 0"),
        ("na\u00efve", "write '\u00ef'"),
    ],
)
def test_hotwords_that_cannot_be_heard(hotword, words):
    with pytest.raises(DataError, match=words):
        open_decoder(Decoding(hotwords={hotword: 5.0}), ALPHABET, TEXT, 0.04)


@pytest.mark.parametrize(
    "values",
    [
        {"beam": 0},
        {"alpha": 0.5},
        {"lm": "a", "alpha": -0.5},
        {"lm": "a", "alpha": math.inf},
        {"beta": math.nan},
        {"unknown_penalty": 5.0},
        {"lexicon": "a", "unknown_penalty": -1.0},
        {"lm": "a", "unknown_penalty": math.nan},
        {"hotwords": {"a": math.inf}},
    ],
)
def test_numbers_out_of_range_or_with_nothing_to_work_on(values):
    with pytest.raises(ModelError, match=r"^(beam|alpha|beta|unknown_penalty|hotword 'a'): expected"):
        Decoding(**values)
