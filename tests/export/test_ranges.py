"""Histograms that grow, and the rules that make ranges of them, against NumPy on the values themselves."""

import numpy as np
import pytest

from crnn_asr.export.histogram import Histogram
from crnn_asr.export.ranges import CHOICES, RULES, mse, ranges_by, rules_of


def histogram(*batches: np.ndarray) -> Histogram:
    seen = Histogram()
    for values in batches:
        seen.add(values.astype(np.float32))
    return seen


def rounding_error(values: np.ndarray, low: float, high: float) -> float:
    """Mean squared error of INT8 over [low, high], with zero on one of its steps."""
    step = (high - low) / 255
    zero = round(-low / step)
    levels = np.clip(np.round(values / step) + zero, 0, 255)
    return float(np.mean(((levels - zero) * step - values) ** 2))


def test_it_counts_what_numpy_counts_in_whatever_order_values_grow(rng):
    small, large = rng.normal(0, 0.01, 5_000), rng.normal(1, 3, (40, 50))
    seen, other = histogram(small, large), histogram(large, small)
    everything = np.concatenate([small, large.ravel()]).astype(np.float32)
    assert seen.limit == other.limit == 2 ** np.ceil(np.log2(np.abs(everything).max()))
    np.testing.assert_array_equal(seen.counts, other.counts)
    np.testing.assert_array_equal(seen.counts, np.histogram(everything, seen.edges)[0])
    assert seen.total == 7_000 and seen.extremes[0] == (small.astype("f").min(), small.astype("f").max())


def test_zeros_are_in_the_total_alone():
    seen = histogram(np.array([0, 0, 0, 5]), np.zeros(6))
    assert (seen.total, seen.counts.sum(), seen.lowest, seen.highest) == (10, 1, 0, 5)


def test_quantiles_and_shares_are_those_of_the_values(rng):
    values = rng.standard_normal(100_000)
    seen = histogram(*np.split(values, 4))
    for share in (0.001, 0.3, 0.5, 0.999):
        assert seen.quantile(share) == pytest.approx(np.quantile(values, share), abs=0.01)
    outside = np.mean((values < -1.5) | (values > 2))
    assert seen.share_outside(-1.5, 2.0) == pytest.approx(outside, abs=1e-3)
    assert seen.share_outside(seen.lowest, seen.highest) == 0


def test_minmax_and_mean_by_hand():
    seen = {"x": histogram(np.array([-1.0, 2]), np.array([-3.0, 10])), "relu": histogram(np.array([1.0, 4]))}
    assert ranges_by("minmax", seen) == {"x": (-3, 10), "relu": (0, 4)}
    assert ranges_by("mean", seen) == {"x": (-2, 6), "relu": (0, 4)}


def test_percentiles_cut_both_ends_alike(rng):
    seen = {"x": histogram(np.linspace(-1, 3, 100_001))}
    low, high = ranges_by("percentile 99.9", seen)["x"]
    assert (low, high) == pytest.approx((-1 + 0.002, 3 - 0.002), abs=5e-4)


@pytest.mark.parametrize("draw", ["normal", "laplace", "relu", "outlier", "uniform"])
def test_mse_has_the_least_error_of_all_ranges(rng, draw):
    values = rng.laplace(size=10_000) if draw == "laplace" else rng.standard_normal(10_000)
    if draw == "relu":
        values = np.maximum(values, 0)
    if draw == "outlier":
        values[7] = 60
    if draw == "uniform":
        values = rng.uniform(-1, 3, 10_000)
    low, high = mse(histogram(values))
    least = min(
        rounding_error(values, a * values.min(), b * values.max())
        for a in (np.linspace(0.05, 1, 30) if values.min() < 0 else [0])
        for b in np.linspace(0.02, 1, 40)
    )
    assert rounding_error(values, min(low, 0), max(high, 0)) <= 1.03 * least


def test_mse_of_nothing_but_zeros():
    assert mse(histogram(np.zeros(9))) == (0, 0)
    assert ranges_by("percentile 99.99", {"x": histogram(np.zeros(9))}) == {"x": (0, 0)}


def test_choices_stand_for_rules():
    assert rules_of("auto") == list(RULES)
    assert rules_of("percentile") == ["percentile 99.9", "percentile 99.99", "percentile 99.999"]
    assert all(rules_of(choice) == [choice] for choice in CHOICES[1:] if choice != "percentile")
