"""Error rates against jiwer and against the textbook recursion of the edit distance."""

import math

import jiwer
import numpy as np
import pytest

from crnn_asr.text.metrics import ErrorCounts, score

WORDS = ["one", "two", "three", "four", "on", "ə", "ışıq"]


def random_pairs(rng: np.random.Generator, count: int) -> tuple[list[str], list[str]]:
    def sentence(low: int) -> str:
        return " ".join(rng.choice(WORDS, size=rng.integers(low, 9)))

    return [sentence(1) for _ in range(count)], [sentence(0) for _ in range(count)]


def edit_distance(left: list[str] | str, right: list[str] | str) -> int:
    """Wagner and Fischer 1974, row by row."""
    row = list(range(len(right) + 1))
    for i, item in enumerate(left, start=1):
        previous, row[0] = row[0], i
        for j, other in enumerate(right, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (item != other))
    return row[-1]


def test_corpus_rates_equal_jiwer(rng: np.random.Generator) -> None:
    references, hypotheses = random_pairs(rng, 200)
    scores = score(references, hypotheses)
    words, characters = jiwer.process_words(references, hypotheses), jiwer.process_characters(references, hypotheses)
    assert scores.words.rate == pytest.approx(words.wer, abs=1e-12)
    assert scores.characters.rate == pytest.approx(characters.cer, abs=1e-12)
    for ours, theirs in ((scores.words, words), (scores.characters, characters)):
        assert ours.substitutions == theirs.substitutions
        assert ours.insertions == theirs.insertions
        assert ours.deletions == theirs.deletions
        assert ours.units == theirs.hits + theirs.substitutions + theirs.deletions


def test_errors_equal_the_edit_distance_by_hand(rng: np.random.Generator) -> None:
    references, hypotheses = random_pairs(rng, 50)
    for reference, hypothesis in zip(references, hypotheses):
        scores = score([reference], [hypothesis])
        assert scores.words.errors == edit_distance(reference.split(), hypothesis.split())
        assert scores.characters.errors == edit_distance(reference, hypothesis)


def test_kinds_of_errors_by_hand() -> None:
    scores = score(["the cat sat", "go"], ["the bat", "go now"])
    assert scores.words == ErrorCounts(substitutions=1, insertions=1, deletions=1, units=4)
    assert scores.characters == ErrorCounts(substitutions=1, insertions=4, deletions=4, units=13)
    assert (scores.sentence_errors, scores.utterances) == (2, 2)
    assert scores.words.percent == 75.0


def test_the_corpus_rate_is_no_mean_of_rates() -> None:
    """One wrong word of one and none of nine: 10 %, where the mean of 100 % and 0 % would be 50 %."""
    assert score(["a", "b " * 9], ["x", "b " * 9]).words.percent == 10.0


def test_spaces_at_the_ends_and_doubled_do_not_count() -> None:
    scores = score(["  one   two "], ["one two"])
    assert (scores.words.errors, scores.characters.errors, scores.sentence_errors) == (0, 0, 0)


def test_an_empty_reference_counts_its_insertions() -> None:
    scores = score(["", "one two"], ["three", "one two"])
    assert scores.words == ErrorCounts(0, 1, 0, 2)
    assert scores.words.percent == 50.0
    assert scores.sentence_errors == 1


def test_an_empty_hypothesis_is_all_deletions() -> None:
    scores = score(["one two"], [""])
    assert scores.words == ErrorCounts(0, 0, 2, 2)
    assert scores.characters.percent == 100.0


@pytest.mark.parametrize(("hypothesis", "rate"), [("", 0.0), ("one", math.inf)])
def test_no_reference_at_all_is_perfect_or_infinitely_wrong(hypothesis: str, rate: float) -> None:
    scores = score([""], [hypothesis])
    assert (scores.words.rate, scores.characters.rate) == (rate, rate)
    assert score([], []).words.rate == 0.0


def test_a_missing_hypothesis_is_refused() -> None:
    with pytest.raises(ValueError, match="got 1 for 2"):
        score(["a", "b"], ["a"])
