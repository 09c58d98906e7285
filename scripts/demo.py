"""The whole way on synthetic speech: speak, convert, train, quantize, evaluate, transcribe. Each run starts over."""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crnn_asr.console import FAILED, OK, complain, positive_int, run
from crnn_asr.corpus.manifest import Utterance, read_manifest
from crnn_asr.corpus.voices import DEV, TEST, TRAIN
from crnn_asr.stages import Stage, run_stage, stops

ROOT = Path(__file__).resolve().parents[1]
DATA, MODEL = Path("data/demo"), Path("models/demo")
INT8_MODEL, KERAS_MODEL = MODEL / "model.int8.tflite", MODEL / "model.keras"
FLOAT_RESULT, INT8_RESULT, TRANSCRIPT = MODEL / "test.float.json", MODEL / "test.int8.json", MODEL / "clip.json"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    size = parser.add_argument_group("size; the defaults take about 6 minutes on 2 cores")
    size.add_argument(
        "--train", type=positive_int, default=1_400, metavar="N", help="utterances (default: 1400, 1.2 h)"
    )
    size.add_argument("--dev", type=positive_int, default=80, metavar="N", help="utterances (default: %(default)s)")
    size.add_argument("--test", type=positive_int, default=240, metavar="N", help="utterances (default: %(default)s)")
    size.add_argument(
        "--epochs", type=positive_int, metavar="N", help="passes over the training data (default: the preset's)"
    )
    return parser.parse_args(argv)


def stages_to_model(args: argparse.Namespace) -> list[Stage]:
    counts = ("--train", str(args.train), "--dev", str(args.dev), "--test", str(args.test))
    manifests = ("--train", manifest(TRAIN), "--dev", manifest(DEV))
    epochs = ("--epochs", str(args.epochs)) if args.epochs else ()
    return [
        Stage("speak a corpus", ("synthesize.py", "--out", f"{DATA}/raw", *counts)),
        Stage("convert it", ("convert_librispeech.py", "--source", f"{DATA}/raw/LibriSpeech", "--out", str(DATA))),
        Stage("train", ("train.py", "--preset", "tiny", *manifests, "--out", str(MODEL), *epochs)),
        Stage("quantize", ("quantize.py", str(MODEL))),
    ]


def stages_from_model(clip: Path) -> list[Stage]:
    test = manifest(TEST)
    return [
        Stage("evaluate the float model", ("evaluate.py", str(MODEL), test, "--json", str(FLOAT_RESULT))),
        Stage("evaluate the INT8 model", ("evaluate.py", str(INT8_MODEL), test, "--json", str(INT8_RESULT))),
        Stage(
            "transcribe a clip",
            ("infer_tflite.py", str(clip), "--model", str(INT8_MODEL), "--format", "json"),
            TRANSCRIPT,
        ),
    ]


def manifest(subset: str) -> str:
    return f"{DATA}/{subset}.jsonl"


def run_all(stages: Sequence[Stage]) -> int:
    """Run them until one fails. The exit code is that of a signal, where one stopped it."""
    for stage in stages:
        code = run_stage(stage, ROOT, ROOT)
        if code != OK:
            complain(stops("the demo", stage, code))
            return code if code > 128 else FAILED
    return OK


def first_clip() -> Utterance:
    """The first test utterance: chosen before anything is known of how well it is recognised."""
    return read_manifest(ROOT / manifest(TEST))[0][0]


def table(clip: Utterance, seconds: float) -> str:
    summary, result, int8 = read_json(MODEL / "summary.json"), read_json(FLOAT_RESULT), read_json(INT8_RESULT)
    sizes = [f"{(ROOT / path).stat().st_size / 1e6:.2f} MB" for path in (KERAS_MODEL, INT8_MODEL)]
    rows = {
        "training corpus": f"{summary['train_hours']:.2f} h",
        "training": f"{summary['train_seconds']:.0f} s, everything: {seconds:.0f} s",
        "test": f"{int8['utterances']} utterances, {int8['duration_s'] / 60:.1f} minutes, voices unheard in training",
        "WER float": f"{result['wer']:.2f} %",
        "WER INT8": f"{int8['wer']:.2f} %",
        "file float": f"{sizes[0]}  {KERAS_MODEL}",
        "file INT8": f"{sizes[1]}  {INT8_MODEL}",
        "real-time factor": f"{int8['real_time_factor']:.5f}, {1 / int8['real_time_factor']:.0f} times faster",
        "clip": f"{clip.audio_path.relative_to(ROOT)}",
        "  said": clip.text.lower(),
        "  heard": read_json(TRANSCRIPT)["text"],
        "learning curves": str(MODEL / "curves.png"),
    }
    return "\n".join(f"{name:<18}{value}" for name, value in rows.items())


def read_json(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((ROOT / path).read_text(encoding="utf-8"))
    return values


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    start = time.monotonic()
    for folder in (DATA, MODEL):
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    if code := run_all(stages_to_model(args)):
        return code
    clip = first_clip()
    if code := run_all(stages_from_model(clip.audio_path)):
        return code
    print(f"\n── done\n{table(clip, time.monotonic() - start)}")
    return OK


if __name__ == "__main__":
    run(main)
