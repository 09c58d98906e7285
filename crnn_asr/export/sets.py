"""Which utterances a run is calibrated and judged on; never the same ones."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crnn_asr.config import RunConfig
from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.errors import DataError
from crnn_asr.training.records import Record, read_utterances
from crnn_asr.training.setup import hold_out


@dataclass(frozen=True)
class UtteranceSets:
    """Utterances to measure ranges on, and to score on; the bad lines of their manifests; what is in both, left out."""

    calibration: tuple[Utterance, ...]
    dev: tuple[Utterance, ...]
    problems: tuple[Problem, ...]
    left_out: tuple[Problem, ...]


def read_sets(config: RunConfig, calibration: Path | None = None, dev: Path | None = None) -> UtteranceSets:
    """The manifests named here, and where None, what the run was trained on and chosen by.

    Raises:
        DataError: a manifest without one good line; a calibration set that lies in dev as a whole; no manifest at all.
        OSError: one that cannot be opened.
    """
    problems: list[Problem] = []

    def read(*manifests: str | Path) -> list[Utterance]:
        utterances = []
        for manifest in manifests:
            found, bad_lines = read_utterances(Path(manifest), config.features)
            utterances += found
            problems.extend(bad_lines)
        return utterances

    dev_manifest = dev or config.dev_manifest
    if not config.train_manifests and not (calibration and dev_manifest):
        raise DataError(
            "expected recordings to calibrate on and others to score on, got a model that names none; "
            "name manifests with --calibration and --dev"
        )
    train = [] if calibration and dev_manifest else read(*config.train_manifests)
    if dev_manifest:
        chosen = read(dev_manifest)
    else:  # as in training
        train, chosen = hold_out([u for u in train if isinstance(u, Record) or u.audio_path.is_file()])
    others, left_out = without_dev(read(calibration) if calibration else train, chosen)
    if left_out and not others:
        raise DataError(
            f"expected calibration utterances that are not in dev, got {len(left_out)} that all are, the first: "
            f"{left_out[0]}; name other recordings with --calibration"
        )
    return UtteranceSets(tuple(others), tuple(chosen), tuple(problems), tuple(left_out))


def without_dev(utterances: Iterable[Utterance], dev: Sequence[Utterance]) -> tuple[list[Utterance], list[Problem]]:
    """Utterances that are not in dev, and those that are, with what gives them away.

    It may be the file, its content under any name, or the id. Ids of recordings that were given none are the stems of
    their files, and many a corpus has a `0001.wav` in every folder; so an id counts where the transcript is the same.
    """
    paths = {_real(utterance.audio_path) for utterance in dev}
    names = {(utterance.id, utterance.text) for utterance in dev}
    contents = _Contents(utterance.audio_path for utterance in dev)
    others, left_out = [], []
    for utterance in utterances:
        if _real(utterance.audio_path) in paths:
            left_out.append(Problem(utterance.id, f"{utterance.audio_path} is in dev"))
        elif (utterance.id, utterance.text) in names:
            left_out.append(Problem(utterance.id, "an utterance of this id and transcript is in dev"))
        elif utterance.audio_path in contents:
            left_out.append(Problem(utterance.id, f"{utterance.audio_path} is a copy of a recording in dev"))
        else:
            others.append(utterance)
    return others, left_out


class _Contents:
    """Files by what is in them; only those whose sizes occur are read."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths: dict[int, list[Path]] = {}
        self._digests: dict[int, set[bytes]] = {}
        for path in paths:
            self._paths.setdefault(_size(path), []).append(path)

    def __contains__(self, path: Path) -> bool:
        size = _size(path)
        if size <= 0 or size not in self._paths:
            return False
        if size not in self._digests:
            self._digests[size] = {_digest(one) for one in self._paths[size]}
        return _digest(path) in self._digests[size]


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _size(path: Path) -> int:
    """In bytes; −1 where there is no file."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return os.fsencode(path)  # unreadable, and equal to nothing
