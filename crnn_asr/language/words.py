"""What beam search knows of words: a language model, a vocabulary, words to listen for."""

import math
from collections.abc import Iterable, Mapping, Set
from copy import copy
from itertools import accumulate
from typing import Any

from crnn_asr.language.histories import LanguageModel

_LN_10 = math.log(10)


class WordScores:
    """Scores of words and of their beginnings, in nats, to be added to the log-probabilities of the network.

    A word scores alpha · ln P(word | history) + beta, plus its weight if it is a hotword, minus `unknown_penalty` if it
    is not in the vocabulary. A beginning scores what can be told of it: the penalty as soon as no word of the
    vocabulary begins so, and the share of a hotword's weight that its letters are of the hotword's.

    The methods are those that pyctcdecode calls of its `AbstractLanguageModel`. Its own class does not do without
    KenLM, knows one weight for all hotwords, and counts an empty last word as an unknown one.

    Args:
        model: or None, for no language model.
        vocabulary: words without penalty, beside the hotwords; None is all words.
        unknown_penalty: in nats; infinite to let no other word come out.
        hotwords: a weight in nats for each.
    """

    def __init__(
        self,
        model: LanguageModel | None,
        alpha: float,
        beta: float,
        vocabulary: Set[str] | None,
        unknown_penalty: float,
        hotwords: Mapping[str, float],
    ) -> None:
        self.order = model.order if model else 1
        self._model, self._weight, self._beta, self._penalty = model, alpha * _LN_10, beta, unknown_penalty
        self._hotwords = hotwords
        self._vocabulary = None if vocabulary is None else frozenset(vocabulary) | set(hotwords)
        self._beginnings = None if self._vocabulary is None else _beginnings(self._vocabulary)
        self._hot_beginnings = _shares(hotwords)

    @property
    def closed(self) -> bool:
        """Whether no word outside the vocabulary can come out."""
        return self._vocabulary is not None and self._penalty == math.inf

    def allows(self, word: str) -> bool:
        """Whether the word can come out."""
        return not self.closed or word in (self._vocabulary or ())

    def weighted(self, alpha: float, beta: float) -> "WordScores":
        """The same with other weights."""
        other = copy(self)
        other._weight, other._beta = alpha * _LN_10, beta
        return other

    def get_start_state(self) -> Any:
        """The history of a sentence's first word."""
        return self._model.begin() if self._model else None

    def score_partial_token(self, partial_token: str) -> float:
        """Of the beginning of a word, as long as it is one; never empty."""
        unknown = self._beginnings is not None and partial_token not in self._beginnings
        return self._hot_beginnings.get(partial_token, 0.0) - (self._penalty if unknown else 0.0)

    def score(self, prev_state: Any, word: str, is_last_word: bool = False) -> tuple[float, Any]:
        """Of a word behind a history, and the history with it; the last word's includes the end of the sentence."""
        value, state = 0.0, prev_state
        if word:  # it is empty when a text ends in a space
            value = self._beta + self._hotwords.get(word, 0.0)
            if self._vocabulary is not None and word not in self._vocabulary:
                value -= self._penalty
            if self._model:
                log10, state = self._model.extend(prev_state, word)
                value += self._weight * log10
        if self._model and is_last_word:
            value += self._weight * self._model.end(state)
        return value, state


def _beginnings(words: Iterable[str]) -> frozenset[str]:
    return frozenset(beginning for word in words for beginning in accumulate(word))


def _shares(hotwords: Mapping[str, float]) -> dict[str, float]:
    """For each beginning of a hotword the largest share of a weight that it earns."""
    shares: dict[str, float] = {}
    for word, weight in hotwords.items():
        for length, beginning in enumerate(accumulate(word), start=1):
            shares[beginning] = max(shares.get(beginning, -math.inf), weight * length / len(word))
    return shares
