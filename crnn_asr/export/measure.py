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
    evaluations: list[Evaluation] = []
    errors: list[tuple[float, float]] = []
    expected: Logits = []
    for scheme, path in paths.items():
        with progress(f"score {scheme}", "utterance") as move:
            evaluation, logits = _score(Recognizer(path), dev, move)
        expected = expected or logits
        evaluations.append(evaluation)
        errors.append(differences(expected, logits))
    timings: Mapping[str, tuple[Timing, ...]] = {}
    peaks: dict[str, float | None] = {}
    if with_speed:
        with progress("speed", "length") as move:
            timings = measure_speed(paths, move)
        with progress("memory", "file") as move:
            for number, (scheme, path) in enumerate(paths.items(), start=1):
                peaks[scheme] = peak_memory_mb(path)
                move(number, len(paths))
    return [
        Measurement(
            scheme,
            path.stat().st_size,
            evaluation,
            *_changes(evaluations[0], evaluation),
            *error,
            timings.get(scheme, ()),
            peaks.get(scheme),
        )
        for (scheme, path), evaluation, error in zip(paths.items(), evaluations, errors)
    ]


def _score(
    recognizer: Recognizer, dev: Sequence[Utterance], move: Callable[[int, int], object]
) -> tuple[Evaluation, Logits]:
    """Evaluate a model as it will be used, and keep its logits."""
    metadata = recognizer.metadata
    kept: Logits = []

    def logits(features: NDArray[np.float32]) -> NDArray[np.float32]:
        kept.append(recognizer.logits(features))
        return kept[-1]

    return evaluate(logits, metadata.features, metadata.text, recognizer.alphabet, dev, move), kept


def _changes(before: Evaluation, after: Evaluation) -> tuple[Change, Change]:
    """Of word and character error rate."""
    pairs = list(zip(before.utterances, after.utterances, strict=True))
    return (
        paired_change([a.words for a, _ in pairs], [b.words for _, b in pairs]),
        paired_change([a.characters for a, _ in pairs], [b.characters for _, b in pairs]),
    )


def differences(expected: Sequence[NDArray[np.float32]], given: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    """The largest and the RMS difference of log-probabilities, of logits (T', V) an utterance."""
    errors = [log_softmax(b, -1) - log_softmax(a, -1) for a, b in zip(expected, given, strict=True)]
    squares = sum(float(np.square(error, dtype=np.float64).sum()) for error in errors)
    largest = max(float(np.abs(error).max()) for error in errors)
    return largest, (squares / sum(error.size for error in errors)) ** 0.5
