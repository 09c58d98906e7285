"""Headers that announce more than there is."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.corpus.truncation import require_whole
from crnn_asr.errors import AudioError

FORMATS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("WAV", "ULAW"),
    ("WAVEX", "PCM_16"),
    ("NIST", "PCM_16"),
]


@pytest.mark.parametrize(("kind", "subtype"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_missing_end_is_noticed(kind: str, subtype: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "a.audio"
    soundfile.write(path, np.zeros((1001, channels)), 16_000, format=kind, subtype=subtype)
    require_whole(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])  # one might be the padding of an odd chunk
    with pytest.raises(AudioError, match="truncated, expected"):
        require_whole(path)


def test_chunks_before_the_samples_are_stepped_over(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(100), 16_000)
    whole = path.read_bytes()
    odd = b"note" + struct.pack("<I", 5) + b"hello\0"
    path.write_bytes(whole[:36] + odd + whole[36:])
    require_whole(path)
    path.write_bytes((whole[:36] + odd + whole[36:])[:-1])
    with pytest.raises(AudioError, match="truncated, expected 258 bytes from its header, got 257"):
        require_whole(path)


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFFF, 0])
def test_a_size_that_a_pipe_left_open_is_no_truncation(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(100), 16_000)
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + struct.pack("<I", size) + whole[44:])
    require_whole(path)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEdata", b"NIST_1A\n", b"fLaC....", b"\xff" * 5000]
)
def test_what_is_neither_is_left_to_the_decoder(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    require_whole(tmp_path / "a.wav")
