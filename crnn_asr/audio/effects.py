"""Drawn effects: a technique with its strength, and the recordings that some of them need."""

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from crnn_asr.audio import acoustics
from crnn_asr.audio.read import Samples, read_audio

_CACHE_BYTES = 1 << 28  # of noise and rooms in memory: 70 minutes at 16 kHz


class Sounds:
    """Recordings at one rate; those used last stay in memory. Safe to share between threads."""

    def __init__(self, sample_rate_hz: int, max_bytes: int = _CACHE_BYTES) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Path, Samples] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, path: Path) -> Samples:
        """The first channel of a file. Raises what `read_audio` raises."""
        with self._lock:
            if path in self._kept:
                self._kept.move_to_end(path)
                return self._kept[path]
        samples = read_audio(path, self.sample_rate_hz, channel=0)
        with self._lock:
            self._kept[path] = samples
            while sum(kept.nbytes for kept in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)
        return samples


class Effect(Protocol):
    """One drawn technique. `str()` of it says what it does and how much."""

    def apply(self, samples: Samples, sounds: Sounds) -> Samples: ...


@dataclass(frozen=True)
class Stretch:
    rate: float

    def apply(self, samples: Samples, sounds: Sounds) -> Samples:
        return acoustics.stretch(samples, self.rate)

    def __str__(self) -> str:
        return f"time stretch, {self.rate:.2f} times as fast, same pitch"


@dataclass(frozen=True)
class Speed:
    rate: float

    def apply(self, samples: Samples, sounds: Sounds) -> Samples:
        return acoustics.change_speed(samples, self.rate, sounds.sample_rate_hz)

    def __str__(self) -> str:
        return f"speed, {self.rate:.2f} times as fast and as high"


@dataclass(frozen=True)
class Trim:
    below_db: float

    def apply(self, samples: Samples, sounds: Sounds) -> Samples:
        return acoustics.trim(samples, self.below_db, sounds.sample_rate_hz)

    def __str__(self) -> str:
        return f"ends cut off up to {self.below_db:.0f} dB below the loudest"


@dataclass(frozen=True)
class SyntheticRoom:
    decay_s: float
    direct_db: float
    seed: int
    onset_s: float = 0.0

    def apply(self, samples: Samples, sounds: Sounds) -> Samples:
        rng = np.random.default_rng(self.seed)
        response = acoustics.synthetic_room(self.decay_s, self.direct_db, sounds.sample_rate_hz, rng, self.onset_s)
        return acoustics.reverberate(samples, response)

    def __str__(self) -> str:
        onset = f", onset {1000 * self.onset_s:.0f} ms" if self.onset_s else ""
        return f"reverb, decay {self.decay_s:.2f} s, direct sound {self.direct_db:+.1f} dB{onset}"


@dataclass(frozen=True)
class RecordedRoom:
    path: Path
    speed: float = 1.0  # of the response: at half the speed, a room of twice the length, width and height

    def apply(self, samples: Samples, sounds: Sounds) -> Samples:
        response = sounds.load(self.path)
        if self.speed != 1:
            response = acoustics.change_speed(response, self.speed, sounds.sample_rate_hz)
        return acoustics.reverberate(samples, acoustics.from_direct_sound(response))

    def __str__(self) -> str:
        return f"reverb, room {self.path.name}{_at_speed(self.speed)}"


@dataclass(frozen=True)
class GaussianNoise:
    snr_db: float
    seed: int
    slope_db: float = 0.0  # an octave

    def apply(self, samples: Samples, sounds: Sounds) -> Samples:
        noise = acoustics.colored_noise(len(samples), self.slope_db, np.random.default_rng(self.seed))
        return acoustics.add_noise(samples, noise, self.snr_db)

    def __str__(self) -> str:
        slope = f", {self.slope_db:.1f} dB an octave" if self.slope_db else ""
        return f"Gaussian noise, SNR {self.snr_db:.1f} dB{slope}"


@dataclass(frozen=True)
class RecordedNoise:
    path: Path
    start_share: float  # of the file's length, from 0 to below 1
    snr_db: float
    speed: float = 1.0

    def apply(self, samples: Samples, sounds: Sounds) -> Samples:
        noise = sounds.load(self.path)
        length = math.ceil(len(samples) * self.speed) + 1  # rounding may take one away
        part = acoustics.loop(noise, int(self.start_share * len(noise)), length)
        if self.speed != 1:
            part = acoustics.change_speed(part, self.speed, sounds.sample_rate_hz)
        return acoustics.add_noise(samples, part[: len(samples)], self.snr_db)

    def __str__(self) -> str:
        return f"noise {self.path.name}, SNR {self.snr_db:.1f} dB{_at_speed(self.speed)}"


@dataclass(frozen=True)
class BandStop:
    low_hz: float
    high_hz: float

    def apply(self, samples: Samples, sounds: Sounds) -> Samples:
        return acoustics.band_stop(samples, self.low_hz, self.high_hz, sounds.sample_rate_hz)

    def __str__(self) -> str:
        return f"band stop, {self.low_hz:.0f} to {self.high_hz:.0f} Hz"


@dataclass(frozen=True)
class Equalizer:
    gains_db: tuple[float, ...]  # at each of `acoustics.OCTAVES_HZ`

    def apply(self, samples: Samples, sounds: Sounds) -> Samples:
        return acoustics.equalize(samples, self.gains_db, sounds.sample_rate_hz)

    def __str__(self) -> str:
        gains = ", ".join(f"{round(gain):+d}" for gain in self.gains_db)
        return f"equalizer, {gains} dB, by octaves from {acoustics.OCTAVES_HZ[0]} Hz"


@dataclass(frozen=True)
class Gain:
    gain_db: float

    def apply(self, samples: Samples, sounds: Sounds) -> Samples:
        return acoustics.amplify(samples, self.gain_db)

    def __str__(self) -> str:
        return f"gain, {self.gain_db:+.1f} dB"


def _at_speed(speed: float) -> str:
    return f", {speed:.2f} times as fast" if speed != 1 else ""
