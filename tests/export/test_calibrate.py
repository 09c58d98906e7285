"""Calibration: ranges are those of the values, and the rule that is kept is the one that changes least."""

import numpy as np
import pytest
from crnn_oracle import random_weights, reference_logits

from crnn_asr.config import ModelConfig
from crnn_asr.export.calibrate import calibrate, judge, measure_ranges, split, watch
from crnn_asr.export.modes import Int8
from crnn_asr.export.ranges import RULES

SMALL = ModelConfig(conv_filters=(4,), conv_strides=((2, 2),), projection_units=8, lstm_layers=1, lstm_units=8)


def test_ranges_are_those_of_the_values_and_hold_zero(rng):
    weights = random_weights(SMALL, rng)
    weights["output.bias"] = np.full(29, -100, np.float32)  # logits all below zero
    features = [rng.standard_normal((frames, 80)).astype(np.float32) for frames in (40, 300)]
    logits = [reference_logits(one, weights, SMALL) for one in features]
    for rule, summary in (("mean", np.mean), ("minmax", np.min)):
        ranges = measure_ranges(weights, SMALL, features, rule)
        low, high = (summary([one.min() for one in features]), -summary([-one.max() for one in features]))
        assert ranges["features"] == pytest.approx((low, high))
        assert ranges["logits"] == (pytest.approx(summary([one.min() for one in logits]), abs=1e-3), 0)
        assert ranges["conv0"][0] == ranges["projection"][0] == 0 < ranges["conv0"][1]
    assert set(ranges) == {"features", "conv0", "projection", "lstm0.projected", "lstm0.recurrent", "norm0", "logits"}


def test_the_range_of_the_recurrence_is_that_of_both_directions(rng):
    """By hand: one unit with all gates open gives hidden states that rise to 1; times 3 and times −5."""
    config = ModelConfig(
        num_mels=1, conv_filters=(1,), conv_strides=((1, 1),), projection_units=1, lstm_layers=1, lstm_units=1
    )
    weights = random_weights(config, rng)
    weights["lstm0.kernel"][:] = 0
    weights["lstm0.bias"] = np.full(8, 20, np.float32)
    weights["lstm0.recurrent"] = np.stack([np.full((1, 4), 3.0), np.full((1, 4), -5.0)]).astype(np.float32)
    ranges = measure_ranges(weights, config, [np.zeros((30, 1), np.float32)])
    assert ranges["lstm0.recurrent"] == pytest.approx((-5, 3), abs=0.01)
    assert ranges["lstm0.projected"] == pytest.approx((0, 20))


def test_every_value_is_seen_once(rng):
    weights = random_weights(SMALL, rng)
    seen = watch(weights, SMALL, [rng.standard_normal((frames, 80)).astype(np.float32) for frames in (11, 20)])
    assert seen["features"].total == 31 * 80
    assert seen["logits"].total == (SMALL.output_length(11) + SMALL.output_length(20)) * 29
    assert seen["lstm0.recurrent"].total == seen["lstm0.projected"].total


def test_a_layer_that_gives_only_zeros_still_has_a_scale():
    assert Int8({"dead": (0.0, 0.0)}).quantize(np.zeros(3, np.float32), "dead").numpy().tolist() == [0, 0, 0]


def test_judging_by_hand(rng):
    """Logits far wider than their range are cut to it, and the error of log-probabilities is that of the cut ones."""
    weights = random_weights(SMALL, rng)
    features = [rng.standard_normal((frames, 80)).astype(np.float32) for frames in (9, 60)]
    good = measure_ranges(weights, SMALL, features, "minmax")
    low, high = good["logits"]
    wide = dict.fromkeys(good, (-500.0, 500.0))
    cut = {**good, "logits": (low / 4, high / 4)}
    errors = judge(weights, SMALL, {"good": good, "cut": cut, "wide": wide}, features, "int8")
    differences = []
    for one in features:
        logits = reference_logits(one, weights, SMALL)
        differences.append(log_softmax(np.clip(logits, low / 4, high / 4)) - log_softmax(logits))
    expected = np.sqrt(np.mean(np.concatenate(differences) ** 2))
    assert errors["good"] < 0.1 * expected
    assert errors["cut"] == pytest.approx(expected, rel=0.05)
    assert errors["wide"] > 10 * errors["good"]
    as_float = judge(weights, SMALL, {"good": good, "cut": cut}, features)
    assert as_float["cut"] == as_float["good"] < errors["good"], "where logits are float, nothing cuts them"


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_the_rule_that_changes_least_is_kept_and_what_it_cuts_is_told(rng):
    weights = random_weights(SMALL, rng)
    features = [rng.standard_normal((60, 80)).astype(np.float32) for _ in range(10)]
    features[0][0, 0] = 1_000.0  # min-max would spread its steps over nothing
    held_back, measured = split(features)
    found = calibrate(weights, SMALL, features, "auto")
    assert list(found.errors) == list(RULES)
    assert found.errors[found.rule] == min(found.errors.values()) < 0.2 * found.errors["minmax"]
    assert found.ranges == measure_ranges(weights, SMALL, measured, found.rule)
    values = np.concatenate(held_back)
    low, high = found.ranges["features"]
    assert found.saturated["features"] == pytest.approx(np.mean((values < low) | (values > high)), abs=2e-4)
    only = calibrate(weights, SMALL, features, "minmax")
    assert (only.rule, list(only.errors)) == ("minmax", ["minmax"])


def test_a_fifth_is_held_back_and_of_one_or_two_all_do_both():
    utterances = list(np.arange(10))
    held_back, measured = split(utterances)
    assert held_back == [2, 7]
    assert measured == [0, 1, 3, 4, 5, 6, 8, 9]
    assert [len(part) for part in split(utterances[:3])] == [1, 2]
    assert [len(part) for part in split(utterances[:2])] == [2, 2]
