"""Manifests: JSON Lines, an utterance a line, `{"audio_filepath", "duration", "text"}` and optional `speaker`, `id`."""

import codecs
import json
import os
import sys
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crnn_asr.errors import DataError
from crnn_asr.files import replacing

_MAX_DURATION_S = 1_000_000  # eleven days; what is longer is no recording, and its samples could not be counted


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording and what is said in it. `duration_s` is in seconds, `text` as transcribed, not normalised."""

    audio_path: Path
    duration_s: float
    text: str
    speaker: str = ""
    id: str = ""


def total_hours(utterances: Iterable[Utterance]) -> float:
    return sum(utterance.duration_s for utterance in utterances) / 3600


@dataclass(frozen=True)
class Problem:
    """Something that was left out: where it stands (a file, a `file:line`, an utterance id) and why."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Line:
    """What a line of a manifest says, or what is wrong with it; lines are numbered from 1."""

    number: int
    found: Utterance | Problem


def read_manifest(path: Path) -> tuple[list[Utterance], list[Problem]]:
    """Read every good line; each bad one comes back as a `Problem` with its line number.

    Relative audio paths are relative to the manifest. An utterance without an id gets its audio file's stem. Blank
    lines are allowed.

    Raises:
        DataError: not one good line.
        OSError: the file cannot be opened.
    """
    utterances: list[Utterance] = []
    problems: list[Problem] = []
    for line in read_lines(path):
        if isinstance(line.found, Utterance):
            utterances.append(line.found)
        else:
            problems.append(line.found)
    if not utterances:
        found = f"{len(problems)} bad lines, the first: {problems[0]}" if problems else "an empty file"
        raise DataError(f"{path}: expected a JSONL manifest with an utterance a line, got {found}")
    return utterances, problems


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a manifest that are not blank, one by one; for the rest see `read_manifest`."""
    for number, line in raw_lines(path):
        try:
            yield Line(number, _parse(line, path.parent))
        except DataError as error:
            yield Line(number, Problem(f"{path}:{number}", str(error)))


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a manifest that are not blank, good or bad, with their numbers."""
    with path.open("rb") as lines:  # JSON may hold other line ends than \n, and one line may not be text
        for number, line in enumerate(lines, start=1):
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if line.strip():
                yield number, line.rstrip(b"\n")


def _parse(line: bytes, root: Path) -> Utterance:
    values = _values(line)
    audio, text, duration = (values.get(key) for key in ("audio_filepath", "text", "duration"))
    if not isinstance(audio, str) or not audio or "\0" in audio:
        raise DataError(f'expected "audio_filepath" with a path, got {audio!r:.60}')
    if not isinstance(text, str):
        raise DataError(f'expected "text" with a transcript, got {text!r:.60}')
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 < duration <= _MAX_DURATION_S:
        raise DataError(f'expected "duration" in seconds above 0, at most a million, got {duration!r:.60}')
    speaker, name = (_label(values, key) for key in ("speaker", "id"))
    try:
        f"{audio}{text}{speaker}{name}".encode()
    except UnicodeEncodeError as error:
        raise DataError(f"expected Unicode text, got half a surrogate pair, {error.object[error.start]!r}") from error
    return Utterance(root / audio, float(duration), text, sys.intern(speaker), name or Path(audio).stem)


def _values(line: bytes) -> dict[str, object]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        reason = f"{line[error.start : error.start + 1]!r} at byte {error.start}; is it an audio file?"
        raise DataError(f"expected text in UTF-8, got other bytes, {reason}") from error
    try:
        values = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected a JSON object, got {text[:60]!r} ({error})") from error
    if not isinstance(values, dict):
        raise DataError(f"expected a JSON object, got {text[:60]!r}")
    return values


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:40]!r} stands twice, and which counts is not said")
    return values


def _label(values: dict[str, object], key: str) -> str:
    """A speaker or an id, which numbers may name too."""
    value = values.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
        raise DataError(f'expected "{key}" with a name, got {value!r:.60}')
    return "" if value is None else str(value)


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest whole or not at all, audio paths relative to it."""
    root = path.parent.resolve()
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        for utterance in utterances:
            values: dict[str, object] = {
                "audio_filepath": _relative(utterance.audio_path, root),
                "duration": round(utterance.duration_s, 4),
                "text": utterance.text,
            }
            if utterance.speaker:
                values["speaker"] = utterance.speaker
            if utterance.id:
                values["id"] = utterance.id
            file.write(json.dumps(values, ensure_ascii=False) + "\n")


def copy_lines(chosen: Iterable[tuple[Path, Container[int]]], target: Path) -> None:
    """Write a new manifest, whole or not at all, of good lines of others.

    Keys of other programs stay; only the audio paths change, to be relative to the new manifest.

    Args:
        chosen: manifests, each with the numbers of the lines to copy.
        target: the new manifest.
    """
    root = target.parent.resolve()
    with replacing(target) as partial, partial.open("w", encoding="utf-8") as file:
        for source, numbers in chosen:
            for number, line in raw_lines(source):
                if number in numbers:
                    values = _values(line)
                    values["audio_filepath"] = _relative(source.parent / str(values["audio_filepath"]), root)
                    file.write(json.dumps(values, ensure_ascii=False) + "\n")


def _relative(audio_path: Path, root: Path) -> str:
    return Path(os.path.relpath(audio_path.resolve(), root)).as_posix()
