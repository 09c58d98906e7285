"""Recordings and manifests broken in the ways of disks, networks and other programs, the same for the same seed."""

import io
import json
import struct
from collections.abc import Callable, Iterator

import numpy as np
import soundfile

Mutation = Callable[[bytes, np.random.Generator], bytes]
FORMATS = (
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("NIST", "PCM_16"),
    ("MP3", None),
)


def recordings(rng: np.random.Generator) -> list[bytes]:
    """Half a second of noise that comes and goes, in each format."""
    samples = 0.1 * rng.standard_normal(8_000) * np.repeat(rng.random(10) < 0.6, 800)
    found = []
    for kind, subtype in FORMATS:
        file = io.BytesIO()
        soundfile.write(file, samples, 16_000, format=kind, subtype=subtype)
        found.append(file.getvalue())
    return found


def _flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    values = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(len(values), size=rng.integers(1, 200))
    values[places] ^= (1 << rng.integers(8, size=len(places))).astype(np.uint8)
    return values.tobytes()


def _flip_head(data: bytes, rng: np.random.Generator) -> bytes:
    return _flip_bits(data[:64], rng) + data[64:]


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def _cut_the_head(data: bytes, rng: np.random.Generator) -> bytes:
    return data[rng.integers(1, len(data)) :]


def _huge_sizes(data: bytes, rng: np.random.Generator) -> bytes:
    """Every bit set in some of the words of the header."""
    values = bytearray(data)
    for place in rng.choice(np.arange(4, 60, 4), 3):
        values[place : place + 4] = struct.pack("<I", int(rng.choice([0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0])))
    return bytes(values)


def _not_numbers(data: bytes, rng: np.random.Generator) -> bytes:
    """A float wav with NaN, infinities and numbers beyond all bounds."""
    samples = 0.1 * rng.standard_normal(4_000).astype(np.float32)
    samples[rng.integers(len(samples))] = rng.choice([np.nan, np.inf, -np.inf, 1e30, -3e38])
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def _junk(data: bytes, rng: np.random.Generator) -> bytes:
    return data[:12] + rng.bytes(len(data) - 12)


def _noise_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(rng.integers(1, 20_000))


def _nothing(data: bytes, rng: np.random.Generator) -> bytes:
    return b""


def _odd_rate(data: bytes, rng: np.random.Generator) -> bytes:
    """A wav whose header has a sample rate, a channel count or a sample size that none has."""
    samples = struct.pack("<4000h", *(3_000 * rng.standard_normal(4_000)).clip(-32_768, 32_767).astype(int))
    rate, channels, bits = (rng.choice(values) for values in ([0, 1, 999, 2**31, 2**32 - 1], [0, 1, 65_535], [0, 16]))
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, channels, rate, 0, 2, bits
    )
    return head + struct.pack("<4sI", b"data", len(samples)) + samples


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _flip_head,
    _cut,
    _cut_the_head,
    _huge_sizes,
    _not_numbers,
    _junk,
    _noise_bytes,
    _nothing,
    _odd_rate,
)
HARMLESS = (_flip_bits, _flip_head, _huge_sizes, _cut_the_head, _cut)  # may leave something that is a recording


def mutated_recordings(count: int, seed: int) -> Iterator[tuple[bytes, bool]]:
    """Files, and whether each is certainly unusable."""
    rng = np.random.default_rng(seed)
    originals = recordings(rng)
    for number in range(count):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        yield mutation(originals[rng.integers(len(originals))], rng), mutation not in HARMLESS


def bad_lines(good: dict[str, object], rng: np.random.Generator) -> list[bytes]:
    """A line of each kind that is no utterance, made from one that is."""
    text = json.dumps(good)

    def changed(**values: object) -> bytes:
        return json.dumps({**good, **values}).encode()

    def without(key: str) -> bytes:
        return json.dumps({name: value for name, value in good.items() if name != key}).encode()

    wrong = (None, [], {}, True, ["a"], 3)
    return [
        text[: rng.integers(1, len(text))].encode(),
        text.replace('"', "'").encode(),
        text.encode("utf-16"),
        text.replace("{", "[").encode(),
        text.encode().replace(b'"text": "', b'"text": "\xe9\xff'),
        text.encode().replace(b'"text"', b'"te\x00xt"'),
        (text[:-1] + ', "text": "again"}').encode(),
        (text[:-1] + ', "speaker": "x", "speaker": "y"}').encode(),
        (text + text).encode(),
        b"[" * int(rng.integers(1_000, 50_000)),
        rng.bytes(200).replace(b"\n", b""),
        b"\x00" * 50,
        b"null",
        b"17",
        b'"text"',
        *(without(key) for key in ("audio_filepath", "duration", "text")),
        changed(audio_filepath=wrong[rng.integers(len(wrong))]),
        changed(audio_filepath="a\0.wav"),
        changed(audio_filepath=""),
        changed(text=wrong[rng.integers(len(wrong))]),
        changed(text="\ud800"),
        changed(speaker=wrong[rng.integers(1, 5)]),
        changed(id=wrong[rng.integers(1, 5)]),
        *(changed(duration=value) for value in (0, -1, 1e300, float("nan"), float("inf"), 10**30, "1", [1], True)),
        text.replace(str(good["duration"]), "1" * 5_000).encode(),
        text.replace(str(good["duration"]), "1e999").encode(),
    ]


def mutated_manifests(good: list[dict[str, object]], count: int, seed: int) -> Iterator[tuple[bytes, set[int], int]]:
    """Manifests of all good lines with bad ones between: bytes, numbers of the bad lines, number of the good ones."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        lines = [(json.dumps(row, ensure_ascii=bool(rng.integers(2))).encode(), True) for row in good]
        pool = bad_lines(good[rng.integers(len(good))], rng)
        chosen = rng.choice(len(pool), rng.integers(1, 9), replace=False)
        for index in chosen:
            lines.insert(int(rng.integers(len(lines) + 1)), (pool[index].replace(b"\n", b""), False))
        ending = (b"\n", b"\r\n", b"\n\n")[rng.integers(3)]
        step = 2 if ending == b"\n\n" else 1
        bad = {1 + step * number for number, (_, is_good) in enumerate(lines) if not is_good}
        start = b"\xef\xbb\xbf" if rng.integers(2) and lines[0][1] else b""
        yield start + ending.join(line for line, _ in lines), bad, len(good)
