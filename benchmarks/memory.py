"""Resident memory by corpus size: converting, making records and training, on 1 hour and on many.

The corpora are the same recordings over and over. Each measurement is a process of its own; the number is the most
memory that it ever held, and beside it that of its largest worker. Needs 2.5 times --hours × 115 MB in --scratch.
"""

import argparse
import multiprocessing
import resource
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from crnn_asr.config import PRESETS
from crnn_asr.console import FAILED, OK, positive_float, positive_int, run
from crnn_asr.corpus.convert import Recording, convert_part
from crnn_asr.corpus.manifest import Utterance, read_manifest, write_manifest

ALLOWED = 1.2  # times the memory of one hour


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="whose recordings are repeated")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the corpora and what is made of them")
    parser.add_argument("--hours", type=positive_float, default=100.0, help="of the large corpus (default: 100)")
    parser.add_argument("--steps", type=positive_int, default=60, help="of training (default: 60)")
    parser.add_argument(
        "--stages", nargs="+", choices=sorted(STAGES), default=list(STAGES), help="what to measure (default: all)"
    )
    return parser.parse_args(argv)


def convert(manifest: Path, folder: Path, steps: int) -> None:
    """What every importer does."""
    recordings = [
        Recording(utterance.audio_path, folder / "converted" / f"{utterance.id}.wav", utterance.text, "", utterance.id)
        for utterance in read_manifest(manifest)[0]
    ]
    convert_part("part", recordings, [], folder / "converted", jobs=2)


def records(manifest: Path, folder: Path, steps: int) -> None:
    from crnn_asr.training.build_records import build_records

    build_records(read_manifest(manifest)[0], folder / "records", PRESETS["tiny"].features, jobs=2)


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


def in_process(stage: str, manifest: Path, folder: Path, steps: int, pipe: Connection) -> None:
    STAGES[stage](manifest, folder, steps)
    own, workers = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    pipe.send((own / 1024, workers / 1024))


def measure(stage: str, manifest: Path, folder: Path, steps: int) -> tuple[float, float]:
    """The most resident memory of a stage's process and of its largest worker, in MiB."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=in_process, args=(stage, manifest, folder, steps, theirs))
    process.start()
    theirs.close()
    own, workers = ours.recv()
    process.join()
    return own, workers


def repeat(utterances: Sequence[Utterance], hours: float, folder: Path) -> Path:
    """A manifest of that length, and a dev manifest beside it."""
    rows: list[Utterance] = []
    seconds = 0.0
    while seconds < 3600 * hours:
        turn = len(rows) // len(utterances)
        for utterance in utterances:
            rows.append(replace(utterance, id=f"{utterance.id}-{turn}"))
            seconds += utterance.duration_s
            if seconds >= 3600 * hours:
                break
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder / "train.jsonl", rows)
    write_manifest(folder / "dev.jsonl", utterances[:20])
    return folder / "train.jsonl"


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    utterances, _ = read_manifest(args.manifest)
    folders = {hours: args.scratch / f"{hours:g}h" for hours in (1.0, args.hours)}
    manifests = {hours: repeat(utterances, hours, folder) for hours, folder in folders.items()}
    code = OK
    print(f"{'MiB, process + worker':26}" + "".join(f"{f'{hours:g} h':>18}" for hours in folders) + f"{'ratio':>8}")
    for stage in args.stages:
        found = {hours: measure(stage, manifests[hours], folder, args.steps) for hours, folder in folders.items()}
        ratio = max(large / small for small, large in zip(found[1.0], found[args.hours]) if small)
        cells = "".join(f"{own:11.0f} +{workers:5.0f}" for own, workers in found.values())
        print(f"{stage:26}{cells}{ratio:8.2f}" + ("  too much" if ratio > ALLOWED else ""), flush=True)
        code = code if ratio <= ALLOWED else FAILED
    return code


if __name__ == "__main__":
    run(main)
