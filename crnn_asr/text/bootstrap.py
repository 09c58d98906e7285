"""How far a difference of error rates may be chance: the paired bootstrap over utterances.

Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crnn_asr.text.metrics import ErrorCounts

NUM_RESAMPLES = 2_000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Change:
    """A corpus error rate less another, in absolute percent, and the interval that 95 % of resamples lie in."""

    percent: float
    low: float
    high: float


def paired_change(before: Sequence[ErrorCounts], after: Sequence[ErrorCounts], seed: int = 0) -> Change:
    """What a second system changes, on the same utterances in the same order.

    A resample draws as many utterances as there are, with replacement, and scores both systems on it; so what makes an
    utterance hard for both cancels out.

    Args:
        before, after: counts of each utterance, at least one.

    Raises:
        ValueError: not the same number of utterances, or none.

    Example:
        >>> paired_change([ErrorCounts(1, 0, 0, 4)], [ErrorCounts(2, 0, 0, 4)])
        Change(percent=25.0, low=25.0, high=25.0)
    """
    if not before or len(before) != len(after):
        raise ValueError(f"expected the counts of the same utterances, got {len(before)} and {len(after)}")
    counts = np.array([(a.errors, b.errors, a.units) for a, b in zip(before, after)], np.float64)
    rng = np.random.default_rng(seed)
    drawn = np.array([counts[rng.integers(0, len(counts), len(counts))].sum(0) for _ in range(NUM_RESAMPLES)])
    beyond = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(_changes(drawn), (beyond, 1 - beyond))
    return Change(float(_changes(counts.sum(0, keepdims=True))[0]), float(low), float(high))


def _changes(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences of rates in percent, of sums (N, 3) of errors, errors and units; no unit at all counts as one."""
    changes: NDArray[np.float64] = 100 * (sums[:, 1] - sums[:, 0]) / np.maximum(sums[:, 2], 1)
    return changes
