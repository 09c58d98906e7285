"""A corpus divided into train, dev and test, so that what is measured on one was not seen in another."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from crnn_asr.checking.groups import Groups
from crnn_asr.config import TextConfig
from crnn_asr.console import describe
from crnn_asr.corpus.manifest import Problem, Utterance, copy_lines, read_lines
from crnn_asr.errors import DataError
from crnn_asr.text.normalize import normalize

MODES = ("speaker", "text", "random")  # what is kept together; the same recording is in each of them
SPLITS = ("train", "dev", "test")
_STRATA = 5  # classes of duration, each with as many utterances, that are divided alike
_READ_AHEAD = 1_000  # files

Progress = Callable[[int, int], None]  # (done, total)


@dataclass(frozen=True, slots=True)
class Placed:
    """An utterance, where it stands (number of the manifest, from 0, and of the line), and what it is kept with."""

    manifest: int
    line: int
    utterance: Utterance
    marks: tuple[str, ...]


@dataclass(frozen=True)
class Division:
    """Utterances by split, and what could not be placed."""

    manifests: tuple[Path, ...]
    splits: dict[str, tuple[Placed, ...]]
    problems: tuple[Problem, ...]


def divide(
    manifests: Sequence[Path],
    by: str,
    shares: Sequence[float],
    seed: int,
    language: str = "en",
    progress: Progress = lambda done, total: None,
) -> Division:
    """Divide the utterances of some manifests at random, by hours, the same way for the same seed and files.

    Utterances that must not be separated make a group: those of a speaker or of a text, and in every mode those whose
    recordings are the same file, or files of the same bytes. Groups are placed from large to small, each where it
    brings the splits nearest to their shares of the hours in each of five classes of duration.

    Args:
        manifests: to be taken as one corpus.
        by: of `MODES`.
        shares: of train, dev and test, in any unit; a split with 0 stays empty.
        seed: of the order in which groups of like size are placed.
        language: of the transcripts, for their normal form.
        progress: called with the number of recordings read and of all.

    Raises:
        DataError: not one utterance can be placed, or there are fewer groups than splits.
        OSError: a manifest cannot be opened.
    """
    placed, problems = _read(manifests, by, language, progress)
    if not placed:
        raise DataError(f"not one utterance can be placed; the first of {len(problems)} problems: {problems[0]}")
    groups = _groups(placed)
    wanted = [number for number, share in enumerate(shares) if share > 0]
    if len(groups) < len(wanted):
        raise DataError(_too_few(by, len(groups), len(wanted)))
    strata = _strata(placed)
    hours = [_hours(group, placed, strata) for group in groups]
    order = _order(hours, np.random.default_rng(seed))
    chosen = _place([(groups[n], hours[n]) for n in order], [shares[number] for number in wanted])
    splits: dict[str, tuple[Placed, ...]] = {}
    for number, own in zip(wanted, chosen):
        members = sorted(index for group in own for index in group)
        splits[SPLITS[number]] = tuple(placed[index] for index in members)
    require_apart(splits)
    return Division(tuple(manifests), splits, tuple(problems))


def require_apart(splits: dict[str, tuple[Placed, ...]]) -> None:
    """Check that no two splits have anything in common that is kept together.

    Raises:
        DataError: they have.
    """
    homes: dict[str, str] = {}
    for name, members in splits.items():
        for item in members:
            for mark in item.marks:
                home = homes.setdefault(mark, name)
                if home != name:
                    raise DataError(f"{item.utterance.id} in {name} has {mark} in common with {home}")


def write_division(division: Division, folder: Path) -> list[Path]:
    """Write a manifest a split, lines as they stood, paths relative to the folder."""
    written = []
    for name, members in division.splits.items():
        lines: list[set[int]] = [set() for _ in division.manifests]
        for item in members:
            lines[item.manifest].add(item.line)
        written.append(folder / f"{name}.jsonl")
        copy_lines(zip(division.manifests, lines), written[-1])
    return written


def _read(manifests: Sequence[Path], by: str, language: str, progress: Progress) -> tuple[list[Placed], list[Problem]]:
    found: list[tuple[int, int, Utterance]] = []
    problems: list[Problem] = []
    for number, path in enumerate(manifests):
        lines = list(read_lines(path))
        if not lines:
            problems.append(Problem(str(path), "expected an utterance a line, got an empty file"))
        for line in lines:
            if isinstance(line.found, Problem):
                problems.append(line.found)
            elif by == "speaker" and not line.found.speaker:
                reason = 'expected a "speaker" to divide by; add it, or divide by text or at random'
                problems.append(Problem(f"{path}:{line.number}", reason))
            else:
                found.append((number, line.number, line.found))
    text, placed = TextConfig(language=language), []
    for done, ((number, line_number, utterance), digest) in enumerate(zip(found, _digests(found)), start=1):
        progress(done, len(found))
        if isinstance(digest, Problem):
            problems.append(Problem(f"{manifests[number]}:{line_number}", digest.reason))
            continue
        marks = [f"the recording {digest}"]
        if by == "speaker":
            marks.append(f"the speaker {utterance.speaker!r}")
        elif by == "text":
            marks.append(f"the text {normalize(utterance.text, text)!r}")
        placed.append(Placed(number, line_number, utterance, tuple(marks)))
    return placed, problems


def _digests(found: Sequence[tuple[int, int, Utterance]]) -> Iterator[str | Problem]:
    """Of the bytes of each recording, in order; read by several threads, for the disk is what takes time."""
    waiting = iter(found)
    with ThreadPoolExecutor() as pool:
        while window := [utterance.audio_path for _, _, utterance in islice(waiting, _READ_AHEAD)]:
            yield from pool.map(_digest, window)


def _digest(path: Path) -> str | Problem:
    try:
        if not path.is_file():  # a pipe would be waited for
            return Problem(str(path), f"no audio file at {path}")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        return Problem(str(path), describe(error))


def _groups(placed: Sequence[Placed]) -> list[list[int]]:
    """Indices of utterances that have a mark in common, directly or through others."""
    groups = Groups(len(placed))
    owner: dict[str, int] = {}
    for index, item in enumerate(placed):
        for mark in item.marks:
            groups.join(owner.setdefault(mark, index), index)
    return groups.members()


def _strata(placed: Sequence[Placed]) -> list[int]:
    """The class of duration of each utterance."""
    durations = [item.utterance.duration_s for item in placed]
    limits = np.quantile(durations, np.arange(1, _STRATA) / _STRATA)
    classes: list[int] = np.searchsorted(limits, durations).tolist()
    return classes


def _hours(group: Sequence[int], placed: Sequence[Placed], strata: Sequence[int]) -> list[float]:
    """Of a group, in each class of duration."""
    hours = [0.0] * _STRATA
    for index in group:
        hours[strata[index]] += placed[index].utterance.duration_s / 3600
    return hours


def _order(hours: Sequence[Sequence[float]], rng: np.random.Generator) -> list[int]:
    """Large groups first, so that small ones can even out; at random among those of like size."""
    shuffled: list[int] = rng.permutation(len(hours)).tolist()
    return sorted(shuffled, key=lambda number: -math.floor(math.log2(sum(hours[number]))))


def _place(groups: Sequence[tuple[list[int], list[float]]], shares: Sequence[float]) -> list[list[list[int]]]:
    """The groups of each split.

    A group with h hours goes where it lowers the sum over classes of (d - h)²/t most, with d the hours that are missing
    there, of t that are wanted. Where only as many groups are left as splits are empty, these get one each.
    """
    totals = [sum(hours[k] for _, hours in groups) for k in range(_STRATA)]
    wanted = [[share / sum(shares) * total for total in totals] for share in shares]
    missing = [list(row) for row in wanted]
    chosen: list[list[list[int]]] = [[] for _ in shares]
    for number, (group, hours) in enumerate(groups):
        empty = [split for split, own in enumerate(chosen) if not own]
        candidates = empty if len(groups) - number <= len(empty) else range(len(shares))
        best = min(candidates, key=lambda split: _change(missing[split], wanted[split], hours))
        chosen[best].append(group)
        missing[best] = [d - h for d, h in zip(missing[best], hours)]
    return chosen


def _change(missing: Sequence[float], wanted: Sequence[float], hours: Sequence[float]) -> float:
    return sum(h * (h - 2 * d) / t for d, t, h in zip(missing, wanted, hours) if t > 0)


def _too_few(by: str, found: int, wanted: int) -> str:
    what = {"speaker": "speakers", "text": "texts", "random": "recordings"}[by]
    other = {"speaker": "; divide by text or at random instead", "text": "; divide at random instead"}.get(by, "")
    return f"expected at least {wanted} different {what}, one for each split, got {found}{other}"
