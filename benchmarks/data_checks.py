"""How well check_data.py sees what it cannot see exactly: the noise in a recording, and the transcript of another.

    python benchmarks/data_checks.py data/an4/train.jsonl data/an4/dev.jsonl --noise NOISE

Noise is mixed in at known ratios, into every tenth recording; transcripts are swapped between random pairs. The
manifests should be good: what they hold of noise and of wrong transcripts counts as an error here.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from crnn_asr.audio.acoustics import add_noise, loop
from crnn_asr.audio.augment import audio_files
from crnn_asr.audio.quality import measure_quality
from crnn_asr.audio.read import decode_audio, read_audio
from crnn_asr.checking.check import check
from crnn_asr.checking.findings import Item, Measured
from crnn_asr.checking.outliers import find_misfits
from crnn_asr.console import OK, positive_int, run

SNRS_DB = (-5, 0, 5, 10, 15, 20)
RATIOS = (1, 1.5, 2, 3, 4, 6, float("inf"))
ROUNDS, SWAPPED = 100, 20  # utterances whose transcripts are swapped in each round


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST")
    parser.add_argument("--noise", type=Path, metavar="DIR", help="recordings of noise (default: white noise alone)")
    parser.add_argument("--jobs", type=positive_int, default=2, help="processes (default: 2)")
    return parser.parse_args(argv)


def print_snr_errors(name: str, items: Sequence[Item], noise_files: Sequence[Path], rng: np.random.Generator) -> None:
    print(f"\nestimate minus true SNR in dB, {name}\n{'true':>6}{'median':>9}{'5 %':>7}{'95 %':>7}{'worst':>7}")
    for snr_db in SNRS_DB:
        errors = []
        for item in items[::10]:
            samples, rate_hz = decode_audio(item.utterance.audio_path)
            noise = rng.standard_normal(len(samples)).astype(np.float32)
            if noise_files:
                noise = loop(read_audio(noise_files[rng.integers(len(noise_files))], rate_hz), 0, len(samples))
            errors.append(measure_quality(add_noise(samples, noise, snr_db), rate_hz).snr_db - snr_db)
        low, median, high = np.quantile(errors, (0.05, 0.5, 0.95))
        worst = max(errors, key=abs)
        print(f"{snr_db:6}{median:9.1f}{low:7.1f}{high:7.1f}{worst:7.1f}")


def print_swaps(items: Sequence[Item], rng: np.random.Generator) -> None:
    ratios, found, false_alarms = [], [], 0
    for _ in range(ROUNDS):
        changed, chosen = list(items), rng.permutation(len(items))[:SWAPPED]
        for one, other in zip(chosen, np.roll(chosen.reshape(-1, 2), 1, axis=1).ravel()):
            changed[one] = replace(items[one], text=items[other].text)
            speech_s = [items[each].measured.quality.speech_s for each in (one, other)]
            ratios.append(max(speech_s) / max(1e-3, min(speech_s)))
        named = {index for index, _ in find_misfits(changed)}
        found += [index in named for index in chosen]
        false_alarms += len(named - set(chosen.tolist()))
    print(f"\nswapped transcripts that are found\n{'one speech is longer':>22}{'swapped':>9}{'found':>8}")
    for low, high in pairwise(RATIOS):
        inside = (low <= np.array(ratios)) & (np.array(ratios) < high)
        print(f"{f'{low} to {high} times':>22}{inside.sum():9}{np.array(found)[inside].mean():8.0%}")
    print(f"others named: {false_alarms / ROUNDS:.2f} of {len(items)} in a round")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    items = [
        item for item in check(args.manifests, args.jobs, "everything").items if isinstance(item.measured, Measured)
    ]
    rng = np.random.default_rng(0)
    print_snr_errors("white noise", items, (), rng)
    if args.noise:
        print_snr_errors(f"noise of {args.noise}", items, audio_files(args.noise), rng)
    print_swaps(items, rng)
    return OK


if __name__ == "__main__":
    run(main)
