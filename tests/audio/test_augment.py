"""Drawing: rates, ranges, order, seeds; applying: recordings, guards, memory."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.audio.augment import Augmenter, audio_files
from crnn_asr.audio.effects import (
    BandStop,
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
from crnn_asr.config import AugmentConfig
from crnn_asr.errors import AudioError, DataError

PROBABILITIES = [field.name for field in dataclasses.fields(AugmentConfig) if field.name.endswith("_probability")]
ALWAYS = AugmentConfig(**dict.fromkeys(PROBABILITIES, 1.0), reverb_recorded_share=1.0)
NEVER = AugmentConfig(**dict.fromkeys(PROBABILITIES, 0.0))


@pytest.fixture
def noise_file(tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / "noise.wav"
    soundfile.write(path, rng.normal(0, 0.1, 4_000), 16_000)
    return path


@pytest.fixture
def room_file(tmp_path: Path) -> Path:
    path = tmp_path / "room.wav"
    response = np.zeros(800)
    response[[100, 300]] = 0.9, 0.4
    soundfile.write(path, response, 16_000, subtype="FLOAT")
    return path


def speech(rng: np.random.Generator, num_samples: int = 16_000) -> np.ndarray:
    return rng.normal(0, 0.1, num_samples).astype(np.float32)


def test_probabilities_are_met(noise_file: Path) -> None:
    """20 000 draws: four standard deviations of a rate are at most 0.012."""
    config = AugmentConfig(
        noise_probability=0.1,
        noise_file_probability=0.2,
        reverb_probability=0.3,
        stretch_probability=0.4,
        speed_probability=0.5,
        band_stop_probability=0.6,
        gain_probability=0.7,
        equalizer_probability=0.8,
        trim_probability=0.9,
    )
    augmenter, rng, num_draws = Augmenter(config, noise_files=[noise_file]), np.random.default_rng(1), 20_000
    drawn = [type(effect) for _ in range(num_draws) for effect in augmenter.draw(16_000, rng)]
    kinds = [GaussianNoise, RecordedNoise, SyntheticRoom, Stretch, Speed, BandStop, Gain, Equalizer, Trim]
    rates = [drawn.count(kind) / num_draws for kind in kinds]
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], atol=0.015)


def test_zero_is_never_and_one_is_always(noise_file: Path, room_file: Path, rng: np.random.Generator) -> None:
    files = {"noise_files": [noise_file], "room_files": [room_file]}
    never, always = Augmenter(NEVER, **files), Augmenter(ALWAYS, **files)
    order = [Stretch, Speed, Trim, RecordedRoom, GaussianNoise, RecordedNoise, BandStop, Gain, Equalizer]
    for _ in range(200):
        assert never.draw(16_000, rng) == ()
        assert [type(effect) for effect in always.draw(16_000, rng)] == order
    samples = speech(rng)
    np.testing.assert_array_equal(never(samples, rng), samples)


def test_rooms_are_recorded_in_their_share(room_file: Path, rng: np.random.Generator) -> None:
    config = dataclasses.replace(NEVER, reverb_probability=0.8, reverb_recorded_share=0.25)
    drawn = [type(effect) for _ in range(4_000) for effect in Augmenter(config, room_files=[room_file]).draw_scene(rng)]
    rates = [drawn.count(kind) / 4_000 for kind in (RecordedRoom, SyntheticRoom)]
    np.testing.assert_allclose(rates, [0.2, 0.6], atol=0.03)


def test_scaling_changes_how_often_and_not_how_much(rng: np.random.Generator) -> None:
    half = Augmenter(ALWAYS).scaled(0.5)
    assert half.config == dataclasses.replace(ALWAYS, **dict.fromkeys(PROBABILITIES, 0.5))
    drawn = [len(half.draw(16_000, rng)) for _ in range(2_000)]
    assert np.mean(drawn) == pytest.approx(4, abs=0.15)  # of eight kinds that need no recordings


def test_strengths_fill_their_ranges(noise_file: Path, rng: np.random.Generator) -> None:
    config, values = ALWAYS, {}
    augmenter = Augmenter(config, noise_files=[noise_file])
    rooms = Augmenter(config, room_files=[noise_file])
    values[RecordedRoom, "speed"] = [rooms.draw(16_000, rng)[3].speed for _ in range(2_000)]
    for _ in range(2_000):
        for effect in augmenter.draw(16_000, rng):
            for name, value in vars(effect).items():
                values.setdefault((type(effect), name), []).append(value)
    bands = zip(values[BandStop, "low_hz"], values[BandStop, "high_hz"])
    values[BandStop, "octaves"] = [np.log2(high / low) for low, high in bands]
    values[Equalizer, "octave_db"] = np.diff(values[Equalizer, "gains_db"]).ravel()
    for key, (low, high) in {
        (GaussianNoise, "snr_db"): config.noise_snr_db,
        (GaussianNoise, "slope_db"): config.noise_slope_db,
        (RecordedNoise, "speed"): config.noise_file_speed,
        (SyntheticRoom, "onset_s"): config.reverb_onset_s,
        (RecordedNoise, "snr_db"): config.noise_file_snr_db,
        (RecordedRoom, "speed"): config.reverb_recorded_speed,
        (RecordedNoise, "start_share"): (0, 1),
        (SyntheticRoom, "decay_s"): config.reverb_decay_s,
        (Stretch, "rate"): config.stretch_rate,
        (Speed, "rate"): config.speed_rate,
        (Trim, "below_db"): config.trim_db,
        (BandStop, "octaves"): config.band_stop_octaves,
        (Gain, "gain_db"): config.gain_db,
        (Equalizer, "octave_db"): config.equalizer_octave_db,
    }.items():
        margin = 0.02 * (high - low)
        assert low - 1e-9 <= min(values[key]) < low + margin, key
        assert high - margin < max(values[key]) <= high + 1e-9, key
    assert len(set(values[GaussianNoise, "seed"])) > 1_990


def test_a_tempo_says_how_long_each_becomes(rng: np.random.Generator) -> None:
    lengths = rng.integers(900, 20_000, 40)
    config = dataclasses.replace(NEVER, stretch_probability=0.5, speed_probability=0.5, speed_rate=(0.8, 1.25))
    augmenter = Augmenter(config)
    tempo = augmenter.draw_tempo(lengths, rng)
    played = [augmenter.apply(speech(rng, count), tempo.effects(index)) for index, count in enumerate(lengths)]
    assert tempo.num_samples(lengths).tolist() == [len(samples) for samples in played]
    kinds = {tuple(type(effect) for effect in tempo.effects(index)) for index in range(40)}
    assert kinds == {(), (Stretch,), (Speed,), (Stretch, Speed)}
    assert augmenter.draw_scene(rng) == ()


@pytest.mark.parametrize("sample_rate_hz", [8_000, 16_000])
def test_widest_bands_stay_below_nyquist(sample_rate_hz: int, rng: np.random.Generator) -> None:
    config = dataclasses.replace(NEVER, band_stop_probability=1, band_stop_octaves=(3, 3))
    augmenter = Augmenter(config, sample_rate_hz)
    for _ in range(200):
        (band,) = augmenter.draw(16_000, rng)
        assert 0 < band.low_hz < band.high_hz < sample_rate_hz / 2
        assert np.isfinite(augmenter.apply(speech(rng, 500), [band])).all()


def test_same_seed_same_samples(noise_file: Path, rng: np.random.Generator) -> None:
    samples = speech(rng)
    first, second = (Augmenter(ALWAYS, noise_files=[noise_file])(samples, np.random.default_rng(5)) for _ in range(2))
    other = Augmenter(ALWAYS, noise_files=[noise_file])(samples, np.random.default_rng(6))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert len(other) != len(first)


def test_applying_draws_nothing_and_changes_no_argument(rng: np.random.Generator) -> None:
    augmenter, samples = Augmenter(ALWAYS), speech(rng)
    before, drawn = samples.copy(), augmenter.draw(len(samples), rng)
    np.testing.assert_array_equal(augmenter.apply(samples, drawn), augmenter.apply(samples, drawn))
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("num_samples", [0, 1, 2, 10, 500, 1_023, 1_024, 1_100])
@pytest.mark.parametrize("amplitude", [0.0, 0.1])
def test_short_and_silent_input(
    num_samples: int, amplitude: float, noise_file: Path, room_file: Path, rng: np.random.Generator
) -> None:
    samples = (amplitude * np.ones(num_samples)).astype(np.float32)
    for room_files in ([], [room_file]):
        augmenter = Augmenter(ALWAYS, noise_files=[noise_file], room_files=room_files)
        drawn = augmenter.draw(num_samples, rng)
        augmented = augmenter.apply(samples, drawn)
        assert any(isinstance(effect, Stretch) for effect in drawn) == (num_samples >= 1_024)
        assert augmented.dtype == np.float32
        assert np.isfinite(augmented).all()
        assert (len(augmented) > 0) == (num_samples > 0)
        assert amplitude or not augmented.any()


def test_noise_files_start_anywhere_and_loop(noise_file: Path, rng: np.random.Generator) -> None:
    samples = speech(rng)
    noise = np.resize(np.roll(soundfile.read(noise_file, dtype="float32")[0], -1_000), len(samples))
    noisy = RecordedNoise(noise_file, 0.25, 7.0).apply(samples, Sounds(16_000))
    added = noisy - samples
    assert np.corrcoef(added, noise)[0, 1] > 0.9999
    assert 10 * np.log10(np.mean(samples**2) / np.mean(added**2)) == pytest.approx(7.0, abs=0.1)


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("length", [1, 999, 12_345])
def test_noise_files_are_played_at_another_speed(tmp_path: Path, speed: float, length: int) -> None:
    """A hum becomes higher by the speed, and there is noise to the very end."""
    hum = 0.3 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)
    soundfile.write(tmp_path / "hum.wav", hum, 16_000)
    samples = np.full(length, 1e-3, np.float32)
    noisy = Augmenter(NEVER).apply(samples, [RecordedNoise(tmp_path / "hum.wav", 0.0, -40.0, speed)])
    assert len(noisy) == length
    if length > 10_000:
        spectrum = np.abs(np.fft.rfft((noisy - samples) * np.hanning(length)))
        assert np.argmax(spectrum) * 16_000 / length == pytest.approx(500 * speed, abs=2)
        assert np.abs(noisy[-100:] - samples[-100:]).max() > 0.05


def test_noise_files_are_resampled(tmp_path: Path) -> None:
    path = tmp_path / "hum.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(44_100) / 44_100), 44_100)
    samples = np.zeros(16_000, np.float32)
    samples[0] = 100
    added = RecordedNoise(path, 0.0, 0.0).apply(samples, Sounds(16_000)) - samples
    assert np.argmax(np.abs(np.fft.rfft(added))) == 1_000


def test_silent_noise_file_changes_nothing(tmp_path: Path, rng: np.random.Generator) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(100), 16_000)
    samples = speech(rng)
    np.testing.assert_array_equal(
        RecordedNoise(tmp_path / "silent.wav", 0.0, 0.0).apply(samples, Sounds(16_000)), samples
    )


def test_recorded_room_keeps_timing_and_level(room_file: Path) -> None:
    click = np.zeros(2_000, np.float32)
    click[500] = 0.5
    wet = RecordedRoom(room_file).apply(click, Sounds(16_000))
    scale = 0.5 / np.hypot(0.9, 0.4)
    assert wet[500] == pytest.approx(0.9 * scale, rel=1e-4)
    assert wet[700] == pytest.approx(0.4 * scale, rel=1e-4)
    assert len(wet) == len(click)


@pytest.mark.parametrize("speed", [0.7, 1.4])
def test_recorded_rooms_are_made_larger_and_smaller(tmp_path: Path, speed: float) -> None:
    """Echoes come later or sooner by the speed, and decay as much later or sooner; the direct sound keeps its time."""
    decay = np.exp(-np.arange(8_000) / 1_000) * np.cos(0.2 * np.arange(8_000))  # 20 ms for each 1000
    soundfile.write(tmp_path / "room.wav", np.concatenate([np.zeros(300), 0.9 * decay]), 16_000, "FLOAT")
    click = np.zeros(9_000, np.float32)
    click[500] = 0.5
    wet = RecordedRoom(tmp_path / "room.wav", speed).apply(click, Sounds(16_000))
    assert abs(np.argmax(np.abs(wet)) - 500) <= 1
    energy = np.square(wet[500:].astype(np.float64))
    center = (energy * np.arange(len(energy))).sum() / energy.sum()
    whole = np.square(decay)
    assert center == pytest.approx((whole * np.arange(8_000)).sum() / whole.sum() / speed, rel=0.02)
    assert len(wet) == len(click)


def test_broken_noise_file_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "broken.wav").write_text("not noise")
    augmenter = Augmenter(dataclasses.replace(NEVER, noise_file_probability=1), noise_files=[tmp_path / "broken.wav"])
    with pytest.raises(AudioError, match=r"broken.wav"):
        augmenter(speech(rng), rng)


def test_memory_for_sounds_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{name}.wav" for name in "abc"]
    reads: list[Path] = []

    def read(path: Path, *_: object, **__: object) -> np.ndarray:
        reads.append(path)
        return np.zeros(1_000, np.float32)

    monkeypatch.setattr("crnn_asr.audio.effects.read_audio", read)
    sounds = Sounds(16_000, max_bytes=8_000)  # two of them
    for index in (0, 1, 0, 2, 0, 1):
        sounds.load(paths[index])
    assert reads == [paths[index] for index in (0, 1, 2, 1)]


def test_audio_files(tmp_path: Path) -> None:
    for name in ("b/2.WAV", "a/1.flac", "a/notes.txt", "3.ogg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in audio_files(tmp_path)] == ["3.ogg", "1.flac", "2.WAV"]
    with pytest.raises(NotADirectoryError, match="nowhere: expected a folder"):
        audio_files(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: expected recordings"):
        audio_files(tmp_path / "empty")
