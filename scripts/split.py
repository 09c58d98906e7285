"""Divide manifests into train, dev and test, so that no speaker (or no text, no recording) is in two of them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.checking.splits import MODES, SPLITS, divide, write_division
from crnn_asr.console import FAILED, OK, USAGE, complain, non_negative_int, note, progress_bar, run

OFF = 0.05  # of the hours, by which a split may miss its share before it is told


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST", help="JSONL manifests, taken as one")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for train.jsonl, dev.jsonl and test.jsonl"
    )
    parser.add_argument("--force", action="store_true", help="write over manifests that are in DIR")
    parser.add_argument(
        "--by",
        choices=MODES,
        default=MODES[0],
        help="what is never in two splits, beside the same recording; random: nothing else (default: %(default)s)",
    )
    parser.add_argument(
        "--shares",
        nargs=3,
        type=non_negative_int,
        default=(80, 10, 10),
        metavar=("TRAIN", "DEV", "TEST"),
        help="of the hours; 0 leaves a split out (default: 80 10 10)",
    )
    parser.add_argument("--seed", type=non_negative_int, default=0, help="of the choice (default: %(default)s)")
    parser.add_argument("--language", default="en", help="of the transcripts; az and tr have their own casing of i")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    targets = [args.out / f"{name}.jsonl" for name in SPLITS]
    if not any(args.shares):
        complain("--shares: expected at least one above 0")
        return USAGE
    if inputs := [path for path in args.manifests if path.resolve() in [target.resolve() for target in targets]]:
        complain(f"{inputs[0]} would be written over; choose another --out")
        return USAGE
    if not args.force and (there := [str(target) for target in targets if target.exists()]):
        complain(f"{', '.join(there)} would be written over; do so with --force, or choose another --out")
        return USAGE
    with progress_bar("recordings", "file") as progress:
        division = divide(args.manifests, args.by, args.shares, args.seed, args.language, progress)
    written = write_division(division, args.out)
    for stale in set(targets) - set(written):
        stale.unlink(missing_ok=True)  # of other shares; beside the new ones it would seem to belong to them
    total = sum(item.utterance.duration_s for members in division.splits.values() for item in members)
    for path, (name, members) in zip(written, division.splits.items()):
        seconds = sum(item.utterance.duration_s for item in members)
        speakers = len({item.utterance.speaker for item in members} - {""})
        print(
            f"{path}: {len(members):,} utterances, {seconds / 3600:.2f} h ({seconds / total:.1%}), {speakers} speakers"
        )
        wanted = args.shares[SPLITS.index(name)] / sum(args.shares)
        if abs(seconds / total - wanted) > OFF:
            note(f"{name} should have {wanted:.1%}; what must stay together is too large to come nearer")
    kept = {"speaker": "no speaker and no recording", "text": "no text and no recording", "random": "no recording"}
    print(f"checked: {kept[args.by]} is in two of them")
    for problem in division.problems:
        complain(problem)
    return FAILED if division.problems else OK


if __name__ == "__main__":
    run(main)
