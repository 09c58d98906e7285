"""Faults planted into a corpus, with soundfile, NumPy and bytes alone: it knows nothing of the code that finds them."""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

Row = dict[str, Any]


@dataclass(frozen=True)
class Planted:
    """A fault, what it is to be found as, and the line (manifest, number from 1) where it is to be found."""

    name: str
    kind: str
    where: tuple[str, int]


class Planter:
    """Damages utterances of `train.jsonl` and `dev.jsonl` in a folder, a different one each time."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.rows = {name: [json.loads(line) for line in self.path(name).read_text().splitlines()] for name in SPLITS}
        self.used: set[tuple[str, int]] = set()
        self.planted: list[Planted] = []

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def write(self) -> None:
        for name, rows in self.rows.items():
            self.path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def pick(self, fits: Callable[[Row], bool] = lambda row: True, split: str = "train") -> tuple[int, Row, Path]:
        """An untouched utterance: its place, its row and its file."""
        rows = self.rows[split]
        places = [n for n, row in enumerate(rows) if (split, n) not in self.used and fits(row)]
        place = int(self.rng.choice(places))
        self.used.add((split, place))
        return place, rows[place], self.folder / rows[place]["audio_filepath"]

    def note(self, name: str, kind: str, place: int, split: str = "train") -> None:
        self.planted.append(Planted(name, kind, (split, place + 1)))

    def damage(self, name: str, kind: str, change: Callable[[Row, Path], None]) -> None:
        place, row, path = self.pick()
        change(row, path)
        self.note(name, kind, place)

    def sound(self, name: str, kind: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        def apply(row: Row, path: Path) -> None:
            samples, rate = soundfile.read(path)
            soundfile.write(path, np.clip(change(samples), -1, 1), rate, subtype="PCM_16")

        self.damage(name, kind, apply)

    def noise(self, samples: np.ndarray, level_db: float) -> np.ndarray:
        return 10 ** (level_db / 20) * self.rng.standard_normal(len(samples))

    def noisy(self, samples: np.ndarray, snr_db: float) -> np.ndarray:
        power_db = 10 * np.log10(np.mean(samples**2))
        return samples + self.noise(samples, power_db - snr_db)


SPLITS = ("train", "dev")


def plant(folder: Path, seed: int) -> list[Planted]:
    """Thirty faults of the kinds that corpora have."""
    planter = Planter(folder, seed)
    _unreadable(planter)
    _sound(planter)
    _words(planter)
    _shared(planter)
    planter.write()
    return planter.planted


def _unreadable(planter: Planter) -> None:
    rng = planter.rng
    planter.damage("empty file", "unreadable", lambda row, path: path.write_bytes(b"") and None)
    planter.damage("a text", "unreadable", lambda row, path: path.write_text("not found\n" * 50) and None)
    planter.damage("noise bytes", "unreadable", lambda row, path: path.write_bytes(rng.bytes(30_000)) and None)
    planter.damage("no file", "unreadable", lambda row, path: path.unlink())
    for share in (0.3, 0.9):
        planter.damage("cut wav", "unreadable", lambda row, path, share=share: cut(path, share))
        planter.damage("cut FLAC", "unreadable", lambda row, path, share=share: cut(to_flac(row, path), share))


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def to_flac(row: Row, path: Path) -> Path:
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path.with_suffix(".flac"), samples, rate)
    row["audio_filepath"] = str(Path(row["audio_filepath"]).with_suffix(".flac"))
    return path.with_suffix(".flac")


def _sound(planter: Planter) -> None:
    planter.sound("zeros", "silent", lambda samples: 0 * samples)
    planter.sound("a dead microphone", "silent", lambda samples: planter.noise(samples, -75))
    planter.sound("hiss", "no speech", lambda samples: planter.noise(samples, -35))
    for gain in (15, 40):
        planter.sound("clipped", "clipped", lambda samples, gain=gain: gain / np.abs(samples).max() * samples)
    for snr_db in (2, 0):
        planter.sound("very noisy", "noisy", lambda samples, snr_db=snr_db: planter.noisy(samples, snr_db))
    planter.sound("offset", "offset", lambda samples: samples + 0.06)
    planter.damage("header of half the rate", "wrong duration", lambda row, path: set_rate(path, 8_000))

    def other_rate(row: Row, path: Path) -> None:
        set_rate(path, 22_050)
        row["duration"] *= 16_000 / 22_050

    planter.damage("header of another rate", "other rate", other_rate)
    planter.damage(
        "longer in the manifest", "wrong duration", lambda row, path: row.update(duration=row["duration"] + 2)
    )
    planter.damage("shorter in it", "wrong duration", lambda row, path: row.update(duration=0.8 * row["duration"]))


def set_rate(path: Path, rate_hz: int) -> None:
    """Change sample rate and byte rate in the header of a 16-bit mono wav."""
    data = bytearray(path.read_bytes())
    assert data[12:16] == b"fmt ", "expected the format first"
    data[24:32] = struct.pack("<II", rate_hz, 2 * rate_hz)
    path.write_bytes(data)


def _words(planter: Planter) -> None:
    long, row_of_long, _ = planter.pick(lambda row: len(row["text"].split()) >= 9)
    short, row_of_short, _ = planter.pick(lambda row: len(row["text"].split()) == 1 and row["duration"] < 1.2)
    row_of_long["text"], row_of_short["text"] = row_of_short["text"], row_of_long["text"]
    planter.note("a short transcript", "text does not fit", long)
    planter.note("a long transcript", "text does not fit", short)
    for name, kind, change in (
        ("an accent", "unknown symbols", lambda text: text.replace("E", "É") + " É"),
        ("digits", "unknown symbols", lambda text: text + " 7"),
        ("control character", "broken text", lambda text: text + "\x07"),
        ("no text", "empty text", lambda text: " "),
    ):
        planter.damage(name, kind, lambda row, path, change=change: row.update(text=change(row["text"])))


def _shared(planter: Planter) -> None:
    for gain in (1.0, 0.4):
        place, row, path = planter.pick()
        _, other, source = planter.pick(lambda found, text=row["text"]: found["text"] != text)
        samples, rate = soundfile.read(source)
        soundfile.write(path, gain * samples, rate, subtype="PCM_16")
        row["duration"] = other["duration"]
        planter.note("another's recording", "same audio, other text", place)
    place, row, _ = planter.pick(split="dev")
    row["speaker"] = planter.rows["train"][0]["speaker"]
    planter.note("speaker of train in dev", "shared speaker", place, "dev")
    place, row, path = planter.pick()
    _, twin, target = planter.pick(split="dev")
    target.write_bytes(path.read_bytes())
    twin.update(text=row["text"], duration=row["duration"])
    planter.note("recording of train in dev", "shared audio", place)
