"""Word and character error rates of a corpus: all errors over all reference units, never a mean of means.

Where the references hold no unit at all, the rate is 0 without insertions and infinite with them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorCounts:
    """Edits that turn references into hypotheses. `units` counts words, or characters, of the references."""

    substitutions: int
    insertions: int
    deletions: int
    units: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float:
        if self.units:
            return self.errors / self.units
        return math.inf if self.errors else 0.0

    @property
    def percent(self) -> float:
        return 100 * self.rate


@dataclass(frozen=True)
class Scores:
    """Corpus results; `sentence_errors` counts utterances with any wrong word."""

    words: ErrorCounts
    characters: ErrorCounts
    sentence_errors: int
    utterances: int


def score(references: Sequence[str], hypotheses: Sequence[str]) -> Scores:
    """Score hypotheses against their references, pair by pair, empty ones included.

    Raises:
        ValueError: not as many hypotheses as references.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"expected one hypothesis a reference, got {len(hypotheses)} for {len(references)}")
    pairs = [(reference.split(), hypothesis.split()) for reference, hypothesis in zip(references, hypotheses)]
    letters = [(" ".join(reference), " ".join(hypothesis)) for reference, hypothesis in pairs]
    return Scores(
        words=_count(pairs),
        characters=_count(letters),
        sentence_errors=sum(reference != hypothesis for reference, hypothesis in pairs),
        utterances=len(pairs),
    )


def _count(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> ErrorCounts:
    from rapidfuzz.distance import Levenshtein  # the C++ engine under jiwer; only scoring needs it

    kinds = {"replace": 0, "insert": 0, "delete": 0}
    for reference, hypothesis in pairs:
        for edit in Levenshtein.editops(reference, hypothesis):
            kinds[edit.tag] += 1
    units = sum(len(reference) for reference, _ in pairs)
    return ErrorCounts(kinds["replace"], kinds["insert"], kinds["delete"], units)
