"""Train a recogniser from nothing on JSONL manifests; interrupt it when you like, `--resume` goes on exactly there."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from crnn_asr.config import PRESETS, RunConfig
from crnn_asr.console import FAILED, INTERRUPTED, OK, USAGE, complain, note, positive_float, positive_int, run

DEFAULT_DATA = Path("data/librispeech")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    data = parser.add_argument_group("data")
    data.add_argument(
        "--train", nargs="+", type=Path, metavar="M.jsonl", help=f"manifests (default: {DEFAULT_DATA}/train-*.jsonl)"
    )
    data.add_argument(
        "--dev",
        type=Path,
        metavar="M.jsonl",
        help="manifest that chooses the best epoch (default: dev*.jsonl beside the first of --train; without one, a part of the training speakers is held out)",
    )
    data.add_argument(
        "--alphabet",
        help="auto (all characters of the training text), english, or the characters themselves (default: auto)",
    )
    data.add_argument(
        "--language", help="language code of the transcripts; az and tr case i and I in their own way (default: en)"
    )
    data.add_argument(
        "--noise", metavar="DIR", help="folder of noise recordings to mix in (default: none, noise is synthetic)"
    )
    data.add_argument(
        "--rooms", metavar="DIR", help="folder of room impulse responses (default: none, rooms are synthetic)"
    )
    place = parser.add_argument_group("run directory")
    place.add_argument("--out", type=Path, default=Path("models/crnn"), help="run directory")
    again = place.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with the run in --out, with its own configuration")
    again.add_argument("--fresh", action="store_true", help="delete the run in --out and start over")
    recipe = parser.add_argument_group("recipe (defaults come from the preset)")
    recipe.add_argument("--preset", choices=sorted(PRESETS), help="sizes of model and training (default: an4)")
    recipe.add_argument("--epochs", type=positive_int, help="passes over the training data")
    recipe.add_argument("--batch-seconds", type=positive_float, help="padded audio in a step, in seconds")
    recipe.add_argument("--learning-rate", type=positive_float, help="peak of the schedule")
    recipe.add_argument(
        "--schedule", choices=("cosine", "plateau"), help="cosine to zero, or halved when dev WER stands still"
    )
    recipe.add_argument(
        "--early-stopping",
        type=int,
        metavar="EPOCHS",
        help="end after so many epochs without a better dev WER; 0 is off",
    )
    recipe.add_argument("--max-duration", type=positive_float, help="longest utterance, in seconds")
    recipe.add_argument("--no-augment", action="store_true", default=None, help="train on the recordings as they are")
    recipe.add_argument("--seed", type=int, help="of weights, order, augmentation and dropout")
    return parser.parse_args(argv)


def wanted_config(args: argparse.Namespace, base: RunConfig) -> RunConfig:
    """`base` with what the command line says of it."""
    given = {
        "epochs": args.epochs,
        "batch_frames": args.batch_seconds and round(args.batch_seconds * 1000 / base.features.hop_ms),
        "learning_rate": args.learning_rate,
        "schedule": args.schedule,
        "early_stopping_epochs": args.early_stopping,
        "max_duration_s": args.max_duration,
        "seed": args.seed,
    }
    training = replace(base.training, **{name: value for name, value in given.items() if value is not None})
    config = replace(base, training=training)
    if args.language is not None:
        config = replace(config, text=replace(config.text, language=args.language))
    if args.no_augment:
        config = config.without_augmentation()
    for name, folder in (("noise_dir", args.noise), ("rooms_dir", args.rooms)):
        if folder is not None:
            config = replace(config, **{name: str(Path(folder).resolve())})
    if args.train:
        config = replace(config, train_manifests=tuple(str(path.resolve()) for path in args.train))
    if args.dev:
        config = replace(config, dev_manifest=str(args.dev.resolve()))
    return config


def find_manifests(config: RunConfig) -> RunConfig:
    """Fill in the default manifests.

    Raises:
        FileNotFoundError: there are none.
    """
    if not config.train_manifests:
        found = sorted(DEFAULT_DATA.glob("train-*.jsonl"))
        if not found:
            raise FileNotFoundError(
                f"no manifest at {DEFAULT_DATA}/train-*.jsonl; run scripts/convert_librispeech.py first, or name manifests with --train"
            )
        config = replace(config, train_manifests=tuple(str(path.resolve()) for path in found))
    if not config.dev_manifest:
        beside = sorted(Path(config.train_manifests[0]).parent.glob("dev*.jsonl"))
        if beside:
            config = replace(config, dev_manifest=str(beside[0]))
            note(f"dev manifest: {beside[0]}")
        else:
            note("no dev manifest; a part of the training data is held out")
    return config


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from crnn_asr.training.run import RunDirectory  # TensorFlow takes seconds to import: wrong usage is told before

    run_directory = RunDirectory(args.out)
    if args.resume:
        config = run_directory.load_config()
        if wanted_config(args, config) != config or args.preset not in (None, config.preset) or args.alphabet:
            complain(
                f"--resume goes on with the configuration in {run_directory.config}, and another was asked for; leave those options out, or use --fresh"
            )
            return USAGE
    else:
        if run_directory.exists() and not args.fresh:
            complain(
                f"{args.out} holds a run already; go on with it with --resume, delete it with --fresh, or choose another --out"
            )
            return USAGE
        config = find_manifests(wanted_config(args, PRESETS[args.preset or "an4"]))
    return train(run_directory, config, args.alphabet or "auto", args.resume)


def train(run_directory, config: RunConfig, alphabet: str, resume: bool) -> int:  # type: ignore[no-untyped-def]
    from crnn_asr.config import save_config
    from crnn_asr.training.loop import Trainer
    from crnn_asr.training.setup import prepare

    setup = prepare(config, alphabet)
    config = setup.config
    if not resume:
        run_directory.clear()
        run_directory.root.mkdir(parents=True, exist_ok=True)
        save_config(config, run_directory.config)
    run_directory.write_environment()
    run_directory.write_skipped([*setup.failed, *setup.skipped])
    for problem in setup.failed:
        complain(problem)
    if setup.skipped:
        note(
            f"{len(setup.skipped)} utterances left out, named in {run_directory.skipped}; the first: {setup.skipped[0]}"
        )
    trainer = Trainer(run_directory, config, setup.train, setup.dev)
    if resume:
        trainer.resume()
        if trainer.progress.finished:
            print(f"{run_directory.root} is finished: {summary(trainer)}")
            return OK
    print(
        f"{len(setup.train.examples)} utterances to train on, {len(setup.dev.examples)} to choose by, {trainer.model.count_params():,} parameters, {config.training.epochs} epochs"
    )
    stopped_by = follow(trainer)
    found_later = [*setup.train.problems.values(), *setup.dev.problems.values()]
    for problem in found_later:
        complain(problem)
    run_directory.write_skipped([*setup.failed, *setup.skipped, *found_later])
    if stopped_by:
        note(f"stopped after step {trainer.progress.step}, everything is saved; go on with --resume")
        return INTERRUPTED if stopped_by == signal.SIGINT else 128 + stopped_by
    print(summary(trainer))
    return FAILED if setup.failed or found_later else OK


def summary(trainer) -> str:  # type: ignore[no-untyped-def]
    p = trainer.progress
    return f"best epoch {p.best_epoch}: dev WER {100 * p.best_wer:.2f} %; {p.seconds / 60:.1f} minutes of training; model in {trainer.run.root}"


def follow(trainer) -> int:  # type: ignore[no-untyped-def]
    """Show the run's progress until it ends; the number of the signal that stopped it, or 0."""
    from tqdm import tqdm

    from crnn_asr.training.loop import EpochDone, StepDone

    received: list[int] = []

    def stop(number: int, _: object) -> None:
        if received:
            raise KeyboardInterrupt  # the second one stops at once; the last checkpoint stands
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    bar: tqdm | None = None
    for event in trainer.events(lambda: bool(received)):
        if isinstance(event, StepDone):
            if bar is None:
                bar = tqdm(
                    total=event.batches,
                    initial=event.batch - 1,
                    unit="step",
                    leave=False,
                    disable=not sys.stderr.isatty(),
                    desc=f"epoch {event.epoch}",
                )
            bar.update()
            minutes = event.seconds_left / 60
            bar.set_postfix_str(
                f"loss {event.loss:.2f}, {event.audio_seconds_per_second:.0f} audio-s/s, wait {event.wait_share:.0%}, {minutes:.1f} min left"
            )
        elif isinstance(event, EpochDone):
            if bar is not None:
                bar.close()
                bar = None
            m = event.metrics
            print(
                f"epoch {m['epoch']:3d}  loss {m['train_loss']:7.2f}  dev {m['dev_loss']:7.2f}  WER {m['dev_wer']:6.2f} %  CER {m['dev_cer']:6.2f} %"
                f"  lr {m['learning_rate']:.1e}  {m['seconds']:5.1f} s  {m['audio_seconds_per_second']:.0f} audio-s/s  wait {m['wait_share']:.0%}{'  best' if event.is_best else ''}",
                flush=True,
            )
    if bar is not None:
        bar.close()
    return received[0] if received and not trainer.progress.finished else 0


if __name__ == "__main__":
    run(main)
