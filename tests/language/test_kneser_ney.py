"""Kneser-Ney by hand, against the definition written out, and as a distribution."""

import itertools
import math

import numpy as np
import pytest

from crnn_asr.errors import DataError
from crnn_asr.language.kneser_ney import FALLBACK, adjust, count_ngrams, discounts_of, estimate
from crnn_asr.language.ngram import NgramModel

SMALL = ["a b", "a b", "b a"]


def probability(model: NgramModel, context: str, word: str) -> float:
    return 10 ** model.log10(tuple(map(model.known, context.split())), model.known(word))


@pytest.fixture(scope="module")
def text() -> list[str]:
    """Sentences of words as frequent as those of a language, so that all discounts are defined."""
    rng = np.random.default_rng(4)
    words = [f"w{number}" for number in range(60)]
    shares = 1 / np.arange(1, 61)
    drawn = [rng.choice(words, rng.integers(1, 9), p=shares / shares.sum()) for _ in range(400)]
    return [" ".join(sentence) for sentence in drawn]


def test_two_words_by_hand():
    """Counts are 1 and 2, so the discounts are 0.5 and 1; each of a, b, </s> follows two others."""
    result = estimate(SMALL, 2)
    assert result.discounts == (FALLBACK, FALLBACK) and result.fallbacks == (1, 2)
    unigram, gamma = 1 / 6 + 1 / 2 / 4, 1 / 2
    expected = {
        ("", "a"): unigram,
        ("", "b"): unigram,
        ("", "</s>"): unigram,
        ("", "zebra"): gamma / 4,
        ("a", "b"): 1 / 3 + gamma * unigram,
        ("a", "</s>"): 0.5 / 3 + gamma * unigram,
        ("a", "a"): gamma * unigram,
        ("a", "zebra"): gamma * gamma / 4,
        ("<s>", "a"): 1 / 3 + gamma * unigram,
        ("b", "a"): 0.5 / 3 + gamma * unigram,
        ("zebra", "a"): unigram,
    }
    for (context, word), value in expected.items():
        assert probability(result.model, context, word) == pytest.approx(value), (context, word)


def test_discounts_by_hand():
    """Ten n-grams that occur once, five twice, three 3 times, two 4 times: the share is 10 / 20."""
    counts = {
        (f"{count}-{i}",): count for count, number in ((1, 10), (2, 5), (3, 3), (4, 2), (9, 1)) for i in range(number)
    }
    assert discounts_of(counts) == pytest.approx((1 - 2 * 0.5 * 5 / 10, 2 - 3 * 0.5 * 3 / 5, 3 - 4 * 0.5 * 2 / 3))


@pytest.mark.parametrize("numbers", [(0, 5, 3, 2), (9, 0, 3, 2), (9, 5, 0, 2), (9, 1, 9, 1), (9, 5, 1, 9)])
def test_where_too_few_counts_give_no_discounts(numbers):
    counts = {(f"{count}-{i}",): count for count, number in enumerate(numbers, start=1) for i in range(number)}
    assert discounts_of(counts) is None


def brute_force(sentences: list[str], order: int):
    """P(word, context) from the definition: counts looked up in the text each time, recursion to the uniform share."""
    marked = [["<s>", *sentence.split(), "</s>"] for sentence in sentences]
    found = {
        n: [tuple(words[i : i + n]) for words in marked for i in range(len(words) - n + 1)] for n in range(1, order + 1)
    }
    predicted = sorted({word for words in marked for word in words[1:]})

    def occurrences(ngram):
        if len(ngram) == order or ngram[0] == "<s>":
            return found[len(ngram)].count(ngram)
        return len({longer[0] for longer in found[len(ngram) + 1] if longer[1:] == ngram})

    def discounts(n):
        values = [occurrences(ngram) for ngram in sorted(set(found[n])) if ngram != ("<s>",)]
        t = [values.count(i) for i in range(5)]
        y = t[1] / (t[1] + 2 * t[2])
        return [0] + [i - (i + 1) * y * t[i + 1] / t[i] for i in (1, 2, 3)]

    table = {n: discounts(n) for n in range(1, order + 1)}

    def p(context, word):
        lower = p(context[1:], word) if context else 1 / (len(predicted) + 1)
        seen = {w: occurrences((*context, w)) for w in predicted}
        total = sum(seen.values())
        if not total:
            return lower
        off = table[len(context) + 1]
        gamma = sum(off[min(count, 3)] for count in seen.values()) / total
        count = seen.get(word, 0)
        return (count - off[min(count, 3)]) / total + gamma * lower

    return p


def test_every_probability_is_that_of_the_definition(text):
    short = text[:120]
    result = estimate(short, 3)
    assert result.fallbacks == ()
    p = brute_force(short, 3)
    for context in ("", "w0", "<s>", "w1 w0", "<s> w0", "w7 w0", "w0 w59", "nothing w0"):
        for word in ("w0", "w1", "w5", "w30", "</s>", "nothing"):
            expected = p(tuple(context.split()), word)
            assert probability(result.model, context, word) == pytest.approx(expected, rel=1e-9), (context, word)


@pytest.mark.parametrize(("order", "prune"), [(1, 0), (2, 0), (3, 0), (4, 0), (3, 1), (4, 2)])
def test_what_follows_a_context_sums_to_one(text, order, prune):
    model = estimate(text, order, prune).model
    words = [*model.vocabulary, "</s>", "<unk>"]
    contexts = [context for table in model.tables for context in itertools.islice(table, 40)]
    for context in [(), *contexts]:
        total = sum(10 ** model.log10(context[-(order - 1) :] if order > 1 else (), word) for word in words)
        assert math.isclose(total, 1, rel_tol=1e-9), context


def test_pruned_ngrams_are_gone_and_the_frequent_keep_their_discount(text):
    whole, pruned = estimate(text, 3), estimate(text, 3, prune=1)
    counts = count_ngrams(text, 3)
    assert set(pruned.model.tables[2]) == {ngram for ngram, count in counts[2].items() if count > 1}
    assert pruned.discounts == whole.discounts
    assert pruned.model.vocabulary == whole.model.vocabulary


def test_counts_below_the_highest_order_are_of_company():
    counts = adjust(count_ngrams(["a b", "a b", "c b", "b"], 3))
    assert counts[0] == {("a",): 1, ("b",): 3, ("c",): 1, ("</s>",): 1}
    assert counts[1][("<s>", "a")] == 2 and counts[1][("a", "b")] == 1 and counts[1][("b", "</s>")] == 3
    assert counts[2][("<s>", "a", "b")] == 2


def test_text_that_cannot_be_counted():
    with pytest.raises(DataError, match="an n-gram of 2 words, found none longer than 0"):
        estimate([], 2)
    with pytest.raises(DataError, match="of 5 words, found none longer than 4"):
        estimate(SMALL, 5)
    with pytest.raises(DataError, match="of 3 words that occurs more than 2 times, found none longer than 1"):
        estimate(SMALL, 3, prune=2)
    with pytest.raises(DataError, match="the mark </s> in 'a </s> b'"):
        estimate(["a </s> b"], 2)
