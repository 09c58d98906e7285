"""Ranges of all products' inputs and outputs, measured on recordings; INT8 spreads its 256 steps over them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio
from crnn_asr.config import FeatureConfig, ModelConfig
from crnn_asr.console import describe
from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.errors import DataError
from crnn_asr.export.graph import Weights, compiled, forward
from crnn_asr.export.modes import Observing, Ranges


def choose(utterances: Sequence[Utterance], num_samples: int) -> list[Utterance]:
    """`num_samples` utterances, evenly spread from the shortest to the longest; all, where there are fewer."""
    ordered = sorted(utterances, key=lambda utterance: (utterance.duration_s, utterance.id, str(utterance.audio_path)))
    if len(ordered) <= num_samples:
        return ordered
    return [ordered[(2 * k + 1) * len(ordered) // (2 * num_samples)] for k in range(num_samples)]


def read_features(
    utterances: Sequence[Utterance], config: FeatureConfig, progress: Callable[[int, int], object]
) -> tuple[list[NDArray[np.float32]], list[Problem]]:
    """Features of every utterance that can be read; the others come back with the reason.

    Raises:
        DataError: none could be read.
    """
    features, problems = [], []
    for number, utterance in enumerate(utterances, start=1):
        try:
            features.append(compute_features(read_audio(utterance.audio_path, config.sample_rate_hz), config))
        except (OSError, ValueError) as error:
            problems.append(Problem(utterance.id, describe(error)))
        progress(number, len(utterances))
    if not features:
        raise DataError(f"not one calibration utterance could be read; the first: {problems[0]}")
    return features, problems


def measure_ranges(weights: Weights, config: ModelConfig, features: Sequence[NDArray[np.float32]]) -> Ranges:
    """The range of every product's input and output: the mean over utterances of their lowest and highest values.

    Against the extremes of all utterances together it keeps more: what a single one goes beyond is cut, and all others
    get finer steps. Zero is always inside, so that padding and silence are exact.

    Args:
        features: of each utterance, (T, F).
    """

    def observe(x):  # type: ignore[no-untyped-def]
        mode = Observing()
        forward(x, weights, config, mode)
        return mode.seen

    watched = compiled(observe, config)
    seen = [watched(values[None]) for values in features]
    means = {name: np.mean([extremes[name].numpy() for extremes in seen], axis=0) for name in seen[0]}
    return {name: (min(float(low), 0.0), max(float(high), 0.0)) for name, (low, high) in means.items()}
