"""Alignment against every path, and against greedy decoding where they must agree."""

import itertools

import numpy as np
import pytest

from crnn_asr.text.alphabet import ENGLISH, Alphabet
from crnn_asr.text.decode import Symbol, greedy_symbols
from crnn_asr.text.viterbi import align

ABC = Alphabet(("a", "b", " "))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def symbols_of(path: tuple[int, ...]) -> list[Symbol]:
    return greedy_symbols(np.eye(4, dtype=np.float32)[list(path)], ABC)


@pytest.mark.parametrize("text", ["a", "ab", "aa", "a b", "aab", " a", "bab"])
def test_it_is_the_best_of_all_paths(text, rng):
    paths = [path for path in itertools.product(range(4), repeat=5) if decode(path) == text]
    for _ in range(20):
        log_probs = log_softmax(2 * rng.normal(size=(5, 4)))
        best = max(paths, key=lambda path: sum(log_probs[frame, symbol] for frame, symbol in enumerate(path)))
        assert align(log_probs, text, ABC) == symbols_of(best)


def decode(path: tuple[int, ...]) -> str:
    return "".join(symbol.character for symbol in symbols_of(path))


@pytest.mark.parametrize("sharpness", [1, 30])
def test_the_greedy_text_is_where_greedy_decoding_has_it(rng, sharpness):
    alphabet = Alphabet(ENGLISH)
    for frames in (1, 2, 50, 600):
        log_probs = log_softmax(sharpness * rng.normal(size=(frames, alphabet.num_symbols)))
        symbols = greedy_symbols(log_probs, alphabet)
        assert align(log_probs, "".join(symbol.character for symbol in symbols), alphabet) == symbols


def test_a_text_that_is_far_from_the_frames_is_still_aligned():
    """Frames say a, then for long b; a text of b alone has to take the first for a blank at a cost beyond any reach."""
    log_probs = np.full((300, 4), -400.0)
    log_probs[:100, 0] = log_probs[100:, 1] = 0.0
    assert align(log_probs, "b", ABC) in ([Symbol("b", 0, 300)], [Symbol("b", 100, 300)])
    assert [symbol.character for symbol in align(log_probs, "ba", ABC)] == ["b", "a"]


def test_no_symbols_and_too_few_frames():
    log_probs = np.log(np.full((3, 4), 0.25))
    assert align(log_probs, "", ABC) == align(log_probs[:0], "", ABC) == []
    assert len(align(log_probs, "aa", ABC)) == 2
    for text, frames in (("aab", 3), ("a", 0)):
        with pytest.raises(ValueError, match=f"expected frames for {len(text)} symbols, got {frames}"):
            align(log_probs[:frames], text, ABC)
