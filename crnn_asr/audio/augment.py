"""Waveform augmentation: what happens to an utterance is drawn first, then applied.

The order is that of the world: the voice (stretch, speed, its ends), the room, what else sounds there, the microphone
(a band missing, gain, its own response).
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.acoustics import OCTAVES_HZ, STRETCH_WINDOW, changed_speed_length, stretched_length
from crnn_asr.audio.effects import (
    BandStop,
    Effect,
    Equalizer,
    Gain,
    GaussianNoise,
    RecordedNoise,
    RecordedRoom,
    Sounds,
    Speed,
    Stretch,
    SyntheticRoom,
    Trim,
)
from crnn_asr.audio.read import Samples
from crnn_asr.config import AugmentConfig
from crnn_asr.errors import DataError

_AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".sph", ".aif", ".aiff", ".au", ".caf", ".w64"}
_BAND_STOP_CENTER_HZ = (150.0, 6_000.0)


@dataclass(frozen=True)
class Tempo:
    """How fast each of N utterances is played and how closely cut.

    Attributes:
        stretch: rates (N,) of `Stretch`; 1 is as it was.
        speed: rates (N,) of `Speed`; 1 is as it was.
        trim_db: levels (N,) of `Trim`; infinity is as it was.
    """

    stretch: NDArray[np.float64]
    speed: NDArray[np.float64]
    trim_db: NDArray[np.float64]

    def num_samples(self, before: NDArray[np.int64]) -> NDArray[np.int64]:
        """Lengths (N,) that utterances of these lengths will have; those that are cut, at most."""
        return changed_speed_length(stretched_length(before, self.stretch), self.speed).astype(np.int64)

    def effects(self, index: int) -> tuple[Effect, ...]:
        """How one of the utterances is played."""
        stretch, speed = float(self.stretch[index]), float(self.speed[index])
        return (*([Stretch(stretch)] if stretch != 1 else []), *([Speed(speed)] if speed != 1 else []))

    def cuts(self, index: int) -> tuple[Effect, ...]:
        """How it is cut after that."""
        below_db = float(self.trim_db[index])
        return (Trim(below_db),) if below_db < np.inf else ()


class Augmenter:
    """Draws and applies the effects of a config.

    Args:
        noise_files: recordings of noise; without any, only Gaussian noise is drawn.
        room_files: impulse responses; without any, all rooms are synthetic.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> Augmenter(AugmentConfig())(np.zeros(16_000, np.float32), rng).dtype
        dtype('float32')
    """

    def __init__(
        self,
        config: AugmentConfig,
        sample_rate_hz: int = 16_000,
        noise_files: Sequence[Path] = (),
        room_files: Sequence[Path] = (),
    ) -> None:
        self.config = config
        self.noise_files = tuple(noise_files)
        self.room_files = tuple(room_files)
        self._sounds = Sounds(sample_rate_hz)

    def scaled(self, share: float) -> "Augmenter":
        """One with a share of each probability; the two share the recordings in memory."""
        other = copy(self)
        other.config = self.config.scaled(share)
        return other

    def __call__(self, samples: Samples, rng: np.random.Generator) -> Samples:
        """Samples (N,) with effects drawn for them; N changes by stretch and speed, and values may go beyond ±1."""
        return self.apply(samples, self.draw(len(samples), rng))

    def draw(self, num_samples: int, rng: np.random.Generator) -> tuple[Effect, ...]:
        """Decide what happens to an utterance, in the order of application. All randomness is here."""
        if not num_samples:
            return ()
        tempo = self.draw_tempo(np.array([num_samples]), rng)
        return (*tempo.effects(0), *tempo.cuts(0), *self.draw_scene(rng))

    def draw_tempo(self, num_samples: NDArray[np.int64], rng: np.random.Generator) -> Tempo:
        """Decide how fast utterances of these lengths (N,) are played, all at once: a corpus is drawn in an instant."""
        config, count = self.config, len(num_samples)
        stretched = (rng.random(count) < config.stretch_probability) & (num_samples >= STRETCH_WINDOW)
        sped = (rng.random(count) < config.speed_probability) & (num_samples > config.speed_rate[1])
        return Tempo(
            np.where(stretched, rng.uniform(*config.stretch_rate, count), 1.0),
            np.where(sped, rng.uniform(*config.speed_rate, count), 1.0),
            np.where(rng.random(count) < config.trim_probability, rng.uniform(*config.trim_db, count), np.inf),
        )

    def draw_scene(self, rng: np.random.Generator) -> tuple[Effect, ...]:
        """Decide what happens to an utterance beside its tempo; its length stays."""
        config, drawn = self.config, list[Effect]()
        if rng.random() < config.reverb_probability:
            drawn.append(self._draw_room(rng))
        if rng.random() < config.noise_probability:
            snr_db, slope_db = rng.uniform(*config.noise_snr_db), rng.uniform(*config.noise_slope_db)
            drawn.append(GaussianNoise(snr_db, int(rng.integers(1 << 32)), slope_db))
        if self.noise_files and rng.random() < config.noise_file_probability:
            path = self.noise_files[rng.integers(len(self.noise_files))]
            snr_db, speed = rng.uniform(*config.noise_file_snr_db), rng.uniform(*config.noise_file_speed)
            drawn.append(RecordedNoise(path, rng.random(), snr_db, speed))
        if rng.random() < config.band_stop_probability:
            drawn.append(self._draw_band(rng))
        if rng.random() < config.gain_probability:
            drawn.append(Gain(rng.uniform(*config.gain_db)))
        if rng.random() < config.equalizer_probability:
            steps_db = rng.uniform(*config.equalizer_octave_db, len(OCTAVES_HZ) - 1)
            drawn.append(Equalizer((0.0, *steps_db.cumsum().tolist())))
        return tuple(drawn)

    def apply(self, samples: Samples, drawn: Iterable[Effect]) -> Samples:
        """Apply drawn effects, one after the other. Raises what `read_audio` raises on a noise or room file."""
        for effect in drawn:
            samples = effect.apply(samples, self._sounds)
        return samples

    def _draw_room(self, rng: np.random.Generator) -> Effect:
        if self.room_files and rng.random() < self.config.reverb_recorded_share:
            path = self.room_files[rng.integers(len(self.room_files))]
            return RecordedRoom(path, rng.uniform(*self.config.reverb_recorded_speed))
        config = self.config
        decay_s, direct_db = rng.uniform(*config.reverb_decay_s), rng.uniform(*config.reverb_direct_db)
        return SyntheticRoom(decay_s, direct_db, int(rng.integers(1 << 32)), rng.uniform(*config.reverb_onset_s))

    def _draw_band(self, rng: np.random.Generator) -> Effect:
        nyquist_hz = self._sounds.sample_rate_hz / 2
        lowest, highest = _BAND_STOP_CENTER_HZ
        center_hz = np.exp(rng.uniform(np.log(lowest), np.log(min(highest, 0.75 * nyquist_hz))))
        half = 2 ** (rng.uniform(*self.config.band_stop_octaves) / 2)
        return BandStop(float(center_hz / half), float(min(center_hz * half, 0.99 * nyquist_hz)))


def audio_files(folder: Path) -> tuple[Path, ...]:
    """Every audio file below a folder, sorted, for `Augmenter`.

    Raises:
        DataError: none is there.
        OSError: the folder is not there.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: expected a folder of recordings, found none of that name")
    found = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in _AUDIO_SUFFIXES))
    if not found:
        raise DataError(f"{folder}: expected recordings ({', '.join(sorted(_AUDIO_SUFFIXES))}), found none")
    return found
