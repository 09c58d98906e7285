"""Resident memory by corpus size: converting, making records and training, on 1 hour and on many.

The corpora are the same recordings over and over, joined to the length of read speech. Each measurement is a process
of its own; the number is the most memory that it ever held, plus that of its worker processes. Converting and records
need 300 MB of disk for an hour in --scratch.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from crnn_asr.audio.read import read_audio, write_audio
from crnn_asr.console import FAILED, OK, positive_float, positive_int, run
from crnn_asr.corpus.convert import convert_part
from crnn_asr.corpus.librispeech import read_subset
from crnn_asr.corpus.manifest import Utterance, read_manifest, write_manifest
from crnn_asr.presets import PRESETS

JOBS = 2
CHAPTER_UTTERANCES = 50
ALLOWED = 1.2  # times the memory of one hour


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="whose recordings are repeated")
    parser.add_argument(
        "--join", type=positive_int, default=5, metavar="N", help="recordings that make an utterance (default: 5)"
    )
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the corpora and what is made of them")
    parser.add_argument("--hours", type=positive_float, default=100.0, help="of the large corpus (default: 100)")
    parser.add_argument("--steps", type=positive_int, default=60, help="of training (default: 60)")
    parser.add_argument(
        "--stages", nargs="+", choices=sorted(STAGES), default=list(STAGES), help="what to measure (default: all)"
    )
    return parser.parse_args(argv)


def convert(manifest: Path, folder: Path, steps: int) -> None:
    """A LibriSpeech tree, and then once more, when all of it is done."""
    for _ in range(2):
        convert_part("part", read_subset(folder / "corpus", "part"), folder / "converted", jobs=JOBS)


def records(manifest: Path, folder: Path, steps: int) -> None:
    from crnn_asr.training.build_records import build_records

    build_records(read_manifest(manifest)[0], folder / "records", PRESETS["tiny"].features, jobs=JOBS)


def train(source: Path, folder: Path, steps: int) -> None:
    from crnn_asr.native import load_tensorflow

    load_tensorflow()
    from crnn_asr.training.loop import Trainer
    from crnn_asr.training.run import RunDirectory
    from crnn_asr.training.setup import prepare

    config = replace(PRESETS["tiny"], train_manifests=(str(source),), dev_manifest=str(folder / "dev.jsonl"))
    setup = prepare(config, "english")
    trainer = Trainer(RunDirectory(folder / "run"), setup.config, setup.train, setup.dev)
    for _ in islice(trainer.events(), steps):
        pass


def train_on_records(manifest: Path, folder: Path, steps: int) -> None:
    train(folder / "records", folder, steps)


STAGES: dict[str, Callable[[Path, Path, int], None]] = {
    "train": train,
    "convert": convert,
    "records": records,
    "train on records": train_on_records,
}


def measure(stage: str, manifest: Path, folder: Path, steps: int) -> float:
    """The most memory that a stage's process held, plus that of its workers, in MiB (Linux)."""
    process = multiprocessing.get_context("spawn").Process(target=STAGES[stage], args=(manifest, folder, steps))
    process.start()
    peaks: dict[int, list[int]] = {}
    while process.is_alive():
        for pid in family(process.pid):
            with suppress(OSError, ValueError, IndexError):  # it has just ended
                status = Path(f"/proc/{pid}/status").read_text()
                peaks.setdefault(pid, []).append(int(status.split("VmHWM:")[1].split()[0]))
        time.sleep(0.05)
    if process.exitcode:
        raise OSError(f"{stage}: the process ended with code {process.exitcode}")
    # A process seen once may not have begun its program, and then shows the memory of who started it.
    return sum(sorted(values[-1] for values in peaks.values() if len(values) > 1)[-1 - JOBS :]) / 1024


def family(pid: int | None) -> list[int]:
    """A process and those it has started. Their `ru_maxrss` would not do: it begins with that of who started them."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [int(pid or 0), *map(int, children)]


def join(utterances: Sequence[Utterance], count: int, folder: Path) -> list[Utterance]:
    """Recordings one after the other in one file."""
    joined = []
    for number in range(0, len(utterances), count):
        part = utterances[number : number + count]
        samples = np.concatenate([read_audio(utterance.audio_path) for utterance in part])
        path = folder / f"{number:05d}.wav"
        write_audio(path, samples, 16_000)
        text = " ".join(utterance.text for utterance in part)
        joined.append(Utterance(path, len(samples) / 16_000, text, part[0].speaker, path.stem))
    return joined


def repeat(utterances: Sequence[Utterance], hours: float, folder: Path) -> Path:
    """A manifest of that length, with a dev manifest and a LibriSpeech tree of links beside it."""
    rows: list[Utterance] = []
    seconds = 0.0
    while seconds < 3600 * hours:
        turn = len(rows) // len(utterances)
        for utterance in utterances:
            rows.append(replace(utterance, id=f"{utterance.id}-{turn}"))
            seconds += utterance.duration_s
            if seconds >= 3600 * hours:
                break
    write_manifest(folder / "train.jsonl", rows)
    write_manifest(folder / "dev.jsonl", utterances[:20])
    for start in range(0, len(rows), CHAPTER_UTTERANCES):
        lay_out(rows[start : start + CHAPTER_UTTERANCES], folder / "corpus" / "1" / str(start // CHAPTER_UTTERANCES))
    return folder / "train.jsonl"


def lay_out(utterances: Sequence[Utterance], chapter: Path) -> None:
    """A chapter as LibriSpeech has it, of links to the recordings."""
    chapter.mkdir(parents=True, exist_ok=True)
    for utterance in utterances:
        link = chapter / f"{utterance.id}.wav"
        link.unlink(missing_ok=True)
        link.symlink_to(utterance.audio_path.resolve())
    lines = "".join(f"{utterance.id} {utterance.text}\n" for utterance in utterances)
    (chapter / f"1-{chapter.name}.trans.txt").write_text(lines, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    folders = {hours: args.scratch / f"{hours:g}h" for hours in (1.0, args.hours)}
    args.scratch.mkdir(parents=True, exist_ok=True)
    utterances = join(read_manifest(args.manifest)[0], args.join, args.scratch / "joined")
    manifests = {hours: repeat(utterances, hours, folder) for hours, folder in folders.items()}
    code = OK
    print(f"{'MiB':20}" + "".join(f"{f'{hours:g} h':>10}" for hours in folders) + f"{'ratio':>10}")
    for stage in args.stages:
        small, large = (measure(stage, manifests[hours], folder, args.steps) for hours, folder in folders.items())
        ratio = large / small
        print(f"{stage:20}{small:10.0f}{large:10.0f}{ratio:10.2f}" + ("  too much" * (ratio > ALLOWED)), flush=True)
        code = code if ratio <= ALLOWED else FAILED
    return code


if __name__ == "__main__":
    run(main)
