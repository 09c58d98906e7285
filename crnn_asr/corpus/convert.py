"""Recordings of any format, found by an importer, become 16 kHz mono files and a manifest, in parallel, once.

A part of a corpus called NAME (a split, a subset) becomes, in the output folder:

    NAME.jsonl        the manifest
    NAME.report.json  what was done, and what was left out, with the reason
    NAME.done         the record of finished conversions, by which a second run skips them
"""

import glob
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

from crnn_asr.audio.read import read_audio, write_audio
from crnn_asr.console import describe
from crnn_asr.corpus.manifest import Problem, Utterance, write_manifest
from crnn_asr.corpus.parallel import map_in_processes
from crnn_asr.corpus.record import Entry, Record, stamp
from crnn_asr.corpus.recording import Found, Recording, store, stored
from crnn_asr.corpus.truncation import require_whole
from crnn_asr.files import naming, write_text

SAMPLE_RATE_HZ = 16_000
AUDIO_FORMATS = ("wav", "flac")  # what a corpus can be converted to; both hold 16-bit PCM
CRASHED: Entry | str = "the process that converted it died; the file may be damaged, or memory ran out"
WINDOW = 5_000  # recordings in memory at a time, some 4 MB; each window has worker processes of its own

Progress = Callable[[int, int], None]  # (done, total)


@dataclass(frozen=True)
class Part:
    """What became of a part of a corpus. `num_converted` counts the utterances that were not done before."""

    name: str
    manifest: Path
    num_utterances: int
    hours: float
    num_converted: int
    problems: tuple[Problem, ...]

    @property
    def summary(self) -> str:
        return (
            f"{self.num_utterances} utterances, {self.hours:.2f} h ({self.num_converted} converted now), "
            f"{len(self.problems)} problems"
        )


def convert_part(
    name: str, found: Iterable[Found], out: Path, jobs: int, progress: Progress = lambda done, total: None
) -> Part:
    """Convert what is not done yet; write the manifest and the report of everything.

    Memory hardly grows with the number of recordings: they wait in an unnamed file in `out`.

    Args:
        name: of the split or subset.
        found: recordings in the order of the manifest, with targets that all differ, and problems met on the way.
        out: the output folder.
        jobs: number of processes.
        progress: called with the number of recordings done and of all.

    Raises:
        OSError: `out` cannot be written to. A source that cannot be read is a `Problem` instead.
    """
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / f"{name}.jsonl"
    with naming(out), TemporaryFile("w+", encoding="utf-8", dir=out) as file:
        total, problems = store(found, file)
        with naming(out / f"{name}.done"), closing(Record(out / f"{name}.done")) as record:
            num_samples, unread = _convert(stored(file), total, out, record, jobs, progress)
        problems += unread
        num_utterances = total - len(unread)
        if num_utterances:
            write_manifest(manifest, _utterances(stored(file), num_samples, out))
        else:
            problems.append(Problem(str(manifest), "not written, because no utterance is left"))
    hours = sum(num_samples) / SAMPLE_RATE_HZ / 3600
    part = Part(name, manifest, num_utterances, hours, record.num_added, tuple(problems))
    _write_report(part, out / f"{name}.report.json")
    return part


def _convert(
    recordings: Iterator[Recording], total: int, out: Path, record: Record, jobs: int, progress: Progress
) -> tuple[Sequence[int], list[Problem]]:
    """Samples of each target, 0 where there is none, and why there is none."""
    num_samples = array("q")
    problems: list[Problem] = []
    while window := list(islice(recordings, WINDOW)):
        done = [_num_samples_done(item, out, record) for item in window]
        places = [place for place, samples in enumerate(done) if not samples]
        waiting = [window[place] for place in places]
        num_done = len(num_samples) + len(window) - len(waiting)
        progress(num_done, total)
        results = map_in_processes(partial(_convert_one, out), waiting, jobs, crashed=CRASHED)
        for place, item, result in zip(places, waiting, results):
            if isinstance(result, Entry):
                done[place] = result.num_samples
                record.add(item.target, result)
            else:
                problems.append(Problem(item.source, result))
            num_done += 1
            progress(num_done, total)
        num_samples.extend(done)
    return num_samples, problems


def _num_samples_done(item: Recording, out: Path, record: Record) -> int:
    """Samples of a target that is done and whole, else 0."""
    entry = record.find(item.target)
    return entry.num_samples if entry and entry.is_current(Path(item.source), out / item.target) else 0


def _convert_one(out: Path, item: Recording) -> Entry | str:
    """Convert one file, in a worker; its record, or the reason why it cannot be used."""
    source, target = Path(item.source), out / item.target
    try:
        source_stamp = stamp(source)  # before reading, so that a change meanwhile shows
        if target.exists() and target.samefile(source):
            return "would be written over by its own conversion; choose another output folder"
        require_whole(source)
        samples = read_audio(source, SAMPLE_RATE_HZ)
    except (OSError, ValueError) as error:
        return describe(error).removeprefix(f"{source}: ")
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.partial{target.suffix}"):
        leftover.unlink(missing_ok=True)  # of a killed run
    write_audio(target, samples, SAMPLE_RATE_HZ)
    return Entry(source_stamp, stamp(target), len(samples))


def _utterances(recordings: Iterable[Recording], num_samples: Iterable[int], out: Path) -> Iterator[Utterance]:
    for item, samples in zip(recordings, num_samples):
        if samples:
            yield Utterance(out / item.target, samples / SAMPLE_RATE_HZ, item.text, item.speaker, item.id)


def _write_report(part: Part, path: Path) -> None:
    report = {
        "part": part.name,
        "utterances": part.num_utterances,
        "hours": round(part.hours, 4),
        "converted_now": part.num_converted,
        "problems": [asdict(problem) for problem in part.problems],
    }
    write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
