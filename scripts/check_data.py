"""Look through manifests and all their recordings for what spoils a training, and write manifests without it.

Several manifests are splits of one corpus, which must have no speaker and no recording in common.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.checking.check import MAY_SHARE, check
from crnn_asr.checking.report import clean_paths, left_out_path, write_check
from crnn_asr.console import FAILED, OK, USAGE, complain, note, positive_int, progress_bar, run

NAMED = 50  # faults on stderr; the rest is counted


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST", help="JSONL manifests, one a split")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the report and the clean manifests"
    )
    parser.add_argument("--force", action="store_true", help="write over the report that is in DIR")
    parser.add_argument(
        "--may-share",
        choices=MAY_SHARE,
        default=MAY_SHARE[0],
        help="what two manifests may have in common; everything: they are parts of one split (default: %(default)s)",
    )
    parser.add_argument("--language", default="en", help="of the transcripts; az and tr have their own casing of i")
    parser.add_argument(
        "--jobs", type=positive_int, default=os.cpu_count() or 1, help="processes (default: %(default)s, one a core)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if (args.out / "report.json").exists() and not args.force:
        complain(f"{args.out} holds a report; write over it with --force, or choose another --out")
        return USAGE
    written = [path.resolve() for path in clean_paths(args.manifests, args.out)]
    for manifest in args.manifests:
        if manifest.resolve() in (*written, *map(left_out_path, written)):
            complain(f"{manifest} would be written over; choose another --out")
            return USAGE
    with progress_bar("check", "utterance") as progress:
        found = check(args.manifests, args.jobs, args.may_share, args.language, progress)
    write_check(found, args.out)
    faults = [str(line.problem) for line in found.bad_lines]
    for item, reasons in found.left_out:
        told = "; ".join(f"{finding.kind}: {finding.reason}" for finding in reasons)
        faults.append(f"{args.manifests[item.manifest]}:{item.line}: {item.utterance.id}: {told}")
    for text in faults[:NAMED]:
        complain(text)
    if len(faults) > NAMED:
        complain(f"{len(faults) - NAMED} more, see {args.out / 'report.html'}")
    for text in found.remarks:
        note(text)
    for (kind, is_fault), count in found.counts.items():
        print(f"{count:8,}  {kind}" + ("" if is_fault else " (a remark)"))
    print(
        f"{args.out / 'report.html'}: {len(found.items) + len(found.bad_lines):,} utterances, "
        f"{found.num_faulty:,} left out, remarks on {len(found.remarked):,} others"
    )
    return FAILED if found.num_faulty else OK


if __name__ == "__main__":
    run(main)
