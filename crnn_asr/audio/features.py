"""The one front end, for training and recognition: log-mel power of short windows, normalised over the utterance."""

import itertools
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import FeatureConfig
from crnn_asr.errors import AudioError

_BLOCK_FRAMES = 256  # transformed at a time: the buffers stay in the cache, and long recordings need no more memory
_VARIANCE_FLOOR = 1e-5  # in squared natural logs; digital silence becomes 0, speech (1 to 10) does not notice
_QUIET_DB = 25.0  # below the loudest frames: a pause
_LOUDEST_SHARE, _LOUDEST_S = 0.003, 0.3  # that are left aside, as one bang is not the loudness of a recording
_PAUSE_S, _PAUSE_END_S = 1.0, 0.25  # of longer pauses, only so much at either end is part of the statistics
LONG_S = 60.0  # more is a long recording
_AROUND_S, _WHOLE_S = 15, 1.0  # see `normalize_by_surroundings`


def compute_features(samples: NDArray[np.floating[Any]], config: FeatureConfig) -> NDArray[np.float32]:
    """What the network sees of a recording.

    Args:
        samples: shape (N,), floating point, full scale at ±1, at `config.sample_rate_hz`.

    Returns:
        Features of shape (T, F) with T = `config.num_frames(N)`, each mel bin with mean 0 and variance 1 over
        `speech_frames`, or with `config.shrinkage_frames` nearly so; of more than a minute by what is around.

    Raises:
        AudioError: not one channel of floating point, shorter than one window, or not finite.

    Example:
        >>> compute_features(np.zeros(16_000, np.float32), FeatureConfig()).shape
        (98, 80)
    """
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(
            f"expected floating-point samples of shape (N,) in [-1, 1], got {samples.dtype} of shape {samples.shape}; "
            "take one channel, and divide 16-bit integers by 32768"
        )
    if len(samples) < config.window_samples:
        raise AudioError(
            f"expected at least {config.window_samples} samples ({config.window_ms:g} ms), got {len(samples)}; "
            "the recording is too short"
        )
    log_power = log_mel(samples.astype(np.float32, copy=False), config)
    counted = speech_frames(log_power, config)
    if len(samples) > LONG_S * config.sample_rate_hz:
        features = normalize_by_surroundings(log_power, config, counted)
    else:
        features = normalize_features(log_power, config.shrinkage_frames, counted)
    if not np.isfinite(features).all():
        raise AudioError("expected finite samples in [-1, 1], got NaN, infinite or enormous ones")
    return features


def log_mel(samples: NDArray[np.float32], config: FeatureConfig) -> NDArray[np.float32]:
    """Natural logarithm of mel power, shape (T, F), of samples (N,). Frames are whole windows: nothing is padded.

    A frame is x[t·hop : t·hop + window] times a periodic Hann window, zero-padded to the FFT size. Its power spectrum
    |X|² is summed under triangles of height 1 on the HTK mel scale; then log(power + `log_floor`).
    """
    from scipy.fft import rfft  # keeps float32, where NumPy 1's computes in float64

    window, triangles = _hann(config.window_samples), mel_triangles(config)
    num_frames = config.num_frames(len(samples))
    log_power = np.empty((num_frames, config.num_mels), np.float32)
    if not num_frames:
        return log_power
    windows = np.lib.stride_tricks.sliding_window_view(samples, config.window_samples)[:: config.hop_samples]
    buffer = np.zeros((min(_BLOCK_FRAMES, num_frames), config.fft_size), np.float32)
    for start in range(0, num_frames, _BLOCK_FRAMES):
        block = windows[start : start + _BLOCK_FRAMES]
        frames = buffer[: len(block)]
        np.multiply(block, window, out=frames[:, : config.window_samples])
        spectrum = rfft(frames)
        np.matmul(spectrum.real**2 + spectrum.imag**2, triangles, out=log_power[start : start + len(block)])
    log_power += np.float32(config.log_floor)
    return np.log(log_power, out=log_power)


def speech_frames(log_power: NDArray[np.float32], config: FeatureConfig) -> NDArray[np.bool_]:
    """Which frames (T,) of `log_mel` (T, F) the statistics are of: all but the inner parts of pauses of over a second.

    A recording of an hour may be silence for the most part, and statistics of that make of speech what no network was
    trained on. In a pause, a frame's loudest bin is 25 dB softer than in the loudest frames; in noise, there is none.
    """
    frames_per_s = config.sample_rate_hz / config.hop_samples
    levels = log_power.max(axis=1)
    rank = min(len(levels), round(max(_LOUDEST_S * frames_per_s, _LOUDEST_SHARE * len(levels))))
    loud = levels >= np.partition(levels, -rank)[-rank] - _QUIET_DB * np.log(10) / 10
    bounds = np.flatnonzero(np.diff(loud, prepend=True, append=True)).reshape(-1, 2)
    counted = np.ones(len(levels), bool)
    for start, end in bounds[bounds[:, 1] - bounds[:, 0] > _PAUSE_S * frames_per_s]:
        rest = round(_PAUSE_END_S * frames_per_s)
        counted[start + rest : end - rest] = False
    return counted


def normalize_features(
    features: NDArray[np.float32], shrinkage_frames: float = 0.0, counted: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Subtract each mel bin's mean over the utterance's frames and divide by its deviation, shape (T, F) → (T, F).

    A bin that does not change, as in digital silence or a single frame, becomes 0. With `counted` (T,), mean and
    deviation are those of these frames alone.

    A word of a third of a second has hardly more than one vowel, and its mean is that vowel. With `shrinkage_frames` of
    k, each bin's mean and variance are shrunk towards those of all bins, (T·own + k·all) / (T + k), so that short
    utterances keep the shape of their spectrum, and long ones still lose that of the microphone.
    """
    known = features if counted is None or counted.all() else features[counted]
    own = known.mean(axis=0, dtype=np.float64)
    share = len(known) / (len(known) + shrinkage_frames)
    mean = (share * own + (1 - share) * own.mean()).astype(np.float32)
    centered: NDArray[np.float32] = features - mean
    variance = np.square(centered if known is features else known - mean).mean(axis=0, dtype=np.float64)
    variance = share * variance + (1 - share) * variance.mean()
    centered /= np.sqrt(variance + _VARIANCE_FLOOR).astype(np.float32)
    return centered


def normalize_by_surroundings(
    log_power: NDArray[np.float32], config: FeatureConfig, counted: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """As `normalize_features`, each second by the statistics of the 15 s before it and behind it: long recordings.

    Speakers, distances and microphones change in them. The statistics of the whole count as a second's, and alone where
    nothing is said around.
    """
    per_s = config.sample_rate_hz / config.hop_samples
    num_seconds = round(len(log_power) / per_s)
    seconds = list(itertools.pairwise(np.linspace(0, len(log_power), num_seconds + 1).astype(int)))
    sums = np.zeros((num_seconds + 1, 1 + 2 * config.num_mels))  # of ones, values and squares of all seconds before
    for i, (start, end) in enumerate(seconds):
        known = log_power[start:end][counted[start:end]].astype(np.float64)
        sums[i + 1] = len(known), *known.sum(0), *np.square(known).sum(0)
    sums = sums.cumsum(axis=0)
    number = np.arange(num_seconds)
    around = sums[np.minimum(number + 1 + _AROUND_S, num_seconds)] - sums[np.maximum(number - _AROUND_S, 0)]
    around += sums[-1] * (_WHOLE_S * per_s / sums[-1, 0])
    own, square = np.split(around[:, 1:] / around[:, :1], 2, 1)
    share = sums[-1, 0] / (sums[-1, 0] + config.shrinkage_frames)
    mean = share * own + (1 - share) * own.mean(1, keepdims=True)
    variance = square - 2 * mean * own + mean**2
    variance = share * variance + (1 - share) * variance.mean(1, keepdims=True)
    scale = 1 / np.sqrt(variance + _VARIANCE_FLOOR)
    features = np.empty_like(log_power)
    for i, (start, end) in enumerate(seconds):
        features[start:end] = (log_power[start:end] - mean[i]) * scale[i]
    return features


@lru_cache(maxsize=8)
def mel_triangles(config: FeatureConfig) -> NDArray[np.float32]:
    """Weights (FFT bins, F) of triangular filters whose corners are equally spaced in mel = 2595·log10(1 + f/700).

    Where mels are narrower than the FFT's bins a triangle may hold no bin; its feature is then constant. With the
    default 80 mels over 512 points none is.
    """
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (config.low_hz, config.high_hz))
    corners = 700 * (10 ** (np.linspace(low, high, config.num_mels + 2) / 2595) - 1)
    bins = np.arange(config.fft_size // 2 + 1)[:, None] * config.sample_rate_hz / config.fft_size
    rising = (bins - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - bins) / np.diff(corners)[1:]
    triangles: NDArray[np.float32] = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    triangles.setflags(write=False)  # the cache gives every caller the same array
    return triangles


@lru_cache(maxsize=8)
def _hann(length: int) -> NDArray[np.float32]:
    window: NDArray[np.float32] = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    window.setflags(write=False)
    return window
