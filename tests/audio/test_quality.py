"""Measures of sound against physics: powers that are known because they were mixed, and formulas of simple waves."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from crnn_asr.audio.fingerprint import fingerprint
from crnn_asr.audio.quality import MAX_SNR_DB, SILENCE_DB, measure_quality
from crnn_asr.audio.read import read_audio

RATE_HZ = 16_000


def sine(frequency_hz: float, amplitude: float, seconds: float = 2.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


def speech(rng: np.random.Generator, seconds: float = 4.0, spoken: float = 0.5, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Harmonics of a voice that come and go by a fifth of a second, and are there for a share of the time."""
    num_blocks = round(5 * seconds)
    there = rng.permutation(np.arange(num_blocks) < spoken * num_blocks)
    times_s = np.arange(num_blocks * rate_hz // 5) / rate_hz
    voice = sum(np.sin(2 * np.pi * 140 * k * times_s + k) / k for k in range(1, 15))
    return (0.05 * voice * np.repeat(there, rate_hz // 5)).astype(np.float32)


def mix(signal: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """The definition itself: mean power of the one over mean power of the other."""
    ratio = np.mean(signal.astype(float) ** 2) / np.mean(noise.astype(float) ** 2)
    return (signal + noise * math.sqrt(ratio / 10 ** (snr_db / 10))).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("snr_db", [0, 5, 10, 20, 30, 40])
def test_snr_of_speech_that_pauses_half_the_time_is_within_1_db_in_white_noise(snr_db, rate_hz, rng):
    for _ in range(10):
        signal = speech(rng, rate_hz=rate_hz)
        noisy = mix(signal, rng.standard_normal(len(signal)), snr_db)
        assert measure_quality(noisy, rate_hz).snr_db == pytest.approx(snr_db, abs=1.0)


@pytest.mark.parametrize("snr_db", [0, 10, 20, 30])
def test_snr_is_within_4_db_in_rumble(snr_db, rng):
    """Noise of low frequencies comes and goes by itself, so that its weakest tenth lies lower."""
    for _ in range(10):
        signal = speech(rng)
        rumble = lfilter([1], [1, -0.95], rng.standard_normal(len(signal)))  # 6 dB an octave less above 130 Hz
        assert measure_quality(mix(signal, rumble, snr_db), RATE_HZ).snr_db == pytest.approx(snr_db, abs=4.0)


def test_noise_alone_and_no_noise_at_all(rng):
    noise = 0.01 * rng.standard_normal(3 * RATE_HZ).astype(np.float32)
    assert -13 < measure_quality(noise, RATE_HZ).snr_db < -7
    assert measure_quality(np.zeros(RATE_HZ, np.float32), RATE_HZ).snr_db == 0
    padded = np.concatenate([mix(speech(rng), rng.standard_normal(64_000), 20), np.zeros(4 * RATE_HZ, np.float32)])
    assert measure_quality(padded, RATE_HZ).snr_db == pytest.approx(20, abs=1.0), "digital silence is no noise floor"
    assert measure_quality(speech(rng) + 1e-9, RATE_HZ).snr_db <= MAX_SNR_DB


@pytest.mark.parametrize("gain_db", [-30, 0, 15])
def test_level_follows_the_gain_and_snr_does_not(gain_db, rng):
    noisy = 0.1 * mix(speech(rng), rng.standard_normal(64_000), 15)
    before, after = measure_quality(noisy, RATE_HZ), measure_quality(noisy * np.float32(10 ** (gain_db / 20)), RATE_HZ)
    for name in ("level_db", "peak_db", "loudest_db"):
        assert getattr(after, name) - getattr(before, name) == pytest.approx(gain_db, abs=0.01)
    assert after.snr_db == pytest.approx(before.snr_db, abs=0.01)


def test_levels_of_a_sine():
    """Power a²/2: half of full scale is -6.02 dB, its mean power 3.01 dB below."""
    quality = measure_quality(sine(440, 0.5), RATE_HZ)
    assert quality.peak_db == pytest.approx(-6.02, abs=0.01)
    assert quality.level_db == pytest.approx(-9.03, abs=0.02)
    assert quality.loudest_db == pytest.approx(-9.03, abs=0.3)
    silence = measure_quality(np.zeros(100, np.float32), RATE_HZ)
    assert silence.level_db == silence.peak_db == silence.loudest_db == SILENCE_DB


def test_the_offset_is_measured_and_changes_nothing_else():
    plain, shifted = measure_quality(sine(440, 0.2), RATE_HZ), measure_quality(sine(440, 0.2) + 0.3, RATE_HZ)
    assert (plain.offset, shifted.offset) == (pytest.approx(0, abs=1e-4), pytest.approx(0.3, abs=1e-4))
    assert shifted.level_db == pytest.approx(plain.level_db, abs=0.01)


@pytest.mark.parametrize("gain", [1.05, 1.5, 2.0, 5.0])
@pytest.mark.parametrize("later", [1.0, 0.2])
def test_a_clipped_sine_is_flat_for_as_long_as_it_would_be_higher(gain, later):
    """|sin| > 1/gain for a share 1 - (2/π)·asin(1/gain) of the time; attenuated afterwards it stays flat."""
    clipped = later * np.clip(sine(100, gain), -1, 1)
    pcm = (np.rint(clipped * 32_767) / 32_768).astype(np.float32)
    expected = 1 - 2 / np.pi * math.asin(1 / gain)
    assert measure_quality(pcm, RATE_HZ).clipped_share == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("frequency_hz", [80, 100, 440, 3_000])
def test_what_is_not_clipped_is_not_flat(frequency_hz, rng):
    assert measure_quality(sine(frequency_hz, 1.0), RATE_HZ).clipped_share < 0.01
    assert measure_quality(0.3 * rng.standard_normal(32_000).astype(np.float32), RATE_HZ).clipped_share == 0


@pytest.mark.parametrize("spoken", [0.2, 0.5, 0.8])
def test_the_time_of_speech_is_that_of_its_blocks(spoken, rng):
    noisy = mix(speech(rng, seconds=6, spoken=spoken), rng.standard_normal(6 * RATE_HZ), 20)
    found = measure_quality(noisy, RATE_HZ).speech_s
    assert found == pytest.approx(6 * spoken, rel=0.15)
    assert measure_quality(np.concatenate([noisy, np.zeros(RATE_HZ, np.float32)]), RATE_HZ).speech_s == pytest.approx(
        found, abs=0.05
    )


@pytest.mark.parametrize("num_samples", [1, 2, 159, 160, 319, 320, 321])
def test_very_short_recordings_are_measured(num_samples, rng):
    quality = measure_quality(0.1 * rng.standard_normal(num_samples).astype(np.float32), RATE_HZ)
    assert all(math.isfinite(getattr(quality, name)) for name in quality.__slots__)
    assert fingerprint(np.ones(num_samples, np.float32)).num_samples == num_samples


def same(one: np.ndarray, other: np.ndarray) -> bool:
    left, right = fingerprint(one), fingerprint(other)
    return bool(set(left.places()) & set(right.places())) and left.is_same(right)


def as_pcm(samples: np.ndarray) -> np.ndarray:
    return (np.rint(samples * 32_767) / 32_768).astype(np.float32)


@pytest.mark.parametrize("change", [lambda x: x, lambda x: 0.31 * x, lambda x: -x, lambda x: x + 0.05, lambda x: 2 * x])
def test_gain_offset_polarity_and_rounding_leave_a_recording_the_same(change, rng):
    recording = as_pcm(mix(speech(rng), rng.standard_normal(64_000), 30))
    assert same(recording, as_pcm(change(recording)))


@pytest.mark.parametrize(
    "change",
    [
        lambda x, rng: np.roll(x, 1_600),
        lambda x, rng: x[:-1],
        lambda x, rng: x[::-1],
        lambda x, rng: x + 0.05 * rng.standard_normal(len(x)).astype(np.float32),
        lambda x, rng: np.concatenate([x[:40_000], 0.5 * x[40_000:]]),
        lambda x, rng: x * np.where(np.arange(len(x)) < 40_000, 1, -1).astype(np.float32),  # of the same level
    ],
)
def test_other_recordings_are_others(change, rng):
    recording = as_pcm(mix(speech(rng), rng.standard_normal(64_000), 30))
    assert not same(recording, as_pcm(change(recording, rng)))


@pytest.mark.realdata
def test_snr_of_real_speech_in_white_noise(shared_data, rng):
    """AN4, whose own noise is some 30 dB below; nine of ten within 1 dB, all within 4."""
    files = sorted((shared_data / "an4" / "wav").rglob("*.sph"))[::20]
    errors = []
    for path in files:
        samples = read_audio(path)
        for snr_db in (0, 5, 10, 15, 20):
            noisy = mix(samples, rng.standard_normal(len(samples)), snr_db)
            errors.append(abs(measure_quality(noisy, RATE_HZ).snr_db - snr_db))
    assert len(errors) > 200 and np.quantile(errors, 0.9) < 1 and max(errors) < 4
