"""Configurations: what they refuse, and what they compute."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from crnn_asr.audio.features import mel_triangles
from crnn_asr.config import (
    AugmentConfig,
    FeatureConfig,
    ModelConfig,
    SpecAugmentConfig,
    TextConfig,
    TrainingConfig,
)
from crnn_asr.errors import ModelError
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import to_dict

INVALID: list[tuple[type, dict[str, Any], str]] = [
    (FeatureConfig, {"hop_ms": 0.0}, "hop_ms"),
    (FeatureConfig, {"hop_ms": -10.0}, "hop_ms"),
    (FeatureConfig, {"hop_ms": 26.0}, "hop <= window"),
    (FeatureConfig, {"window_ms": 33.0}, "window <= FFT"),
    (FeatureConfig, {"window_ms": math.inf}, "window_ms must be finite"),
    (FeatureConfig, {"low_hz": -1.0}, "mel bands"),
    (FeatureConfig, {"low_hz": 8_000.0}, "mel bands"),
    (FeatureConfig, {"high_hz": 8_001.0}, "mel bands"),
    (FeatureConfig, {"high_hz": math.nan}, "high_hz must be finite"),
    (FeatureConfig, {"sample_rate_hz": 8_000}, "mel bands"),
    (FeatureConfig, {"num_mels": 0}, "num_mels"),
    (FeatureConfig, {"log_floor": 0.0}, "log_floor"),
    (FeatureConfig, {"shrinkage_frames": -1.0}, "shrinkage_frames"),
    (ModelConfig, {"conv_filters": (32,)}, "one stride per convolution"),
    (ModelConfig, {"conv_filters": (), "conv_strides": ()}, "one stride per convolution"),
    (ModelConfig, {"conv_filters": (32, 0)}, "size"),
    (ModelConfig, {"num_mels": 0}, "size"),
    (ModelConfig, {"projection_units": 0}, "size"),
    (ModelConfig, {"lstm_layers": 0}, "size"),
    (ModelConfig, {"lstm_units": -1}, "size"),
    (ModelConfig, {"conv_strides": ((2, 2), (4, 1))}, "strides"),
    (ModelConfig, {"conv_strides": ((2, 2), (0, 1))}, "strides"),
    (ModelConfig, {"dropout": 1.0}, "dropout"),
    (ModelConfig, {"dropout": -0.1}, "dropout"),
    (ModelConfig, {"dropout": math.nan}, "dropout"),
    (ModelConfig, {"num_symbols": 1}, "num_symbols"),
    (TextConfig, {"casing": "title"}, "casing"),
    (TextConfig, {"language": "AZ"}, "language"),
    (TextConfig, {"language": ""}, "language"),
    (AugmentConfig, {"noise_snr_db": (30.0, 5.0)}, "noise_snr_db"),
    (AugmentConfig, {"gain_db": (-math.inf, 0.0)}, "gain_db must be finite"),
    (AugmentConfig, {"speed_rate": (0.0, 1.1)}, "speed_rate"),
    (AugmentConfig, {"reverb_decay_s": (math.nan, 1.0)}, "reverb_decay_s must be finite"),
    (SpecAugmentConfig, {"num_frequency_masks": -1}, "negative"),
    (SpecAugmentConfig, {"max_time_frames": -1}, "negative"),
    (SpecAugmentConfig, {"max_time_share": 1.1}, "max_time_share"),
    (TrainingConfig, {"epochs": 0}, "epochs"),
    (TrainingConfig, {"batch_frames": 0}, "batch_frames"),
    (TrainingConfig, {"max_batch_utterances": 0}, "max_batch_utterances"),
    (TrainingConfig, {"learning_rate": 0.0}, "learning_rate"),
    (TrainingConfig, {"learning_rate": math.inf}, "learning_rate must be finite"),
    (TrainingConfig, {"warmup_steps": -1}, "warmup_steps"),
    (TrainingConfig, {"schedule": "constant"}, "schedule"),
    (TrainingConfig, {"plateau_patience": 0}, "plateau_patience"),
    (TrainingConfig, {"weight_decay": -0.01}, "weight_decay"),
    (TrainingConfig, {"clip_norm": 0.0}, "clip_norm"),
    (TrainingConfig, {"early_stopping_epochs": -1}, "early_stopping_epochs"),
    (TrainingConfig, {"keep": "first"}, "keep must be best or last"),
    (TrainingConfig, {"keep": "last", "schedule": "plateau"}, "schedule must be cosine"),
    (TrainingConfig, {"keep": "last", "early_stopping_epochs": 2}, "early stopping off, got cosine and 2"),
    (TrainingConfig, {"checkpoint_every_s": -1.0}, "checkpoint_every_s"),
    (TrainingConfig, {"min_duration_s": -0.1}, "duration"),
    (TrainingConfig, {"min_duration_s": 31.0}, "duration"),
    (TrainingConfig, {"seed": -1}, "seed"),
]


@pytest.mark.parametrize(("cls", "values", "message"), INVALID, ids=lambda value: str(value).replace("crnn_asr.", ""))
def test_an_invalid_value_is_refused_and_named(cls: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        cls(**values)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(AugmentConfig) if "probability" in f.name])
@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan])
def test_every_probability_is_checked(name: str, value: float) -> None:
    with pytest.raises(ModelError, match=name):
        AugmentConfig(**{name: value})


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (FeatureConfig, {"hop_ms": 25.0, "low_hz": 0.0, "num_mels": 1}),
        (ModelConfig, {"dropout": 0.0, "num_symbols": 2, "conv_strides": ((3, 3), (1, 1))}),
        (AugmentConfig, {"noise_probability": 0.0, "reverb_probability": 1.0, "gain_db": (-3.0, -3.0)}),
        (SpecAugmentConfig, {"num_time_masks": 0, "max_time_share": 1.0}),
        (TrainingConfig, {"warmup_steps": 0, "weight_decay": 0.0, "min_duration_s": 0.0, "seed": 0, "epochs": 1}),
        (TextConfig, {"language": "az", "casing": "keep"}),
    ],
)
def test_values_on_the_edge_are_taken(cls: type, values: dict[str, Any]) -> None:
    config = cls(**values)
    assert {name: getattr(config, name) for name in values} == values


def test_frames_are_the_whole_windows_that_fit() -> None:
    features = FeatureConfig()
    assert (features.window_samples, features.hop_samples) == (400, 160)
    for num_samples in [*range(0, 1200, 7), 399, 400, 559, 560, 16_000]:
        starts = [start for start in range(0, num_samples, 160) if start + 400 <= num_samples]
        assert features.num_frames(num_samples) == len(starts), num_samples
    many = np.arange(1200)
    assert features.num_frames(many).tolist() == [features.num_frames(num_samples) for num_samples in many.tolist()]


def test_lengths_after_strides_are_those_of_taking_every_second_frame() -> None:
    model = ModelConfig(conv_filters=(8, 8, 8), conv_strides=((2, 2), (1, 2), (3, 1)))
    assert (model.time_reduction, model.conv_bins) == (6, len(range(80)[::2][::2]))
    lengths = np.arange(0, 200)
    expected = [len(range(length)[::2][::1][::3]) for length in lengths]
    assert model.output_length(lengths).tolist() == expected
    assert [model.output_length(int(length)) for length in lengths] == expected


def test_a_run_without_augmentation_keeps_everything_else() -> None:
    run = PRESETS["an4"]
    plain = run.without_augmentation()
    assert {value for name, value in to_dict(plain.augment).items() if name.endswith("_probability")} == {0.0}
    assert (plain.spec_augment.num_frequency_masks, plain.spec_augment.num_time_masks) == (0, 0)
    assert dataclasses.replace(plain, augment=run.augment, spec_augment=run.spec_augment) == run


@pytest.mark.parametrize(
    ("rate_hz", "window", "fft_size"), [(8_000, 200, 512), (16_000, 400, 512), (44_100, 1102, 2048)]
)
def test_features_at_another_rate(rate_hz: int, window: int, fft_size: int) -> None:
    config = FeatureConfig().at_rate(rate_hz)
    assert (config.window_samples, config.fft_size, config.high_hz) == (window, fft_size, rate_hz / 2)
    assert mel_triangles(config).max(axis=0).min() > 0, "a mel bin without an FFT bin hears nothing"
