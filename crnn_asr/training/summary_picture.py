"""A run on one picture: what it learned, how fast, and what it waited for."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from crnn_asr.files import replacing
from crnn_asr.training.curves import ERRORS, LOSSES, Panel, Row, best_of, draw_panel

PANELS = (
    replace(LOSSES, is_log=True),
    replace(ERRORS, is_log=True),
    Panel("Learning rate at the epoch's end", "", {"learning_rate": ""}),
    Panel("Norm of gradients", "", {"gradient_norm_max": "largest", "gradient_norm_mean": "mean"}, is_log=True),
    Panel("Throughput", "seconds of audio per second", {"audio_seconds_per_second": ""}),
    Panel("Wait for data, padding", "%", {"wait_share": "waited, of the time", "padding_share": "padding"}, 100.0),
    Panel("Time of an epoch's steps", "seconds", {"seconds": ""}),
    Panel("Memory", "MiB", {"resident_mib": "resident", "gpu_mib": "GPU, at most"}),
)


def draw_summary(rows: Sequence[Row], title: str, path: Path) -> None:
    """Draw every panel that has a value in `rows`, at least one epoch, with the best epoch marked, as a PNG."""
    from matplotlib.figure import Figure

    if not any(row.get("gpu_mib") for row in rows):  # there is none
        rows = [{key: value for key, value in row.items() if key != "gpu_mib"} for row in rows]
    panels = [panel for panel in PANELS if any(key in row for key in panel.lines for row in rows)]
    columns = -(-len(panels) // 2)
    figure = Figure(figsize=(4.6 * columns, 7.6), layout="constrained")
    best = best_of(rows)["epoch"]
    grid = figure.subplots(2, columns, squeeze=False).flat
    for axes, panel in zip(grid, panels):
        draw_panel(axes, panel, rows)
        axes.axvline(best, color="gray", linestyle=":", zorder=0)
    for axes in list(grid)[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(f"{title} (dotted)")
    with replacing(path) as partial:
        figure.savefig(partial, dpi=100)
