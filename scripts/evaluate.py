"""Score a model on a manifest: corpus WER and CER, sentence errors, real-time factor, the worst utterances.

With --snr and --rooms the same utterances are scored in noise and in rooms too. With --out a page is written that shows
what is confused with what and plays the worst utterances.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.audio.augment import audio_files
from crnn_asr.console import FAILED, OK, complain, non_negative_int, note, progress_bar, run
from crnn_asr.corpus.manifest import read_manifest
from crnn_asr.export.systems import open_system
from crnn_asr.files import write_text
from crnn_asr.inference.error_report import ErrorReport, result_dict, write_report
from crnn_asr.inference.evaluation import Evaluation
from crnn_asr.inference.robustness import Robustness, Surroundings, evaluate_robustness
from crnn_asr.language.options import add_decoding_options, decoding_from


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a run directory, a .keras or a .tflite file")
    parser.add_argument("manifest", type=Path, help="JSONL manifest with the transcripts")
    results = parser.add_argument_group("results")
    results.add_argument("--json", type=Path, metavar="FILE", help="write all results there (default: off)")
    results.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write an error report there: index.html, report.json, recordings and a picture (default: off)",
    )
    results.add_argument("--force", action="store_true", help="write --out into a folder that is not empty")
    results.add_argument(
        "--worst", type=non_negative_int, default=5, metavar="N", help="utterances to show; 0 is off (default: 5)"
    )
    robustness = parser.add_argument_group("robustness")
    robustness.add_argument(
        "--snr",
        type=decibels,
        default=(),
        metavar="DB,DB,…",
        help="also score with noise, at these ratios of speech to noise in dB, such as 20,10,5,0 (default: off)",
    )
    robustness.add_argument(
        "--noise", type=Path, metavar="DIR", help="noise recordings, searched with subfolders (default: white noise)"
    )
    robustness.add_argument(
        "--rooms", type=Path, metavar="DIR", help="also score in rooms, by these impulse responses (default: off)"
    )
    robustness.add_argument(
        "--seed", type=non_negative_int, default=0, help="another one draws other noise and rooms (default: 0)"
    )
    add_decoding_options(parser)
    args = parser.parse_args(argv)
    args.decoding = decoding_from(args, parser)
    if args.noise and not args.snr:
        parser.error("--noise says what to mix in, and --snr at which levels; add, for example, --snr 20,10,5,0")
    return args


def decibels(text: str) -> tuple[float, ...]:
    """An argparse type: numbers between commas, from -100 to 100, none twice."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(-100 <= value <= 100 for value in values):
        raise argparse.ArgumentTypeError(f"expected numbers from -100 to 100 between commas, got {text!r}")
    return tuple(dict.fromkeys(values))


def show(result: Evaluation, worst: int) -> None:
    scores = result.scores
    for item in result.worst(worst):
        print(f"{item.id}: {item.words.errors} wrong of {item.words.units}")
        print(f"  said  {item.reference}")
        print(f"  heard {item.hypothesis}")
    for name, counts in (("WER", scores.words), ("CER", scores.characters)):
        print(
            f"{name} {counts.percent:6.2f} %   {counts.substitutions} substitutions, {counts.insertions} insertions, "
            f"{counts.deletions} deletions in {counts.units}"
        )
    share = 100 * scores.sentence_errors / scores.utterances
    print(f"SER {share:6.2f} %   {scores.sentence_errors} of {scores.utterances} utterances with an error")
    print(
        f"RTF {result.real_time_factor:.5f}   {result.seconds:.1f} s for {result.duration_s:.0f} s of audio, "
        f"{1 / result.real_time_factor:.0f} times faster than real time"
    )


def show_robustness(robustness: Robustness) -> None:
    clean = robustness.clean.scores
    print(f"\n{'':<10}{'WER %':>8}{'CER %':>8}{'/ clean':>9}   WER - clean, 95 % interval")
    print(f"{'clean':<10}{clean.words.percent:8.2f}{clean.characters.percent:8.2f}")
    for row in robustness.rows:
        scores, change = row.evaluation.scores, row.change
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        rates = f"{scores.words.percent:8.2f}{scores.characters.percent:8.2f}{ratio:>9}"
        print(f"{row.name:<10}{rates}   {change.percent:+.2f}, {change.low:+.2f} to {change.high:+.2f}")
    if robustness.surroundings.snrs_db:
        print(f"signal-to-noise ratios of whole utterances, {robustness.noise_name}")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if args.out and args.out.is_dir() and any(args.out.iterdir()) and not args.force:
        raise FileExistsError(f"{args.out}: expected an empty folder; give another one, or --force to write into it")
    utterances, bad_lines = read_manifest(args.manifest)
    noise_files, room_files = (audio_files(folder) if folder else () for folder in (args.noise, args.rooms))
    surroundings = Surroundings(args.snr, noise_files, room_files, args.seed)
    system, notes = open_system(args.model, args.decoding)
    for remark in notes:
        note(remark)
    with progress_bar("evaluate", "utterance") as move:
        tried = evaluate_robustness(surroundings, system, utterances, move)
    result, robustness = tried.clean, tried if tried.rows else None
    problems = [*bad_lines, *result.problems]
    for problem in problems:
        complain(problem)
    show(result, args.worst)
    if robustness:
        show_robustness(robustness)
    if args.json:
        values = result_dict(result, robustness)
        write_text(args.json, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    if args.out:
        names = ("/".join(path.resolve().parts[-2:]) for path in (args.model, args.manifest))
        report = ErrorReport(*names, system.text.language, result, robustness, tuple(problems))
        write_report(report, args.out, system.features.sample_rate_hz)
        print(f"\n{args.out / 'index.html'}: open it in a browser")
    return FAILED if problems else OK


if __name__ == "__main__":
    run(main)
