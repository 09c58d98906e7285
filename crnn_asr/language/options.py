"""The command line's options of decoding."""

import argparse
from pathlib import Path

from crnn_asr.console import positive_int
from crnn_asr.language.decoding import ALPHA, BEAM, BETA, HOTWORD_WEIGHT, UNKNOWN_PENALTY, Decoding


def add_decoding_options(parser: argparse.ArgumentParser) -> None:
    """Add them, as a group."""
    group = parser.add_argument_group("decoding", "Greedy, unless one of these is given; then beam search.")
    group.add_argument("--lm", type=Path, metavar="FILE", help="language model, an ARPA file of words (default: none)")
    group.add_argument(
        "--alpha",
        type=float,
        metavar="X",
        help=f"weight of the language model; 0 is off (default: what tune_lm.py found, or {ALPHA})",
    )
    group.add_argument(
        "--beta",
        type=float,
        metavar="X",
        help=f"what a word is worth, in nats (default: with --lm what tune_lm.py found, or {BETA}; else 0)",
    )
    group.add_argument(
        "--beam",
        type=positive_int,
        metavar="N",
        help=f"texts that are followed at once (default: what tune_lm.py found, or {BEAM})",
    )
    group.add_argument(
        "--lexicon", type=Path, metavar="FILE", help="text with a word a line; no others come out (default: none)"
    )
    group.add_argument(
        "--unknown-penalty",
        type=float,
        metavar="X",
        help="let words that are not in the lexicon, or else not in the language model, come out at this cost in nats; "
        f"inf is never (default: inf with --lexicon, else {UNKNOWN_PENALTY:g})",
    )
    group.add_argument(
        "--hotword",
        type=hotword,
        action="append",
        default=[],
        metavar="WORD[=WEIGHT]",
        help="word to listen for, in the lexicon or not, with its weight in nats; may be given several times "
        f"(default: none; weight {HOTWORD_WEIGHT:g})",
    )


def hotword(text: str) -> tuple[str, float]:
    """An argparse type: a word, and its weight behind an equals sign."""
    word, _, weight = text.partition("=")
    try:
        return word, float(weight or HOTWORD_WEIGHT)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected WORD or WORD=WEIGHT with a number, got {text!r}") from None


def decoding_from(args: argparse.Namespace, parser: argparse.ArgumentParser) -> Decoding:
    """What the options say; wrong usage ends the program with code 2."""
    try:
        return Decoding(
            args.beam, args.lm, args.alpha, args.beta, args.lexicon, args.unknown_penalty, dict(args.hotword)
        )
    except ValueError as error:
        parser.error(str(error))
