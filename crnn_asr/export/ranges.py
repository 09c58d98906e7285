"""Rules that make a range of a histogram: which values INT8's 256 steps are spread over, and which are cut."""

from collections.abc import Callable, Mapping

import numpy as np

from crnn_asr.export.histogram import NUM_BINS, Histogram

Range = tuple[float, float]
Ranges = dict[str, Range]  # by the name of a product's input or output

CHOICES = ("auto", "minmax", "mean", "percentile", "mse")
_STEPS = 255
_MAX_CANDIDATES = 256  # for each end of a range, where the error is minimised


def minmax(seen: Histogram) -> Range:
    """From the lowest to the highest value of all utterances: nothing is cut, one outlier makes all steps coarse."""
    return seen.lowest, seen.highest


def mean(seen: Histogram) -> Range:
    """The mean over utterances of their lowest and highest values."""
    low, high = np.mean(seen.extremes, axis=0)
    return float(low), float(high)


def percentile(seen: Histogram, percent: float) -> Range:
    """The range that holds so many percent of the values that are not zero, half of the others beyond each end."""
    beyond = (1 - percent / 100) / 2
    return seen.quantile(beyond), seen.quantile(1 - beyond)


def mse(seen: Histogram) -> Range:
    """The range with the least mean squared error.

    Inside it, rounding to steps of size d costs d²/12 a value; a value x beyond an end e costs (x − e)².
    """
    edges, middle = seen.edges, NUM_BINS // 2
    occupied = np.flatnonzero(seen.counts)
    if not len(occupied):
        return 0.0, 0.0
    lows = _spread(min(occupied[0], middle), middle)
    highs = _spread(middle, max(occupied[-1] + 1, middle))
    centers = (edges[1:] + edges[:-1]) / 2
    moments = [np.concatenate([[0], np.cumsum(seen.counts * centers**power)]) for power in range(3)]
    below = [moment[lows] for moment in moments]
    above = [moment[-1] - moment[highs] for moment in moments]
    cut_low, cut_high = (  # Σ(x − e)² = Σx² − 2eΣx + ne²
        second - 2 * end * first + end**2 * number
        for (number, first, second), end in ((below, edges[lows]), (above, edges[highs]))
    )
    steps = (edges[highs] - edges[lows][:, None]) / _STEPS
    inside = moments[0][highs] - moments[0][lows][:, None]
    errors = cut_low[:, None] + cut_high + inside * steps**2 / 12
    low, high = np.unravel_index(np.argmin(errors), errors.shape)
    return float(edges[lows[low]]), float(edges[highs[high]])


def _spread(first: int, last: int) -> np.ndarray:
    """Whole numbers from first to last, both included; some are left out where there are many."""
    return np.unique(np.linspace(first, last, min(last - first + 1, _MAX_CANDIDATES)).astype(np.int64))


RULES: dict[str, Callable[[Histogram], Range]] = {
    "minmax": minmax,
    "mean": mean,
    "percentile 99.9": lambda seen: percentile(seen, 99.9),
    "percentile 99.99": lambda seen: percentile(seen, 99.99),
    "percentile 99.999": lambda seen: percentile(seen, 99.999),
    "mse": mse,
}


def rules_of(choice: str) -> list[str]:
    """The names in `RULES` that one of `CHOICES` stands for."""
    return [name for name in RULES if choice in ("auto", name.split()[0])]


def ranges_by(rule: str, seen: Mapping[str, Histogram]) -> Ranges:
    """The range of every product, widened to hold zero, so that padding and silence are exact."""
    found = {name: RULES[rule](histogram) for name, histogram in seen.items()}
    return {name: (min(low, 0.0), max(high, 0.0)) for name, (low, high) in found.items()}
