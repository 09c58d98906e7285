"""Recordings of any format, rate and channel count as float32 mono at one rate, and back to a file.

Formats are told by content, never by name: wav, FLAC, Ogg, MP3, NIST SPHERE and whatever else libsndfile knows.
"""

import io
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from crnn_asr.errors import AudioError
from crnn_asr.files import replacing

Samples = NDArray[np.float32]

_BLOCK_VALUES = 1 << 22  # decoded at a time, over all channels: 16 MiB
_RATES_HZ = (1_000, 1_000_000)  # outside, the header is nonsense, and resampling it could ask for any amount of memory
_MAX_AMPLITUDE = 1e6  # a million times full scale: damaged floating point, whose power no feature could hold
_UNKNOWN_LENGTH = 1 << 62  # libsndfile reports the largest integer for a streamed FLAC or an MP3 without the tag


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says. `num_samples` counts per channel."""

    sample_rate_hz: int
    num_channels: int
    num_samples: int
    format: str

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.sample_rate_hz


def audio_info(path: str | Path) -> AudioInfo:
    """Read only the header, which `read_audio` may find to be wrong; decode where it does not give the length.

    Raises:
        AudioError: not audio.
        OSError: missing, a folder, or not readable.
    """
    with _opened(Path(path)) as (file, info):
        if info.num_samples < _UNKNOWN_LENGTH:
            return info
        return replace(info, num_samples=len(_decode(Path(path), file, info, channel=0)))


def read_audio(path: str | Path, sample_rate_hz: int = 16_000, channel: int | str = "mean") -> Samples:
    """Decode a whole recording.

    A wav that was cut off gives what is left of it; a compressed file that was cut off is an error.

    Args:
        path: any format that libsndfile decodes, by content.
        sample_rate_hz: the rate to resample to.
        channel: "mean" over all channels, or the index of the one to take, from 0.

    Returns:
        Samples of shape (N,), N ≥ 1, full scale at ±1; files in floating point may go beyond.

    Raises:
        AudioError: not audio, damaged, truncated, empty, not finite, beyond all bounds, or without that channel.
        OSError: missing, a folder, or not readable.

    Example:
        >>> read_audio("talk.mp3").dtype  # doctest: +SKIP
        dtype('float32')
    """
    samples, from_hz = decode_audio(path, channel)
    resampled = resample(samples, from_hz, sample_rate_hz)
    if not resampled.size:
        raise AudioError(f"{path}: {samples.size} samples at {from_hz} Hz are too short to resample")
    return resampled


def decode_audio(path: str | Path, channel: int | str = "mean") -> tuple[Samples, int]:
    """`read_audio` without resampling: samples (N,), N ≥ 1, and the rate that the file gives for them, in Hz."""
    path = Path(path)
    with _opened(path) as (file, info):
        samples = _decode(path, file, info, channel)
    if not samples.size:
        raise AudioError(f"{path}: expected a recording, got zero samples in {info.format} format")
    _require_finite(str(path), samples)
    peak = float(np.abs(samples).max())
    if peak > _MAX_AMPLITUDE:
        raise AudioError(f"{path}: damaged, expected samples with full scale at ±1, got up to {peak:.3g}")
    return samples, info.sample_rate_hz


def resample(samples: Samples, from_hz: float, to_hz: float) -> Samples:
    """Change the rate of samples (N,) with a linear-phase filter below both Nyquist frequencies (soxr HQ)."""
    if from_hz == to_hz:
        return samples
    import soxr

    return cast(Samples, soxr.resample(samples, from_hz, to_hz, quality="HQ"))


def write_audio(path: str | Path, samples: Samples, sample_rate_hz: int) -> None:
    """Write samples (N,) as 16-bit PCM, whole or not at all; what is beyond ±1 is clipped.

    Reading a 16-bit file and writing it again keeps every bit.

    Raises:
        AudioError: a name that ends in neither .wav nor .flac, or samples that are not finite.
        OSError: no space, no permission.
    """
    path = Path(path)
    kind = {".wav": "WAV", ".flac": "FLAC"}.get(path.suffix.lower())
    if kind is None:
        raise AudioError(f"{path}: expected a name that ends in .wav or .flac, got {path.suffix or 'no suffix'!r}")
    _require_finite(str(path), samples)
    pcm = np.clip(np.rint(samples * np.float32(32_768)), -32_768, 32_767).astype(np.int16)
    encoded = io.BytesIO()  # written by Python, which says why it cannot; libsndfile says "system error"
    soundfile.write(encoded, pcm, sample_rate_hz, subtype="PCM_16", format=kind)
    with replacing(path) as partial:
        partial.write_bytes(encoded.getbuffer())


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """A file read from front to back: soundfile's seek after every read fails where a header is inexact."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[tuple[soundfile.SoundFile, AudioInfo]]:
    """Open by descriptor: Python's `open` names what is wrong with a path, and libsndfile cannot see the name."""
    with path.open("rb") as raw, ExitStack() as stack:
        try:
            file = stack.enter_context(_Stream(raw.fileno(), closefd=False))
            if file.format == "MP3":
                raw.seek(0)
                file = stack.enter_context(_Stream(stack.enter_context(_pipe(raw)), closefd=False))
        except soundfile.LibsndfileError as error:
            if not path.stat().st_size:
                raise AudioError(f"{path}: expected a recording, got an empty file") from error
            raise AudioError(f"{path}: expected audio (wav, FLAC, Ogg, MP3, SPHERE), {_reason(error)}") from error
        if not _RATES_HZ[0] <= file.samplerate <= _RATES_HZ[1]:
            raise AudioError(f"{path}: expected a sample rate of 1 kHz to 1 MHz, got {file.samplerate} Hz")
        yield file, AudioInfo(file.samplerate, file.channels, file.frames, file.format)


@contextmanager
def _pipe(raw: BinaryIO) -> Iterator[int]:
    """The rest of a file as the reading end of a pipe.

    An MP3 may lack the tag that holds its length. libsndfile then guesses one from the size and first bit rate, and
    decodes no further than that; of a pipe it decodes everything.
    """
    read_end, write_end = os.pipe()

    def feed() -> None:
        with suppress(BrokenPipeError), os.fdopen(write_end, "wb") as pipe:
            shutil.copyfileobj(raw, pipe)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield read_end
    finally:
        os.close(read_end)
        feeder.join()


def _decode(path: Path, file: soundfile.SoundFile, info: AudioInfo, channel: int | str) -> Samples:
    if channel != "mean" and not (isinstance(channel, int) and 0 <= channel < info.num_channels):
        raise AudioError(
            f'{path}: expected channel="mean" or an index from 0 to {info.num_channels - 1}, '
            f"because it has {info.num_channels} channel(s), got {channel!r}"
        )
    size = min(info.num_samples + 1, max(1, _BLOCK_VALUES // info.num_channels))  # one more, to meet the end
    blocks: list[Samples] = []
    try:
        while not blocks or len(blocks[-1]) == size:
            values = file.read(size, dtype="float32", always_2d=True)
            blocks.append(_mono(values, channel))
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: damaged {info.format} file, {_reason(error)}") from error
    samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    if len(samples) < info.num_samples < _UNKNOWN_LENGTH:
        raise AudioError(
            f"{path}: truncated {info.format} file, expected {info.num_samples} samples from its header, "
            f"got {len(samples)}"
        )
    return samples


def _mono(values: Samples, channel: int | str) -> Samples:
    """One channel of (N, channels), or their mean."""
    if values.shape[1] == 1:
        return values[:, 0]
    if isinstance(channel, int):
        return np.ascontiguousarray(values[:, channel])
    return cast(Samples, values.mean(axis=1, dtype=np.float32))


def _require_finite(where: str, samples: Samples) -> None:
    bad = samples.size - np.count_nonzero(np.isfinite(samples))
    if bad:
        raise AudioError(f"{where}: expected finite samples, got {bad} of {samples.size} that are NaN or infinite")


def _reason(error: soundfile.LibsndfileError) -> str:
    """What libsndfile says, without the file's name or capital, e.g. "format not recognised"."""
    text = str(error.error_string).removeprefix("Error : ").rstrip(".")
    return text[:1].lower() + text[1:]
