"""Make model files of a trained run, score them on dev beside float, keep those that lose no more than allowed.

Writes RUN_DIR/model.<scheme>.tflite, model.onnx for onnx and model.int8.onnx for onnx-int8, over the ones before, and
RUN_DIR/quantization.json. A model that loses too much goes to model.<scheme>.rejected.tflite, and one from before to
model.<scheme>.previous.tflite.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crnn_asr.console import FAILED, OK, complain, note, positive_int, progress_bar, run
from crnn_asr.export.convert import INT8_IO_SCHEMES, ONNX_SCHEMES, SCHEMES
from crnn_asr.export.onnx_file import installed
from crnn_asr.native import load_tensorflow


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "run", nargs="?", type=Path, metavar="RUN_DIR", help="a run that train.py wrote (default: the newest models/*)"
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
    calibration = parser.add_argument_group("calibration, for int8 and integer: the ranges of activations are measured")
    calibration.add_argument(
        "--calibration", type=Path, metavar="M.jsonl", help="manifest (default: what the run was trained on)"
    )
    calibration.add_argument(
        "--samples", type=positive_int, default=100, metavar="N", help="utterances to measure on (default: 100)"
    )
    judgement = parser.add_argument_group("judgement")
    judgement.add_argument("--dev", type=Path, metavar="M.jsonl", help="manifest to score on (default: the run's own)")
    judgement.add_argument(
        "--max-wer-increase",
        type=float,
        default=0.5,
        metavar="X",
        help="what a scheme may lose against float, in absolute percent of the words; inf is off (default: 0.5)",
    )
    args = parser.parse_args(argv)
    if args.io == "int8" and args.scheme not in INT8_IO_SCHEMES:
        parser.error(f"--io int8 goes with --scheme {' or '.join(INT8_IO_SCHEMES)}, got --scheme {args.scheme}")
    if not args.max_wer_increase >= 0:
        parser.error(f"--max-wer-increase must be 0 or more, got {args.max_wer_increase}")
    return args


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


def table(results: Sequence[Any]) -> str:
    lines = [f"{'scheme':<10}{'size':>9}{'of float':>10}{'dev WER':>10}{'dev CER':>10}{'RTF':>10}  file"]
    for result in results:
        share = result.num_bytes / results[0].num_bytes
        lines.append(
            f"{result.scheme:<10}{result.num_bytes / 1e6:>6.2f} MB{share:>10.3f}{result.wer:>8.2f} %"
            f"{result.cer:>8.2f} %{result.evaluation.real_time_factor:>10.5f}  {result.path or '(not kept)'}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    folder = args.run or find_run()
    load_tensorflow()
    from crnn_asr.export.quantize import quantize
    from crnn_asr.export.sets import read_sets
    from crnn_asr.training.run import RunDirectory

    sets = read_sets(RunDirectory(folder).load_config(), args.calibration, args.dev)
    schemes = schemes_of(args.scheme)
    results, unread = quantize(folder, schemes, sets, args.samples, args.max_wer_increase, progress_bar, args.io)
    for problem in (*sets.problems, *unread):
        complain(problem)
    print(table(results))
    rejected = [result for result in results if not result.accepted]
    for result in rejected:
        complain(
            f"{result.scheme} loses {result.wer - results[0].wer:.2f} % of the words on dev against float, more than "
            f"{args.max_wer_increase:g} (--max-wer-increase); kept as {result.path}"
        )
    return FAILED if rejected or sets.problems or unread else OK


if __name__ == "__main__":
    run(main)
