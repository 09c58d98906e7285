"""Make new training utterances of the words of old ones, in random order, each of one speaker.

A model, which need not be good, finds the words in the recordings. Train on the new utterances beside the old ones.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.audio.read import read_audio
from crnn_asr.console import (
    FAILED,
    OK,
    USAGE,
    complain,
    describe,
    non_negative_int,
    note,
    positive_int,
    progress_bar,
    run,
)
from crnn_asr.corpus.manifest import Problem, Utterance, read_manifest, total_hours
from crnn_asr.corpus.recombine import MANIFEST, Cut, recombine
from crnn_asr.errors import DataError
from crnn_asr.export.systems import open_system
from crnn_asr.inference.cutting import cut_words
from crnn_asr.language.sources import read_lexicon


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a run directory, a .keras, a .tflite or an .onnx file")
    parser.add_argument(
        "manifests", nargs="+", type=Path, metavar="MANIFEST", help="JSONL manifests with the transcripts and speakers"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=f"folder for {MANIFEST} and wav/")
    parser.add_argument("--force", action="store_true", help="write over what is in DIR")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--count", type=positive_int, metavar="N", help="utterances to make (default: as many as there are)"
    )
    amount.add_argument("--times", type=positive_int, default=1, metavar="N", help="so many times as there are")
    parser.add_argument(
        "--words",
        nargs=2,
        type=positive_int,
        metavar=("LOW", "HIGH"),
        help="in an utterance (default: as many as the old ones have)",
    )
    parser.add_argument("--only", type=Path, metavar="FILE", help="text with a word a line; no others are taken")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="of what is drawn (default: %(default)s)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if args.words and args.words[0] > args.words[1]:
        complain(f"--words: expected LOW not above HIGH, got {args.words[0]} and {args.words[1]}")
        return USAGE
    if (args.out / MANIFEST).exists() and not args.force:
        complain(f"{args.out / MANIFEST} would be written over; do so with --force, or choose another --out")
        return USAGE
    utterances: list[Utterance] = []
    problems: list[Problem] = []
    for path in args.manifests:
        good, bad = read_manifest(path)
        utterances += good
        problems += bad
    system, _ = open_system(args.model)
    rate_hz = system.features.sample_rate_hz
    only = read_lexicon(args.only, system.text) if args.only else ()
    cuts, unheard = [], []
    with progress_bar("cutting", "utterance") as move:
        for number, utterance in enumerate(utterances):
            try:
                samples = read_audio(utterance.audio_path, rate_hz)
                cuts.append(Cut(utterance, tuple(cut_words(samples, utterance.text, system))))
            except DataError as error:
                unheard.append(Problem(utterance.id, str(error)))
            except (OSError, ValueError) as error:
                problems.append(Problem(utterance.id, describe(error)))
            move(number + 1, len(utterances))
    for problem in problems:
        complain(problem)
    for problem in unheard:
        note(f"not cut: {problem}")
    count = args.count or args.times * len(utterances)
    with progress_bar("joining", "utterance") as move:
        made = recombine(cuts, args.out, count, rate_hz, args.words, only, args.seed, move)
    print(f"{args.out / MANIFEST}: {len(made):,} utterances, {total_hours(made):.2f} h, of the words of {len(cuts):,}")
    return FAILED if problems else OK


if __name__ == "__main__":
    run(main)
