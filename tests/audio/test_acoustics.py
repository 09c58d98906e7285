"""Effects against physics: decibels, decay times, frequencies."""

import numpy as np
import pytest
from scipy.signal import freqz

from crnn_asr.audio import acoustics

RATE_HZ = 16_000


def tone(hz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def power_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def dominant_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * RATE_HZ / len(samples)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.3, 40.0])
def test_measured_snr(snr_db: float, rng: np.random.Generator) -> None:
    speech = tone(200)
    noise = rng.uniform(-7, 7, len(speech)).astype(np.float32)
    noisy = acoustics.add_noise(speech, noise, snr_db)
    assert noisy.dtype == np.float32
    assert power_db(speech) - power_db(noisy - speech) == pytest.approx(snr_db, abs=0.1)


def test_noise_and_silence(rng: np.random.Generator) -> None:
    noise = rng.standard_normal(1_000).astype(np.float32)
    silence = np.zeros(1_000, np.float32)
    np.testing.assert_array_equal(acoustics.add_noise(silence, noise, 10), silence)
    np.testing.assert_array_equal(acoustics.add_noise(noise, silence, 10), noise)


def test_loop_wraps_around() -> None:
    samples = np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(acoustics.loop(samples, 3, 6), [3, 0, 1, 2, 3, 0])
    np.testing.assert_array_equal(acoustics.loop(samples, 1, 2), [1, 2])


def decay_s(response: np.ndarray) -> float:
    """RT60 after Schroeder: energy integrated backward, a line through -5 to -35 dB of the reverberation."""
    tail = response[1:].astype(np.float64)
    curve_db = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] / np.sum(tail**2))
    part = np.flatnonzero((curve_db < -5) & (curve_db > -35))
    slope, _ = np.polyfit(part / RATE_HZ, curve_db[part], 1)
    return float(-60 / slope)


@pytest.mark.parametrize("expected_s", [0.1, 0.3, 0.6, 1.5])
@pytest.mark.parametrize("direct_db", [-6.0, 6.0])
def test_synthetic_room(expected_s: float, direct_db: float, rng: np.random.Generator) -> None:
    response = acoustics.synthetic_room(expected_s, direct_db, RATE_HZ, rng)
    assert response.dtype == np.float32
    assert decay_s(response) == pytest.approx(expected_s, rel=0.15)
    assert response[0] == 1
    assert -10 * np.log10(np.sum(response[1:] ** 2)) == pytest.approx(direct_db, abs=0.01)


def test_echoes_through_a_door_grow(rng: np.random.Generator) -> None:
    """Energy of the first 10 ms over that of the next 40 ms, against the integral of the envelope's square."""
    decay, onset = 0.5, 0.02
    response = acoustics.synthetic_room(decay, -15, RATE_HZ, rng, onset)
    assert -10 * np.log10(np.sum(response[1:] ** 2)) == pytest.approx(-15, abs=0.01)
    times = (np.arange(8_000) + 0.5) / RATE_HZ
    square = (np.exp(-np.log(1000) * times / decay) * (1 - np.exp(-times / onset))) ** 2
    expected = square[:160].sum() / square[160:800].sum()
    assert np.sum(response[1:160] ** 2) / np.sum(response[160:800] ** 2) == pytest.approx(expected, rel=0.3)
    plain = acoustics.synthetic_room(decay, -15, RATE_HZ, rng)
    assert np.sum(plain[1:160] ** 2) / np.sum(plain[160:800] ** 2) > 5 * expected


@pytest.mark.parametrize("slope_db", [0.0, -3.0, -6.0, 4.0])
def test_noise_falls_so_many_decibels_an_octave(slope_db: float, rng: np.random.Generator) -> None:
    noise = acoustics.colored_noise(160_001, slope_db, rng)
    assert noise.dtype == np.float32 and len(noise) == 160_001
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.arange(len(power)) * RATE_HZ / len(noise)
    octaves = [10 * np.log10(power[(hz >= low) & (hz < 2 * low)].mean()) for low in (250, 500, 1_000, 2_000, 4_000)]
    np.testing.assert_allclose(np.diff(octaves), slope_db, atol=0.3)
    assert len(acoustics.colored_noise(1, slope_db, rng)) == 1


def test_shortest_room_is_finite(rng: np.random.Generator) -> None:
    assert np.isfinite(acoustics.synthetic_room(1e-5, 0, RATE_HZ, rng)).all()


def test_reverberation_is_convolution_at_the_same_level(rng: np.random.Generator) -> None:
    samples = rng.standard_normal(2_000).astype(np.float32)
    response = acoustics.synthetic_room(0.05, 0, RATE_HZ, rng)
    wet = acoustics.reverberate(samples, response)
    direct = np.convolve(samples.astype(np.float64), response)[: len(samples)]
    direct *= np.sqrt(np.mean(samples**2) / np.mean(direct**2))
    assert wet.dtype == np.float32
    np.testing.assert_allclose(wet, direct, atol=1e-4)


def test_reverberation_delays_nothing(rng: np.random.Generator) -> None:
    click = np.zeros(4_000, np.float32)
    click[1_000] = 1
    wet = acoustics.reverberate(click, acoustics.synthetic_room(0.3, 6, RATE_HZ, rng))
    assert np.argmax(np.abs(wet)) == 1_000
    np.testing.assert_allclose(wet[:1_000], 0, atol=1e-6)


def test_reverberation_of_short_and_silent_input(rng: np.random.Generator) -> None:
    room = acoustics.synthetic_room(0.3, 0, RATE_HZ, rng)
    np.testing.assert_allclose(acoustics.reverberate(np.array([0.5], np.float32), room), [0.5], rtol=1e-5)
    silence = np.zeros(100, np.float32)
    np.testing.assert_array_equal(acoustics.reverberate(silence, room), silence)
    np.testing.assert_array_equal(acoustics.reverberate(tone(100), silence), 0)


def test_recorded_rooms_begin_with_the_direct_sound() -> None:
    response = np.array([0, 0, 0.01, -1, 0.5, 0], np.float32)
    np.testing.assert_array_equal(acoustics.from_direct_sound(response), [-1, 0.5, 0])


def test_lengths_are_those_of_the_arrays(rng: np.random.Generator) -> None:
    lengths, rates = rng.integers(1_024, 30_000, 300), rng.uniform(0.8, 1.25, 300)
    lengths[:3], rates[:3] = (1_025, 1_027, 2_001), (2.0, 2.0, 2.0)  # halves
    sped = [len(acoustics.change_speed(np.zeros(n, np.float32), r, RATE_HZ)) for n, r in zip(lengths, rates)]
    assert acoustics.changed_speed_length(lengths, rates).tolist() == sped
    few, rates = lengths[:30], rates[:30]
    stretched = [len(acoustics.stretch(np.zeros(n, np.float32), r)) for n, r in zip(few, rates)]
    assert acoustics.stretched_length(few, rates).tolist() == stretched


@pytest.mark.parametrize("rate", [0.8, 0.95, 1.1, 1.5])
def test_stretch_changes_length_and_keeps_pitch(rate: float) -> None:
    samples = tone(440)
    stretched = acoustics.stretch(samples, rate)
    assert stretched.dtype == np.float32
    assert len(stretched) == pytest.approx(len(samples) / rate, abs=1)
    assert dominant_hz(stretched) == pytest.approx(440, abs=2)
    assert power_db(stretched) == pytest.approx(power_db(samples), abs=0.01)


@pytest.mark.parametrize("rate", [0.8, 0.9537, 1.1, 1.5])
def test_speed_changes_length_and_pitch(rate: float) -> None:
    samples = tone(440)
    faster = acoustics.change_speed(samples, rate, RATE_HZ)
    assert faster.dtype == np.float32
    assert len(faster) == pytest.approx(len(samples) / rate, abs=1)
    assert dominant_hz(faster) == pytest.approx(440 * rate, abs=2)
    assert power_db(faster) == pytest.approx(power_db(samples), abs=0.1)


@pytest.mark.parametrize(("low_hz", "high_hz"), [(145, 155), (900, 1_100), (1_000, 1_600), (5_400, 6_600)])
def test_band_stop(low_hz: float, high_hz: float) -> None:
    click = np.zeros(1 << 16, np.float32)
    click[0] = 1
    response = acoustics.band_stop(click, low_hz, high_hz, RATE_HZ)
    center_hz = np.sqrt(low_hz * high_hz)
    probes_hz = np.array([center_hz, low_hz, high_hz, low_hz / 2, min(high_hz * 2, 7_900)])
    gains_db = 20 * np.log10(np.abs(freqz(response.astype(np.float64), worN=probes_hz, fs=RATE_HZ)[1]) + 1e-9)
    assert response.dtype == np.float32
    assert gains_db[0] < -20
    np.testing.assert_allclose(gains_db[1:3], -3.01, atol=0.1)
    assert np.abs(gains_db[3:]).max() < 1


def test_band_stop_of_a_tone() -> None:
    """Steady tones, past the time in which the filter settles."""
    for hz, attenuation_db in ((1_000, 40), (300, 0), (3_500, 0)):
        after = acoustics.band_stop(tone(hz), 850, 1_180, RATE_HZ)
        lost_db = power_db(tone(hz)[4_000:]) - power_db(after[4_000:])
        assert lost_db > 20 if attenuation_db else abs(lost_db) < 1


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_soft_ends_are_cut_off_and_soft_middles_are_not(rate_hz: int, rng: np.random.Generator) -> None:
    samples = rng.normal(0, 0.1, 2 * rate_hz).astype(np.float32)
    second, margin = rate_hz, rate_hz // 100
    for soft in (slice(second // 4), slice(-second // 4, None)):  # 20 dB, and the outer eighth of a second 30
        samples[soft] *= 0.1
    for softer in (slice(second // 8), slice(-second // 8, None)):
        samples[softer] *= 0.3
    samples[second : second + second // 8] *= 1e-4
    for below_db, cut in ((15, second // 5), (25, second // 8), (36, 0)):  # of a quarter, a fifth
        kept = acoustics.trim(samples, below_db, rate_hz)
        offset = int(np.flatnonzero(samples == kept[0])[0])
        np.testing.assert_array_equal(kept, samples[offset : offset + len(kept)])
        assert abs(offset - cut) <= margin and abs(offset + len(kept) - 2 * second + cut) <= margin
    assert len(acoustics.trim(np.zeros(1_000, np.float32), 20, rate_hz)) == 1_000


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_silence_around_speech_is_cut_off_whatever_its_length(rate_hz: int, rng: np.random.Generator) -> None:
    silence = rng.normal(0, 1e-4, rate_hz).astype(np.float32)
    speech = rng.normal(0, 0.1, rate_hz).astype(np.float32)
    kept = acoustics.trim(np.concatenate([silence, speech, silence]), 20, rate_hz)
    assert abs(len(kept) - rate_hz) <= rate_hz // 50


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_an_equalizer_has_the_gains_it_is_given(rate_hz: int) -> None:
    """Frequencies between the octaves too: a straight line in amplitude, which a filter of 16 ms rounds a little."""
    gains_db = np.array([-4.0, 0, 5, 2, -6, -3, 3])
    click = np.zeros(rate_hz // 2 + 1, np.float32)
    click[rate_hz // 4] = 1
    response = acoustics.equalize(click, gains_db, rate_hz)
    np.testing.assert_allclose(response, response[::-1], atol=1e-6)  # nothing moves in time
    octaves_hz = np.array(acoustics.OCTAVES_HZ, float)
    probes_hz = np.array([60, 125, 250, 375, 500, 1_000, 1_500, 2_000, 3_000])
    want = 20 * np.log10(np.interp(probes_hz, octaves_hz, 10 ** (gains_db / 20)))
    got = 20 * np.log10(np.abs(freqz(response.astype(np.float64), worN=probes_hz, fs=rate_hz)[1]))
    np.testing.assert_allclose(got - got[5], want - want[5], atol=0.7)
    assert response.dtype == np.float32
    assert power_db(response) == pytest.approx(power_db(click), abs=0.01)


def test_a_flat_equalizer_changes_nothing_and_short_sounds_keep_their_length(rng: np.random.Generator) -> None:
    samples = rng.normal(0, 0.1, 4_000).astype(np.float32)
    np.testing.assert_allclose(acoustics.equalize(samples, [-9.0] * 7, RATE_HZ), samples, atol=1e-5)
    assert len(acoustics.equalize(samples[:10], [0.0, 1, 2, 3, 4, 5, 6], RATE_HZ)) == 10
    assert not acoustics.equalize(np.zeros(500, np.float32), [0.0] * 7, RATE_HZ).any()


def test_gain_is_exact() -> None:
    samples = tone(440)
    np.testing.assert_allclose(acoustics.amplify(samples, -20), samples / 10, rtol=1e-6)
    assert acoustics.amplify(samples, 6.0206).max() == pytest.approx(2 * samples.max(), rel=1e-5)
    assert acoustics.amplify(samples, 3).dtype == np.float32
