"""The whole recipe in one command: a first model, its words in new orders, the model, its INT8 file.

A first model, trained in the quiet, finds the words in the recordings; in every epoch the model learns from the
recordings and from as many new ones that are made of their words (recombine.py), others in each. After an interruption
the same command goes on.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.config import OPTIMIZERS
from crnn_asr.console import FAILED, INTERRUPTED, OK, USAGE, complain, non_negative_int, note, positive_int, run
from crnn_asr.corpus.recombine import MANIFEST
from crnn_asr.presets import PRESETS
from crnn_asr.stages import Stage, run_stage, stops

ROOT = Path(__file__).resolve().parents[1]
FIRST_EPOCHS = 60
TIMES = 10


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", type=Path, required=True, metavar="M.jsonl", help="manifests")
    parser.add_argument(
        "--dev", type=Path, required=True, metavar="M.jsonl", help="manifest of other speakers; its words are not used"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("models/crnn"), help="run directory of the model (default: models/crnn)"
    )
    both = parser.add_argument_group("both trainings, as in train.py")
    both.add_argument("--seed", type=non_negative_int, default=0, help="default: %(default)s")
    both.add_argument("--sample-rate", type=positive_int, metavar="HZ")
    both.add_argument("--alphabet")
    both.add_argument("--language")
    both.add_argument("--optimizer", choices=OPTIMIZERS, help="default: the preset's")
    second = parser.add_argument_group("the second training, as in train.py")
    second.add_argument("--preset", choices=sorted(PRESETS), default="an4", help="default: %(default)s")
    second.add_argument("--epochs", type=positive_int, metavar="N", help="default: the preset's")
    second.add_argument("--noise", metavar="DIR")
    second.add_argument("--rooms", metavar="DIR")
    first = parser.add_argument_group("the first training, with preset clean")
    first.add_argument(
        "--first-epochs", type=positive_int, default=FIRST_EPOCHS, metavar="N", help="default: %(default)s"
    )
    words = parser.add_argument_group("the words in new orders, as in recombine.py")
    words.add_argument(
        "--times",
        type=positive_int,
        default=TIMES,
        metavar="N",
        help="so many new recordings for each old one; an hour of old ones takes 115 MB at 16 kHz, and N times that "
        "(default: %(default)s)",
    )
    return parser.parse_args(argv)


def stages(args: argparse.Namespace) -> list[tuple[Stage, Path]]:
    """What is still to do, and the file that each leaves. A training that was begun is resumed, and one that has ended
    says so; words are cut once.
    """
    first, recombined = args.out / "first", args.out / "recombined"
    old, new = tuple(map(str, args.train)), recombined / MANIFEST

    def options(*names: str) -> tuple[str, ...]:
        given = [(name, getattr(args, name)) for name in names if getattr(args, name) is not None]
        return tuple(word for name, value in given for word in (f"--{name.replace('_', '-')}", str(value)))

    def training(title: str, out: Path, *rest: str) -> tuple[Stage, Path]:
        begun = (out / "config.json").is_file()  # a run that is resumed has its alphabet
        both = (
            *options("dev", "seed", "sample_rate", "language", "optimizer"),
            *(("--resume",) if begun else options("alphabet")),
        )
        return Stage(title, ("train.py", "--out", str(out), *rest, *both)), out / "model.keras"

    cut = ("recombine.py", str(first), *old, "--out", str(recombined), *options("times", "seed"))
    return [
        training(
            "train a first model", first, "--preset", "clean", *("--epochs", str(args.first_epochs)), "--train", *old
        ),
        *([] if new.exists() else [(Stage("cut its words out and join them anew", cut), new)]),
        training(
            "train the model",
            args.out,
            *options("preset", "epochs", "noise", "rooms"),
            "--train",
            *old,
            "--pool",
            str(new),
        ),
        (Stage("quantize it", ("quantize.py", str(args.out))), args.out / "model.int8.tflite"),
    ]


def obstacle(args: argparse.Namespace) -> str:
    """What the second training would refuse, when the first has taken its time; empty where there is nothing."""
    augment = PRESETS[args.preset].augment
    for name, probability in (("noise", augment.noise_file_probability), ("rooms", augment.reverb_probability)):
        if (folder := getattr(args, name)) is None:
            continue
        if not probability:
            return f"--{name} would do nothing with --preset {args.preset}; leave out one or the other"
        if not Path(folder).is_dir():
            return f"--{name}: expected a folder of recordings, got {folder}, which is none"
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if reason := obstacle(args):
        complain(reason)
        return USAGE
    worst, begun_s = OK, time.monotonic()
    for stage, product in stages(args):
        start = time.time()
        try:
            code = run_stage(stage, ROOT)
        except KeyboardInterrupt:
            code = INTERRUPTED
        left = product.exists() and product.stat().st_mtime >= start
        if code not in (OK, FAILED) or (code == FAILED and not left):
            complain(stops("the recipe", stage, code))
            note("what is done is kept; the same command goes on from here, other options need another --out")
            return code if code > 0 else FAILED
        worst = max(worst, code)  # FAILED: some recordings were no good, and were named; the rest was done
    print(f"\n── done in {(time.monotonic() - begun_s) / 60:.0f} min: {args.out / 'model.int8.tflite'}")
    return worst


if __name__ == "__main__":
    run(main)
