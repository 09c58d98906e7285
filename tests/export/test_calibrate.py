"""Calibration: which utterances, and ranges that are those of the values."""

import numpy as np
import pytest
from crnn_oracle import random_weights, reference_logits

from crnn_asr.audio.features import compute_features
from crnn_asr.config import FeatureConfig, ModelConfig
from crnn_asr.corpus.manifest import Utterance, read_manifest
from crnn_asr.errors import DataError
from crnn_asr.export.calibrate import choose, measure_ranges, read_features
from crnn_asr.export.modes import Int8

SMALL = ModelConfig(conv_filters=(4,), conv_strides=((2, 2),), projection_units=8, lstm_layers=1, lstm_units=8)


def test_utterances_of_all_lengths_the_same_in_any_order(tmp_path, rng):
    utterances = [Utterance(tmp_path / f"{k}.wav", 1.0 + k % 50, "", id=f"{k}") for k in range(200)]
    chosen = choose(utterances, 10)
    assert chosen == choose([utterances[k] for k in rng.permutation(200)], 10)
    assert [utterance.duration_s for utterance in chosen] == [3, 8, 13, 18, 23, 28, 33, 38, 43, 48]
    assert len(choose(utterances, 200)) == len(choose(utterances, 300)) == 200
    assert len(set(choose(utterances, 199))) == 199


def test_what_cannot_be_read_is_named(melodies, tmp_path):
    good, _ = read_manifest(melodies / "dev.jsonl")
    missing = Utterance(tmp_path / "none.wav", 1.0, "", id="none")
    moves = []
    features, problems = read_features([good[0], missing, good[1]], FeatureConfig(), lambda *move: moves.append(move))
    assert len(features) == 2 and moves == [(1, 3), (2, 3), (3, 3)]
    assert [problem.where for problem in problems] == ["none"] and "No such file" in problems[0].reason
    with pytest.raises(DataError, match="not one calibration utterance"):
        read_features([missing], FeatureConfig(), lambda *_: None)


def test_ranges_are_the_mean_of_the_utterances_extremes_and_hold_zero(rng):
    weights = random_weights(SMALL, rng)
    weights["output.bias"] = np.full(29, -100, np.float32)  # logits all below zero
    features = [rng.standard_normal((frames, 80)).astype(np.float32) for frames in (40, 300)]
    ranges = measure_ranges(weights, SMALL, features)
    extremes = np.mean([(one.min(), one.max()) for one in features], axis=0)
    assert ranges["features"] == pytest.approx(tuple(extremes))
    logits = [reference_logits(one, weights, SMALL) for one in features]
    assert ranges["logits"] == (pytest.approx(np.mean([one.min() for one in logits]), abs=1e-3), 0)
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


def test_a_layer_that_gives_only_zeros_still_has_a_scale():
    assert Int8({"dead": (0.0, 0.0)}).quantize(np.zeros(3, np.float32), "dead").numpy().tolist() == [0, 0, 0]


def test_features_come_from_the_one_front_end(melodies):
    import soundfile

    (utterance, *_), _ = read_manifest(melodies / "dev.jsonl")
    samples, _ = soundfile.read(utterance.audio_path, dtype="float32")
    features, _ = read_features([utterance], FeatureConfig(), lambda *_: None)
    np.testing.assert_array_equal(features[0], compute_features(samples, FeatureConfig()))
