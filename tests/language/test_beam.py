"""Beam search against every path and every text, its times, and what it does not let out."""

import gc
import itertools
import math
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from crnn_asr.language.arpa import write_arpa
from crnn_asr.language.beam import BeamDecoder
from crnn_asr.language.histories import LanguageModel
from crnn_asr.language.kneser_ney import estimate
from crnn_asr.language.words import WordScores
from crnn_asr.text.alphabet import ENGLISH, Alphabet
from crnn_asr.text.decode import greedy_symbols, joined

ROOT = Path(__file__).resolve().parents[2]
ABC = Alphabet(("a", "b", " "))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def spoken(text: str, alphabet: Alphabet, rng: np.random.Generator, sharpness: float = 8.0) -> np.ndarray:
    """Logits of a text, two frames a symbol and a blank behind it, in noise."""
    ids = [i for label in alphabet.encode(text) for i in (label, label, alphabet.blank_id)]
    return (sharpness * np.eye(alphabet.num_symbols)[ids] + rng.normal(size=(len(ids), alphabet.num_symbols))).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def lm(tmp_path_factory) -> LanguageModel:
    path = tmp_path_factory.mktemp("lm") / "m.arpa"
    write_arpa(path, estimate(["a", "ab a", "ab", "b", "a b", "ba ab", "a a"], 3).model)
    return LanguageModel(path)


@cache
def text_of(path: tuple[int, ...]) -> str:
    return joined(greedy_symbols(np.eye(4, dtype=np.float32)[list(path)], ABC))


def all_texts(log_probs: np.ndarray) -> dict[str, float]:
    """ln P of each text, summed over every path."""
    sums: dict[str, float] = defaultdict(float)
    for path in itertools.product(range(4), repeat=len(log_probs)):
        sums[text_of(path)] += math.exp(sum(row[symbol] for row, symbol in zip(log_probs, path)))
    return {text: math.log(value) for text, value in sums.items()}


def score_of(text: str, words: WordScores) -> float:
    state, total = words.get_start_state(), 0.0
    for number, word in enumerate(text.split(), start=1):
        value, state = words.score(state, word, is_last_word=number == len(text.split()))
        total += value
    return total if text else words.score(state, "", is_last_word=True)[0]


@pytest.mark.parametrize(
    ("alpha", "beta", "closed"), [(0.0, 0.0, False), (0.7, 1.0, False), (1.5, -0.5, False), (0.5, 1.0, True)]
)
def test_it_finds_the_best_of_all_texts(lm, rng, alpha, beta, closed):
    penalty = math.inf if closed else 1.5
    words = WordScores(lm, alpha, beta, lm.vocabulary, penalty, {"bb": 0.8})
    decoder = BeamDecoder(ABC, 500, words)
    for _ in range(15):
        log_probs = log_softmax(rng.normal(size=(5, 4)))
        scores = {text: value + score_of(text, words) for text, value in all_texts(log_probs).items()}
        assert decoder.text(log_probs) == max(scores, key=scores.__getitem__)


def test_without_scores_it_finds_the_likeliest_text(rng):
    decoder = BeamDecoder(ABC, 500, None)
    different = 0
    for _ in range(40):
        log_probs = log_softmax(rng.normal(size=(5, 4)))
        texts = all_texts(log_probs)
        assert decoder.text(log_probs) == max(texts, key=texts.__getitem__)
        different += decoder.text(log_probs) != joined(greedy_symbols(log_probs, ABC))
    assert different > 5  # where greedy decoding goes by the best path alone


def test_where_the_text_is_the_greedy_one_so_are_the_times(rng):
    alphabet = Alphabet(ENGLISH)
    logits = spoken("it's seven  of nine", alphabet, rng)
    symbols = BeamDecoder(alphabet, 16, None)(logits)
    greedy = greedy_symbols(logits, alphabet)
    assert joined(symbols) == "it's seven of nine"
    assert [s for s in symbols if s.character != " "] == [s for s in greedy if s.character != " "]


def test_no_word_outside_a_closed_vocabulary_comes_out(rng):
    alphabet, vocabulary = Alphabet(ENGLISH), {"stop", "start", "go"}
    decoder = BeamDecoder(alphabet, 16, WordScores(None, 0.0, 0.0, vocabulary, math.inf, {"yes": 2.0}))
    said = ["stop", "xqz", "stopgo", "go sto", "sta go", "", "yes sir stop", "vvvv go wwww"]
    heard = [decoder.text(spoken(text, alphabet, rng, sharpness)) for text in said for sharpness in (2, 8, 40)]
    heard += [decoder.text(3 * rng.normal(size=(60, 29)).astype(np.float32)) for _ in range(3)]
    assert set(" ".join(heard).split()) <= vocabulary | {"yes"}
    assert "stop" in heard and "yes" in " ".join(heard)


def test_an_open_vocabulary_lets_clear_words_out_and_turns_unclear_ones_into_its_own(rng):
    alphabet = Alphabet(ENGLISH)
    decoder = BeamDecoder(alphabet, 16, WordScores(None, 0.0, 0.0, {"stop"}, 5.0, {}))
    assert decoder.text(spoken("step stop", alphabet, rng, 20)) == "step stop"
    unclear = spoken("step", alphabet, rng, 9)
    unclear[6:8, alphabet.encode("o")] = 8
    assert joined(greedy_symbols(unclear, alphabet)) == "step"
    assert decoder.text(unclear) == "stop"


def test_hotwords_are_heard_by_their_weight(rng):
    alphabet = Alphabet(ENGLISH)
    unclear = spoken("so mary went", alphabet, rng, 12)
    unclear[12:14, alphabet.encode("e")] = 8
    assert BeamDecoder(alphabet, 16, None).text(unclear) == "so mary went"
    listening = BeamDecoder(alphabet, 16, WordScores(None, 0.0, 0.0, None, 0.0, {"merry": 9.0, "mery": 14.0}))
    assert listening.text(unclear) == "so mery went"
    avoiding = BeamDecoder(alphabet, 16, WordScores(None, 0.0, 0.0, None, 0.0, {"mary": -14.0}))
    assert "mary" not in avoiding.text(unclear)


@pytest.mark.parametrize("symbols", ["ab", "a|_", " #▁", "əğ '"])
def test_every_alphabet_is_taken_as_it_is(symbols, rng, capfd, caplog):
    alphabet = Alphabet(tuple(symbols))
    text = symbols.strip() * 2
    logits = spoken(text, alphabet, rng)
    assert joined(BeamDecoder(alphabet, 8, None)(logits)) == " ".join(text.split())
    assert capfd.readouterr() == ("", "") and not caplog.records


def test_logits_probabilities_and_nothing(rng):
    """One-hot rows sum to 1: they are logits all the same, in which the best symbol is e times as likely as another."""
    decoder = BeamDecoder(ABC, 50, None)
    logits = np.eye(4, dtype=np.float32)[[3, 1, 3, 1]]
    texts = all_texts(log_softmax(logits))
    assert decoder.text(logits) == decoder.text(logits + 7) == max(texts, key=texts.__getitem__) == "b"
    assert decoder(logits[:0]) == []


def test_it_says_nothing_where_kenlm_is_not_installed():
    code = (
        "import sys; sys.modules['kenlm'] = None\n"
        "from crnn_asr.language.beam import Alphabet, BeamDecoder\n"
        "BeamDecoder(Alphabet(('a', 'b')), 8, None)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_decoder_that_is_gone_leaves_nothing_behind():
    from pyctcdecode.decoder import BeamSearchDecoderCTC

    gc.collect()
    before = len(BeamSearchDecoderCTC.model_container)
    decoder = BeamDecoder(ABC, 5, WordScores(None, 0.0, 0.0, {"a"}, 5.0, {}))
    assert len(BeamSearchDecoderCTC.model_container) == before + 1
    del decoder
    gc.collect()
    assert len(BeamSearchDecoderCTC.model_container) == before
