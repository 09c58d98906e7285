"""The front end against librosa's, and its one length formula against the arrays it makes."""

from pathlib import Path

import librosa
import numpy as np
import pytest

from crnn_asr.audio.features import compute_features, log_mel, mel_triangles, normalize_features, speech_frames
from crnn_asr.audio.read import read_audio
from crnn_asr.config import FeatureConfig
from crnn_asr.errors import AudioError

CONFIGS = [
    FeatureConfig(),
    FeatureConfig(num_mels=40, low_hz=0, window_ms=32),
    FeatureConfig(sample_rate_hz=8_000, high_hz=4_000, fft_size=256, num_mels=40),
    FeatureConfig(num_mels=64, low_hz=80, high_hz=7_600, fft_size=1024, hop_ms=12.5),
]


def oracle(samples: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """librosa centers the window in the FFT, so padding both sides by half the difference gives our frames."""
    padding = (config.fft_size - config.window_samples) // 2
    power = librosa.feature.melspectrogram(
        y=np.pad(samples, padding),
        sr=config.sample_rate_hz,
        n_fft=config.fft_size,
        hop_length=config.hop_samples,
        win_length=config.window_samples,
        window="hann",
        center=False,
        power=2,
        n_mels=config.num_mels,
        fmin=config.low_hz,
        fmax=config.high_hz,
        htk=True,
        norm=None,
    )
    return np.log(power.T + config.log_floor)


@pytest.mark.parametrize("config", CONFIGS)
def test_values_are_librosas(config: FeatureConfig, rng: np.random.Generator) -> None:
    times_s = np.arange(3 * config.sample_rate_hz) / config.sample_rate_hz
    samples = (0.3 * np.sin(2 * np.pi * 300 * times_s**2) + rng.normal(0, 0.05, len(times_s))).astype(np.float32)
    features = log_mel(samples, config)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, oracle(samples, config), atol=1e-4)


@pytest.mark.realdata
def test_values_are_librosas_on_speech(shared_data: Path) -> None:
    """librosa's FFT is in float64; ours rounds relative to the strongest bin, which shows in a few of the weakest."""
    for path in sorted(shared_data.glob("LibriSpeech/**/*.flac"))[::100]:
        samples = read_audio(path)
        difference = np.abs(log_mel(samples, CONFIGS[0]) - oracle(samples, CONFIGS[0]))
        assert np.mean(difference > 1e-4) < 1e-4
        assert difference.max() < 1e-3


def test_triangles_are_librosas_and_none_is_empty() -> None:
    config = FeatureConfig()
    expected = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=80, fmin=20, fmax=8_000, htk=True, norm=None)
    np.testing.assert_allclose(mel_triangles(config), expected.T, atol=1e-5)
    assert mel_triangles(config).max(axis=0).min() > 0.4


@pytest.mark.parametrize("config", CONFIGS)
def test_one_formula_for_the_number_of_frames(config: FeatureConfig) -> None:
    window, hop = config.window_samples, config.hop_samples
    lengths = [0, 1, hop, window - 1, window, window + 1, window + hop - 1, window + hop]
    for length in [*lengths, *range(255 * hop + window - 2, 255 * hop + window + 2), 512 * hop + window, 48_017]:
        frames = log_mel(np.zeros(length, np.float32), config)
        assert frames.shape == (config.num_frames(length), config.num_mels)
        if length >= window:
            assert len(frames) == oracle(np.zeros(length, np.float32), config).shape[0]


def test_blocks_do_not_show(rng: np.random.Generator) -> None:
    """A frame depends on its own window only, wherever it stands."""
    config = FeatureConfig()
    samples = rng.normal(0, 0.1, 700 * 160).astype(np.float32)
    whole = log_mel(samples, config)
    for frame in (0, 255, 256, 511, 600):
        alone = log_mel(samples[frame * 160 : frame * 160 + 400], config)
        np.testing.assert_allclose(whole[frame], alone[0], atol=1e-5)


def test_normalized_mean_and_variance(rng: np.random.Generator) -> None:
    features = rng.normal(-7, [0.5, 1, 3], (500, 3)).astype(np.float32)
    normalized = normalize_features(features)
    assert normalized.dtype == np.float32
    np.testing.assert_allclose(normalized.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(normalized.std(axis=0), 1, atol=1e-3)
    hand = normalize_features(np.array([[1, 5], [3, 5]], np.float32))
    np.testing.assert_allclose(hand, [[-1, 0], [1, 0]], atol=1e-4)


def test_short_recordings_keep_the_shape_of_their_spectrum(rng: np.random.Generator) -> None:
    """With as many frames as those of the prior, each bin's mean and variance are halfway to those of all."""
    features = rng.normal([-2, 0, 5], [1, 2, 3], (50, 3)).astype(np.float32)
    own, whole = features.mean(axis=0, dtype=float), features.mean(dtype=float)
    centered = features - (own + whole) / 2
    variance = (centered**2).mean(axis=0)
    expected = centered / np.sqrt((variance + variance.mean()) / 2)
    np.testing.assert_allclose(normalize_features(features, 50), expected, atol=1e-4)
    np.testing.assert_allclose(normalize_features(features, 1e-9), normalize_features(features), atol=1e-5)
    long = normalize_features(np.tile(features, (1000, 1)), 50)
    np.testing.assert_allclose(long.mean(axis=0), 0, atol=0.01)


def sound(seconds: float, db: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose spectrum and level change four times a second, as those of speech do."""
    steps = [
        np.convolve(rng.normal(0, 0.1 * rng.uniform(0.3, 1), 4_000), rng.normal(size=9) / 3, "same")
        for _ in range(round(4 * seconds))
    ]
    return (10 ** (db / 20) * np.concatenate(steps)).astype(np.float32)


@pytest.mark.parametrize("config", CONFIGS[:2])
def test_long_pauses_are_no_part_of_the_statistics(config: FeatureConfig, rng: np.random.Generator) -> None:
    """What is said comes out as if there had been half a second between."""
    first, second, hop = sound(2, 0, rng), sound(3, -10, rng), config.hop_samples
    pause = sound(60, -50, rng)
    frames = len(first) // hop - 3
    for between in (0.25, 1.25, 8, 54):
        samples = np.concatenate([first, pause[: int(between * 16_000)], second])
        features = compute_features(samples, config)[:frames]
        short = compute_features(np.concatenate([first, pause[:8_000], second]), config)[:frames]
        plain = normalize_features(log_mel(samples, config))[:frames]
        assert np.abs(features - short).mean() < (0.25 if between == 0.25 else 0.05)
        assert between < 8 or np.abs(plain - short).mean() > 0.5


@pytest.mark.parametrize("shrinkage", [0.0, 100.0])
def test_each_part_of_a_long_recording_is_normalized_as_if_it_were_alone(shrinkage: float, rng) -> None:
    """Three minutes at three distances; in the second one nothing is said for a while, and there the whole counts."""
    config = FeatureConfig(shrinkage_frames=shrinkage)
    parts = [np.convolve(sound(60, db, rng), [1, tilt], "same") for db, tilt in ((0, 0.9), (-8, -0.9), (-15, 0))]
    samples = np.concatenate(parts).astype(np.float32)
    found = compute_features(samples, config)
    for number, part in enumerate(parts):
        middle = slice(20 * 16_000, 40 * 16_000)
        alone = compute_features(part[middle].astype(np.float32), config)
        there = found[(60 * number + 20) * 100 :][: len(alone)]
        assert np.abs(there - alone).mean() < 0.12
    whole = normalize_features(log_mel(samples, config), shrinkage)
    assert np.abs(whole[2_000:4_000] - found[2_000:4_000]).mean() > 0.3

    samples[75 * 16_000 : 115 * 16_000] *= 1e-4
    counted = speech_frames(log_power := log_mel(samples, config), config)
    silent = slice(9_100, 9_850)  # a second without any within 15 s
    whole = normalize_features(log_power, shrinkage, counted)
    np.testing.assert_allclose(compute_features(samples, config)[silent], whole[silent], atol=0.05)


def test_a_minute_is_normalized_by_its_whole(rng: np.random.Generator) -> None:
    samples, config = sound(61, 0, rng), FeatureConfig()
    for seconds, same in ((60, True), (61, False)):
        log_power = log_mel(samples[: seconds * 16_000], config)
        whole = normalize_features(log_power)
        assert np.array_equal(compute_features(samples[: seconds * 16_000], config), whole) == same


def test_which_frames_are_counted(rng: np.random.Generator) -> None:
    config = FeatureConfig()  # a frame is 10 ms
    loud, soft = sound(2, 0, rng), sound(3, -40, rng)

    def counted(*parts: np.ndarray) -> list[int]:
        frames = speech_frames(log_mel(np.concatenate(parts), config), config)
        return [int(frames[start : start + 100].sum()) for start in range(0, len(frames), 100)]

    assert counted(loud, soft[:14_000], loud) == [100] * 4 + [86]  # 0.875 s
    assert counted(loud, soft, loud) == pytest.approx([100, 100, 25, 0, 25, 100, 98], abs=3)
    assert counted(soft, loud, soft) == pytest.approx([25, 0, 25, 100, 100, 25, 0, 23], abs=3)
    assert counted(soft, soft) == [100] * 5 + [98]
    bang = np.concatenate([np.ones(1_600, np.float32), sound(30, -30, rng)])  # a tenth of a second
    assert speech_frames(log_mel(bang, config), config).all()
    assert counted(np.zeros(32_000, np.float32)) == [100, 98]
    assert counted(np.zeros(400, np.float32)) == [1]


def test_normalization_of_long_recordings_is_exact() -> None:
    """Sums of 400 000 values near -13.8 in float32 would drift."""
    features = np.full((400_000, 1), np.log(np.float32(1e-6)))
    features[::2] += 1
    np.testing.assert_allclose(np.abs(normalize_features(features)), 1, atol=1e-4)


@pytest.mark.parametrize("length", [400, 401, 16_000, 160_000])
@pytest.mark.parametrize("value", [0.0, 0.25])
def test_constant_signals_are_finite_and_quiet(length: int, value: float) -> None:
    features = compute_features(np.full(length, value, np.float32), FeatureConfig())
    assert np.abs(features).max() < 0.05


def test_loudness_does_not_matter(rng: np.random.Generator) -> None:
    samples = rng.normal(0, 0.05, 32_000).astype(np.float32)
    loud, soft = (compute_features(samples * np.float32(gain), FeatureConfig()) for gain in (1, 0.25))
    assert np.abs(loud - soft).mean() < 1e-3


def test_other_precisions(rng: np.random.Generator) -> None:
    samples = rng.normal(0, 0.1, 8_000)
    features = compute_features(samples, FeatureConfig())
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, compute_features(samples.astype(np.float32), FeatureConfig()))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, np.float32), r"at least 400 samples \(25 ms\), got 0"),
        (np.zeros(1, np.float32), r"at least 400 samples \(25 ms\), got 1"),
        (np.zeros(399, np.float32), "got 399"),
        (np.zeros((800, 2), np.float32), r"shape \(N,\).*float32 of shape \(800, 2\)"),
        (np.zeros(800, np.int16), "got int16 .*divide 16-bit integers by 32768"),
        (np.full(800, np.nan, np.float32), "expected finite samples"),
    ],
)
def test_refusals(samples: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        compute_features(samples, FeatureConfig())
