"""The Free Spoken Digit Dataset: single English digits at 8 kHz, `<digit>_<speaker>_<number>.wav` in one folder.

Its speakers are few and each has said every digit fifty times. So one of them is left out, whom training never hears.
"""

import re
from pathlib import Path

from crnn_asr.corpus.manifest import Problem
from crnn_asr.corpus.recording import Found, Recording, audio_by_stem
from crnn_asr.errors import DataError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<number>[0-9]+)")


def read_fsdd(source: Path, audio_format: str = "wav", leave_out: str | None = None) -> dict[str, list[Found]]:
    """Find the recordings of two splits: `test`, all of one speaker, and `train`, all others.

    Args:
        source: the folder `recordings`, or the one above it.
        audio_format: suffix of the converted recordings.
        leave_out: the speaker of `test`; None is the last by name.

    Returns:
        For each split what can be converted; in `train` also what is named otherwise.

    Raises:
        DataError: not this dataset, or no such speaker.
        OSError: the folder cannot be read.
    """
    folder = source / "recordings" if (source / "recordings").is_dir() else source
    names = {path: _NAME.fullmatch(stem) for stem, path in sorted(audio_by_stem(folder).items())}
    speakers = sorted({match["speaker"] for match in names.values() if match})
    if len(speakers) < 2:
        raise DataError(
            f"{folder}: expected recordings of two speakers or more, named like 7_jackson_32.wav, got those of "
            f"{len(speakers)}; give the folder that free-spoken-digit-dataset was cloned to"
        )
    left_out = leave_out or speakers[-1]
    if left_out not in speakers:
        raise DataError(f"{folder}: expected one of the speakers {', '.join(speakers)}, got {left_out}")
    splits: dict[str, list[Found]] = {"train": [], "test": []}
    for path, match in names.items():
        if not match:
            splits["train"].append(Problem(str(path), "is not named digit_speaker_number"))
            continue
        speaker, target = match["speaker"], f"wav/{match['speaker']}/{path.stem}.{audio_format}"
        found = Recording(str(path), target, DIGITS[int(match["digit"])], speaker, path.stem)
        splits["test" if speaker == left_out else "train"].append(found)
    return splits
