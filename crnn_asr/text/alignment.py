"""Which unit of a reference became which of the hypothesis, by the fewest edits, and what is confused how often."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """A word or character of the reference and what stands for it in the hypothesis; None where there is nothing."""

    reference: str | None
    hypothesis: str | None

    @property
    def kind(self) -> str:
        """`equal`, `substitution`, `insertion` or `deletion`."""
        if self.reference is None:
            return "insertion"
        if self.hypothesis is None:
            return "deletion"
        return "equal" if self.reference == self.hypothesis else "substitution"


@dataclass(frozen=True)
class Confusion:
    """An error that was made `count` times; its reference unit was said `said` times (0 where nothing was said)."""

    reference: str | None
    hypothesis: str | None
    count: int
    said: int


@dataclass(frozen=True)
class Confusions:
    """Every error of a corpus by kind, the most frequent first."""

    substitutions: tuple[Confusion, ...]
    insertions: tuple[Confusion, ...]
    deletions: tuple[Confusion, ...]


def align_words(reference: str, hypothesis: str) -> list[Pair]:
    """The words of two texts, side by side; its errors are those that `score` counts.

    Example:
        >>> [pair.kind for pair in align_words("stop the car", "stop a car now")]
        ['equal', 'substitution', 'equal', 'insertion']
    """
    return _align(reference.split(), hypothesis.split())


def align_characters(reference: str, hypothesis: str) -> list[Pair]:
    """The characters of two texts with single spaces, side by side; its errors are those that `score` counts."""
    return _align(" ".join(reference.split()), " ".join(hypothesis.split()))


def _align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Pair]:
    from rapidfuzz.distance import Levenshtein

    pairs: list[Pair] = []
    for block in Levenshtein.opcodes(reference, hypothesis):
        before = reference[block.src_start : block.src_end]
        after = hypothesis[block.dest_start : block.dest_end]
        if block.tag == "delete":
            pairs.extend(Pair(unit, None) for unit in before)
        elif block.tag == "insert":
            pairs.extend(Pair(None, unit) for unit in after)
        else:
            pairs.extend(Pair(unit, other) for unit, other in zip(before, after, strict=True))
    return pairs


def count_confusions(pairs: Iterable[Pair]) -> Confusions:
    """Count the errors in the alignments of a corpus."""
    counts = Counter(pairs)
    said = Counter[str | None]()
    for pair, count in counts.items():
        said[pair.reference] += count
    del said[None]
    found: dict[str, list[Confusion]] = {"equal": [], "substitution": [], "insertion": [], "deletion": []}
    for pair, count in counts.items():
        found[pair.kind].append(Confusion(pair.reference, pair.hypothesis, count, said[pair.reference]))
    for errors in found.values():
        errors.sort(key=lambda error: (-error.count, error.reference or "", error.hypothesis or ""))
    return Confusions(tuple(found["substitution"]), tuple(found["insertion"]), tuple(found["deletion"]))
