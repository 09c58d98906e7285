"""An error report as one HTML page, without scripts and without anything from elsewhere."""

from collections.abc import Sequence
from itertools import zip_longest
from xml.etree.ElementTree import Element

from crnn_asr.inference.error_report import ErrorReport
from crnn_asr.inference.evaluation import Heard
from crnn_asr.inference.report_style import STYLE
from crnn_asr.inference.robustness import Robustness
from crnn_asr.page import element, render, table
from crnn_asr.text.alignment import Confusion, Confusions, Pair, align_words
from crnn_asr.text.metrics import ErrorCounts

_NUM_CONFUSIONS = 15  # rows of each table
_MARKS = {"substitution": "S", "deletion": "D", "insertion": "I"}


def render_page(report: ErrorReport, players: Sequence[str | None], picture: str | None) -> str:
    """The whole page.

    Args:
        players: address of the recording of each of the worst utterances, relative to the page; None is without.
        picture: address of the picture of robustness, or None.
    """
    title = f"{report.model} on {report.manifest}"
    body = element("body", element("h1", "Error report"), element("p", title, class_="title"), *_summary(report))
    if report.robustness:
        body.extend(_robustness(report.robustness, picture))
    body.extend(_confusions("Words", report.words, report.language))
    body.extend(_confusions("Characters", report.characters, report.language))
    body.extend(_worst(report, players))
    for name, items in (("Median utterances", report.median), ("Best utterances", report.best)):
        body.append(element("h2", name))
        body.extend(_card(item, report.language) for item in items)
    body.extend(_problems(report))
    return render(f"Error report: {title}", STYLE, body)


def _summary(report: ErrorReport) -> list[Element]:
    result = report.evaluation
    scores = result.scores
    share = 100 * scores.sentence_errors / scores.utterances

    def row(name: str, counts: ErrorCounts) -> tuple[str, ...]:
        kinds = counts.substitutions, counts.deletions, counts.insertions, counts.units
        return name, f"{counts.percent:.2f} %", *(f"{count:,}" for count in kinds)

    head = ("", "error rate", "substituted", "deleted", "inserted", "in the references")
    rows = (row("words (WER)", scores.words), row("characters (CER)", scores.characters))
    text = (
        f"{scores.sentence_errors:,} of {scores.utterances:,} utterances have an error ({share:.1f} %). "
        f"{result.duration_s / 60:.1f} minutes of audio took {result.seconds:.1f} s, "
        f"a real-time factor of {result.real_time_factor:.5f}."
    )
    return [element("h2", "Summary"), table(head, rows), element("p", text)]


def _robustness(robustness: Robustness, picture: str | None) -> list[Element]:
    clean = robustness.clean.scores
    rows = [("clean", f"{clean.words.percent:.2f} %", f"{clean.characters.percent:.2f} %", "", "", "")]
    for row in robustness.rows:
        scores, change = row.evaluation.scores, row.change
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        interval = f"{change.low:+.2f} to {change.high:+.2f}"
        rates = f"{scores.words.percent:.2f} %", f"{scores.characters.percent:.2f} %"
        rows.append((row.name, *rates, ratio, f"{change.percent:+.2f}", interval))
    head = ("", "WER", "CER", "WER / clean", "change", "95 % interval")
    text = (
        f"Signal-to-noise ratios are of whole utterances, with {robustness.noise_name}. "
        "The change is of the WER against clean, in absolute percent. Its interval, which the picture shows as bars "
        "and band, holds 95 % of resamples of the utterances."
    )
    found = [element("h2", "Robustness"), table(head, rows), element("p", text)]
    if picture:
        found.append(element("img", src=picture, alt="Word error rate against signal-to-noise ratio, as in the table"))
    return found


def _confusions(name: str, confusions: Confusions, language: str) -> list[Element]:
    """Three tables side by side."""

    def unit(text: str | None) -> Element:
        return element("bdi", "␣" if text == " " else text or "", lang=language)

    def rows(errors: Sequence[Confusion], cells: str) -> list[tuple[str | Element, ...]]:
        shown = errors[:_NUM_CONFUSIONS]
        said = [f"{error.count:,} of {error.said:,}" if error.said else f"{error.count:,}" for error in shown]
        units = [[unit(getattr(error, cell)) for cell in cells.split()] for error in shown]
        return [(*pair, count) for pair, count in zip(units, said)]

    tables = element("div", class_="tables")
    for kind, errors, columns, head in (
        ("substituted", confusions.substitutions, "reference hypothesis", ("said", "heard", "times")),
        ("deleted", confusions.deletions, "reference", ("said", "times")),
        ("inserted", confusions.insertions, "hypothesis", ("heard", "times")),
    ):
        total = sum(error.count for error in errors)
        tables.append(table(head, rows(errors, columns), f"{total:,} {kind}, {len(errors):,} different"))
    return [element("h2", f"{name} most often wrong"), tables]


def _worst(report: ErrorReport, players: Sequence[str | None]) -> list[Element]:
    found = [element("h2", "Worst utterances")]
    if not report.worst:
        return [*found, element("p", "None has an error.")]
    key = element("p", "Said above, heard below, word by word: ", class_="key")
    for kind, text in (("substitution", "another word"), ("deletion", "not heard"), ("insertion", "not said")):
        key.append(element("b", _MARKS[kind], class_=kind))
        key.append(element("span", text))
    found.append(key)
    for item, player in zip_longest(report.worst, players):
        card = _card(item, report.language)
        note = element("p", "Too long to be copied here.")
        card.insert(1, element("audio", src=player, controls="", preload="metadata") if player else note)
        found.append(card)
    return found


def _card(item: Heard, language: str) -> Element:
    """An utterance, its words in two lines, each pair in a column."""
    counts = f" {item.words.errors} wrong of {item.words.units}, {item.duration_s:.1f} s"
    words = element("p", lang=language, dir="auto", class_="words")
    for pair in align_words(item.reference, item.hypothesis):
        words.append(_column(pair))
    title = element("header", element("bdi", item.id), element("span", counts))
    return element("article", title, words if len(words) else element("p", "Nothing said, nothing heard."))


def _column(pair: Pair) -> Element:
    said = element("del" if pair.kind in ("substitution", "deletion") else "span", pair.reference or "—")
    heard = element("ins" if pair.kind in ("substitution", "insertion") else "span", pair.hypothesis or "—")
    marks = [] if pair.kind == "equal" else [element("b", _MARKS[pair.kind], lang="en")]
    column = element("span", said, heard, *marks, class_=pair.kind)
    column.tail = " "
    return column


def _problems(report: ErrorReport) -> list[Element]:
    if not report.problems:
        return []
    lines = (element("li", element("bdi", problem.where), f": {problem.reason}") for problem in report.problems)
    return [element("h2", f"Left out: {len(report.problems)}"), element("ul", *lines)]
