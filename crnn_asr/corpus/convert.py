"""What all importers share: recordings of any format become 16 kHz mono files and a manifest, in parallel, once.

A part of a corpus called NAME (a split, a subset) becomes, in the output folder:

    NAME.jsonl        the manifest
    NAME.report.json  what was done, and what was left out, with the reason
    NAME.done         the record of finished conversions, by which a second run skips them
"""

import glob
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from crnn_asr.audio.read import read_audio, write_audio
from crnn_asr.console import describe
from crnn_asr.corpus.manifest import Problem, Utterance, write_manifest
from crnn_asr.corpus.parallel import map_in_processes
from crnn_asr.corpus.record import Entry, read_record, record_line, stamp
from crnn_asr.corpus.truncation import require_whole
from crnn_asr.files import naming, write_text

SAMPLE_RATE_HZ = 16_000
AUDIO_FORMATS = ("wav", "flac")  # what a corpus can be converted to; both hold 16-bit PCM
AUDIO_SUFFIXES = (".aif", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".raw", ".sph", ".wav")
CRASHED: Entry | str = "the process that converted it died; the file may be damaged, or memory ran out"

Progress = Callable[[int, int], None]  # (done, total)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording to convert: where it is, where it goes, what is said in it and by whom."""

    source: Path
    target: Path
    text: str
    speaker: str
    id: str


@dataclass(frozen=True)
class Part:
    """What became of a part of a corpus. `num_converted` counts the utterances that were not done before."""

    name: str
    manifest: Path
    utterances: tuple[Utterance, ...]
    problems: tuple[Problem, ...]
    num_converted: int

    @property
    def hours(self) -> float:
        return sum(utterance.duration_s for utterance in self.utterances) / 3600

    @property
    def summary(self) -> str:
        return (
            f"{len(self.utterances)} utterances, {self.hours:.2f} h ({self.num_converted} converted now), "
            f"{len(self.problems)} problems"
        )


def convert_part(
    name: str,
    recordings: Sequence[Recording],
    problems: Iterable[Problem],
    out: Path,
    jobs: int,
    progress: Progress = lambda done, total: None,
) -> Part:
    """Convert what is not done yet; write the manifest and the report of everything.

    Args:
        name: of the split or subset.
        recordings: in the order of the manifest, with targets that all differ and lie under `out`.
        problems: those met on the way here, for the report.
        out: the output folder.
        jobs: number of processes.
        progress: called with the number of recordings done and of all.

    Raises:
        OSError: `out` cannot be written to. A source that cannot be read is a `Problem` instead.
    """
    out.mkdir(parents=True, exist_ok=True)
    lengths, reasons, num_converted = _convert(recordings, out, out / f"{name}.done", jobs, progress)
    utterances = tuple(
        Utterance(item.target, lengths[item.target] / SAMPLE_RATE_HZ, item.text, item.speaker, item.id)
        for item in recordings
        if item.target in lengths
    )
    unread = [Problem(str(item.source), reasons[item.target]) for item in recordings if item.target in reasons]
    problems = [*problems, *unread]
    manifest = out / f"{name}.jsonl"
    if utterances:
        write_manifest(manifest, utterances)
    else:
        problems.append(Problem(str(manifest), "not written, because no utterance is left"))
    part = Part(name, manifest, utterances, tuple(problems), num_converted)
    _write_report(part, out / f"{name}.report.json")
    return part


def _convert(
    recordings: Sequence[Recording], out: Path, record: Path, jobs: int, progress: Progress
) -> tuple[dict[Path, int], dict[Path, str], int]:
    """Lengths in samples of all good targets, reasons of the bad ones, and how many were converted now."""
    done = read_record(record)
    lengths: dict[Path, int] = {}
    for item in recordings:
        entry = done.get(item.target.relative_to(out).as_posix())
        if entry is not None and entry.is_current(item.source, item.target):
            lengths[item.target] = entry.num_samples
    waiting = [item for item in recordings if item.target not in lengths]
    reasons: dict[Path, str] = {}
    progress(len(lengths), len(recordings))
    with naming(record), record.open("a", encoding="utf-8") as lines:
        for item, result in zip(waiting, map_in_processes(_convert_one, waiting, jobs, crashed=CRASHED)):
            if isinstance(result, Entry):
                lengths[item.target] = result.num_samples
                lines.write(record_line(item.target.relative_to(out).as_posix(), result))
                lines.flush()
            else:
                reasons[item.target] = result
            progress(len(lengths) + len(reasons), len(recordings))
    return lengths, reasons, len(waiting) - len(reasons)


def _convert_one(item: Recording) -> Entry | str:
    """Convert one file, in a worker; its record, or the reason why it cannot be used."""
    try:
        source = stamp(item.source)  # before reading, so that a change meanwhile shows
        if item.target.exists() and item.target.samefile(item.source):
            return "would be written over by its own conversion; choose another output folder"
        require_whole(item.source)
        samples = read_audio(item.source, SAMPLE_RATE_HZ)
    except (OSError, ValueError) as error:
        return describe(error).removeprefix(f"{item.source}: ")
    for leftover in item.target.parent.glob(f".{glob.escape(item.target.name)}.*.partial{item.target.suffix}"):
        leftover.unlink(missing_ok=True)  # of a killed run
    write_audio(item.target, samples, SAMPLE_RATE_HZ)
    return Entry(source, stamp(item.target), len(samples))


def _write_report(part: Part, path: Path) -> None:
    report = {
        "part": part.name,
        "utterances": len(part.utterances),
        "hours": round(part.hours, 4),
        "converted_now": part.num_converted,
        "problems": [asdict(problem) for problem in part.problems],
    }
    write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


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
