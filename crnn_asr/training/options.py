"""The command line's options of a training, and the configuration that they ask for."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from crnn_asr.config import OPTIMIZERS, RunConfig
from crnn_asr.console import non_negative_int, note, positive_float, positive_int, share, share_or_none
from crnn_asr.errors import ModelError
from crnn_asr.native import load_tensorflow
from crnn_asr.presets import PRESETS
from crnn_asr.training.logs import module_level

DEFAULT_DATA = Path("data/librispeech")
AUTO = "auto"
MEMORY_SHARE = 0.5  # of what is available, for --batch-seconds auto


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add them, in groups."""
    _add_data(parser)
    _add_run_directory(parser)
    _add_recipe(parser)
    _add_watching(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
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
        "--pool",
        nargs="+",
        type=Path,
        metavar="M.jsonl",
        help="more manifests, of which an epoch takes as many utterances as --train has, others in each: such as "
        "recombine.py makes in any number (default: off)",
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


def _add_run_directory(parser: argparse.ArgumentParser) -> None:
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
        help="run directory, .keras file, or folder with a model.keras in it, such as models/an4; its preset and sizes "
        "are the defaults; layers of the same sizes are kept, and the outputs of symbols that both alphabets have "
        "(default: off, all weights are drawn)",
    )
    start.add_argument(
        "--freeze",
        type=non_negative_int,
        metavar="N",
        help="layers that stay as they are in --init's model, from the first on: convolutions with their batch norms, "
        "then the projection, then BiLSTMs; 0 is off (default: 0)",
    )


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    recipe = parser.add_argument_group("recipe (defaults come from the preset)")
    recipe.add_argument("--preset", choices=sorted(PRESETS), help="sizes of model and training (default: an4)")
    recipe.add_argument(
        "--sample-rate",
        type=positive_int,
        metavar="HZ",
        help="at which the model hears; recordings of all rates are brought to it, take 8000 for telephone or radio",
    )
    recipe.add_argument("--epochs", type=positive_int, help="passes over the training data")
    recipe.add_argument(
        "--batch-seconds",
        type=_seconds_or_auto,
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
    recipe.add_argument(
        "--optimizer",
        choices=OPTIMIZERS,
        help="AdamW, or Muon for the network's matrices (default: muon with tiny, else adamw)",
    )
    recipe.add_argument("--learning-rate", type=positive_float, help="the schedule's peak")
    recipe.add_argument(
        "--schedule", choices=("cosine", "plateau"), help="to zero, or halved when dev WER stands still"
    )
    recipe.add_argument(
        "--early-stopping",
        type=non_negative_int,
        metavar="N",
        help="end after N epochs none of which was the best so far; 0 is off",
    )
    recipe.add_argument(
        "--keep",
        choices=("best", "last"),
        help="the epoch whose weights are the model: the best on dev, or the last, where dev is unlike what is to be "
        "recognised: in the quiet, say (default: last with the presets an4 and clean, without --early-stopping and "
        "--schedule plateau; else best)",
    )
    recipe.add_argument("--max-duration", type=positive_float, help="longest utterance, in seconds")
    recipe.add_argument(
        "--augment-ramp",
        type=share_or_none,
        metavar="SHARE",
        help="of the epochs, in which augmentation grows from nothing to what the preset says; 0 is off, which suits "
        "a model of --init that knows noise already",
    )
    recipe.add_argument("--no-augment", action="store_true", help="train on the recordings as they are")
    recipe.add_argument("--seed", type=non_negative_int, help="of weights, order, augmentation and dropout")


def _add_watching(parser: argparse.ArgumentParser) -> None:
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


def _seconds_or_auto(text: str) -> float | str:
    """An argparse type: a number above 0, or auto."""
    return text if text == AUTO else positive_float(text)


def base_config(args: argparse.Namespace) -> RunConfig:
    """The preset, or where --init is given and none, that of its model, with its sizes, features and language."""
    if not args.init or args.preset:
        return PRESETS[args.preset or "an4"]
    load_tensorflow()
    from crnn_asr.training.transfer import read_source

    source = read_source(args.init)
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
        "optimizer": args.optimizer,
        "learning_rate": args.learning_rate,
        "schedule": args.schedule,
        "early_stopping_epochs": args.early_stopping,
        "keep": args.keep or ("best" if args.early_stopping or args.schedule == "plateau" else None),
        "max_duration_s": args.max_duration,
        "augment_ramp_share": args.augment_ramp,
        "seed": args.seed,
    }
    features = base.features
    if rate_hz := args.sample_rate:
        features = features.at_rate(rate_hz)
    sources = args.records or args.train
    whole = {
        "noise_dir": args.noise and str(Path(args.noise).resolve()),
        "rooms_dir": args.rooms and str(Path(args.rooms).resolve()),
        "train_manifests": sources and tuple(str(path.resolve()) for path in sources),
        "pool_manifests": args.pool and tuple(str(path.resolve()) for path in args.pool),
        "dev_manifest": args.dev and str(args.dev.resolve()),
        "features": features,
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
