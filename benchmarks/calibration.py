"""What calibration does to INT8: error on dev by number of utterances and by the rule that makes ranges.

Prints a table in Markdown. "held back" and "dev" are RMS errors of log-probabilities with rounded activations, on the
utterances by which calibration chooses a rule, and on dev, which it never sees; the rest is of the INT8 file on dev,
made of the rule that is chosen, or with --all of each. Nothing is written to the run.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from crnn_asr.config import RunConfig
from crnn_asr.console import OK, positive_int, run
from crnn_asr.export.ranges import RULES, Ranges, ranges_by
from crnn_asr.native import load_tensorflow

HEADS = ("utterances", "rule", "held back", "dev", "RMS", "max", "WER", "CER")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help="a run that train.py wrote")
    parser.add_argument(
        "--samples",
        type=positive_int,
        nargs="+",
        default=[10, 30, 100, 300],
        metavar="N",
        help="utterances to calibrate on (default: 10 30 100 300)",
    )
    parser.add_argument("--all", action="store_true", help="make an INT8 file by every rule, not only the chosen one")
    return parser.parse_args(argv)


def measure_rows(folder: Path, samples: int, every_rule: bool) -> Iterator[tuple[str, ...]]:
    """A row of the table for each rule."""
    from crnn_asr.export.calibrate import judge, split, watch
    from crnn_asr.export.sampling import choose, read_features
    from crnn_asr.export.sets import read_sets
    from crnn_asr.training.run import load_weights

    config, weights = load_weights(folder)
    sets, rate_hz = read_sets(config), config.features.sample_rate_hz
    chosen, _ = choose(sets.calibration, samples, rate_hz)
    features, dev = (read_features(part, config.features, lambda *_: None)[0] for part in (chosen, sets.dev))
    held_back, measured = split(features)
    seen = watch(weights, config.model, measured)
    ranges = {rule: ranges_by(rule, seen) for rule in RULES}
    foretold, simulated = (judge(weights, config.model, ranges, part) for part in (held_back, dev))
    taken = min(foretold, key=foretold.__getitem__)
    for rule in RULES:
        file = measure_file(config, weights, ranges[rule], sets) if every_rule or rule == taken else ("",) * 4
        name = f"**{rule}**" if rule == taken else rule
        yield f"{len(features)}", name, f"{foretold[rule]:.4f}", f"{simulated[rule]:.4f}", *file


def measure_file(config: RunConfig, weights: dict[str, Any], ranges: Ranges, sets: Any) -> tuple[str, ...]:
    """RMS and largest difference of log-probabilities, WER and CER of an INT8 file with these ranges."""
    from crnn_asr.export.convert import convert
    from crnn_asr.export.measure import measure
    from crnn_asr.inference import model_file
    from crnn_asr.inference.model_file import Metadata

    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for scheme, flatbuffer in convert(weights, config.model, ranges, ["float32", "int8"]).items():
            paths[scheme] = Path(folder) / f"{scheme}.tflite"
            described = Metadata(scheme, config.features, config.model, config.text, config.alphabet, {})
            model_file.write(paths[scheme], flatbuffer, described)
        int8 = measure(paths, sets.dev, False, lambda *_: nullcontext(lambda *_: None))[1]
    return f"{int8.rms_difference:.4f}", f"{int8.max_difference:.2f}", f"{int8.wer:.2f} %", f"{int8.cer:.2f} %"


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    load_tensorflow()
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for samples in args.samples:
        for row in measure_rows(args.run, samples, args.all):
            print(f"| {' | '.join(row)} |", flush=True)
    return OK


if __name__ == "__main__":
    run(main)
