"""A checked corpus as a folder: clean manifests, what is left out of them and why, a page, pictures, all of it as JSON.

report.html              to read
report.json              all measures and findings
*.png                    the pictures of the page
NAME.clean.jsonl         manifest NAME.jsonl without the lines that have a fault
NAME.left-out.jsonl      those lines, each with its reasons
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crnn_asr.checking.check import Check
from crnn_asr.checking.findings import Finding, Item, Measured
from crnn_asr.corpus.manifest import copy_lines, raw_lines
from crnn_asr.files import write_text


def clean_paths(manifests: Sequence[Path], folder: Path) -> list[Path]:
    """Where the clean manifests go; of two of the same name the second is NAME-2."""
    paths: list[Path] = []
    for manifest in manifests:
        number, path = 1, folder / f"{manifest.stem}.clean.jsonl"
        while path in paths:
            number += 1
            path = folder / f"{manifest.stem}-{number}.clean.jsonl"
        paths.append(path)
    return paths


def left_out_path(clean: Path) -> Path:
    return clean.with_name(clean.name.removesuffix(".clean.jsonl") + ".left-out.jsonl")


def write_check(check: Check, folder: Path) -> None:
    """Write the folder over that of an earlier check.

    Raises:
        OSError: no space, no permission, or a manifest has gone since it was read.
    """
    from crnn_asr.checking.page import render_check
    from crnn_asr.checking.picture import draw_pictures

    for number, clean in enumerate(clean_paths(check.manifests, folder)):
        copy_lines([(check.manifests[number], check.good_lines[number])], clean)
        write_text(
            left_out_path(clean),
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _left_out(check, number)),
        )
    pictures = draw_pictures(check, folder)
    write_text(folder / "report.json", json.dumps(to_dict(check), indent=1, ensure_ascii=False) + "\n")
    write_text(folder / "report.html", render_check(check, pictures))


def to_dict(check: Check) -> dict[str, Any]:
    """All of it in JSON types; units are in the names."""
    return {
        "manifests": [str(path) for path in check.manifests],
        "utterances": len(check.items),
        "left_out": check.num_faulty,
        "remarked": len(check.remarked),
        "remarks": check.remarks,
        "kinds": [
            {"kind": kind, "is_fault": is_fault, "utterances": count}
            for (kind, is_fault), count in check.counts.items()
        ],
        "bad_lines": [
            {"manifest": line.manifest, "line": line.line, "reason": line.problem.reason} for line in check.bad_lines
        ],
        "items": [_item(item, found) for item, found in zip(check.items, check.findings)],
    }


def _item(item: Item, found: Sequence[Finding]) -> dict[str, Any]:
    measures: dict[str, Any] = {}
    if isinstance(item.measured, Measured):
        quality = {name: round(value, 4) for name, value in asdict(item.measured.quality).items()}
        measures = {"duration_s": item.measured.duration_s, "sample_rate_hz": item.measured.sample_rate_hz, **quality}
    return {
        "manifest": item.manifest,
        "line": item.line,
        "id": item.utterance.id,
        "findings": [asdict(finding) for finding in found],
        **measures,
    }


def _left_out(check: Check, manifest: int) -> Iterator[dict[str, Any]]:
    """The lines that are not in the clean manifest, as they stand, each with its reasons."""
    reasons = {line.line: [f"bad line: {line.problem.reason}"] for line in check.bad_lines if line.manifest == manifest}
    for item, faults in check.left_out:
        if item.manifest == manifest:
            reasons[item.line] = [f"{finding.kind}: {finding.reason}" for finding in faults]
    for number, line in raw_lines(check.manifests[manifest]):
        if number in reasons:
            yield {"line": number, "reasons": reasons[number], "content": line.decode(errors="replace")}
