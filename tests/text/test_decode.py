"""Greedy CTC decoding against the definition: merge repeats, then drop blanks."""

import itertools
import re

import numpy as np
import pytest

from crnn_asr.text.alphabet import ENGLISH, Alphabet
from crnn_asr.text.decode import Symbol, greedy_batch, greedy_symbols, greedy_text, with_pauses

ABC = Alphabet(("a", "b", " "))


def logits_of(path: tuple[int, ...] | list[int], num_symbols: int) -> np.ndarray:
    return np.eye(num_symbols, dtype=np.float32)[np.array(path, dtype=int)].reshape(len(path), num_symbols)


def collapse(path: tuple[int, ...], symbols: str) -> str:
    """The definition, written down frame by frame."""
    text, previous = "", None
    for index in path:
        if index != previous and index < len(symbols):
            text += symbols[index]
        previous = index
    return text


def test_every_path_of_five_frames_and_three_symbols_collapses_as_defined() -> None:
    for path in itertools.chain.from_iterable(itertools.product(range(4), repeat=n) for n in range(6)):
        symbols = greedy_symbols(logits_of(path, 4), ABC)
        assert "".join(symbol.character for symbol in symbols) == collapse(path, "ab "), path
        for symbol in symbols:
            assert {path[frame] for frame in range(symbol.start, symbol.end)} == {ABC.encode(symbol.character)[0]}
            assert symbol.end == len(path) or path[symbol.end] != path[symbol.start]


def test_frames_of_symbols_are_where_they_were_the_best() -> None:
    symbols = greedy_symbols(logits_of([3, 0, 0, 3, 0, 1, 1, 1], 4), ABC)
    assert symbols == [Symbol("a", 1, 3), Symbol("a", 4, 5), Symbol("b", 5, 8)]


def test_outer_and_double_spaces_go() -> None:
    space, blank = 2, 3
    path = [space, 0, space, blank, space, 1, space, blank, blank]
    assert greedy_text(logits_of(path, 4), ABC) == "a b"


def test_every_path_of_six_frames_has_a_space_in_its_long_pauses() -> None:
    """Of more than two blanks between two letters, by regular expressions; everything else stays as it is."""
    for path in itertools.product(range(4), repeat=6):
        logits = logits_of(path, 4)
        divided = with_pauses(logits, ABC, 2)
        written = "".join("ab -"[index] for index in path)
        expected = re.sub(r"(?<=[ab])-{3,}(?=[ab])", lambda run: "-" * (len(run[0]) // 2) + " ", written)
        found = greedy_text(divided, ABC)
        assert found == " ".join("".join(key for key, _ in itertools.groupby(expected)).replace("-", "").split())
        assert logits is divided or " " in found
    assert with_pauses(logits_of([0, 2, 2, 2, 0], 3), Alphabet(("a", "b")), 1).argmax(-1).tolist() == [0, 2, 2, 2, 0]


@pytest.mark.parametrize("path", [[], [3, 3, 3], [2, 2, 3, 2]])
def test_no_frames_only_blanks_and_only_spaces_are_an_empty_text(path: list[int]) -> None:
    assert greedy_text(logits_of(path, 4), ABC) == ""


def test_padding_beyond_the_true_lengths_is_not_decoded(rng: np.random.Generator) -> None:
    alphabet = Alphabet(ENGLISH)
    lengths = np.array([0, 1, 40, 73], np.int32)
    logits = rng.normal(size=(4, 73, alphabet.num_symbols)).astype(np.float32)
    texts = greedy_batch(logits, lengths, alphabet)
    assert texts == [greedy_text(values[:length], alphabet) for values, length in zip(logits, lengths)]
    for values, length in zip(logits, lengths):
        values[length:] = np.nan
    assert greedy_batch(logits, lengths, alphabet) == texts


def test_logits_and_log_probabilities_decode_alike(rng: np.random.Generator) -> None:
    alphabet = Alphabet(ENGLISH)
    logits = rng.normal(size=(200, alphabet.num_symbols)).astype(np.float32)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    text = greedy_text(logits, alphabet)
    assert len(text) > 100
    assert greedy_text(log_probabilities, alphabet) == text
