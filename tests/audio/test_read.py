"""Reading against what soundfile was told to write, and against files that are not what they claim to be."""

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.audio.read import AudioInfo, audio_info, read_audio, resample, write_audio
from crnn_asr.errors import AudioError


def tone(hz: float, rate_hz: int, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def encode(samples: np.ndarray, rate_hz: int = 16_000, **options: object) -> bytearray:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, **options)
    return bytearray(buffer.getvalue())


def level_db(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20)


def dominant_hz(samples: np.ndarray, rate_hz: int = 16_000) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


@pytest.mark.parametrize(
    ("kind", "subtype", "error_db"),
    [
        ("WAV", "PCM_U8", -45),
        ("WAV", "PCM_16", -95),
        ("WAV", "PCM_24", -140),
        ("WAV", "PCM_32", -150),
        ("WAV", "FLOAT", -190),
        ("WAV", "DOUBLE", -190),
        ("WAVEX", "PCM_16", -95),
        ("WAV", "ULAW", -45),
        ("FLAC", "PCM_16", -95),
        ("FLAC", "PCM_24", -140),
        ("OGG", "VORBIS", -25),
        ("OGG", "OPUS", -25),
        ("MP3", "MPEG_LAYER_III", -25),
        ("NIST", "PCM_16", -95),
        ("AIFF", "PCM_16", -95),
    ],
)
def test_every_format_is_told_by_content(tmp_path: Path, kind: str, subtype: str, error_db: float) -> None:
    samples = tone(440, 16_000)
    path = tmp_path / "named.wav"
    path.write_bytes(encode(samples, format=kind, subtype=subtype))
    decoded = read_audio(path)
    assert decoded.dtype == np.float32
    assert decoded.shape == samples.shape
    assert level_db(decoded - samples) < error_db
    assert audio_info(path) == AudioInfo(16_000, 1, 16_000, kind)
    assert audio_info(path).duration_s == 1.0


@pytest.mark.parametrize("name", ["a.raw", "b.mp3", "c.txt", "d", "é ü.sph"])
def test_the_name_does_not_matter(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encode(tone(440, 16_000), format="WAV"))
    assert len(read_audio(tmp_path / name)) == 16_000
    assert len(read_audio(str(tmp_path / name))) == 16_000


def test_channels(tmp_path: Path) -> None:
    channels = np.stack([np.full(1000, 0.1 * k, np.float32) for k in range(6)], axis=1)
    path = tmp_path / "six.wav"
    soundfile.write(path, channels, 16_000, subtype="FLOAT")
    assert audio_info(path).num_channels == 6
    np.testing.assert_allclose(read_audio(path), 0.25, rtol=1e-6)
    np.testing.assert_allclose(read_audio(path, channel=5), 0.5, rtol=1e-6)
    for channel in (6, -1, "left"):
        with pytest.raises(AudioError, match=r'six.wav: .*"mean" or an index from 0 to 5.*6 channel'):
            read_audio(path, channel=channel)


def test_long_files_are_decoded_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    samples = rng.uniform(-1, 1, (10_000, 3)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    for block_values in (2, 3_000, 30_000, 30_003, 60_000):
        monkeypatch.setattr("crnn_asr.audio.read._BLOCK_VALUES", block_values)
        np.testing.assert_array_equal(read_audio(tmp_path / "a.wav", channel=1), samples[:, 1])


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 96_000])
def test_resampling_keeps_pitch_level_and_duration(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1_000, rate_hz), rate_hz)
    samples = read_audio(tmp_path / "a.wav")
    assert abs(len(samples) - 16_000) <= 1
    assert dominant_hz(samples) == pytest.approx(1_000, abs=1)
    assert level_db(samples[1_000:-1_000]) == pytest.approx(level_db(tone(1_000, rate_hz)), abs=0.05)


def test_no_aliasing_from_96_khz(tmp_path: Path) -> None:
    """15 kHz would fold to 1 kHz; decimation without a low-pass would leave it at -9 dB."""
    soundfile.write(tmp_path / "a.wav", tone(15_000, 96_000), 96_000)
    assert level_db(read_audio(tmp_path / "a.wav")[1_000:-1_000]) < -90


def test_other_target_rate(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1_000, 16_000), 16_000)
    samples = read_audio(tmp_path / "a.wav", sample_rate_hz=8_000)
    assert len(samples) == 8_000
    assert dominant_hz(samples, 8_000) == pytest.approx(1_000, abs=1)
    assert resample(samples, 8_000, 8_000) is samples


def test_one_sample(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", np.array([0.5], np.float32), 16_000)
    np.testing.assert_array_equal(read_audio(tmp_path / "one.wav"), [0.5])
    soundfile.write(tmp_path / "fast.wav", np.array([0.5], np.float32), 96_000)
    with pytest.raises(AudioError, match=r"fast.wav: 1 samples at 96000 Hz are too short"):
        read_audio(tmp_path / "fast.wav")


def test_wrong_paths(tmp_path: Path) -> None:
    for function in (read_audio, audio_info):
        with pytest.raises(FileNotFoundError, match=r"gone.wav"):
            function(tmp_path / "gone.wav")
        with pytest.raises(IsADirectoryError):
            function(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(encode(tone(440, 16_000), format="WAV"))
    path.chmod(0)
    with pytest.raises(PermissionError, match=r"secret.wav"):
        read_audio(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"This is a text file, whatever its name says.\n" * 30, "expected audio .* format not recognised"),
        (b"RIFF", "expected audio"),
        (bytes(5_000), "expected audio"),
        (encode(np.zeros(0, np.float32), format="WAV"), "zero samples"),
        (encode(np.zeros(100, np.float32), rate_hz=7, format="WAV"), "sample rate of 1 kHz to 1 MHz, got 7 Hz"),
    ],
)
def test_hostile_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "hostile.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=f"hostile.wav: .*{message}") as caught:
        read_audio(path)
    assert "\n" not in str(caught.value)


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    samples = tone(440, 16_000)
    samples[[5, 6]] = np.nan
    samples[7] = -np.inf
    soundfile.write(tmp_path / "nan.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan.wav: .*got 3 of 16000 that are NaN or infinite"):
        read_audio(tmp_path / "nan.wav")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["FLAC", "MP3"])
def test_truncated_compressed_files(tmp_path: Path, kind: str, share: float, rng: np.random.Generator) -> None:
    content = encode(rng.normal(0, 0.1, 32_000).astype(np.float32), format=kind)
    (tmp_path / "cut").write_bytes(content[: int(share * len(content))])
    with pytest.raises(AudioError, match=f"cut: (damaged|truncated) {kind} file"):
        read_audio(tmp_path / "cut")


def test_flac_with_one_flipped_bit(tmp_path: Path, rng: np.random.Generator) -> None:
    content = encode(rng.normal(0, 0.1, 32_000).astype(np.float32), format="FLAC")
    content[len(content) // 2] ^= 0x10
    (tmp_path / "a.flac").write_bytes(content)
    with pytest.raises(AudioError, match=r"a.flac: damaged FLAC file"):
        read_audio(tmp_path / "a.flac")


@pytest.mark.parametrize("length", [0, 1_000, (1 << 36) - 1])
def test_flac_length_in_the_header(tmp_path: Path, length: int) -> None:
    """0 stands for unknown, as in a stream; what claims more than there is was truncated."""
    samples = tone(440, 16_000)
    content = encode(samples, format="FLAC")
    content[21] = (content[21] & 0xF0) | length >> 32  # the last 36 bits before the checksum
    content[22:26] = struct.pack(">I", length & 0xFFFFFFFF)
    path = tmp_path / "a.flac"
    path.write_bytes(content)
    if length > len(samples):
        with pytest.raises(AudioError, match=f"truncated FLAC file, expected {length} samples .*, got 16000"):
            read_audio(path)
    else:
        assert len(read_audio(path)) == audio_info(path).num_samples == (length or 16_000)


def test_wav_cut_in_the_middle_gives_what_is_left(tmp_path: Path) -> None:
    samples = tone(440, 16_000)
    content = encode(samples, format="WAV", subtype="PCM_16")
    (tmp_path / "cut.wav").write_bytes(content[: 44 + 2 * 5_000])
    decoded = read_audio(tmp_path / "cut.wav")
    np.testing.assert_allclose(decoded, samples[:5_000], atol=1e-4)


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 0x7FFFFFFF])
def test_wav_with_a_streaming_header(tmp_path: Path, claimed: int) -> None:
    """Programs that write to a pipe leave the largest number where the length should be."""
    content = encode(tone(440, 16_000), format="WAV", subtype="PCM_16")
    content[4:8] = content[40:44] = struct.pack("<I", claimed)
    (tmp_path / "a.wav").write_bytes(content)
    assert len(read_audio(tmp_path / "a.wav")) == 16_000


def test_mp3_without_a_length_tag_is_decoded_to_its_end(tmp_path: Path, rng: np.random.Generator) -> None:
    """Variable bit rate, half silence half noise: a length guessed from size and first bit rate is far off."""
    samples = np.concatenate([np.zeros(48_000), rng.normal(0, 0.2, 48_000)]).astype(np.float32)
    content = encode(samples, format="MP3", bitrate_mode="VARIABLE")
    tag = content.index(b"Xing")
    first_frame = content.index(content[:2], tag)  # the tag sits in a frame of its own
    path = tmp_path / "untagged.mp3"
    path.write_bytes(content[first_frame:])
    assert 96_000 <= len(read_audio(path)) <= 96_000 + 4 * 1_152  # encoder delay and padding stay
    assert audio_info(path).num_samples == len(read_audio(path))


def test_write_clips_and_keeps_every_bit(tmp_path: Path) -> None:
    values = np.arange(-32_768, 32_768, dtype=np.int32).astype(np.float32) / 32_768
    for name in ("a.wav", "a.FLAC"):
        write_audio(tmp_path / name, values, 16_000)
        assert soundfile.info(tmp_path / name).subtype == "PCM_16"
        np.testing.assert_array_equal(read_audio(tmp_path / name), values)
    write_audio(tmp_path / "loud.wav", np.array([3, -3, 1.0001, 0.5], np.float32), 8_000)
    np.testing.assert_array_equal(
        soundfile.read(tmp_path / "loud.wav", dtype="int16")[0], [32767, -32768, 32767, 16384]
    )


def test_write_refuses(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"a.mp3: expected a name that ends in .wav or .flac, got '.mp3'"):
        write_audio(tmp_path / "a.mp3", np.zeros(10, np.float32), 16_000)
    with pytest.raises(AudioError, match="got 1 of 2 that are NaN"):
        write_audio(tmp_path / "a.wav", np.array([0, np.nan], np.float32), 16_000)
    assert not list(tmp_path.iterdir())


def test_reading_needs_no_heavy_import() -> None:
    code = "import sys, crnn_asr.audio.read; print([m for m in ('scipy', 'soxr', 'librosa') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("pattern", "kind", "count"),
    [("an4/wav/**/*.sph", "NIST", 40), ("LibriSpeech/**/*.flac", "FLAC", 20), ("LibriSpeech-mp3/**/*.wav", "MP3", 535)],
)
def test_real_recordings(shared_data: Path, pattern: str, kind: str, count: int) -> None:
    paths = sorted(shared_data.glob(pattern))[:count]
    assert len(paths) == count
    for path in paths:
        info = audio_info(path)
        samples = read_audio(path)
        assert (info.format, info.sample_rate_hz, len(samples)) == (kind, 16_000, info.num_samples)
        assert level_db(samples) > -60
