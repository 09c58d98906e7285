"""All that is measured of a run's model files, each beside the first: size, accuracy on dev, speed, memory."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from crnn_asr.corpus.manifest import Utterance
from crnn_asr.export.memory import peak_memory_mb
from crnn_asr.export.speed import Timing, measure_speed
from crnn_asr.inference.evaluation import Evaluation, evaluate
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.text.bootstrap import Change, paired_change

Logits = list[NDArray[np.float32]]  # of each utterance, (T', V)
Progress = Callable[[str, str], AbstractContextManager[Callable[[int, int], object]]]  # of a title and a unit


@dataclass(frozen=True)
class Measurement:
    """A model file in numbers.

    Changes and differences are against the reference, the first of those measured together: of error rates in percent,
    and of the log-probabilities on dev. `timings` is empty and `peak_mb` None where they were not measured.
    """

    scheme: str
    num_bytes: int
    evaluation: Evaluation
    wer_change: Change
    cer_change: Change
    max_difference: float
    rms_difference: float
    timings: tuple[Timing, ...]
    peak_mb: float | None

    @property
    def wer(self) -> float:
        """In percent."""
        return self.evaluation.scores.words.percent

    @property
    def cer(self) -> float:
        """In percent."""
        return self.evaluation.scores.characters.percent


def measure(
    paths: Mapping[str, Path], dev: Sequence[Utterance], with_speed: bool, progress: Progress
) -> list[Measurement]:
    """Measure model files by scheme, all of one network; the first is the reference.

    Args:
        with_speed: whether to measure times and memory, which takes most of the time.

    Raises:
        DataError: not one utterance of dev can be read.
    """
    scores: list[tuple[Evaluation, Logits]] = []
    for scheme, path in paths.items():
        with progress(f"score {scheme}", "utterance") as move:
            scores.append(_score(Recognizer(path), dev, move))
    timings: Mapping[str, tuple[Timing, ...]] = {}
    peaks: dict[str, float | None] = {}
    if with_speed:
        with progress("speed", "length") as move:
            timings = measure_speed(paths, Recognizer(next(iter(paths.values()))).metadata.features, move)
        with progress("memory", "file") as move:
            for number, (scheme, path) in enumerate(paths.items(), start=1):
                peaks[scheme] = peak_memory_mb(path)
                move(number, len(paths))
    reference, expected = scores[0]
    return [
        Measurement(
            scheme,
            path.stat().st_size,
            evaluation,
            *_changes(reference, evaluation),
            *differences(expected, logits),
            timings.get(scheme, ()),
            peaks.get(scheme),
        )
        for (scheme, path), (evaluation, logits) in zip(paths.items(), scores)
    ]


def _score(
    recognizer: Recognizer, dev: Sequence[Utterance], move: Callable[[int, int], object]
) -> tuple[Evaluation, Logits]:
    """Evaluate a model as it will be used, and keep its logits."""
    metadata, kept = recognizer.metadata, Logits()

    def logits(features: NDArray[np.float32]) -> NDArray[np.float32]:
        kept.append(recognizer.logits(features))
        return kept[-1]

    return evaluate(logits, metadata.features, metadata.text, recognizer.alphabet, dev, move), kept


def _changes(before: Evaluation, after: Evaluation) -> tuple[Change, Change]:
    """Of word and character error rate."""
    pairs = list(zip(before.utterances, after.utterances))
    return (
        paired_change([a.words for a, _ in pairs], [b.words for _, b in pairs]),
        paired_change([a.characters for a, _ in pairs], [b.characters for _, b in pairs]),
    )


def differences(expected: Sequence[NDArray[np.float32]], given: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    """The largest and the RMS difference of log-probabilities, of logits (T', V) an utterance."""
    errors = [log_softmax(b, -1) - log_softmax(a, -1) for a, b in zip(expected, given)]
    largest = max(float(np.abs(error).max()) for error in errors)
    mean_square = sum(float(np.square(error, dtype=np.float64).sum()) for error in errors) / sum(
        error.size for error in errors
    )
    return largest, mean_square**0.5
