"""n-gram probabilities from sentences: interpolated, modified Kneser-Ney smoothing.

Source: Chen and Goodman, "An empirical study of smoothing techniques for language modeling", 1998, section 3; the
choices where the paper leaves some are those of KenLM's `lmplz` (Heafield et al., ACL 2013): n-grams behind <s> keep
their counts, 1-grams are interpolated with equal shares for all words, </s> and <unk>.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from crnn_asr.errors import DataError
from crnn_asr.language.ngram import BEGIN, END, UNKNOWN, Ngram, NgramModel, Table

Counts = Counter[Ngram]
Discounts = tuple[float, float, float]  # taken off counts of 1, of 2, and of 3 or more

FALLBACK: Discounts = (0.5, 1.0, 1.5)  # lmplz --discount_fallback
_NEVER = -99.0  # log10 probability of <s>, which nothing foretells


@dataclass(frozen=True)
class Estimate:
    """A model, the discounts of each order, and those orders whose text was too small to say them."""

    model: NgramModel
    discounts: tuple[Discounts, ...]
    fallbacks: tuple[int, ...]


def estimate(sentences: Iterable[str], order: int, prune: int = 0) -> Estimate:
    """Estimate a model from sentences, words with spaces between them.

    Args:
        order: words of the longest n-grams, from 1.
        prune: n-grams of two and more words that occur at most so often are left out, and their probability is given to
            the back-off; 0 leaves out none.

    Raises:
        DataError: no sentences, none with so many words, or all of these are left out.
    """
    counts = count_ngrams(sentences, order)
    kept = [{ngram for ngram, count in found.items() if len(ngram) == 1 or count > prune} for found in counts]
    if not kept[-1]:
        longest = max((n for n, found in enumerate(kept, start=1) if found), default=0)
        often = f" that occurs more than {prune} times" if prune else ""
        raise DataError(f"expected text with an n-gram of {order} words{often}, found none longer than {longest} words")
    adjusted = adjust(counts)
    found = [discounts_of(values) for values in adjusted]
    discounts = tuple(values or FALLBACK for values in found)
    probabilities, gammas = interpolate(adjusted, discounts, kept)
    model = NgramModel(_tables(probabilities, gammas))
    return Estimate(model, discounts, tuple(n for n, values in enumerate(found, start=1) if values is None))


def count_ngrams(sentences: Iterable[str], order: int) -> list[Counts]:
    """How often each n-gram of 1, 2, … words occurs; a sentence is <s>, its words, </s>.

    Raises:
        DataError: one of the marks stands in a sentence.
    """
    counts: list[Counts] = [Counter() for _ in range(order)]
    for sentence in sentences:
        words = (BEGIN, *sentence.split(), END)
        if marks := {BEGIN, END, UNKNOWN} & set(words[1:-1]):
            raise DataError(f"expected words only, got the mark {min(marks)} in {sentence!r}; take it out of the text")
        for n, found in enumerate(counts, start=1):
            found.update(words[i : i + n] for i in range(len(words) - n + 1))
    return counts


def adjust(counts: list[Counts]) -> list[Counts]:
    """Counts that the probabilities come from: below the highest order, in how many words' company an n-gram is.

    That is how many different words stand before it. Before those that begin with <s> nothing can: they keep theirs.
    """
    adjusted = [Counter({ngram: count for ngram, count in lower.items() if ngram[0] == BEGIN}) for lower in counts[:-1]]
    for lower, higher in zip(adjusted, counts[1:]):
        lower.update(ngram[1:] for ngram in higher)
    adjusted.append(Counter(counts[-1]))
    del adjusted[0][BEGIN,]
    return adjusted


def discounts_of(counts: Counts) -> Discounts | None:
    """Discounts of one order, equation (26) of the paper; None where counts of 1 to 3 are too few to say."""
    of = Counter(counts.values())
    if not (of[1] and of[2] and of[3]):
        return None
    share = of[1] / (of[1] + 2 * of[2])
    first, second, third = (i - (i + 1) * share * of[i + 1] / of[i] for i in (1, 2, 3))
    return (first, second, third) if 0 < second <= 2 and 0 < third <= 3 else None  # the first is the share


def interpolate(
    adjusted: list[Counts], discounts: tuple[Discounts, ...], kept: list[set[Ngram]]
) -> tuple[list[dict[Ngram, float]], list[dict[Ngram, float]]]:
    """Probabilities of the n-grams of each order, and what each context leaves to the order below (gamma)."""
    lower: dict[Ngram, float] = {}
    uniform = 1 / (len(adjusted[0]) + 1)  # </s> is among the words that are counted, <unk> is not
    probabilities, gammas = [], []
    for counts, amounts, keep in zip(adjusted, discounts, kept):
        totals, freed = Counter[Ngram](), dict.fromkeys({ngram[:-1] for ngram in counts}, 0.0)
        for ngram, count in counts.items():
            totals[ngram[:-1]] += count
            freed[ngram[:-1]] += amounts[min(count, 3) - 1] if ngram in keep else count
        gamma = {context: amount / totals[context] for context, amount in freed.items()}
        lower = {
            ngram: (count - amounts[min(count, 3) - 1]) / totals[ngram[:-1]]
            + gamma[ngram[:-1]] * lower.get(ngram[1:], uniform)
            for ngram, count in counts.items()
            if ngram in keep
        }
        probabilities.append(lower)
        gammas.append(gamma)
    probabilities[0][UNKNOWN,] = gammas[0][()] * uniform
    return probabilities, gammas


def _tables(probabilities: list[dict[Ngram, float]], gammas: list[dict[Ngram, float]]) -> tuple[Table, ...]:
    """log10 of all; the back-off weight of a context is its gamma, in the order above."""
    tables: list[Table] = []
    for values, weights in zip(probabilities, [*gammas[1:], {}]):
        tables.append({ngram: (math.log10(p), math.log10(weights.get(ngram, 1.0))) for ngram, p in values.items()})
    tables[0][BEGIN,] = (_NEVER, math.log10(gammas[1][BEGIN,]) if len(gammas) > 1 else 0.0)
    return tuple(tables)
