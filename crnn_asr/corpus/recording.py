"""What importers find: recordings with their words, and what is wrong with the rest."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO

from crnn_asr.corpus.manifest import Problem

AUDIO_SUFFIXES = (".aif", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".raw", ".sph", ".wav")


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording to convert: where it is, where it goes within the output folder (with slashes), what is said in it.

    Its paths are strings, because a corpus has many.
    """

    source: str
    target: str
    text: str
    speaker: str
    id: str


Found = Recording | Problem


def store(found: Iterable[Found], file: IO[str]) -> tuple[int, list[Problem]]:
    """Write the recordings to a file, one a line; their number, and the problems."""
    num_recordings, problems = 0, []
    for item in found:
        if isinstance(item, Problem):
            problems.append(item)
        else:
            file.write(json.dumps(astuple(item)) + "\n")
            num_recordings += 1
    return num_recordings, problems


def stored(file: IO[str]) -> Iterator[Recording]:
    """The recordings that `store` wrote."""
    file.seek(0)
    for line in file:
        yield Recording(*json.loads(line))


def audio_by_stem(folder: Path) -> dict[str, Path]:
    """The recording of each stem in a folder: of several, one with an audio suffix, the first by name.

    Raises:
        OSError: the folder is missing or cannot be read.
    """
    files = [path for path in folder.iterdir() if path.suffix != ".txt" and not path.name.startswith(".")]
    best: dict[str, Path] = {}
    for path in sorted(files, key=lambda path: (not has_audio_suffix(path), path.name)):
        best.setdefault(path.stem, path)
    return best


def has_audio_suffix(path: Path) -> bool:
    return path.suffix.lower() in AUDIO_SUFFIXES
