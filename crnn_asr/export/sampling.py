"""Which utterances of a corpus calibrate: some of every length and every level, always the same ones."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio
from crnn_asr.config import FeatureConfig
from crnn_asr.console import describe
from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.errors import DataError

Item = TypeVar("Item")

_POOL = 4  # utterances whose level is measured, for each one wanted
_SILENCE_DB = -120.0  # the level of digital silence, and the lowest that is told apart


def choose(
    utterances: Sequence[Utterance],
    num_samples: int,
    sample_rate_hz: int,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[list[Utterance], list[Problem]]:
    """`num_samples` utterances of all lengths, and of all levels among those of a length; all, where there are fewer.

    Sorted by length they are cut into √num_samples groups of equal size, each is sorted from the quietest to the
    loudest, and the utterances are taken at even distances. The order in which they are given changes nothing.

    Returns:
        The utterances, by length and in each group by level; and those that could not be read.

    Raises:
        DataError: none could be read.
    """
    ordered = sorted(utterances, key=lambda utterance: (utterance.duration_s, utterance.id, str(utterance.audio_path)))
    pool = spread(ordered, _POOL * num_samples)
    levels: list[tuple[float, Utterance]] = []
    problems = []
    for number, utterance in enumerate(pool, start=1):
        try:
            levels.append((level_db(read_audio(utterance.audio_path, sample_rate_hz)), utterance))
        except (OSError, ValueError) as error:
            problems.append(Problem(utterance.id, describe(error)))
        progress(number, len(pool))
    _require_some(levels, problems)
    num_groups = round(min(num_samples, len(levels)) ** 0.5)
    ordered_levels = [
        item
        for group in range(num_groups)
        for item in sorted(_part(levels, group, num_groups), key=lambda item: round(item[0], 2))  # as any CPU sums
    ]
    return [utterance for _, utterance in spread(ordered_levels, num_samples)], problems


def _part(items: Sequence[Item], number: int, count: int) -> Sequence[Item]:
    """One of `count` parts of almost equal size."""
    return items[number * len(items) // count : (number + 1) * len(items) // count]


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """`count` items at even distances, the middle of each of as many equal parts; all, where there are fewer."""
    if len(items) <= count:
        return list(items)
    return [items[(2 * k + 1) * len(items) // (2 * count)] for k in range(count)]


def level_db(samples: NDArray[np.float32]) -> float:
    """RMS of samples (N,) in dB of full scale; a full-scale sine has −3."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return max(_SILENCE_DB, 10 * float(np.log10(power))) if power else _SILENCE_DB


def read_features(
    utterances: Sequence[Utterance], config: FeatureConfig, progress: Callable[[int, int], object]
) -> tuple[list[NDArray[np.float32]], list[Problem]]:
    """Features (T, F) of every utterance that can be read; the others come back with the reason.

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
    _require_some(features, problems)
    return features, problems


def _require_some(found: Sequence[object], problems: Sequence[Problem]) -> None:
    if not found:
        raise DataError(f"not one calibration utterance could be read; the first: {problems[0]}")
