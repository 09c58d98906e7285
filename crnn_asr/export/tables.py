"""The report as tables: for the terminal, at most 120 characters wide, and for Markdown."""

import textwrap
from collections.abc import Sequence

from crnn_asr.export.calibrate import Calibration
from crnn_asr.export.gate import LENGTH_S, deciding_time
from crnn_asr.export.memory import SECONDS
from crnn_asr.export.report import Report, Result, machine
from crnn_asr.text.bootstrap import Change

Rows = list[list[str]]  # the first holds the headings

ACCURACY_NOTE = """\
Changes are against float32, in absolute percent, with the interval that 95 % of the bootstrap's resamples lie in;
max and RMS are of the differences of log-probabilities on dev."""
SPEED_NOTE = f"""\
Milliseconds that the network takes, and the real-time factor, by length of audio and number of threads: processor time
with one, the clock's with more. Of float: the time for {LENGTH_S} s on one thread by float32's in the same turn.
Memory: the peak of a process that transcribes {SECONDS} s."""


def accuracy_rows(results: Sequence[Result]) -> Rows:
    """Size, and what is lost on dev."""
    rows = [["scheme", "size", "of float", "dev WER", "change", "dev CER", "change", "max", "RMS"]]
    reference = results[0].measured
    for result in results:
        one = result.measured
        row = [
            one.scheme,
            f"{one.num_bytes / 1e6:.2f} MB",
            f"{one.num_bytes / reference.num_bytes:.3f}",
            f"{one.wer:.2f} %",
            _interval(one.wer_change),
            f"{one.cer:.2f} %",
            _interval(one.cer_change),
            f"{one.max_difference:.4f}",
            f"{one.rms_difference:.4f}",
        ]
        if one is reference:
            row[4] = row[6] = row[7] = row[8] = ""
        rows.append(row)
    return rows


def speed_rows(results: Sequence[Result]) -> Rows:
    """Times, real-time factors and memory; no rows where they were not measured."""
    timings = results[0].measured.timings
    if not timings:
        return []
    rows = [["scheme", *(f"{time.length_s} s, {time.num_threads} thr." for time in timings), "of float", "memory"]]
    for result in results:
        one, time = result.measured, deciding_time(result.measured)
        cells = [f"{time.milliseconds:.1f} {time.real_time_factor:.5f}" for time in one.timings]
        memory = "" if one.peak_mb is None else f"{one.peak_mb:.0f} MB"
        rows.append([one.scheme, *cells, f"{time.ratio:.2f}" if time else "", memory])
    return rows


def product_rows(calibration: Calibration) -> Rows:
    """The range of every product's input or output, and the share of values beyond it."""
    rows = [["product", "lowest", "highest", "beyond"]]
    for name, share in calibration.saturated.items():
        low, high = calibration.ranges[name]
        rows.append([name, f"{low:.3f}", f"{high:.3f}", f"{100 * share:.4f} %"])
    return rows


def aligned(rows: Rows) -> str:
    """Rows as lines of a terminal; numbers stand right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def markdown(rows: Rows) -> str:
    """Rows as a table of Markdown."""
    lines = [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def terminal_text(report: Report) -> str:
    """Tables, what they mean, and the recommendation, as they are shown at the end."""
    parts = [aligned(accuracy_rows(report.results)) + ACCURACY_NOTE]
    if speed := speed_rows(report.results):
        parts.append(aligned(speed) + SPEED_NOTE)
    return "\n\n".join([*parts, textwrap.fill(report.recommendation(), 120)]) + "\n"


def markdown_text(report: Report) -> str:
    """The whole report as Markdown."""
    calibration, dev, speed = report.calibration, report.results[0].measured.evaluation, speed_rows(report.results)
    here = machine()
    parts = [
        "# Quantization",
        report.recommendation(),
        *(f"Rejected: {objection}." for result in report.results for objection in result.objections),
        f"## On dev\n\n{dev.scores.utterances} utterances, {dev.scores.words.units} words, {dev.duration_s:.0f} s.",
        markdown(accuracy_rows(report.results)) + "\n" + ACCURACY_NOTE,
    ]
    if speed:
        parts.append(f"## Speed and memory\n\n{here['processor']}, {here['cores']} cores, {here['platform']}.")
        parts.append(markdown(speed) + "\n" + SPEED_NOTE + "\n\n![size against time](report.png)")
    left_out = f"; {len(report.left_out)} left out, being in dev" if report.left_out else ""
    parts += [
        f"## Calibration of int8\n\n{len(report.utterances)} utterances{left_out}. RMS error of log-probabilities on "
        "those held back, with activations rounded by each rule's ranges:",
        markdown([["rule", "error"], *([rule, f"{error:.4f}"] for rule, error in calibration.errors.items())]),
        f"Taken: {calibration.rule}. Its ranges, and the share of values beyond them on those held back:",
        markdown(product_rows(calibration)),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _interval(change: Change) -> str:
    return f"{change.percent:+.2f} [{change.low:+.2f}, {change.high:+.2f}]"
