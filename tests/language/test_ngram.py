"""Back-off by hand, and perplexity."""

import math

import pytest

from crnn_asr.language.kneser_ney import estimate
from crnn_asr.language.ngram import NgramModel, surprise

MODEL = NgramModel(
    (
        {("<s>",): (-99.0, -0.5), ("a",): (-0.5, -0.25), ("b",): (-1.0, -0.125), ("</s>",): (-0.75, 0.0)},
        {("a", "b"): (-0.25, -0.0625), ("<s>", "a"): (-0.375, 0.0), ("b", "a"): (-2.0, 0.0)},
        {("<s>", "a", "b"): (-0.03125, 0.0)},
    )
)


@pytest.mark.parametrize(
    ("context", "word", "expected"),
    [
        ("<s> a", "b", -0.03125),
        ("b a", "b", -0.25),  # b a has no weight of its own
        ("a b", "a", -0.0625 - 2.0),
        ("a b", "b", -0.0625 - 0.125 - 1.0),
        ("b b a", "a", -0.25 - 0.5),
        ("b <s> a", "b", -0.03125),  # of a long context the last words count
        ("", "a", -0.5),
        ("<s>", "</s>", -0.5 - 0.75),
        ("<unk> a", "b", -0.25),
        ("a", "<unk>", -0.25 - 100),
    ],
)
def test_back_off_by_hand(context, word, expected):
    assert MODEL.log10(tuple(context.split()), word) == pytest.approx(expected)


def test_perplexity_by_hand():
    found = surprise(MODEL, ["a b", "b"])
    expected = -0.375 - 0.03125 + (-0.0625 - 0.125 - 0.75) + (-0.5 - 1.0) + (-0.125 - 0.75)
    assert (found.log10, found.tokens, found.unknown) == (pytest.approx(expected), 5, 0)
    assert found.perplexity == found.perplexity_of_known == pytest.approx(10 ** (-expected / 5))


def test_unknown_words_are_counted_apart():
    model = estimate(["a b", "b a a"], 2).model
    found = surprise(model, ["a zebra"])
    known = model.log10(("<s>",), "a") + model.log10(("<unk>",), "</s>")
    assert (found.tokens, found.unknown) == (3, 1)
    assert found.perplexity_of_known == pytest.approx(10 ** (-known / 2))
    assert found.perplexity > found.perplexity_of_known


def test_a_model_of_equal_words_has_their_number_as_perplexity():
    words = [f"w{i}" for i in range(7)]
    model = NgramModel(({(word,): (-math.log10(8), 0.0) for word in (*words, "</s>")},))
    assert surprise(model, [" ".join(words), "w3"]).perplexity == pytest.approx(8)
