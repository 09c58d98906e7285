"""Transcripts as symbols: case by language, Unicode form, punctuation, apostrophes."""

import unicodedata

import pytest

from crnn_asr.config import TextConfig
from crnn_asr.text.normalize import normalize

LOWER = TextConfig()
# Azerbaijani lower and upper case, letter by letter, as the alphabet of 1992 pairs them.
AZ_LOWER, AZ_UPPER = "abcçdeəfgğhxıijkqlmnoöprsştuüvyz", "ABCÇDEƏFGĞHXIİJKQLMNOÖPRSŞTUÜVYZ"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don\u2019t  STOP, now!", "don't stop now"),
        ("", ""),
        (" \t\n ", ""),
        ("?!... --", ""),
        ("' '' '", ""),
        ("'TIS THE DOGS' BONE", "'tis the dogs' bone"),
        ("well-known", "well known"),
        ("TWENTY\u2013ONE\u00a0PER\u3000CENT\u2026", "twenty one per cent"),
        ("O\u02bcBrien, o`clock, o\u2018clock", "o'brien o'clock o'clock"),
        ("a\u2028b\u0000c\td", "a b c d"),
        ("5 % of 20 €", "5 of 20"),
        ("ÉCOLE", "école"),
    ],
)
def test_english(text: str, expected: str) -> None:
    assert normalize(text, LOWER) == expected


@pytest.mark.parametrize("word", ["école", "über", "gözəl", "İzmir"])
def test_composed_and_decomposed_text_are_the_same_symbols(word: str) -> None:
    decomposed = unicodedata.normalize("NFD", word)
    assert decomposed != word
    assert normalize(decomposed, LOWER) == normalize(word, LOWER)
    assert normalize(decomposed, TextConfig("keep")) == word


@pytest.mark.parametrize("language", ["az", "tr"])
def test_dotted_and_dotless_i_are_two_letters(language: str) -> None:
    lower, upper = TextConfig("lower", language), TextConfig("upper", language)
    assert normalize("IŞIQ İÇİNDƏ", lower) == "ışıq içində"
    assert normalize("ışıq içində", upper) == "IŞIQ İÇİNDƏ"
    assert normalize(unicodedata.normalize("NFD", "İL"), lower) == "il"


def test_azerbaijani_case_goes_there_and_back_for_every_letter() -> None:
    lower, upper = TextConfig("lower", "az"), TextConfig("upper", "az")
    for small, capital in zip(AZ_LOWER, AZ_UPPER, strict=True):
        assert normalize(capital, lower) == small
        assert normalize(small, upper) == capital
        assert len(normalize(capital, lower)) == len(normalize(small, upper)) == 1


def test_english_casing_is_pythons_own() -> None:
    assert normalize("TITLE", LOWER) == "title"
    assert normalize("title", TextConfig("upper")) == "TITLE"
    assert normalize("TiTle, kept", TextConfig("keep")) == "TiTle kept"


def test_normalizing_twice_changes_nothing_more() -> None:
    characters = [chr(point) for point in range(0x250)] + list("əƏ\u2019\u2028\u00ad\u0307 ''")
    for config in (TextConfig(casing, language) for casing in ("lower", "upper", "keep") for language in ("en", "az")):
        for left in characters:
            once = normalize(f"x{left}y {left}", config)
            assert normalize(once, config) == once, (left, config)
            assert once == " ".join(once.split())
