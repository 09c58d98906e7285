"""Train a recogniser on JSONL manifests, from nothing or from another model's weights.

Interrupt it when you like, --resume goes on exactly there.
"""

import argparse
import signal
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from crnn_asr.config import RunConfig
from crnn_asr.console import FAILED, OK, USAGE, complain, note, run
from crnn_asr.files import write_text
from crnn_asr.native import load_tensorflow, single_threaded_blas
from crnn_asr.strict_json import save_config
from crnn_asr.training.logs import json_log
from crnn_asr.training.options import (
    AUTO,
    MEMORY_SHARE,
    add_training_options,
    base_config,
    find_manifests,
    wanted_config,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_training_options(parser)
    return parser.parse_args(argv)


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
    if args.keep == "last" and (args.early_stopping or args.schedule == "plateau"):
        complain("--early-stopping and --schedule plateau go by the best epoch; leave them out, or --keep last")
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
    from crnn_asr.training.run import RunDirectory, model_at
    from crnn_asr.training.tf_config import worker

    args.init = args.init and model_at(args.init)
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
        config = wanted_config(args, base)
        unused = (
            ("--noise", config.noise_dir and not config.augment.noise_file_probability),
            ("--rooms", config.rooms_dir and not config.augment.reverb_probability),
            ("--augment-ramp", args.augment_ramp is not None and args.no_augment),
        )
        if wrong := [option for option, is_unused in unused if is_unused]:
            without = "--no-augment" if args.no_augment else f"--preset {config.preset}"
            complain(f"{' and '.join(wrong)} would do nothing with {without}; leave out one or the other")
            return USAGE
        config = find_manifests(config)
        if config.pool_manifests and not config.dev_manifest:
            complain("--pool may hold what is held out of --train where there is no dev manifest; name one with --dev")
            return USAGE
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
    if setup.heard_before:
        note(
            f"{setup.heard_before} of {len(setup.dev.examples)} dev recordings were in the training of {args.init}, so "
            "dev WER tells what that model knew already; name others with --dev"
        )
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
    of_pool = f", as many in each epoch of {len(setup.train.pool)} more" if setup.train.pool else ""
    print(
        f"{len(setup.train.always)} utterances to train on{of_pool}, {len(setup.dev.examples)} to choose by, "
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
        f"{config.training.keep} epoch {p.best_epoch}: dev WER {100 * p.best_wer:.2f} %; "
        f"{p.seconds / 60:.1f} minutes of training; the model is in {directory.root}"
    )
    return FAILED if setup.failed or unusable else OK


if __name__ == "__main__":
    run(main)
