"""Compute the features of manifests once, as TFRecord shards; train.py --records reads them instead of the audio."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.console import FAILED, OK, complain, positive_int, progress_bar, run
from crnn_asr.corpus.manifest import Utterance, read_manifest
from crnn_asr.native import load_tensorflow, single_threaded_blas
from crnn_asr.presets import PRESETS


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST", help="what the records are made of")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="records folder; one that is there is brought up to date"
    )
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), default="an4", help="whose feature settings (default: %(default)s)"
    )
    parser.add_argument(
        "--jobs", type=positive_int, default=os.cpu_count() or 1, help="processes (default: %(default)s, one a core)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    single_threaded_blas()
    utterances: list[Utterance] = []
    code = OK
    for manifest in args.manifests:
        found, bad_lines = read_manifest(manifest)
        utterances += found
        for problem in bad_lines:
            complain(problem)
            code = FAILED
    load_tensorflow()
    from crnn_asr.training.build_records import build_records

    with progress_bar("features", "utterance") as progress:
        built = build_records(utterances, args.out, PRESETS[args.preset].features, args.jobs, progress)
    for problem in built.problems:
        complain(problem)
        code = FAILED
    print(
        f"{args.out}: {built.num_records} utterances, {built.hours:.2f} h, {built.num_bytes / 1e6:.1f} MB "
        f"({built.num_made} made now), {len(built.problems)} problems"
    )
    return code


if __name__ == "__main__":
    run(main)
