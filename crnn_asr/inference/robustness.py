"""The same utterances in noise and in rooms: how the error rates of clean recordings grow there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crnn_asr.audio.effects import GaussianNoise, RecordedNoise, RecordedRoom, Sounds
from crnn_asr.audio.read import Samples
from crnn_asr.corpus.manifest import Utterance
from crnn_asr.errors import AudioError
from crnn_asr.inference.evaluation import Condition, Evaluation, Progress, System, as_recorded, evaluate_under
from crnn_asr.text.bootstrap import Change, paired_change

_DRAWS = 20  # of a piece of noise, before all are held to be silent


@dataclass(frozen=True)
class Surroundings:
    """Where a recognizer is tried beside clean recordings. What an utterance meets is drawn by `seed` and its id.

    `snrs_db` are ratios of the power of a whole utterance to that of the noise with it, in dB. Without `noise_files`
    the noise is white. With `room_files`, impulse responses, every utterance is tried in one of them too.
    """

    snrs_db: tuple[float, ...] = ()
    noise_files: tuple[Path, ...] = ()
    room_files: tuple[Path, ...] = ()
    seed: int = 0

    def draw(self, utterance_id: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *utterance_id.encode(errors="surrogatepass")])


@dataclass(frozen=True)
class Row:
    """Results under one condition; `change` is of the word error rate against clean, in absolute percent."""

    name: str
    snr_db: float | None
    evaluation: Evaluation
    change: Change
    ratio: float | None  # of the word error rate to that of clean; None where that is 0 or there are no words

    def to_dict(self) -> dict[str, Any]:
        """Rates in percent; the interval holds 95 % of resamples of the utterances."""
        scores = self.evaluation.scores
        return {
            "condition": self.name,
            "snr_db": self.snr_db,
            "wer": scores.words.percent,
            "cer": scores.characters.percent,
            "wer_ratio": self.ratio,
            "wer_change": asdict(self.change),
            "words": asdict(scores.words),
            "characters": asdict(scores.characters),
            "sentence_errors": scores.sentence_errors,
        }


@dataclass(frozen=True)
class Robustness:
    """Results as recorded and under each condition, all of the same utterances."""

    clean: Evaluation
    rows: tuple[Row, ...]
    surroundings: Surroundings

    @property
    def noise_name(self) -> str:
        count = len(self.surroundings.noise_files)
        return f"noise of {count} recording{'s' * (count > 1)}" if count else "white noise"

    def to_dict(self) -> dict[str, Any]:
        place = self.surroundings
        return {
            "seed": place.seed,
            "noise_files": len(place.noise_files),
            "room_files": len(place.room_files),
            "conditions": [row.to_dict() for row in self.rows],
        }


def evaluate_robustness(
    surroundings: Surroundings,
    system: System,
    utterances: Sequence[Utterance],
    progress: Progress = lambda done, total: None,
) -> Robustness:
    """Evaluate as recorded, at every SNR and in rooms; see `evaluate` for the arguments and errors."""
    sounds = Sounds(system.features.sample_rate_hz)
    places: list[tuple[str, float | None, Condition]] = [
        (f"{snr_db:g} dB", snr_db, _noisy(surroundings, snr_db, sounds)) for snr_db in surroundings.snrs_db
    ]
    if surroundings.room_files:
        places.append(("rooms", None, _in_a_room(surroundings, sounds)))
    conditions = [as_recorded, *(condition for _, _, condition in places)]
    clean, *others = evaluate_under(conditions, system, utterances, progress)
    rows = [_row(name, snr_db, clean, other) for (name, snr_db, _), other in zip(places, others)]
    return Robustness(clean, tuple(rows), surroundings)


def _noisy(surroundings: Surroundings, snr_db: float, sounds: Sounds) -> Condition:
    """Noise at this SNR, the same piece of it at every SNR; pieces of digital silence are drawn again."""
    files = surroundings.noise_files

    def condition(samples: Samples, utterance_id: str) -> Samples:
        rng = surroundings.draw(utterance_id)
        if not files:
            return GaussianNoise(snr_db, int(rng.integers(1 << 32))).apply(samples, sounds)
        for _ in range(_DRAWS):
            noise = RecordedNoise(files[rng.integers(len(files))], rng.random(), snr_db)
            noisy = noise.apply(samples, sounds)
            if not samples.any() or not np.array_equal(noisy, samples):
                return noisy
        raise AudioError(f"expected noise, got {_DRAWS} pieces of silence in turn, the last in {noise.path}")

    return condition


def _in_a_room(surroundings: Surroundings, sounds: Sounds) -> Condition:
    files = surroundings.room_files

    def condition(samples: Samples, utterance_id: str) -> Samples:
        path = files[surroundings.draw(utterance_id).integers(len(files))]
        return RecordedRoom(path).apply(samples, sounds)

    return condition


def _row(name: str, snr_db: float | None, clean: Evaluation, other: Evaluation) -> Row:
    change = paired_change([item.words for item in clean.utterances], [item.words for item in other.utterances])
    before, after = clean.scores.words, other.scores.words
    return Row(name, snr_db, other, change, after.rate / before.rate if before.errors and before.units else None)
