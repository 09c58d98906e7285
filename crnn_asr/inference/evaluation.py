"""A model against a manifest: corpus error rates, speed, and every utterance with what was heard."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio
from crnn_asr.config import FeatureConfig, TextConfig
from crnn_asr.console import describe
from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.errors import DataError
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.text.decode import greedy_text
from crnn_asr.text.metrics import ErrorCounts, Scores, score
from crnn_asr.text.normalize import normalize

Model = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # features (T, F) → logits (T', V)


@dataclass(frozen=True)
class Heard:
    """One utterance's result; `words` and `characters` count its own errors."""

    id: str
    reference: str
    hypothesis: str
    words: ErrorCounts
    characters: ErrorCounts
    duration_s: float


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
        wrong = [item for item in self.utterances if item.words.errors]
        return sorted(wrong, key=lambda item: (-item.words.errors, -item.words.rate, item.id))[:count]

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
    progress: Callable[[int, int], object] = lambda done, total: None,
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
    heard, problems = [], []
    duration_s = seconds = 0.0
    for number, utterance in enumerate(utterances):
        progress(number + 1, len(utterances))
        try:
            samples = read_audio(utterance.audio_path, features.sample_rate_hz)
            start = time.perf_counter()
            hypothesis = greedy_text(model(compute_features(samples, features)), alphabet)
        except (OSError, ValueError) as error:
            problems.append(Problem(utterance.id or str(utterance.audio_path), describe(error)))
            continue
        seconds += time.perf_counter() - start
        length_s = len(samples) / features.sample_rate_hz
        duration_s += length_s
        reference = normalize(utterance.text, text)
        own = score([reference], [hypothesis])
        heard.append(Heard(utterance.id, reference, hypothesis, own.words, own.characters, length_s))
    if not heard:
        raise DataError(f"not one utterance could be read; the first: {problems[0]}" if problems else "no utterances")
    scores = score([item.reference for item in heard], [item.hypothesis for item in heard])
    return Evaluation(scores, tuple(heard), duration_s, seconds, tuple(problems))
