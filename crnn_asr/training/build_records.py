"""From manifests to a records folder: features of every utterance, computed once, in parallel; interrupt it freely."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio
from crnn_asr.config import FeatureConfig
from crnn_asr.console import describe
from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.corpus.parallel import map_in_processes
from crnn_asr.corpus.record import stamp
from crnn_asr.errors import DataError
from crnn_asr.training.records import (
    FORMAT_VERSION,
    STORED,
    read_index,
    read_shard,
    shard_path,
    write_index,
    write_shard,
)

SHARD_UTTERANCES = 256  # some 20 MB of read speech; what an interrupted run has to do again at most

Outcome = tuple[NDArray[Any], int] | str  # features (T, F) and the number of samples, or why there are none
Progress = Callable[[int, int], None]  # (done, total)
CRASHED: Outcome = "the process that read it died; the file may be damaged, or memory ran out"


@dataclass(frozen=True)
class Built:
    """What became of the utterances. `num_made` counts those whose features were not there before."""

    num_records: int
    num_made: int
    num_bytes: int
    hours: float
    problems: tuple[Problem, ...]


def build_records(
    utterances: Sequence[Utterance],
    folder: Path,
    features: FeatureConfig,
    jobs: int = 1,
    progress: Progress = lambda done, total: None,
    shard_utterances: int = SHARD_UTTERANCES,
) -> Built:
    """Make the shards that are not there yet, or whose recordings have changed, and then the index.

    Args:
        utterances: in the order of the records.
        folder: the output; made if need be.
        features: settings of the front end.
        jobs: number of processes.
        progress: called with the number of utterances done and of all.
        shard_utterances: in a shard, at most.

    Raises:
        DataError: the folder holds records of other feature settings, or not one utterance could be read.
        OSError: the folder cannot be written to. A recording that cannot be read is a `Problem` instead.
    """
    if (folder / "index.json").exists():
        read_index(folder, features)
    parts = [utterances[start : start + shard_utterances] for start in range(0, len(utterances), shard_utterances)]
    shards = [shard_path(folder, number) for number in range(len(parts))]
    origins = [_origin(part, features) for part in parts]
    missing = [n for n, shard in enumerate(shards) if (read_shard(shard) or {}).get("made_of") != origins[n]]
    if missing:
        (folder / "index.json").unlink(missing_ok=True)  # so that a half-made folder is not taken for a whole one
        for leftover in folder.glob(".shard-*.partial*"):
            leftover.unlink()  # of a killed run
    waiting = [utterance for number in missing for utterance in parts[number]]
    computed = _compute(
        waiting, features, jobs, lambda done: progress(len(utterances) - len(waiting) + done, len(utterances))
    )
    for number in missing:
        write_shard(shards[number], origins[number], islice(computed, len(parts[number])))
    built = _summary(shards, len(waiting))
    if not built.num_records:
        first = f"; the first: {built.problems[0]}" if built.problems else ""
        raise DataError(f"{folder}: not one of {len(utterances)} utterances could be read{first}")
    for stale in set(folder.glob("shard-*.tfrecord")) - set(shards):  # of a larger corpus before
        stale.with_suffix(".json").unlink(missing_ok=True)
        stale.unlink()
    write_index(folder, features, len(shards))
    return built


def _summary(shards: Sequence[Path], num_made: int) -> Built:
    num_records, num_bytes, seconds = 0, 0, 0.0
    problems: list[Problem] = []
    for shard in shards:
        if entry := read_shard(shard):
            num_records += len(entry["records"])
            num_bytes += entry["shard_bytes"]
            seconds += sum(values["duration_s"] for values in entry["records"])
            problems += [Problem(**problem) for problem in entry["problems"]]
    return Built(num_records, num_made, num_bytes, seconds / 3600, tuple(problems))


def _origin(utterances: Sequence[Utterance], features: FeatureConfig) -> str:
    """A digest of all that a shard depends on; size and modification time stand for what a recording holds."""
    inputs: list[object] = [FORMAT_VERSION, asdict(features)]
    for utterance in utterances:
        audio = utterance.audio_path
        inputs.append([str(audio.resolve()), utterance.text, utterance.speaker, utterance.id])
        inputs.append(stamp(audio) if audio.is_file() else [])
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _compute(
    utterances: Sequence[Utterance], features: FeatureConfig, jobs: int, progress: Callable[[int], None]
) -> Iterator[tuple[Utterance, NDArray[Any] | str]]:
    """Each utterance, its duration now as found, with features (T, F); or with the reason why there are none."""
    outcomes = map_in_processes(partial(_features_of, features), utterances, jobs, crashed=CRASHED)
    progress(0)
    for done, (utterance, outcome) in enumerate(zip(utterances, outcomes), start=1):
        if isinstance(outcome, str):
            yield utterance, outcome
        else:
            yield replace(utterance, duration_s=outcome[1] / features.sample_rate_hz), outcome[0]
        progress(done)


def _features_of(config: FeatureConfig, utterance: Utterance) -> Outcome:
    """Features of one recording, in a worker."""
    try:
        samples = read_audio(utterance.audio_path, config.sample_rate_hz)
        return compute_features(samples, config).astype(STORED), len(samples)
    except (OSError, ValueError) as error:
        return describe(error)
