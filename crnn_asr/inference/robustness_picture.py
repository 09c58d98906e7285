"""Word error rate against the level of noise, as a picture."""

from pathlib import Path

from crnn_asr.files import replacing
from crnn_asr.inference.robustness import Robustness


def draw_robustness(robustness: Robustness, path: Path) -> None:
    """Draw the rate at each SNR (at least one) as a curve, clean and rooms as lines across, into a PNG.

    Bars and band hold 95 % of resamples of the utterances, of the change against clean.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    clean = robustness.clean.scores.words.percent
    noisy = sorted((row.snr_db, row) for row in robustness.rows if row.snr_db is not None)
    top = max([clean, *(clean + row.change.high for row in robustness.rows)])
    x, rates = [snr_db for snr_db, _ in noisy], [row.evaluation.scores.words.percent for _, row in noisy]
    below = [row.change.percent - row.change.low for _, row in noisy]
    above = [row.change.high - row.change.percent for _, row in noisy]
    axes.errorbar(x, rates, (below, above), fmt="o-", capsize=4, color="tab:red", label=robustness.noise_name)
    for snr_db, rate, high in zip(x, rates, above):
        axes.annotate(f"{rate:.1f}", (snr_db, rate + high), (0, 4), textcoords="offset points", ha="center", fontsize=9)
    axes.set_xticks(x, [f"{snr_db:g}" for snr_db in x])
    axes.axhline(clean, color="tab:green", linestyle="--", label=f"clean: {clean:.1f} %")
    for row in robustness.rows:
        if row.snr_db is None:
            rate = row.evaluation.scores.words.percent
            axes.axhline(rate, color="tab:blue", linestyle=":", linewidth=2, label=f"{row.name}: {rate:.1f} %")
            axes.axhspan(clean + row.change.low, clean + row.change.high, color="tab:blue", alpha=0.1, linewidth=0)
    key = "bars and band: 95 % interval of the change from clean"
    axes.set(
        title=f"Word error rate against noise, {robustness.clean.scores.utterances} utterances",
        xlabel=f"signal-to-noise ratio (dB), louder noise to the left\n{key}",
        ylabel="word error rate (%)",
        ylim=(0, max(1.0, 1.15 * top)),
    )
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as partial:
        figure.savefig(partial, dpi=160)
