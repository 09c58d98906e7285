"""How often a product's values occur: seen batch by batch, in memory that does not grow."""

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 8_192
_FIRST_LIMIT = 2.0**-10


class Histogram:
    """Values in `NUM_BINS` bins over [-limit, limit]; the limit doubles, and bins join in pairs, when one goes beyond.

    Exact zeros are counted in `total` alone: every range holds zero without error, so they say nothing about ranges,
    and behind a ReLU they are most of the values.

    Attributes:
        counts: of values that are not zero, (NUM_BINS,) int64.
        limit: of the bins, a power of two and at most twice the largest magnitude seen.
        total: of all values, zeros too.
        extremes: the lowest and the highest value of each batch.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(NUM_BINS, np.int64)
        self.limit = _FIRST_LIMIT
        self.total = 0
        self.extremes: list[tuple[float, float]] = []

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bounds of the bins, (NUM_BINS + 1,); the middle one is exactly 0."""
        return np.linspace(-self.limit, self.limit, NUM_BINS + 1)

    @property
    def lowest(self) -> float:
        return min(low for low, _ in self.extremes)

    @property
    def highest(self) -> float:
        return max(high for _, high in self.extremes)

    def add(self, values: NDArray[np.float32]) -> None:
        """Count one batch, an utterance's values, of any shape but not empty."""
        low, high = float(values.min()), float(values.max())
        self.extremes.append((low, high))
        self.total += values.size
        while max(-low, high) > self.limit:
            self.counts = np.pad(self.counts.reshape(-1, 2).sum(1), NUM_BINS // 4)
            self.limit *= 2
        others = values[values != 0].astype(np.float64)
        bins = ((others / self.limit + 1) * (NUM_BINS / 2)).astype(np.int64)
        self.counts += np.bincount(np.minimum(bins, NUM_BINS - 1), minlength=NUM_BINS)

    def quantile(self, share: float) -> float:
        """The value that `share` of those that are not zero lie below; 0 where there are none."""
        below = np.concatenate([[0], np.cumsum(self.counts)])
        if not below[-1]:
            return 0.0
        value = float(np.interp(share * below[-1], below, self.edges))
        return min(max(value, self.lowest), self.highest)

    def share_outside(self, low: float, high: float) -> float:
        """Which part of all values lies outside [low, high], to the resolution of a bin."""
        below = np.concatenate([[0], np.cumsum(self.counts)])
        left = np.interp(low, self.edges, below) if low > self.lowest else 0.0
        right = below[-1] - np.interp(high, self.edges, below) if high < self.highest else 0.0
        return float((left + right) / self.total)
