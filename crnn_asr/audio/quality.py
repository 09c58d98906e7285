"""What can be measured of a recording's sound alone: level, clipping, offset, noise, how long someone speaks.

Everything is in decibels relative to full scale, a sample of ±1: 0 dB is a square wave of it, a sine has -3 dB.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.read import Samples

SILENCE_DB = -100.0  # stands for no power at all
MAX_SNR_DB = 80.0  # stands for no noise at all; 16 bits hold no more beside speech

_HOP_S = 0.01
_ZERO_DB = -97.0  # a frame below is digital silence, filled in by an editor: weaker than the last of 16 bits flipping
_FLOOR_QUANTILE = 0.1  # of the frames, the level which only the background reaches: speech pauses at least so often
_SPEECH_RANGE_DB = 25.0  # of what someone says, below the loudest fiftieth of the frames
_SPEECH_ABOVE_FLOOR_DB = 6.0
_FLAT = 1 - 1e-4  # of the highest peak: three steps of 16 bits at full scale
_FLAT_SAMPLES = 3  # in a row, at the highest peak; a sine does not stay there as long above 60 Hz


@dataclass(frozen=True, slots=True)
class Quality:
    """Measures of one recording.

    Attributes:
        level_db: mean power without the offset.
        peak_db: of the sample farthest from zero.
        loudest_db: power of the loudest 20 ms.
        offset: mean of the samples, which should be 0.
        clipped_share: of the samples that stand in a row at the highest peak, as limits of a converter leave them.
        snr_db: estimated ratio of mean speech power to mean noise power; see `estimate_snr_db`.
        speech_s: how long someone speaks, pauses not counted.
    """

    level_db: float
    peak_db: float
    loudest_db: float
    offset: float
    clipped_share: float
    snr_db: float
    speech_s: float


def measure_quality(samples: Samples, sample_rate_hz: int) -> Quality:
    """Measure finite samples (N,), N ≥ 1."""
    offset = float(samples.mean(dtype=np.float64))
    powers = frame_powers(samples - np.float32(offset), sample_rate_hz)
    peaks = np.abs(samples)
    peak = float(peaks.max())
    return Quality(
        level_db=_decibels(float(powers.mean())),
        peak_db=_decibels(peak**2),
        loudest_db=_decibels(float(powers.max())),
        offset=offset,
        clipped_share=_clipped_share(peaks, peak),
        snr_db=estimate_snr_db(powers),
        speech_s=speech_duration_s(powers),
    )


def frame_powers(samples: Samples, sample_rate_hz: int) -> NDArray[np.float64]:
    """Mean power of windows of 20 ms every 10 ms (T,), of whole ones only; T is 1 for less than two hops."""
    hop = max(1, round(_HOP_S * sample_rate_hz))
    squares = np.square(samples)
    if len(samples) < 2 * hop:
        return np.array([squares.mean(dtype=np.float64)])
    num_hops = len(samples) // hop
    hops = squares[: num_hops * hop].reshape(num_hops, hop).mean(axis=1).astype(np.float64)
    powers: NDArray[np.float64] = (hops[1:] + hops[:-1]) / 2
    return powers


def estimate_snr_db(powers: NDArray[np.float64]) -> float:
    """Estimate the signal-to-noise ratio from frame powers (T,), with the pauses of the speech as the noise.

    The tenth percentile of the frames is taken for the noise's power N. Noise that is steady and independent of the
    speech adds its power to it, so the mean of all frames is S + N, and the ratio is (mean - N) / N: that of mean
    powers over the whole recording, which `add_noise` mixes with. Frames of digital silence are left out.

    Of steady noise alone the percentile lies some 10 % below the mean, which makes about -10 dB. Where nobody pauses in
    a tenth of the time, speech counts as noise and the estimate is too low.
    """
    sounding = powers[powers > 10 ** (_ZERO_DB / 10)]
    if not sounding.size:
        return 0.0
    noise = float(np.quantile(sounding, _FLOOR_QUANTILE))
    speech = float(sounding.mean()) - noise
    return float(np.clip(10 * np.log10(max(speech, 1e-12 * noise) / noise), -MAX_SNR_DB, MAX_SNR_DB))


def speech_duration_s(powers: NDArray[np.float64]) -> float:
    """Seconds of the frames (T,) that are near the loudest ones and stand out of the background."""
    sounding = powers[powers > 10 ** (_ZERO_DB / 10)]
    if not sounding.size:
        return 0.0
    loud = float(np.quantile(sounding, 0.98)) / 10 ** (_SPEECH_RANGE_DB / 10)
    above_floor = float(np.quantile(sounding, _FLOOR_QUANTILE)) * 10 ** (_SPEECH_ABOVE_FLOOR_DB / 10)
    return _HOP_S * int(np.count_nonzero(sounding > max(loud, above_floor)))


def _clipped_share(peaks: Samples, peak: float) -> float:
    """Share of the magnitudes (N,) that are in rows of at least three at the highest."""
    places = np.flatnonzero(peaks >= _FLAT * peak)
    if not peak or len(places) < _FLAT_SAMPLES:
        return 0.0
    rows = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return sum(len(row) for row in rows if len(row) >= _FLAT_SAMPLES) / len(peaks)


def _decibels(power: float) -> float:
    return max(SILENCE_DB, float(10 * np.log10(max(power, 1e-30))))
