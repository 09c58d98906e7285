"""Manifests: JSON Lines, an utterance a line, `{"audio_filepath", "duration", "text"}` and optional `speaker`, `id`."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crnn_asr.errors import DataError
from crnn_asr.files import replacing

_MAX_FLOAT = sys.float_info.max  # JSON may hold integers beyond


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording and what is said in it. `duration_s` is in seconds, `text` as transcribed, not normalised."""

    audio_path: Path
    duration_s: float
    text: str
    speaker: str = ""
    id: str = ""


@dataclass(frozen=True)
class Problem:
    """Something that was left out: where it stands (a file, a `file:line`, an utterance id) and why."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def read_manifest(path: Path) -> tuple[list[Utterance], list[Problem]]:
    """Read every good line; each bad one comes back as a `Problem` with its line number.

    Relative audio paths are relative to the manifest. An utterance without an id gets its audio file's stem. Blank
    lines are allowed.

    Raises:
        DataError: not one good line, or not a text file.
        OSError: the file cannot be opened.
    """
    utterances, problems = [], []
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as lines:  # only there: JSON may hold other line ends
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    try:
                        utterances.append(_parse(line.rstrip("\n"), path.parent))
                    except DataError as error:
                        problems.append(Problem(f"{path}:{number}", str(error)))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a JSONL manifest in UTF-8, got other bytes; is it an audio file?") from error
    if not utterances:
        found = f"{len(problems)} bad lines, the first: {problems[0]}" if problems else "an empty file"
        raise DataError(f"{path}: expected a JSONL manifest with an utterance a line, got {found}")
    return utterances, problems


def _parse(line: str, root: Path) -> Utterance:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected a JSON object, got {line[:60]!r} ({error})") from error
    if not isinstance(values, dict):
        raise DataError(f"expected a JSON object, got {line[:60]!r}")
    audio, text, duration = (values.get(key) for key in ("audio_filepath", "text", "duration"))
    if not isinstance(audio, str) or not audio or "\0" in audio:
        raise DataError(f'expected "audio_filepath" with a path, got {audio!r}')
    if not isinstance(text, str):
        raise DataError(f'expected "text" with a transcript, got {text!r}')
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 < duration <= _MAX_FLOAT:
        raise DataError(f'expected "duration" in seconds above 0, got {duration!r}')
    speaker, name = (values.get(key) for key in ("speaker", "id"))
    speaker = sys.intern(_label(speaker))  # one has many utterances
    return Utterance(root / audio, float(duration), text, speaker, _label(name) or Path(audio).stem)


def _label(value: object) -> str:
    return "" if value is None else str(value)


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest whole or not at all, audio paths relative to it."""
    root = path.parent.resolve()
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        for utterance in utterances:
            values: dict[str, object] = {
                "audio_filepath": Path(os.path.relpath(utterance.audio_path.resolve(), root)).as_posix(),
                "duration": round(utterance.duration_s, 4),
                "text": utterance.text,
            }
            if utterance.speaker:
                values["speaker"] = utterance.speaker
            if utterance.id:
                values["id"] = utterance.id
            file.write(json.dumps(values, ensure_ascii=False) + "\n")
