"""Hear and see every augmentation: one wav a technique, one with all of them, and a picture of the lot."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crnn_asr.audio.augment import audio_files
from crnn_asr.audio.features import compute_features
from crnn_asr.audio.picture import draw_picture
from crnn_asr.audio.read import read_audio, write_audio
from crnn_asr.audio.showcase import make_takes
from crnn_asr.audio.spec_augment import spec_augment
from crnn_asr.config import FeatureConfig, SpecAugmentConfig
from crnn_asr.console import OK, run


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path, help="a recording of any format and rate; 3 to 10 seconds show best")
    parser.add_argument("out", type=Path, help="folder for the wav files (16 kHz, 16 bit) and augment.png")
    parser.add_argument("--noise", type=Path, metavar="DIR", help="folder of noise recordings (default: none)")
    parser.add_argument("--rooms", type=Path, metavar="DIR", help="folder of impulse responses (default: none)")
    parser.add_argument("--seed", type=int, default=0, help="another one draws other strengths (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="write into a folder that is not empty (default: refuse)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if args.out.is_dir() and any(args.out.iterdir()) and not args.force:
        raise FileExistsError(f"{args.out}: expected an empty folder; give another one, or --force to write into it")
    config = FeatureConfig()
    samples = read_audio(args.input, config.sample_rate_hz)
    features = compute_features(samples, config)
    noise_files = audio_files(args.noise) if args.noise else ()
    room_files = audio_files(args.rooms) if args.rooms else ()
    takes = make_takes(samples, config.sample_rate_hz, noise_files, room_files, args.seed)
    for take in takes:
        path = args.out / f"{take.name}.wav"
        write_audio(path, take.samples, config.sample_rate_hz)
        print(f"{path}: {'; '.join(take.effects) or 'unchanged'}")
    masked = spec_augment(features, SpecAugmentConfig(), np.random.default_rng(args.seed))
    draw_picture(args.out / "augment.png", takes, config.sample_rate_hz, features, masked)
    print(f"{args.out / 'augment.png'}: waveforms, spectrograms and SpecAugment")
    return OK


if __name__ == "__main__":
    run(main)
