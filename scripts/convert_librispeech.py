"""Convert LibriSpeech, or any tree laid out like it, to 16 kHz files and one manifest a subset; download it first."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.console import FAILED, OK, complain, describe, note, positive_int, progress_bar, run
from crnn_asr.corpus.convert import AUDIO_FORMATS, convert_part
from crnn_asr.corpus.download import MD5, OPENSLR_URL, download_subset
from crnn_asr.corpus.librispeech import corpus_root, find_subsets, read_subset
from crnn_asr.errors import DataError


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    where = parser.add_argument_group("where")
    where.add_argument(
        "--source",
        type=Path,
        default=Path("data/raw/LibriSpeech"),
        help="folder of the subsets, the one above it, or one subset (default: %(default)s)",
    )
    where.add_argument(
        "--out", type=Path, default=Path("data/librispeech"), help="output folder (default: %(default)s)"
    )
    what = parser.add_argument_group("what")
    what.add_argument("--subsets", nargs="+", metavar="SUBSET", help="to convert (default: all that SOURCE has)")
    what.add_argument(
        "--download",
        nargs="+",
        choices=MD5,
        default=[],
        metavar="SUBSET",
        help=f"fetch into SOURCE before converting, of {', '.join(MD5)} (default: none)",
    )
    what.add_argument(
        "--mirror", default=OPENSLR_URL, help="URL of the folder that holds SUBSET.tar.gz (default: %(default)s)"
    )
    how = parser.add_argument_group("how")
    how.add_argument(
        "--format", choices=AUDIO_FORMATS, default="wav", help="of the converted files (default: %(default)s)"
    )
    how.add_argument(
        "--jobs", type=positive_int, default=os.cpu_count() or 1, help="processes (default: %(default)s, one a core)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    code = _download(args)
    subsets = find_subsets(args.source)
    if not subsets and code == OK:
        complain(
            f"{args.source}: expected LibriSpeech, folders SUBSET/SPEAKER/CHAPTER with *.trans.txt, found none; "
            "run python scripts/convert_librispeech.py --download dev-clean train-clean-100"
        )
        return FAILED
    for name in args.subsets or subsets:
        if name in subsets:
            code = max(code, _convert(name, subsets[name], args))
        else:
            complain(f"{args.source}: expected a subset {name}, found {', '.join(subsets)}; --download may fetch it")
            code = FAILED
    return code


def _download(args: argparse.Namespace) -> int:
    root, code = corpus_root(args.source), OK
    if args.download and root in find_subsets(args.source).values():
        raise DataError(f"{root} is a subset itself; give the folder above it as --source, to download beside it")
    for name in args.download:
        try:
            if not download_subset(name, root, args.mirror, progress_bar):
                note(f"{root / name} is there already, not downloaded again")
        except (OSError, ValueError) as error:
            complain(describe(error))
            code = FAILED
    return code


def _convert(name: str, folder: Path, args: argparse.Namespace) -> int:
    with progress_bar(name, "file") as progress:
        part = convert_part(name, read_subset(folder, name, args.format), args.out, args.jobs, progress)
    for problem in part.problems:
        complain(problem)
    print(f"{part.manifest}: {part.summary}")
    return FAILED if part.problems else OK


if __name__ == "__main__":
    run(main)
