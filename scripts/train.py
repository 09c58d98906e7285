"""Train a recogniser on JSONL manifests, from nothing or from another model's weights.

Interrupt it when you like, --resume goes on exactly there.
"""

import argparse
import signal
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from crnn_asr.config import RunConfig
from crnn_asr.console import (
    FAILED,
    OK,
    USAGE,
    complain,
    non_negative_int,
    note,
    positive_float,
    positive_int,
    run,
    share,
)
from crnn_asr.errors import ModelError
from crnn_asr.files import write_text
from crnn_asr.native import load_tensorflow, single_threaded_blas
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import save_config
from crnn_asr.training.logs import json_log, module_level

DEFAULT_DATA = Path("data/librispeech")
AUTO = "auto"
MEMORY_SHARE = 0.5  # of what is available, for --batch-seconds auto


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    data = parser.add_argument_group("data")
    train_data = data.add_mutually_exclusive_group()
    train_data.add_argument(
        "--train", nargs="+", type=Path, metavar="M.jsonl", help=f"manifests (default: {DEFAULT_DATA}/train-*.jsonl)"
    )
    train_data.add_argument(
        "--records",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="features that make_records.py made, instead of audio; only they are augmented then, not the waveform",
    )
    data.add_argument(
        "--dev",
        type=Path,
        metavar="M.jsonl",
        help="manifest that chooses the best epoch (default: dev*.jsonl beside the first of --train; where there is "
        "none, some of the training speakers are held out)",
    )
    data.add_argument(
        "--alphabet",
        help="auto (every character of the training text), english, or the characters themselves (default: auto)",
    )
    data.add_argument("--language", help="of the transcripts; az and tr have their own casing of i (default: en)")
    data.add_argument("--noise", metavar="DIR", help="noise recordings to mix in (default: off, noise is synthetic)")
    data.add_argument("--rooms", metavar="DIR", help="room impulse responses (default: off, rooms are synthetic)")
    data.add_argument(
        "--strict",
        action="store_true",
        help="stop at the first fault of manifests, transcripts or audio (default: off, they are left out and named)",
    )
    place = parser.add_argument_group("run directory")
    place.add_argument("--out", type=Path, default=Path("models/crnn"), help="run directory (default: models/crnn)")
    again = place.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with the run in --out, as it was configured")
    again.add_argument("--fresh", action="store_true", help="delete the run in --out and start over")
    place.add_argument(
        "--from-run",
        type=Path,
        metavar="RUN",
        help="repeat the run in this directory, as it was configured, in --out; on the same machine it comes out the "
        "same to the bit",
    )
    place.add_argument(
        "--changed-data",
        action="store_true",
        help="for --resume and --from-run: go on where files of the data are no longer what they were",
    )
    start = parser.add_argument_group("another model to start from")
    start.add_argument(
        "--init",
        type=Path,
        metavar="MODEL",
        help="run directory or .keras file; its preset and sizes are the defaults; layers of the same sizes are kept, "
        "and the outputs of symbols that both alphabets have (default: off, all weights are drawn)",
    )
    start.add_argument(
        "--freeze",
        type=non_negative_int,
        metavar="N",
        help="layers that stay as they are in --init's model, from the first on: convolutions with their batch norms, "
        "then the projection, then BiLSTMs; 0 is off (default: 0)",
    )
    recipe = parser.add_argument_group("recipe (defaults come from the preset)")
    recipe.add_argument("--preset", choices=sorted(PRESETS), help="sizes of model and training (default: an4)")
    recipe.add_argument("--epochs", type=positive_int, help="passes over the training data")
    recipe.add_argument(
        "--batch-seconds",
        type=seconds_or_auto,
        metavar="SECONDS|auto",
        help="padded audio in a step, in seconds; auto finds as many as memory allows and makes sense",
    )
    recipe.add_argument(
        "--memory-share",
        type=share,
        metavar="SHARE",
        help=f"of the available memory, for auto (default: {MEMORY_SHARE})",
    )
    recipe.add_argument(
        "--accumulate",
        type=positive_int,
        metavar="N",
        help="batches a step, for large steps in little memory; 1 is off",
    )
    recipe.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        help="of the large products; auto is bfloat16 where the hardware has it, else float32 (default: auto)",
    )
    recipe.add_argument("--learning-rate", type=positive_float, help="the schedule's peak")
    recipe.add_argument(
        "--schedule", choices=("cosine", "plateau"), help="to zero, or halved when dev WER stands still"
    )
    recipe.add_argument(
        "--early-stopping", type=non_negative_int, metavar="N", help="end after N epochs without a better WER; 0 is off"
    )
    recipe.add_argument("--max-duration", type=positive_float, help="longest utterance, in seconds")
    recipe.add_argument("--no-augment", action="store_true", help="train on the recordings as they are")
    recipe.add_argument("--seed", type=non_negative_int, help="of weights, order, augmentation and dropout")
    watching = parser.add_argument_group("watching")
    watching.add_argument(
        "--log-json",
        type=Path,
        metavar="FILE",
        help="append what happens to this file, one JSON object a line: docs/metrics.md (default: off)",
    )
    watching.add_argument(
        "--log-level",
        nargs="+",
        type=module_level,
        metavar="MODULE=LEVEL",
        help="for --log-json, by module: debug, info, warning or error (default: crnn_asr=info)",
    )
    watching.add_argument(
        "--profile",
        type=positive_int,
        metavar="N",
        help="profile N steps after the first few into the run directory's profile/ (default: off)",
    )
    return parser.parse_args(argv)


def seconds_or_auto(text: str) -> float | str:
    """An argparse type: a number above 0, or auto."""
    return text if text == AUTO else positive_float(text)


def base_config(args: argparse.Namespace) -> RunConfig:
    """The preset, or where --init is given and none, that of its model, with its sizes, features and language."""
    if not args.init or args.preset:
        return PRESETS[args.preset or "an4"]
    load_tensorflow()
    from crnn_asr.training.transfer import read_config

    source = read_config(args.init)
    if source.preset not in PRESETS:
        raise ModelError(f"{args.init} has the preset {source.preset!r}, which is none here; name one with --preset")
    return replace(PRESETS[source.preset], features=source.features, model=source.model, text=source.text)


def wanted_config(args: argparse.Namespace, base: RunConfig) -> RunConfig:
    """`base` with what the command line says of it."""
    training = {
        "epochs": args.epochs,
        "batch_frames": None
        if args.batch_seconds in (None, AUTO)
        else round(args.batch_seconds * 1000 / base.features.hop_ms),
        "accumulate_batches": args.accumulate,
        "precision": args.precision,
        "learning_rate": args.learning_rate,
        "schedule": args.schedule,
        "early_stopping_epochs": args.early_stopping,
        "max_duration_s": args.max_duration,
        "seed": args.seed,
    }
    sources = args.records or args.train
    whole = {
        "noise_dir": args.noise and str(Path(args.noise).resolve()),
        "rooms_dir": args.rooms and str(Path(args.rooms).resolve()),
        "train_manifests": sources and tuple(str(path.resolve()) for path in sources),
        "dev_manifest": args.dev and str(args.dev.resolve()),
        "text": args.language and replace(base.text, language=args.language),
        "training": replace(base.training, **_given(training)),
        "transfer": replace(
            base.transfer, **_given({"model": args.init and str(args.init.resolve()), "freeze": args.freeze})
        ),
    }
    config = replace(base, **_given(whole))
    if args.records:
        config = config.without_waveform_augmentation()
    return config.without_augmentation() if args.no_augment else config


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def find_manifests(config: RunConfig) -> RunConfig:
    """Fill in the default manifests; `FileNotFoundError` where there are none."""
    if not config.train_manifests:
        found = sorted(DEFAULT_DATA.glob("train-*.jsonl"))
        if not found:
            raise FileNotFoundError(
                f"no manifest at {DEFAULT_DATA}/train-*.jsonl; run scripts/convert_librispeech.py first, "
                "or name manifests with --train"
            )
        config = replace(config, train_manifests=tuple(str(path.resolve()) for path in found))
    if not config.dev_manifest:
        beside = sorted(Path(config.train_manifests[0]).parent.glob("dev*.jsonl"))
        note(f"dev manifest: {beside[0]}" if beside else "no dev manifest: a part of the training data is held out")
        config = replace(config, dev_manifest=str(beside[0]) if beside else "")
    return config


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if args.log_level and not args.log_json:
        complain("--log-level is for --log-json; give both, or leave it out")
        return USAGE
    with json_log(args.log_json, dict(args.log_level or ())) if args.log_json else nullcontext():
        return begin(args)


def begin(args: argparse.Namespace) -> int:
    """Check what was asked for, and train."""
    single_threaded_blas()
    if args.memory_share and args.batch_seconds != AUTO:
        complain("--memory-share is for --batch-seconds auto; give both, or leave it out")
        return USAGE
    if args.records and (args.noise or args.rooms):
        complain("--noise and --rooms need the audio, and --records has features; name manifests with --train instead")
        return USAGE
    if args.freeze and not (args.init or args.resume):
        complain("--freeze keeps layers of the model that --init names; give both, or leave it out")
        return USAGE
    if args.from_run and args.resume:
        complain("--from-run starts a run and --resume goes on with one; give one of them")
        return USAGE
    if args.changed_data and not (args.from_run or args.resume):
        complain("--changed-data is for --resume and --from-run; leave it out")
        return USAGE
    if args.init and not args.resume and args.out.resolve() in (init := args.init.resolve(), *init.parents):
        complain(f"--init {args.init} would be deleted with what is in --out; choose another --out")
        return USAGE
    from crnn_asr.training.run import RunDirectory
    from crnn_asr.training.tf_config import worker

    number, count = worker()
    if count > 1 and args.batch_seconds == AUTO:
        complain("--batch-seconds auto measures one machine, and TF_CONFIG names several; give it a number")
        return USAGE
    directory = RunDirectory(args.out, number)
    began = directory if args.resume else RunDirectory(args.from_run) if args.from_run else None
    if number == 0 and directory.exists() and not (args.resume or args.fresh):
        complain(
            f"{args.out} holds a run; go on with it with --resume, delete it with --fresh, or choose another --out"
        )
        return USAGE
    if began:
        config = began.load_config()
        if args.preset not in (None, config.preset) or args.alphabet or wanted_config(args, config) != config:
            complain(
                f"{'--resume' if args.resume else '--from-run'} does as {began.config} says, and another configuration "
                "was asked for; leave those options out, or start over with --fresh and without it"
            )
            return USAGE
    else:
        base = base_config(args)
        if (args.freeze or 0) >= len(base.model.layers):
            *most, _ = base.model.layers
            complain(f"--freeze: expected 0 to {len(most)} layers ({', '.join(most)}), got {args.freeze}")
            return USAGE
        config = find_manifests(wanted_config(args, base))
    if count > 1:
        note(f"worker {number} of 0 to {count - 1}: waits until all are started")
    with directory.locked() if number == 0 else nullcontext():
        return train(directory, began, config, args, number == 0)


def announce(setup: Any, directory: Any, args: argparse.Namespace) -> None:
    """Say what is special about the run that is about to begin, its faults first."""
    from crnn_asr.training.records import Record

    for problem in setup.failed:
        complain(problem)
    if setup.inheritance:
        note(f"from {args.init}: {setup.inheritance}")
    if setup.config.transfer.freeze:
        note(f"frozen: {', '.join(setup.config.model.layers[: setup.config.transfer.freeze])}")
    if setup.budget:
        note(f"--batch-seconds auto: {setup.budget}")
    if setup.skipped:
        note(f"{len(setup.skipped)} utterances left out, see {directory.skipped}; the first: {setup.skipped[0]}")
    if any(isinstance(example.utterance, Record) for example in setup.train.examples):
        note("training on records: the waveform is not augmented, SpecAugment on the features is as configured")


def train(directory: Any, began: Any, config: RunConfig, args: argparse.Namespace, is_chief: bool) -> int:
    """Train in `directory`; `began` is the run directory that the configuration is from, if it is from one."""
    load_tensorflow()
    from crnn_asr.training.fingerprint import data_checksums, require_same, summary_of, to_text
    from crnn_asr.training.loop import Trainer
    from crnn_asr.training.profile import Profiler
    from crnn_asr.training.progress import follow
    from crnn_asr.training.recorder import Recorder
    from crnn_asr.training.replicas import explained, find_strategy
    from crnn_asr.training.setup import prepare, strictly

    find = args.batch_seconds == AUTO and not began  # which has its number
    memory_share = (args.memory_share or MEMORY_SHARE) if find else 0.0
    setup = prepare(config, args.alphabet or "auto", memory_share, args.strict)
    checksums = data_checksums(
        setup.config, [example.utterance for source in (setup.train, setup.dev) for example in source.examples]
    )
    if began and not args.changed_data:
        require_same(checksums, config, began.data)
    if is_chief:
        if not args.resume:
            directory.clear()
            write_text(directory.data, to_text(checksums))
            save_config(replace(setup.config, data_sha256=summary_of(checksums)), directory.config)
        directory.write_environment()
        directory.write_skipped([*setup.failed, *setup.skipped])
    announce(setup, directory, args)
    with explained():
        trainer = Trainer(directory, setup.config, setup.train, setup.dev, find_strategy())
    if args.resume:
        trainer.resume()
    print(
        f"{len(setup.train.examples)} utterances to train on, {len(setup.dev.examples)} to choose by, "
        f"{trainer.model.count_params():,} parameters, epochs {trainer.progress.epoch} of {config.training.epochs} done"
    )
    observers = [Recorder(directory, setup, trainer.model.count_params(), trainer.dev.step)] if is_chief else []
    if is_chief and args.profile:
        observers.append(Profiler(directory.profile, args.profile))
    with strictly(setup), explained():
        signal_number = follow(trainer, observers)
    unusable = [*setup.train.problems.values(), *setup.dev.problems.values()]
    for problem in unusable:
        complain(problem)
    directory.write_skipped([*setup.failed, *setup.skipped, *unusable])
    p = trainer.progress
    if not p.finished:
        note(f"stopped after step {p.step}, everything is saved; go on with --resume")
        return 128 + (signal_number or signal.SIGTERM)  # which another worker received
    print(
        f"best epoch {p.best_epoch}: dev WER {100 * p.best_wer:.2f} %; "
        f"{p.seconds / 60:.1f} minutes of training; the model is in {directory.root}"
    )
    return FAILED if setup.failed or unusable else OK


if __name__ == "__main__":
    run(main)
