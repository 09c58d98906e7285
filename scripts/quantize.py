"""Make model files of a trained run, measure them beside float, keep those that lose no more than allowed.

Writes RUN_DIR/model.<scheme>.tflite, model.onnx for onnx and model.int8.onnx for onnx-int8, over the ones before, and
RUN_DIR/report.md, .json and .png. A model that loses too much goes to model.<scheme>.rejected.tflite, and one from
before to model.<scheme>.previous.tflite.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.console import FAILED, OK, complain, note, positive_int, progress_bar, run
from crnn_asr.export.convert import INT8_IO_SCHEMES, ONNX_SCHEMES, SCHEMES
from crnn_asr.export.onnx_file import installed
from crnn_asr.export.ranges import CHOICES
from crnn_asr.native import load_tensorflow


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "run",
        nargs="?",
        type=Path,
        metavar="RUN_DIR",
        help="a run that train.py wrote, or a folder with a model.keras (default: the newest run of models/*)",
    )
    parser.add_argument(
        "--scheme",
        choices=(*SCHEMES, *ONNX_SCHEMES, "all"),
        default="int8",
        help="number format, those of ONNX with requirements-onnx.txt installed (default: int8)",
    )
    parser.add_argument(
        "--io",
        choices=("float32", "int8"),
        default="float32",
        help="type of input and output; int8, with the scheme int8 or integer, for targets without float arithmetic: "
        "scale and zero point stand in the file's description (default: float32)",
    )
    parser.add_argument(
        "--output",
        choices=("logits", "log-probs"),
        default="logits",
        help="what the network ends in; log-probs, by log-softmax, is for decoders that want it so: greedy decoding "
        "hears the same in both. In the scheme integer, and with --io int8, log-probabilities have steps of 1/16 and "
        "none is below -15.9 (default: logits)",
    )
    parser.add_argument(
        "--no-speed", action="store_true", help="do not measure times and memory, nor judge them (about a minute less)"
    )
    calibration = parser.add_argument_group("calibration, for int8 and integer: the ranges of activations are measured")
    calibration.add_argument(
        "--calibration",
        type=Path,
        metavar="M.jsonl",
        help="manifest; what is in dev too is left out (default: what the run was trained on)",
    )
    calibration.add_argument(
        "--samples", type=positive_int, default=100, metavar="N", help="utterances to measure on (default: 100)"
    )
    calibration.add_argument(
        "--ranges",
        choices=CHOICES,
        default="auto",
        help="how ranges are made of values; auto keeps what changes log-probabilities least (default: auto)",
    )
    judgement = parser.add_argument_group("judgement")
    judgement.add_argument("--dev", type=Path, metavar="M.jsonl", help="manifest to score on (default: the run's own)")
    judgement.add_argument(
        "--max-wer-increase",
        type=limit,
        default=0.5,
        metavar="X",
        help="what a scheme may lose against float32, in absolute percent of the words; inf is off (default: 0.5)",
    )
    judgement.add_argument(
        "--max-slowdown",
        type=limit,
        default=1.1,
        metavar="X",
        help="times float32's time that one may take, for 16 s of audio on one thread; inf is off (default: 1.1)",
    )
    args = parser.parse_args(argv)
    if args.io == "int8" and args.scheme not in INT8_IO_SCHEMES:
        parser.error(f"--io int8 goes with --scheme {' or '.join(INT8_IO_SCHEMES)}, got --scheme {args.scheme}")
    return args


def limit(text: str) -> float:
    """An argparse type: a number of at least 0, or inf."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, or inf, got {text!r}")
    return value


def find_run() -> Path:
    """The run under models/ whose best checkpoint is the newest."""
    found = [
        path for path in Path("models").glob("*/checkpoints/best.npz") if (path.parents[1] / "config.json").is_file()
    ]
    if not found:
        raise FileNotFoundError("no trained run under models/; run scripts/train.py first, or name a run directory")
    return max(found, key=lambda path: path.stat().st_mtime).parents[1]


def schemes_of(choice: str) -> tuple[str, ...]:
    """One scheme, or all that can be made here."""
    if choice != "all":
        return (choice,)
    if installed():
        return (*SCHEMES, *ONNX_SCHEMES)
    note(f"left out: {' and '.join(ONNX_SCHEMES)}; pip install -r requirements-onnx.txt to have them")
    return SCHEMES


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    folder = args.run or find_run()
    load_tensorflow()
    from crnn_asr.export.gate import Gate
    from crnn_asr.export.quantize import Order, quantize
    from crnn_asr.export.sets import read_sets
    from crnn_asr.export.tables import terminal_text
    from crnn_asr.training.run import read_config

    sets = read_sets(read_config(folder), args.calibration, args.dev)
    if sets.left_out:
        note(f"{len(sets.left_out)} utterances are in dev and do not calibrate; the first: {sets.left_out[0]}")
    gate = Gate(args.max_wer_increase, args.max_slowdown)
    log_probs = args.output == "log-probs"
    order = Order(schemes_of(args.scheme), args.samples, args.ranges, gate, not args.no_speed, args.io, log_probs)
    report, unread = quantize(folder, order, sets, progress_bar)
    print(terminal_text(report), end="")
    for result in report.results:
        if result.path:
            print(f"{result.measured.scheme:<9} {result.path}")
    problems = (*sets.problems, *unread)
    for problem in problems:
        complain(problem)
    rejected = [result for result in report.results if not result.accepted]
    for result in rejected:
        complain(f"{'; '.join(result.objections)}; kept as {result.path}")
    return FAILED if rejected or problems else OK


if __name__ == "__main__":
    run(main)
