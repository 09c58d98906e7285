"""Recordings cut off in the middle, which a corpus must not pair with a whole transcript.

Decoders notice it in FLAC and MP3; of wav and SPHERE they give what is left, so their headers are compared here.
"""

import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

from crnn_asr.errors import AudioError

_STREAMED = 0x7FFF_0000  # from here on the size is a placeholder of a program that wrote to a pipe


def require_whole(path: Path) -> None:
    """Refuse a wav or SPHERE file that is shorter than its header announces; leave every other format alone.

    Raises:
        AudioError: the end is missing.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        announced = _announced_bytes(file)
        size = file.seek(0, os.SEEK_END)
    if announced > size:
        raise AudioError(f"{path}: truncated, expected {announced} bytes from its header, got {size}")


def _announced_bytes(file: BinaryIO) -> int:
    """The least size of the whole file in bytes, 0 where the header does not tell."""
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        return _end_of_wav_data(file)
    if head.startswith(b"NIST_1A\n"):
        return _end_of_sphere_data(head + file.read(4096))
    return 0


def _end_of_wav_data(file: BinaryIO) -> int:
    while len(header := file.read(8)) == 8:
        kind, size = struct.unpack("<4sI", header)
        if kind == b"data":
            return file.tell() + size if size < _STREAMED else 0
        file.seek(size + size % 2, os.SEEK_CUR)
    return 0


def _end_of_sphere_data(header: bytes) -> int:
    """From text lines such as `sample_count -i 33600`; the second line of the file is the header's own size."""
    size = re.match(rb"NIST_1A\s+(\d+)", header)
    fields = {name: int(value) for name, value in re.findall(rb"^(\w+) -i (\d+)", header, re.MULTILINE)}
    if not size or b"shorten" in header or b"sample_count" not in fields:
        return 0
    frame_bytes = fields.get(b"channel_count", 1) * fields.get(b"sample_n_bytes", 2)
    return int(size[1]) + fields[b"sample_count"] * frame_bytes
