"""Inference time beside the plain Keras conversions, ONNX Runtime and PyTorch: same weights, in turn in one run.

Each contender has a process of its own. A turn is one call that does not count, so that a change of length is not in
it, and --calls that do; the numbers are medians over all turns, of processor time with one thread and by the clock
with more. The last column is how far the logits are from those of the float network (relative root mean square): all
compute the same, but random weights are rounded worse than trained ones.

The peers need more than requirements.txt: pip install -r requirements-onnx.txt torch (a CPU build). Names:
  int8, dynamic, …       our files, as quantize.py writes them
  plain-integer          the converter's fused INT8 LSTM without what our scheme integer does about ranges and norms
  keras-float, -dynamic  stock Keras layers through the TensorFlow Lite converter
  ort-float, -dynamic    PyTorch's network through its ONNX exporter, and ONNX Runtime's dynamic quantizer
  torch-float, -dynamic  PyTorch, and its dynamic quantizer
"""

import argparse
import importlib.metadata
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from inference_contenders import CONTENDERS, missing_packages, prepare

from crnn_asr.config import FeatureConfig, ModelConfig
from crnn_asr.console import FAILED, OK, note, positive_float, positive_int, run
from crnn_asr.files import write_text
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import to_dict

SIX_MILLION = ModelConfig(projection_units=768, lstm_layers=3, lstm_units=256)  # 6.27 M parameters
OURS, PEER = "int8", "ort-float"  # what times are compared with
PACKAGES = ("ai_edge_litert", "tensorflow", "keras", "onnxruntime", "torch")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = parser.add_argument_group("sizes")
    sizes.add_argument(
        "--preset", choices=sorted(PRESETS), help="sizes (default: 2 convolutions, 3 × BiLSTM-256, 6.3 M parameters)"
    )
    for name in ("projection-units", "lstm-layers", "lstm-units"):
        sizes.add_argument(f"--{name}", type=positive_int, metavar="N", help="instead of the preset's")
    parser.add_argument(
        "--seconds", type=positive_float, nargs="+", default=[4.0, 16.0, 32.0], help="of audio (default: 4 16 32)"
    )
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N", help="of each contender (default: 1)")
    parser.add_argument("--rounds", type=positive_int, default=7, help="turns at each length (default: 7)")
    parser.add_argument("--calls", type=positive_int, default=3, help="that count in a turn (default: 3)")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="NAME", help="contenders (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write sizes and all times there (default: off)")
    return parser.parse_args(argv)


def model_config(args: argparse.Namespace) -> ModelConfig:
    config = PRESETS[args.preset].model if args.preset else SIX_MILLION
    wanted = {name: getattr(args, name) for name in ("projection_units", "lstm_layers", "lstm_units")}
    return replace(config, **{name: value for name, value in wanted.items() if value})


def worker(name: str, folder: Path, config: ModelConfig, threads: int, calls: int, pipe: Connection) -> None:
    """A contender: its error, or the reason why there is none; then a turn for each index of an input that comes."""
    try:
        model = CONTENDERS[name](folder, dict(np.load(folder / "weights.npz")), config, threads)
        inputs, expected = list(np.load(folder / "inputs.npz").values()), np.load(folder / "logits.npy")
        pipe.send(float(np.sqrt(np.mean((model(inputs[0]) - expected) ** 2) / np.mean(expected**2))))
    except Exception as error:
        pipe.send(f"failed ({type(error).__name__})")
        return
    clock = time.process_time if threads == 1 else time.perf_counter
    while (index := pipe.recv()) is not None:
        model(inputs[index])
        times = []
        for _ in range(calls):
            start = clock()
            model(inputs[index])
            times.append(clock() - start)
        pipe.send(times)


def start(name: str, folder: Path, config: ModelConfig, args: argparse.Namespace) -> tuple[Connection, float | str]:
    """A contender's pipe, and its error, or why it does not run."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    arguments = (name, folder, config, args.threads, args.calls, theirs)
    process: BaseProcess = context.Process(target=worker, args=arguments, daemon=True)
    process.start()
    theirs.close()
    try:
        return pipe, pipe.recv()
    except EOFError:
        process.join()
        return pipe, f"crashed with exit code {process.exitcode}"


def measure(args: argparse.Namespace, folder: Path, config: ModelConfig, names: Sequence[str]) -> dict[str, Any]:
    """By name: `error` and `seconds`, a list of times for each length; or `failed`, the reason."""
    results: dict[str, Any] = {}
    pipes: dict[str, Connection] = {}
    for name in names:
        pipe, answer = start(name, folder, config, args)
        if isinstance(answer, str):
            results[name] = {"failed": answer}
        else:
            results[name] = {"error": answer, "seconds": [[] for _ in args.seconds]}
            pipes[name] = pipe
    for _ in range(args.rounds):
        for index in range(len(args.seconds)):
            for name, pipe in pipes.items():
                pipe.send(index)
                results[name]["seconds"][index] += pipe.recv()
    for pipe in pipes.values():
        pipe.send(None)
    return results


def table(results: dict[str, Any], lengths_s: Sequence[float]) -> str:
    medians = {
        name: [statistics.median(times) for times in result["seconds"]]
        for name, result in results.items()
        if "seconds" in result
    }
    last = f"{lengths_s[-1]:g} s / {lengths_s[0]:g} s"
    head, units = f"{'':14}", f"{'':14}"
    for length_s in lengths_s:
        head += f"{f'{length_s:g} s of audio':^34}"
        units += f"{'ms':>8}{'RTF':>9}{'× ' + OURS:>8}{'× ort':>9}"
    lines = [head.rstrip(), f"{units}{last:>13}{'error':>8}"]
    for name, result in results.items():
        if name not in medians:
            lines.append(f"{name:14}{result['failed']}")
            continue
        line = f"{name:14}"
        for index, seconds in enumerate(medians[name]):
            ratios = [seconds / medians[other][index] if other in medians else None for other in (OURS, PEER)]
            shown = [f"{ratio:.2f}" if ratio else "–" for ratio in ratios]
            line += f"{1e3 * seconds:8.1f}{seconds / lengths_s[index]:9.5f}{shown[0]:>8}{shown[1]:>9}"
        growth = medians[name][-1] / medians[name][0]
        lines.append(f"{line}{growth:13.2f}{result['error']:8.4f}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    config, features = model_config(args), FeatureConfig()
    missing = {name: packages for name in args.only or CONTENDERS if (packages := missing_packages(name))}
    for name, packages in missing.items():
        note(f"left out: {name}, which needs {' and '.join(packages)}")
    names = [name for name in args.only or CONTENDERS if name not in missing]
    rng = np.random.default_rng(0)
    frames = [features.num_frames(round(seconds * features.sample_rate_hz)) for seconds in args.seconds]
    inputs = [rng.standard_normal((count, config.num_mels)).astype(np.float32) for count in frames]
    with tempfile.TemporaryDirectory(prefix="crnn_asr_") as scratch:
        parameters = prepare(Path(scratch), config, inputs, names)
        results = measure(args, Path(scratch), config, names)
    print(
        f"{len(config.conv_filters)} convolutions, {config.lstm_layers} × BiLSTM-{config.lstm_units}, "
        f"{parameters / 1e6:.2f} M random weights, {args.threads} thread{'s' * (args.threads > 1)}:"
    )
    print(table(results, args.seconds))
    if args.json:
        versions = {package: importlib.metadata.version(package) for package in PACKAGES if find_spec(package)}
        settings = {"model": to_dict(config), "parameters": parameters, "threads": args.threads, "versions": versions}
        report = {**settings, "lengths_s": args.seconds, "results": results}
        write_text(args.json, json.dumps(report, indent=1) + "\n")
    return FAILED if args.only and missing else OK


if __name__ == "__main__":
    run(main)
