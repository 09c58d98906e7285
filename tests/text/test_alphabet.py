"""Symbols and their ids, and the number of frames that a label sequence needs."""

import itertools

import pytest

from crnn_asr.errors import DataError
from crnn_asr.text.alphabet import ENGLISH, Alphabet, min_frames

AZERBAIJANI = "abcçdeəfgğhxıijkqlmnoöprsştuüvyz"  # the alphabet of 1992 in its own order


def test_english_has_28_symbols_and_the_blank_comes_after_them() -> None:
    alphabet = Alphabet(ENGLISH)
    assert (alphabet.num_symbols, alphabet.blank_id) == (29, 28)
    assert alphabet.encode(" 'az") == [0, 1, 2, 27]


@pytest.mark.parametrize("text", ["", "don't stop now", "a" * 100, "".join(ENGLISH)])
def test_decoding_is_the_inverse_of_encoding(text: str) -> None:
    alphabet = Alphabet(ENGLISH)
    assert alphabet.decode(alphabet.encode(text)) == text


def test_unicode_letters_are_one_symbol_each() -> None:
    alphabet = Alphabet.from_texts(["gənc işıq", "öküz çığır", AZERBAIJANI])
    assert alphabet.symbols == tuple(sorted(set(AZERBAIJANI) | {" "}))
    assert alphabet.decode(alphabet.encode("ışıq içində")) == "ışıq içində"
    assert alphabet.encode("ı") != alphabet.encode("i")


def test_the_order_of_texts_does_not_matter() -> None:
    texts = ["zulu", "alpha", "bravo", "əl"]
    alphabets = {Alphabet.from_texts(order).symbols for order in itertools.permutations(texts)}
    assert alphabets == {tuple("abhlopruvzə")}


@pytest.mark.parametrize(
    ("symbols", "message"),
    [((), "at least one"), (("a", "bc"), "one character"), (("a", ""), "one character"), (("a", "b", "a"), "twice")],
)
def test_a_bad_alphabet_is_refused(symbols: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Alphabet(symbols)


def test_no_texts_give_no_alphabet() -> None:
    with pytest.raises(DataError, match="transcripts empty"):
        Alphabet.from_texts(["", ""])


def test_unknown_characters_are_named_once_and_sorted() -> None:
    alphabet = Alphabet(("a", "b"))
    assert alphabet.unknown("zabayz") == "yz"
    with pytest.raises(DataError, match="'yz' in 'zabayz' is not in the alphabet 'ab'"):
        alphabet.encode("zabayz")


def test_min_frames_is_the_length_of_the_shortest_path_that_collapses_to_the_labels() -> None:
    blank = 2
    for labels in itertools.chain.from_iterable(itertools.product((0, 1), repeat=n) for n in range(4)):
        lengths = (
            length
            for length in range(8)
            for path in itertools.product((0, 1, blank), repeat=length)
            if [symbol for symbol, _ in itertools.groupby(path) if symbol != blank] == list(labels)
        )
        assert min_frames(labels) == next(lengths), labels
