"""Word error rate, time and memory of recordings of minutes and hours, in windows and in one piece.

The utterances of a manifest one after the other, with pauses between, each a process of its own. "In one piece" is the
network over the whole, normalised by all frames, pauses too.
"""

import argparse
import math
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_asr import Recognizer
from crnn_asr.audio import features
from crnn_asr.audio.read import read_audio
from crnn_asr.console import OK, run
from crnn_asr.corpus.manifest import read_manifest
from crnn_asr.inference import windows
from crnn_asr.language import decoding
from crnn_asr.text.metrics import score
from crnn_asr.text.normalize import normalize

BLOCK = 800  # samples: a twentieth of a second at 16 kHz


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model file")
    parser.add_argument("manifest", type=Path)
    parser.add_argument(
        "--pauses",
        type=float,
        nargs="+",
        default=[0, 3, 30],
        metavar="S",
        help="mean pauses, each of half to one and a half times the mean; noise as soft as the softest tenth of the "
        "utterance before (default: 0 3 30)",
    )
    return parser.parse_args(argv)


def joined(manifest: Path, pause_s: float, rate_hz: int) -> tuple[NDArray[np.float32], list[str]]:
    """Samples and the transcripts in them."""
    rng, parts, texts = np.random.default_rng(0), [], []
    for utterance in read_manifest(manifest)[0]:
        samples = read_audio(utterance.audio_path, rate_hz)
        levels = np.sort(samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK).std(1))
        pause = (
            rng.standard_normal(int(pause_s * rng.uniform(0.5, 1.5) * rate_hz)) * levels[: 1 + len(levels) // 10].mean()
        )
        parts += [samples, pause.astype(np.float32)]
        texts.append(utterance.text)
    return np.concatenate(parts), texts


def measure(arguments: tuple[Path, Path, float, bool]) -> tuple[float, float, float, int]:
    """Minutes, WER in percent, seconds, and MiB that transcribing adds to the peak."""
    model, manifest, pause_s, whole = arguments
    if whole:
        windows.LONG_S = features.LONG_S = decoding.PAUSE_S = math.inf
        features.speech_frames = lambda log_power, config: np.ones(len(log_power), bool)
    recognizer = Recognizer(model)
    metadata = recognizer.metadata
    samples, texts = joined(manifest, pause_s, metadata.features.sample_rate_hz)
    before, start = _peak_mib(), time.perf_counter()
    heard = recognizer.transcribe(samples)
    seconds = time.perf_counter() - start
    reference = " ".join(normalize(text, metadata.text) for text in texts)
    return heard.duration_s / 60, score([reference], [heard.text]).words.percent, seconds, _peak_mib() - before


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    print("| pauses | minutes | | WER | seconds | times real time | MiB |\n|---|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for pause_s in args.pauses:
        for whole in (False, True):
            with context.Pool(1) as pool:
                minutes, wer, seconds, mib = pool.map(measure, [(args.model, args.manifest, pause_s, whole)])[0]
            row = (
                f"{pause_s:g} s",
                f"{minutes:.0f}",
                "in one piece" if whole else "in windows",
                f"{wer:.2f} %",
                f"{seconds:.1f}",
                f"{60 * minutes / seconds:.0f}",
                str(mib),
            )
            print("|", " | ".join(row), "|")
    return OK


if __name__ == "__main__":
    run(main)
