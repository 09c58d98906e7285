"""Small corpora of tones, laid out like the real ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

WriteTone = Callable[..., Path]


@pytest.fixture
def write_tone() -> WriteTone:
    """Write a sine; the format is that of the suffix unless one is given."""

    def write(
        path: Path, frequency_hz: float = 440.0, duration_s: float = 0.2, rate_hz: int = 16_000, **options: str
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        times = np.arange(round(duration_s * rate_hz)) / rate_hz
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * frequency_hz * times), rate_hz, **options)
        return path

    return write


@pytest.fixture
def librispeech(tmp_path: Path, write_tone: WriteTone) -> Path:
    """dev-clean: speakers 84 and 174 with two chapters of two utterances each; every recording another tone."""
    root = tmp_path / "raw" / "LibriSpeech"
    frequency_hz = 300.0
    for speaker, chapters in {"84": (121, 122), "174": (50, 168)}.items():
        for chapter in chapters:
            folder = root / "dev-clean" / speaker / str(chapter)
            names = [f"{speaker}-{chapter}-000{number}" for number in range(2)]
            for name in names:
                write_tone(folder / f"{name}.flac", frequency_hz)
                frequency_hz += 50.0
            lines = "".join(f"{name} WORDS OF {name.replace('-', ' ')}\n" for name in names)
            (folder / f"{speaker}-{chapter}.trans.txt").write_text(lines)
    return root


@pytest.fixture
def write_an4_set(write_tone: WriteTone) -> Callable[[Path, str, list[str]], None]:
    """Write lists and SPHERE recordings of file ids, every other transcript with markers around the words."""

    def write(root: Path, name: str, fileids: list[str]) -> None:
        lines = []
        for number, fileid in enumerate(fileids):
            write_tone(root / "wav" / f"{fileid}.sph", 300.0 + 20 * number, format="NIST", subtype="PCM_16")
            words = f"WORD {number}" if number % 2 else f"<s> WORD {number} </s>"
            lines.append(f"{words} ({Path(fileid).name})\n")
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc" / f"{name}.fileids").write_text("".join(f"{fileid}\n" for fileid in fileids))
        (root / "etc" / f"{name}.transcription").write_text("".join(lines))

    return write


@pytest.fixture
def an4(tmp_path: Path, write_an4_set: Callable[[Path, str, list[str]], None]) -> Path:
    """Fifteen training speakers of two utterances."""
    root = tmp_path / "an4_source"
    speakers = [f"{'fm'[number % 2]}sp{chr(ord('a') + number)}" for number in range(15)]
    fileids = [f"an4_clstk/{speaker}/{kind}-{speaker}-b" for speaker in speakers for kind in ("an1", "cen2")]
    write_an4_set(root, "an4_train", fileids)
    return root
