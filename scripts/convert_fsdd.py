"""Convert the Free Spoken Digit Dataset to 16 kHz files and two manifests: train, and test with one speaker alone."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.console import FAILED, OK, complain, positive_int, progress_bar, run
from crnn_asr.corpus.convert import AUDIO_FORMATS, convert_part
from crnn_asr.corpus.fsdd import read_fsdd


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="folder that free-spoken-digit-dataset was cloned to")
    parser.add_argument("--out", type=Path, default=Path("data/fsdd"), help="output folder (default: %(default)s)")
    parser.add_argument("--leave-out", metavar="SPEAKER", help="who is test alone (default: the last by name)")
    parser.add_argument(
        "--format", choices=AUDIO_FORMATS, default="wav", help="of the converted files (default: %(default)s)"
    )
    parser.add_argument(
        "--jobs", type=positive_int, default=os.cpu_count() or 1, help="processes (default: %(default)s, one a core)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    code = OK
    for name, found in read_fsdd(args.source, args.format, args.leave_out).items():
        with progress_bar(name, "file") as progress:
            part = convert_part(name, found, args.out, args.jobs, progress)
        for problem in part.problems:
            complain(problem)
            code = FAILED
        print(f"{part.manifest}: {part.summary}")
    return code


if __name__ == "__main__":
    run(main)
