"""A model against a manifest: corpus error rates, speed, and every utterance with what was heard."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import Samples, read_audio
from crnn_asr.config import FeatureConfig, TextConfig
from crnn_asr.console import describe
from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.errors import DataError
from crnn_asr.language.decoding import Decoder
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.text.decode import greedy_symbols, joined
from crnn_asr.text.metrics import ErrorCounts, Scores, score
from crnn_asr.text.normalize import normalize

Model = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # features (T, F) → logits (T', V)
Condition = Callable[[Samples, str], Samples]  # samples (N,) and id of an utterance → how it sounds there
Progress = Callable[[int, int], object]  # of (done, total)


@dataclass(frozen=True)
class System:
    """What is scored: a network, from normalised features (T, F) to logits (T', V), and what it was trained with."""

    model: Model
    features: FeatureConfig
    text: TextConfig
    alphabet: Alphabet
    decode: Decoder | None = None  # greedily

    def transcribe(self, samples: Samples) -> str:
        """The text of samples (N,); the one place where logits become text here."""
        logits = self.model(compute_features(samples, self.features))
        return joined(self.decode(logits) if self.decode else greedy_symbols(logits, self.alphabet))


@dataclass(frozen=True)
class Heard:
    """One utterance's result; `words` and `characters` count its own errors, `seconds` is what recognizing it took."""

    id: str
    reference: str
    hypothesis: str
    words: ErrorCounts
    characters: ErrorCounts
    duration_s: float
    seconds: float
    audio_path: Path


@dataclass(frozen=True)
class Evaluation:
    """Results of a manifest. `seconds` is what features, network and decoding took, without reading files."""

    scores: Scores
    utterances: tuple[Heard, ...]
    duration_s: float
    seconds: float
    problems: tuple[Problem, ...]

    @property
    def real_time_factor(self) -> float:
        return self.seconds / self.duration_s

    def worst(self, count: int) -> list[Heard]:
        """Utterances with the most wrong words, those with none left out."""
        return [item for item in self.ranked() if item.words.errors][:count]

    def ranked(self) -> list[Heard]:
        """All utterances, from the one with the most wrong words to the longest that is right."""

        def key(item: Heard) -> tuple[float, float, float, int, str]:
            return -item.words.errors, -item.words.rate, -item.characters.errors, item.words.units, item.id

        return sorted(self.utterances, key=key)

    def to_dict(self) -> dict[str, Any]:
        """Rates in percent, times in seconds, and all utterances."""
        scores = self.scores
        return {
            "wer": scores.words.percent,
            "cer": scores.characters.percent,
            "sentence_error_rate": 100 * scores.sentence_errors / scores.utterances,
            "words": asdict(scores.words),
            "characters": asdict(scores.characters),
            "sentence_errors": scores.sentence_errors,
            "utterances": scores.utterances,
            "duration_s": self.duration_s,
            "seconds": self.seconds,
            "real_time_factor": self.real_time_factor,
            "results": [
                {"id": item.id, "reference": item.reference, "hypothesis": item.hypothesis, "errors": item.words.errors}
                for item in self.utterances
            ],
            "problems": [asdict(problem) for problem in self.problems],
        }


def evaluate(
    model: Model,
    features: FeatureConfig,
    text: TextConfig,
    alphabet: Alphabet,
    utterances: Sequence[Utterance],
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Transcribe every utterance greedily and score the whole; unreadable ones are left out and named.

    Args:
        model: from normalised features (T, F) to logits (T', V).
        features, text, alphabet: what the model was trained with.
        utterances: of a manifest.
        progress: called with (done, total) after each.

    Raises:
        DataError: not one utterance could be read.
    """
    return evaluate_under([as_recorded], System(model, features, text, alphabet), utterances, progress)[0]


def as_recorded(samples: Samples, utterance_id: str) -> Samples:
    """The condition that changes nothing."""
    return samples


def evaluate_under(
    conditions: Sequence[Condition],
    system: System,
    utterances: Sequence[Utterance],
    progress: Progress = lambda done, total: None,
) -> list[Evaluation]:
    """What `evaluate` gives, under each of several conditions; every file is read once.

    An utterance that fails under one condition is left out of all, so all are of the same utterances.
    """
    rows: list[list[Heard]] = []
    problems: list[Problem] = []
    for number, utterance in enumerate(utterances):
        progress(number + 1, len(utterances))
        try:
            samples = read_audio(utterance.audio_path, system.features.sample_rate_hz)
            rows.append([_hear(system, condition(samples, utterance.id), utterance) for condition in conditions])
        except (OSError, ValueError) as error:
            problems.append(Problem(utterance.id or str(utterance.audio_path), describe(error)))
    if not rows:
        raise DataError(f"not one utterance could be read; the first: {problems[0]}" if problems else "no utterances")
    return [_summarize(heard, problems) for heard in zip(*rows)]


def _hear(system: System, samples: Samples, utterance: Utterance) -> Heard:
    """Recognize and score one utterance, as it sounds under a condition."""
    start = time.perf_counter()
    hypothesis = system.transcribe(samples)
    seconds = time.perf_counter() - start
    reference = normalize(utterance.text, system.text)
    own = score([reference], [hypothesis])
    duration_s = len(samples) / system.features.sample_rate_hz
    return Heard(
        utterance.id, reference, hypothesis, own.words, own.characters, duration_s, seconds, utterance.audio_path
    )


def _summarize(heard: tuple[Heard, ...], problems: Sequence[Problem]) -> Evaluation:
    scores = score([item.reference for item in heard], [item.hypothesis for item in heard])
    duration_s, seconds = sum(item.duration_s for item in heard), sum(item.seconds for item in heard)
    return Evaluation(scores, heard, duration_s, seconds, tuple(problems))
