"""Alignments and confusion counts: against jiwer, against the scores, and by hand."""

from collections import Counter

import jiwer
import numpy as np
import pytest

from crnn_asr.text.alignment import Confusion, Pair, align_characters, align_words, count_confusions
from crnn_asr.text.metrics import score

WORDS = ["one", "two", "three", "four", "on", "ə", "ışıq", "दो"]


@pytest.fixture
def texts(rng: np.random.Generator) -> list[tuple[str, str]]:
    """References and hypotheses; each word of a hypothesis is right, another, left out, or doubled."""
    found = []
    for _ in range(300):
        reference = [str(word) for word in rng.choice(WORDS, rng.integers(1, 9))]
        heard: list[str] = []
        for word in reference:
            other = str(rng.choice(WORDS))
            heard.extend(([word], [word], [word], [other], [], [word, other])[rng.integers(6)])
        found.append((" ".join(reference), " ".join(heard)))
    return found


def jiwer_counts(output: jiwer.WordOutput | jiwer.CharacterOutput) -> Counter[tuple[str | None, str | None]]:
    """Every pair of unequal units in jiwer's alignment."""
    counts = Counter[tuple[str | None, str | None]]()
    for reference, hypothesis, chunks in zip(output.references, output.hypotheses, output.alignments):
        for chunk in chunks:
            said = reference[chunk.ref_start_idx : chunk.ref_end_idx]
            heard = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "substitute":
                counts.update(zip(said, heard))
            elif chunk.type == "delete":
                counts.update((unit, None) for unit in said)
            elif chunk.type == "insert":
                counts.update((None, unit) for unit in heard)
    return counts


@pytest.mark.parametrize(
    ("align", "process"), [(align_words, jiwer.process_words), (align_characters, jiwer.process_characters)]
)
def test_confusions_equal_jiwer(texts, align, process) -> None:
    found = count_confusions(pair for reference, hypothesis in texts for pair in align(reference, hypothesis))
    errors = (*found.substitutions, *found.insertions, *found.deletions)
    expected = jiwer_counts(process([reference for reference, _ in texts], [hypothesis for _, hypothesis in texts]))
    assert {(error.reference, error.hypothesis): error.count for error in errors} == expected
    assert sum(expected.values()) > 300


@pytest.mark.parametrize(("align", "unit"), [(align_words, "words"), (align_characters, "characters")])
def test_an_alignment_is_both_texts_with_the_errors_of_the_score(texts, align, unit: str) -> None:
    between = " " if unit == "words" else ""
    for reference, hypothesis in texts:
        pairs = align(reference, hypothesis)
        assert between.join(pair.reference for pair in pairs if pair.reference is not None) == reference
        assert between.join(pair.hypothesis for pair in pairs if pair.hypothesis is not None) == hypothesis
        counts = getattr(score([reference], [hypothesis]), unit)
        kinds = Counter(pair.kind for pair in pairs)
        assert (kinds["substitution"], kinds["insertion"], kinds["deletion"]) == (
            counts.substitutions,
            counts.insertions,
            counts.deletions,
        )


def test_by_hand() -> None:
    pairs = align_words("stop the  car", "stop a car now")
    assert pairs == [Pair("stop", "stop"), Pair("the", "a"), Pair("car", "car"), Pair(None, "now")]
    assert align_words("", "") == []
    assert align_characters("a b", "ab") == [Pair("a", "a"), Pair(" ", None), Pair("b", "b")]


def test_the_most_frequent_comes_first_with_how_often_it_was_said() -> None:
    texts = [("five", "nine"), ("five", "nine"), ("five five", "five"), ("b", "a b"), ("one", "nine")]
    found = count_confusions(pair for texts in texts for pair in align_words(*texts))
    assert found.substitutions == (Confusion("five", "nine", 2, 4), Confusion("one", "nine", 1, 1))
    assert found.deletions == (Confusion("five", None, 1, 4),)
    assert found.insertions == (Confusion(None, "a", 1, 0),)
