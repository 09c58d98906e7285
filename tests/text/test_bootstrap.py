"""The paired bootstrap against cases whose distribution is known."""

import numpy as np
import pytest
from scipy.stats import binom

from crnn_asr.text.bootstrap import paired_change
from crnn_asr.text.metrics import ErrorCounts


def counts(errors, units=10):
    return [ErrorCounts(int(number), 0, 0, units) for number in errors]


def test_two_utterances_by_hand():
    """The one that gets worse is drawn 0, 1 or 2 times with probabilities 1/4, 1/2, 1/4: 0, 5 or 10 % of the words."""
    change = paired_change(counts([0, 3]), counts([0, 4]))
    assert (change.percent, change.low, change.high) == (5, 0, 10)


def test_the_interval_is_the_binomial_one_where_there_are_many():
    """20 of 400 utterances lose a word, of 4000: a resample's errors are binomial, 400 draws of 1/20."""
    after = np.zeros(400)
    after[::20] = 1
    change = paired_change(counts(np.zeros(400)), counts(after))
    low, high = (100 * binom.ppf(share, 400, 1 / 20) / 4_000 for share in (0.025, 0.975))
    assert change.percent == 0.5
    assert (change.low, change.high) == pytest.approx((low, high), abs=0.026)  # an error more or less


def test_what_is_hard_for_both_cancels_out(rng):
    before = rng.integers(0, 10, 50)
    change = paired_change(counts(before), counts(before + 1))
    assert (change.percent, change.low, change.high) == pytest.approx((10, 10, 10))
    same = paired_change(counts(before), counts(before))
    assert (same.percent, same.low, same.high) == (0, 0, 0)


def test_utterances_weigh_by_their_units():
    before, after = [ErrorCounts(0, 0, 0, 90), ErrorCounts(5, 0, 0, 10)], [ErrorCounts(0, 9, 0, 90), *counts([0])]
    assert paired_change(before, after).percent == pytest.approx(4)


def test_a_seed_gives_an_interval(rng):
    before, after = counts(rng.integers(0, 9, 30)), counts(rng.integers(0, 9, 30))
    assert paired_change(before, after) == paired_change(before, after)
    assert paired_change(before, after, seed=1) != paired_change(before, after, seed=2)


def test_references_without_words():
    empty = paired_change(counts([0, 0], units=0), counts([0, 2], units=0))
    assert (empty.percent, empty.low, empty.high) == (200, 0, 400)


def test_other_utterances_are_an_error():
    for before, after in (([0], [0, 0]), ([], [])):
        with pytest.raises(ValueError, match="the same utterances"):
            paired_change(counts(before), counts(after))
