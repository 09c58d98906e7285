"""Metrics by epoch as curves: panels that each have an axis, and the two that matter most as a picture."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crnn_asr.files import replacing

Row = Mapping[str, Any]  # a line of metrics.jsonl

_FEW = 3  # epochs that do not make a line, so they are drawn as points


@dataclass(frozen=True)
class Panel:
    """Curves on one axis: `lines` are keys of `metrics.jsonl` with their labels, multiplied by `factor`."""

    title: str
    unit: str
    lines: Mapping[str, str]
    factor: float = 1.0
    is_log: bool = False  # the axis, if anything is above 0, so that late progress shows too; it starts at 0 else


LOSSES = Panel("CTC loss", "nats per utterance", {"train_loss": "train", "dev_loss": "dev"})
ERRORS = Panel("Dev errors, greedy", "%", {"dev_wer": "words (WER)", "dev_cer": "characters (CER)"})


def best_of(rows: Sequence[Row]) -> Row:
    """The line of the epoch whose weights are kept; where it is gone, that with the lowest WER, then loss."""
    kept = [row for row in rows if row["epoch"] == rows[-1].get("best_epoch")]
    return kept[0] if kept else min(rows, key=lambda row: (row["dev_wer"], row["dev_loss"]))


def draw_panel(axes: Any, panel: Panel, rows: Sequence[Row]) -> None:
    """Draw the curves of a panel by epoch; an epoch without a key is a gap, a key that no epoch has is left out."""
    epochs = [row["epoch"] for row in rows]
    lines = {key: label for key, label in panel.lines.items() if any(key in row for row in rows)}
    curves = [[panel.factor * row.get(key, math.nan) for row in rows] for key in lines]
    for label, values in zip(lines.values(), curves):
        axes.plot(epochs, values, label=label, marker="o" if len(rows) < _FEW else None)
    axes.set(title=panel.title, xlabel="epoch", ylabel=panel.unit)
    is_log = panel.is_log and any(value > 0 for values in curves for value in values)
    if is_log:
        axes.set_yscale("log")
        axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    else:
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
    axes.grid(alpha=0.3)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if len(lines) > 1:
        axes.legend()
    if "dev_wer" in panel.lines and not is_log:
        best = best_of(rows)
        below = best["dev_wer"] > 90  # above it is no place left
        place = {"textcoords": "offset points", "xytext": (0, -14 if below else 10), "ha": "center"}
        axes.scatter(best["epoch"], best["dev_wer"], zorder=3)
        axes.annotate(f"{best['dev_wer']:.1f} %", (best["epoch"], best["dev_wer"]), **place)


def draw_curves(rows: Sequence[Row], path: Path) -> None:
    """Loss and dev error rates by epoch, at least one, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for axes, panel in zip(figure.subplots(1, 2), (LOSSES, ERRORS)):
        draw_panel(axes, panel, rows)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110)
