"""Where the time of a training step goes: TensorFlow's own profile of a few steps, summed by kind of operation."""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from crnn_asr.config import OPTIMIZERS
from crnn_asr.console import OK, positive_float, positive_int, run
from crnn_asr.native import load_tensorflow
from crnn_asr.presets import PRESETS

PARTS = {  # operations as the profile names them, oneDNN's prefixes taken off
    "matrix products": ("MatMul", "FusedMatMul", "BatchMatMulV2"),
    "convolutions": ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "Pad"),
    "CTC": ("CTCLoss",),
    "frames in and out of the loops": ("GatherV2", "TensorListStack", "StridedSlice"),
    "type changes": ("Cast",),
    "sums": ("Sum", "Mean", "L2Loss", "AddN", "BiasAddGrad"),
    "moves": ("ConcatV2", "Split", "Slice", "Transpose", "Pack", "Unpack", "BroadcastTo", "Reshape"),
    "dropout's random bytes": ("StatelessRandomUniformFullIntV2",),
}
REST = "element by element, and all else"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="an4", help="sizes (default: an4)")
    parser.add_argument("--lstm-layers", type=positive_int, metavar="N", help="instead of the preset's")
    parser.add_argument("--lstm-units", type=positive_int, metavar="N", help="instead of the preset's")
    parser.add_argument("--batch", type=positive_int, default=16, help="utterances in a step (default: 16)")
    parser.add_argument("--seconds", type=positive_float, default=8.0, help="length of each (default: 8)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="(default: what is faster here)")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, help="(default: the preset's)")
    parser.add_argument("--steps", type=positive_int, default=5, help="profiled (default: 5)")
    return parser.parse_args(argv)


def profile(step: Callable[[], object], steps: int) -> Counter[str]:
    """Milliseconds a step by kind of operation, summed over threads."""
    import tensorflow as tf

    from crnn_asr.training.profile import operation_times

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(steps):
                step()
        return operation_times(next(Path(folder).rglob("*.xplane.pb")), steps)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    load_tensorflow()
    from train_speed import SYMBOLS_A_SECOND, make_batch, ours, sizes

    from crnn_asr.training.precision import fastest_precision

    precision = args.precision or fastest_precision()
    config, hop_ms = sizes(args)
    seconds = np.full(args.batch, args.seconds)
    batch = make_batch(config, hop_ms, seconds, np.round(seconds * SYMBOLS_A_SECOND).astype(int))
    optimizer = args.optimizer or PRESETS[args.preset].training.optimizer
    step = ours(config, precision, optimizer)
    step(*batch), step(*batch)
    total = profile(lambda: step(*batch), args.steps)
    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step(*batch)
        times.append(time.perf_counter() - start)
    total = profile(lambda: step(*batch), args.steps)
    sizes_of_batch = f"batch {args.batch} × {args.seconds:g} s"
    print(f"{config.lstm_layers} × BiLSTM-{config.lstm_units}, {sizes_of_batch}, {precision}, {optimizer}")
    print(f"a step takes {1e3 * statistics.median(times):.0f} ms; its operations, summed over threads:")
    rest = sum(total.values())
    for part, kinds in PARTS.items():
        ms = sum(total[kind] for kind in kinds)
        rest -= ms
        print_line(part, ms, total)
    print_line(REST, rest, total)
    return OK


def print_line(part: str, ms: float, total: Counter[str]) -> None:
    print(f"{part:34}{ms:8.1f} ms{100 * ms / sum(total.values()):6.1f} %")


if __name__ == "__main__":
    run(main)
