"""A back-off n-gram model: the probability of a word after others, and the perplexity of text.

P(w | c) is what stands in the table for the n-gram `c w`; where that is not, it is the back-off weight of c times the
probability of w after c without its first word. Source: Katz, 1987; it is what an ARPA file holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
MISSING_UNKNOWN = -100.0  # log10 probability of unknown words in a model without <unk>, the same as KenLM's

Ngram = tuple[str, ...]
Table = dict[Ngram, tuple[float, float]]  # log10 of probability and of back-off weight


@dataclass(frozen=True)
class NgramModel:
    """Tables of 1-grams, 2-grams, … in this order; a back-off weight of an n-gram that is no context is 0, for 1."""

    tables: tuple[Table, ...]

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return len(self.tables)

    @property
    def vocabulary(self) -> frozenset[str]:
        """The words, without the marks <s>, </s> and <unk>."""
        return frozenset(word for (word,) in self.tables[0]) - {BEGIN, END, UNKNOWN}

    @property
    def has_unknown(self) -> bool:
        return (UNKNOWN,) in self.tables[0]

    def known(self, word: str) -> str:
        """The word, or <unk> where the model does not have it."""
        return word if (word,) in self.tables[0] else UNKNOWN

    def log10(self, context: Ngram, word: str) -> float:
        """log10 P(word | context), all of them known; of a long context the last words count.

        Example:
            >>> model = NgramModel(({("a",): (-0.5, -0.25), ("b",): (-1.0, 0.0)}, {("a", "a"): (-0.125, 0.0)}))
            >>> model.log10(("b", "a"), "a"), model.log10(("a",), "b")
            (-0.125, -1.25)
        """
        ngram = (*context, word)[-self.order :]
        backoff = 0.0
        while len(ngram) > 1:
            if entry := self.tables[len(ngram) - 1].get(ngram):
                return backoff + entry[0]
            if entry := self.tables[len(ngram) - 2].get(ngram[:-1]):
                backoff += entry[1]
            ngram = ngram[1:]
        return backoff + self.tables[0].get(ngram, (MISSING_UNKNOWN, 0.0))[0]


@dataclass(frozen=True)
class Surprise:
    """How well a model foretells text: log10 probabilities of its words and sentence ends, and how many they are."""

    log10: float
    tokens: int
    log10_unknown: float  # the part of words that the model does not have
    unknown: int

    @property
    def perplexity(self) -> float:
        """Of all words and sentence ends; the model's <unk> stands for words that it does not have."""
        return float(10 ** (-self.log10 / self.tokens))

    @property
    def perplexity_of_known(self) -> float:
        """Of the words that the model has, and sentence ends."""
        return float(10 ** (-(self.log10 - self.log10_unknown) / (self.tokens - self.unknown)))


def surprise(model: NgramModel, sentences: Iterable[str]) -> Surprise:
    """Measure a model on sentences, words with spaces between them."""
    log10 = log10_unknown = 0.0
    tokens = unknown = 0
    for sentence in sentences:
        context: Ngram = (BEGIN,)
        for word in map(model.known, (*sentence.split(), END)):
            value = model.log10(context, word)
            context = (*context, word)[-model.order :]
            log10, tokens = log10 + value, tokens + 1
            if word == UNKNOWN:
                log10_unknown, unknown = log10_unknown + value, unknown + 1
    return Surprise(log10, tokens, log10_unknown, unknown)
