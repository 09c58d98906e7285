"""A checked corpus as one page to read, pictures inside; the house style of pages is in `crnn_asr/page.py`."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from crnn_asr.checking.check import Check
from crnn_asr.checking.findings import Finding, Item, Measured
from crnn_asr.page import BASE_STYLE, element, render, table

_SHOWN = 500  # rows of a table; report.json has them all
_STYLE = (
    BASE_STYLE
    + """
td { vertical-align: top; }
td:last-child { white-space: normal; }
td:first-child { overflow-wrap: anywhere; min-width: 9rem; }
.fault { color: var(--del); background: var(--del-back); }
.remark { color: var(--sub); background: var(--sub-back); }
.fault, .remark { font-weight: 600; padding: 0 .35rem; border-radius: 4px; white-space: nowrap; }
.text { color: var(--dim); overflow-wrap: anywhere; }
"""
)
Row = tuple[str, str, str, Sequence[Finding]]  # where, id, transcript, what was found


def render_check(check: Check, pictures: Mapping[str, Path]) -> str:
    """The whole page.

    Args:
        check: what was found.
        pictures: files by their titles.
    """
    names = ", ".join(str(path) for path in check.manifests)
    body = element("body", element("h1", "Check of a corpus"), element("p", names, class_="title"), *_summary(check))
    body.extend(_kinds(check))
    for title, path in pictures.items():
        address = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
        body.extend([element("h2", title), element("img", src=address, alt=title)])
    body.extend(_rows("Left out of the clean manifests", _faults(check), check.num_faulty))
    body.extend(_rows("Remarks: kept, to be looked at", _remarks(check), len(check.remarked)))
    return render(f"Check of {names}", _STYLE, body)


def _summary(check: Check) -> list[Element]:
    rows = []
    for number, path in enumerate(check.manifests):
        items = [item for item in check.items if item.manifest == number]
        measured = [item.measured for item in items if isinstance(item.measured, Measured)]
        bad = sum(line.manifest == number for line in check.bad_lines)
        speakers = len({item.utterance.speaker for item in items} - {""})
        faulty = len(items) + bad - len(check.good_lines[number])
        remarked = sum(item.manifest == number for item, _ in check.remarked)
        hours = sum(each.duration_s for each in measured) / 3600
        counts = len(items) + bad, f"{hours:.2f}", speakers, faulty, remarked
        rows.append((str(path), *(each if isinstance(each, str) else f"{each:,}" for each in counts)))
    head = ("", "lines", "hours", "speakers", "left out", "remarks")
    return [element("h2", "Summary"), table(head, rows), *(element("p", text) for text in check.remarks)]


def _kinds(check: Check) -> list[Element]:
    if not check.counts:
        return [element("p", "Nothing was found.")]
    rows = [(_mark(kind, is_fault), f"{count:,}") for (kind, is_fault), count in check.counts.items()]
    key = element(
        "p", _mark("fault", True), " is left out of the clean manifest, ", _mark("remark", False), " is kept."
    )
    return [element("h2", "What was found"), table(("", "utterances"), rows), key]


def _mark(kind: str, is_fault: bool) -> Element:
    return element("span", kind, class_="fault" if is_fault else "remark")


def _faults(check: Check) -> Iterable[Row]:
    for line in check.bad_lines:
        where = f"{check.manifests[line.manifest].name}:{line.line}"
        yield where, "", "", [Finding("bad line", line.problem.reason, is_fault=True)]
    yield from (_row(check, item, found) for item, found in check.left_out)


def _remarks(check: Check) -> Iterable[Row]:
    yield from (_row(check, item, found) for item, found in check.remarked)


def _row(check: Check, item: Item, found: Sequence[Finding]) -> Row:
    text = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in item.utterance.text)
    return f"{check.manifests[item.manifest].name}:{item.line}", item.utterance.id, text, found


def _rows(title: str, rows: Iterable[Row], total: int) -> list[Element]:
    if not total:
        return []
    cells = []
    for (where, name, text, found), _ in zip(rows, range(_SHOWN)):
        reasons = element("td")
        for finding in found:
            reasons.append(element("div", _mark(finding.kind, finding.is_fault), f" {finding.reason}"))
        if text:
            reasons.append(element("bdi", text, class_="text"))
        cells.append((element("bdi", f"{where} {name}"), reasons))
    shown = [] if total <= _SHOWN else [element("p", f"The first {_SHOWN} are shown; report.json has all.")]
    made = table(("utterance", "what was found"), [])
    for where_cell, reasons in cells:
        made[-1].append(element("tr", element("td", where_cell), reasons))
    return [element("h2", f"{title}: {total:,}"), *shown, made]
