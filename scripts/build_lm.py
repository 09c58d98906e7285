"""Estimate an n-gram language model (modified Kneser-Ney) from sentences, as an ARPA file for --lm."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.config import TextConfig
from crnn_asr.console import FAILED, OK, complain, non_negative_int, note, run
from crnn_asr.language.arpa import MAX_ORDER, write_arpa
from crnn_asr.language.kneser_ney import Estimate, estimate
from crnn_asr.language.ngram import surprise
from crnn_asr.language.sources import read_sentences


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "text", type=Path, nargs="+", help="JSONL manifests (named .jsonl), or texts with a sentence a line"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="ARPA file to write")
    parser.add_argument(
        "--order",
        type=int,
        choices=range(1, MAX_ORDER + 1),
        default=3,
        metavar="N",
        help=f"words of the longest n-grams, 1 to {MAX_ORDER} (default: 3)",
    )
    parser.add_argument(
        "--prune",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="leave out n-grams of two and more words that occur at most so often; 0 is off (default: 0)",
    )
    parser.add_argument(
        "--held-out",
        type=Path,
        nargs="+",
        metavar="TEXT",
        help="other sentences, to tell the perplexity of (default: off)",
    )
    parser.add_argument(
        "--casing", choices=("lower", "upper", "keep"), default="lower", help="that of the model (default: lower)"
    )
    parser.add_argument(
        "--language", default="en", help="of the text; az and tr have their own casing of i (default: en)"
    )
    return parser.parse_args(argv)


def show(result: Estimate, num_sentences: int) -> None:
    print(f"{num_sentences} sentences, {len(result.model.vocabulary)} words")
    for n, (table, amounts) in enumerate(zip(result.model.tables, result.discounts), start=1):
        print(f"{n}-grams {len(table):>9}   discounts {' '.join(f'{amount:.3f}' for amount in amounts)}")
    if result.fallbacks:
        orders = ", ".join(f"{n}-grams" for n in result.fallbacks)
        note(f"too little text for discounts of {orders}; usual ones are taken")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    config = TextConfig(args.casing, args.language)
    sentences, problems = read_sentences(args.text, config)
    held_out, more = read_sentences(args.held_out, config) if args.held_out else ([], [])
    result = estimate(sentences, args.order, args.prune)
    write_arpa(args.out, result.model)
    show(result, len(sentences))
    if held_out:
        found = surprise(result.model, held_out)
        print(
            f"held out: perplexity {found.perplexity:.2f}, {found.perplexity_of_known:.2f} without the {found.unknown} "
            f"unknown of {found.tokens} words and sentence ends"
        )
    print(args.out)
    for problem in (*problems, *more):
        complain(problem)
    return FAILED if problems or more else OK


if __name__ == "__main__":
    run(main)
