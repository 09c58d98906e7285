"""Learning curves as a picture."""

from pathlib import Path
from typing import Any

from crnn_asr.files import replacing


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Loss and dev error rates by epoch, from the lines of `metrics.jsonl`."""
    from matplotlib.figure import Figure

    epochs = [row["epoch"] for row in rows]
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    losses, errors = figure.subplots(1, 2)
    marker = "o" if len(rows) < 3 else None
    for name, label in (("train_loss", "train"), ("dev_loss", "dev")):
        losses.plot(epochs, [row[name] for row in rows], label=label, marker=marker)
    losses.set(title="CTC loss", xlabel="epoch", ylabel="nats per utterance", ylim=(0, None))
    for name, label in (("dev_wer", "words (WER)"), ("dev_cer", "characters (CER)")):
        errors.plot(epochs, [row[name] for row in rows], label=label, marker=marker)
    best = min(rows, key=lambda row: (row["dev_wer"], row["dev_loss"]))
    errors.annotate(
        f"{best['dev_wer']:.1f} %",
        (best["epoch"], best["dev_wer"]),
        textcoords="offset points",
        xytext=(0, 10),
        ha="center",
    )
    errors.set(title="Dev errors, greedy", xlabel="epoch", ylabel="%", ylim=(0, 105))
    for axes in (losses, errors):
        axes.grid(alpha=0.3)
        axes.legend()
        axes.xaxis.get_major_locator().set_params(integer=True)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110)
