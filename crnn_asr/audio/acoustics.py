"""What can happen to a recording on its way to the microphone: pure functions, float32 (N,) in and out.

Results may go beyond ±1; only writing to a file clips. Silence stays silence and nothing divides by it.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.read import Samples, resample

Numbers = NDArray[Any]

STRETCH_WINDOW = 1_024  # samples; at 16 kHz 64 ms: long enough for a low voice, short enough for consonants
_BUTTERWORTH_ORDER = 4
OCTAVES_HZ = (125, 250, 500, 1_000, 2_000, 4_000, 8_000)  # at which `equalize` has gains
_SILENCE_DB = 40.0  # below the loudest
_SOFT_END_S = 0.2  # of a word, at most
_EQUALIZER_S = 0.016  # of its filter: frequencies closer than 60 Hz are not told apart


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Add noise of the same length, scaled so that mean speech power over mean noise power is `snr_db`."""
    ratio = _ratio(_power(samples), _power(noise))
    return samples + noise * np.float32(math.sqrt(ratio / 10 ** (snr_db / 10)))


def loop(samples: Samples, start: int, length: int) -> Samples:
    """`length` samples from `start` on, beginning anew at the end."""
    return samples.take(np.arange(start, start + length), mode="wrap")


def colored_noise(length: int, slope_db: float, rng: np.random.Generator) -> Samples:
    """Gaussian noise (N,) whose power falls by so many dB an octave: 0 is white, -3 pink, -6 brown.

    Power ∝ f^(slope / (10·lg 2)), amplitude its square root; below a hundredth of the highest frequency it stays level,
    so that not all of it is rumble. Its level is no matter: `add_noise` sets it.
    """
    from scipy.fft import irfft, next_fast_len, rfft  # in float32

    if not slope_db:
        return rng.standard_normal(length, dtype=np.float32)
    size = next_fast_len(length, real=True)  # a length of large primes takes ten times as long
    relative = np.maximum(np.linspace(0, 1, size // 2 + 1, dtype=np.float32), np.float32(0.01))
    shape = relative ** np.float32(slope_db / (20 * math.log10(2)))
    noise: Samples = irfft(rfft(rng.standard_normal(size, dtype=np.float32)) * shape, size)[:length]
    return noise


def synthetic_room(
    decay_s: float, direct_db: float, sample_rate_hz: int, rng: np.random.Generator, onset_s: float = 0.0
) -> Samples:
    """An impulse response after Polack: the direct sound, then noise that falls by 60 dB in `decay_s`.

    60 dB are a factor of 1000 in amplitude, so the envelope is exp(-ln(1000)·t / decay). Where the sound comes through
    a door, echoes arrive little by little: the envelope is multiplied by 1 - exp(-t / onset).

    Args:
        decay_s: the reverberation time RT60, in seconds.
        direct_db: energy of the direct sound over that of all the rest.
        onset_s: the time constant in which echoes grow, in seconds; 0 is at once.
    """
    length = max(2, round(decay_s * sample_rate_hz))
    times_s = np.arange(length, dtype=np.float32) / np.float32(sample_rate_hz)
    envelope = np.exp(np.float32(-math.log(1000) / decay_s) * times_s)
    if onset_s:
        envelope *= 1 - np.exp(-times_s / np.float32(onset_s))
    response: Samples = rng.standard_normal(length, dtype=np.float32) * envelope
    response[0] = 0
    response *= np.float32(math.sqrt(_ratio(10 ** (-direct_db / 10), length * _power(response))))
    response[0] = 1
    return response


def from_direct_sound(response: Samples) -> Samples:
    """Leave out what a recorded impulse response holds before its highest peak: the sound's way to the microphone."""
    return response[np.argmax(np.abs(response)) :]


def reverberate(samples: Samples, response: Samples) -> Samples:
    """Convolve with a room's impulse response that begins with the direct sound; length, level and timing stay."""
    from scipy.signal import fftconvolve

    wet = fftconvolve(samples, response[: len(samples)])[: len(samples)]
    return _at_level_of(samples, wet)


def stretch(samples: Samples, rate: float) -> Samples:
    """Make shorter (rate above 1) or longer; pitch and level stay. N must be at least `STRETCH_WINDOW`.

    A phase vocoder puts the harmonics of a voice out of step, which takes 3 dB of its power; they are given back.
    """
    from librosa.effects import time_stretch

    return _at_level_of(samples, time_stretch(samples, rate=rate, n_fft=STRETCH_WINDOW))


def stretched_length(num_samples: Numbers, rates: Numbers) -> Numbers:
    """Samples that `stretch` makes of so many (N,) at rates (N,)."""
    return np.rint(num_samples / rates)


def change_speed(samples: Samples, rate: float, sample_rate_hz: int) -> Samples:
    """Play at another speed: rate 1.1 is a tenth faster and a tenth higher, as resampling makes it."""
    return resample(samples, rate * sample_rate_hz, sample_rate_hz)


def changed_speed_length(num_samples: Numbers, rates: Numbers) -> Numbers:
    """Samples that `change_speed` makes of so many (N,) at rates (N,): soxr rounds halves up."""
    return cast(Numbers, np.floor(num_samples / rates + 0.5))


def band_stop(samples: Samples, low_hz: float, high_hz: float, sample_rate_hz: int) -> Samples:
    """Take out the band between two frequencies (-3 dB there) with a Butterworth filter."""
    from scipy.signal import butter, sosfilt

    sections = butter(_BUTTERWORTH_ORDER, (low_hz, high_hz), "bandstop", fs=sample_rate_hz, output="sos")
    return cast(Samples, sosfilt(sections, samples).astype(np.float32))  # float64 inside: the poles lie close to 1


def trim(samples: Samples, below_db: float, sample_rate_hz: int) -> Samples:
    """Cut off both ends up to where the level, of 10 ms each 2.5 ms, first and last is that close to its maximum.

    Of each end no more is cut than silence (40 dB below) and 0.2 s: in a sentence, never a word. Recordings are cut so
    by hand, by voice activity detectors and by push-to-talk keys: soft consonants at the ends of words are lost.
    """
    from librosa.effects import trim as trim_silence

    hop = sample_rate_hz // 400
    speech, loud = (
        trim_silence(samples, top_db=top_db, frame_length=4 * hop, hop_length=hop)[1]
        for top_db in (_SILENCE_DB, below_db)
    )
    most = round(_SOFT_END_S * sample_rate_hz)
    return samples[min(loud[0], speech[0] + most) : max(loud[1], speech[1] - most)]


def equalize(samples: Samples, gains_db: Sequence[float], sample_rate_hz: int) -> Samples:
    """The response of a microphone or a line: a gain in dB at each of `OCTAVES_HZ`, and the outer ones beyond them.

    Straight between in amplitude over frequency, by a linear-phase filter whose delay is taken back: length, level and
    timing stay.
    """
    from scipy.signal import fftconvolve, firwin2

    nyquist_hz = sample_rate_hz / 2
    points_hz = np.array([0, *(hz for hz in OCTAVES_HZ if hz < nyquist_hz), nyquist_hz])
    points_db = np.interp(np.log2(points_hz.clip(1)), np.log2(OCTAVES_HZ), gains_db)
    taps = firwin2(int(_EQUALIZER_S * nyquist_hz) * 2 + 1, points_hz, 10 ** (points_db / 20), fs=sample_rate_hz)
    return _at_level_of(samples, fftconvolve(samples, taps.astype(np.float32), "same"))


def amplify(samples: Samples, gain_db: float) -> Samples:
    return samples * np.float32(10 ** (gain_db / 20))


def _at_level_of(original: Samples, changed: Samples) -> Samples:
    return changed * np.float32(math.sqrt(_ratio(_power(original), _power(changed))))


def _power(samples: Samples) -> float:
    return float(np.square(samples).mean(dtype=np.float64)) if samples.size else 0.0


def _ratio(numerator: float, denominator: float) -> float:
    """Their quotient; 0 where there is nothing to divide by, so that silence adds and keeps nothing."""
    return numerator / denominator if denominator > 0 else 0.0
