"""Speak a corpus with espeak-ng: sentences of a phrase grammar, by other voices in train, in dev and in test.

It is laid out as LibriSpeech is: convert_librispeech.py --source OUT takes it from there.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.console import OK, non_negative_int, positive_int, progress_bar, run
from crnn_asr.corpus.accents import read_accents
from crnn_asr.corpus.grammar_parser import read_grammar
from crnn_asr.corpus.synthesize import recording_conditions, synthesize
from crnn_asr.corpus.voices import DEV, ENGLISH_ACCENTS, TEST, TRAIN

GRAMMARS = Path(__file__).resolve().parents[1] / "data" / "grammars"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_argument_group("what is said")
    what.add_argument(
        "--grammar",
        type=Path,
        default=GRAMMARS / "digits_and_commands.txt",
        metavar="FILE",
        help="phrase grammar; data/grammars/ has two, which explain the format (default: digits_and_commands.txt)",
    )
    for name, count in (("train", 2_000), ("dev", 100), ("test", 200)):
        what.add_argument(
            f"--{name}",
            type=non_negative_int,
            default=count,
            metavar="N",
            help="utterances; 0 is none (default: %(default)s)",
        )
    how = parser.add_argument_group("how it sounds")
    how.add_argument(
        "--languages",
        nargs="+",
        metavar="NAME",
        help="languages or accents of espeak-ng, such as az or en-us (default: those of --accents, or eight accents "
        "of English)",
    )
    how.add_argument(
        "--accents",
        type=Path,
        metavar="FILE",
        help="how voices of other languages are to read the words, a line each: LANGUAGE WORD SPELLING; "
        "data/accents/digits.txt has the English digits for ten (default: off, all read the words as they are)",
    )
    how.add_argument("--rooms", type=float, default=0.2, metavar="P", help="part in a room, 0 is off (default: 0.2)")
    how.add_argument("--noise", type=float, default=0.2, metavar="P", help="part with noise, 0 is off (default: 0.2)")
    how.add_argument(
        "--seed", type=non_negative_int, default=0, help="of everything that is drawn, from 0 (default: 0)"
    )
    output = parser.add_argument_group("where it goes")
    output.add_argument(
        "--out",
        type=Path,
        default=Path("data/raw/synthetic"),
        metavar="DIR",
        help="folder in which LibriSpeech/ is made (default: data/raw/synthetic)",
    )
    output.add_argument("--force", action="store_true", help="replace what an earlier run made there (default: off)")
    output.add_argument(
        "--jobs", type=positive_int, default=os.cpu_count() or 1, metavar="N", help="processes (default: one a core)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    grammar = read_grammar(args.grammar)
    accents = read_accents(args.accents) if args.accents else {}
    with progress_bar("speaking", "utterance") as progress:
        subsets = synthesize(
            grammar,
            args.out,
            {TRAIN: args.train, DEV: args.dev, TEST: args.test},
            languages=args.languages or tuple(accents) or ENGLISH_ACCENTS,
            accents=accents,
            conditions=recording_conditions(args.rooms, args.noise),
            seed=args.seed,
            jobs=args.jobs,
            force=args.force,
            progress=progress,
        )
    for subset in subsets:
        known = "" if subset.name == TRAIN else f", {subset.num_known} with a sentence that {TRAIN} has too"
        print(
            f"{args.out / 'LibriSpeech' / subset.name}: {subset.num_utterances} utterances, "
            f"{subset.num_speakers} voices, {subset.duration_s / 3600:.2f} h{known}"
        )
    return OK


if __name__ == "__main__":
    run(main)
