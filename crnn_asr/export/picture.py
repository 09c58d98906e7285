"""A report as a picture: each model's size against its time, with its word error rate."""

from pathlib import Path

from crnn_asr.export.gate import LENGTH_S, deciding_time
from crnn_asr.export.report import Report
from crnn_asr.files import replacing

_LABEL_GAP = 0.07  # of the height, at least between two labels


def draw_report(report: Report, path: Path) -> None:
    """Draw the models that were timed: fast and small is to the lower left, and the recommended one is filled."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    timed = [(result, time) for result in report.results if (time := deciding_time(result.measured))]
    width = max(time.milliseconds for _, time in timed)
    height = 1.1 * max(result.measured.num_bytes for result, _ in timed) / 1e6
    label_y = 0.0
    for result, time in sorted(timed, key=lambda item: item[0].measured.num_bytes):
        measured, chosen = result.measured, result is report.recommended
        x, y = time.milliseconds, measured.num_bytes / 1e6
        label_y = max(y, label_y + _LABEL_GAP * height)  # labels stand at the right, and never on each other
        color = "tab:blue" if result.accepted else "tab:red"
        axes.annotate(
            f"{measured.scheme}: WER {measured.wer:.2f} %{'' if result.accepted else ', rejected'}",
            (x, y),
            (1.1 * width, label_y),
            va="center",
            weight="bold" if chosen else "normal",
            arrowprops={"arrowstyle": "-", "color": "lightgray", "shrinkB": 5},
        )
        face = color if chosen else "white"
        axes.plot(x, y, "o", markersize=9, color=color, markerfacecolor=face, zorder=4 if chosen else 3)
    axes.set(
        title="Size against speed, dev WER beside; filled: recommended",
        xlabel=f"ms for {LENGTH_S} s of audio, one thread",
        ylabel="MB",
        xlim=(0, 1.65 * width),
        ylim=(0, max(height, label_y + _LABEL_GAP * height)),
    )
    axes.grid(alpha=0.3)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110)
