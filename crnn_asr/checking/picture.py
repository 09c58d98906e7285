"""The pictures of a checked corpus: how long, how wordy, how noisy it is, and what it is written with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.checking.check import Check
from crnn_asr.checking.findings import NOISE_ALONE_DB, NOISY_DB, Measured
from crnn_asr.files import replacing

_BINS = 50
_NEAR_ZERO = 0.5  # of the usual values; an axis of shorter ones begins at 0
_SYMBOLS = 60  # the most frequent are shown, and of more the rarest instead of those in the middle
_COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:cyan", "tab:olive")


def draw_pictures(check: Check, folder: Path) -> dict[str, Path]:
    """Write the PNGs of what there is to show, by their titles."""
    names = [path.name for path in check.manifests]
    groups = [[item for item in check.items if item.manifest == number] for number in range(len(names))]
    measured = [[item.measured for item in group if isinstance(item.measured, Measured)] for group in groups]
    durations = [[each.duration_s for each in group] for group in measured]
    lengths = [[float(len(item.utterance.text)) for item in group] for group in groups]
    ratios = [[each.quality.snr_db for each in group] for group in measured]
    pictures = {}
    if any(durations):
        hours = sum(map(sum, durations)) / 3600
        title = f"Duration of {sum(map(len, durations)):,} recordings, {hours:.2f} h"
        pictures[title] = _draw_histogram(folder / "durations.png", title, "seconds", names, durations)
    title = f"Length of {len(check.items):,} transcripts"
    pictures[title] = _draw_histogram(folder / "text_lengths.png", title, "characters", names, lengths)
    if any(ratios):
        title = "Estimated signal-to-noise ratio"
        limits = {"noisy": NOISY_DB, "noise alone": NOISE_ALONE_DB}
        pictures[title] = _draw_histogram(folder / "snr.png", title, "dB", names, ratios, limits)
    counts = Counter(character for item in check.items for character in item.utterance.text)
    if counts:
        title = f"The {len(counts):,} symbols of the transcripts"
        pictures[title] = _draw_symbols(folder / "symbols.png", title, counts)
    return pictures


def _draw_histogram(
    path: Path,
    title: str,
    unit: str,
    names: Sequence[str],
    groups: Sequence[Sequence[float]],
    limits: Mapping[str, float] = MappingProxyType({}),
) -> Path:
    """A histogram stacked by manifest; limits within its range are lines with their names."""
    figure, axes = _figure(title)
    edges, beyond = _bins(np.concatenate([np.asarray(group, np.float64) for group in groups]))
    full = [number for number, group in enumerate(groups) if group]
    axes.hist(
        [np.clip(groups[number], edges[0], edges[-1]) for number in full],
        edges,
        stacked=True,
        color=[_COLORS[number % len(_COLORS)] for number in full],
        label=[f"{names[number]}: {len(groups[number]):,}, median {np.median(groups[number]):.3g}" for number in full],
        linewidth=0,
    )
    for name, value in limits.items():
        if edges[0] <= value <= edges[-1]:
            axes.axvline(value, color="tab:red", linestyle="--", linewidth=1)
            style = {"rotation": 90, "va": "top", "ha": "right", "color": "tab:red", "fontsize": 9}
            axes.text(value, 0.98, name, transform=axes.get_xaxis_transform(), **style)
    axes.set(xlabel=unit + (f"; the last bar holds what is beyond: {beyond:,}" if beyond else ""), ylabel="utterances")
    axes.legend()
    return _save(figure, path)


def _bins(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Edges in round steps, and how many values are beyond: a few far away must not squeeze all others together."""
    low, usual, high = (float(value) for value in np.quantile(values, (0, 0.99, 1)))
    low = min(low, 0.0) if low < _NEAR_ZERO * usual else low
    high = min(high, low + 2 * (usual - low)) if usual > low else high
    step = float(10 ** np.floor(np.log10(max(high - low, 1e-3) / _BINS)))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= _BINS)
    first, last = np.floor(low / step), np.floor(high / step) + 1
    # A little to the left, so that round values, which lie on an edge, all fall to its right.
    edges: NDArray[np.float64] = step * (np.arange(first, last + 1) - 1e-6)
    return edges, int(np.count_nonzero(values > edges[-1]))


def _draw_symbols(path: Path, title: str, counts: Counter[str]) -> Path:
    """How often each symbol stands, from the most to the least frequent, on a logarithmic scale."""
    ranked = counts.most_common()
    if len(ranked) > _SYMBOLS:
        half = _SYMBOLS // 2
        title += f", the {half} most and the {half} least frequent"
        ranked = ranked[:half] + ranked[-half:]
    figure, axes = _figure(title)
    values = [count for _, count in ranked]
    axes.bar(range(len(ranked)), values, color="tab:blue", linewidth=0)
    axes.set_yscale("log")
    axes.set_ylim(0.5, 2 * max(values))
    names = [_shown(character) for character, _ in ranked]
    axes.set_xticks(range(len(ranked)), names, parse_math=False, fontsize=9 if len(ranked) > 45 else 10)
    for label in axes.get_xticklabels():
        label.set_rotation(90 if len(label.get_text()) > 1 else 0)
    axes.set_xlim(-0.7, len(ranked) - 0.3)
    axes.set_ylabel("times")
    return _save(figure, path)


def _shown(character: str) -> str:
    """The character where it is seen and the font of the picture has it, else its code point."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    if character == " ":
        return "␣"
    has_glyph = ord(character) in get_font(findfont(FontProperties())).get_charmap()
    return character if has_glyph and character.isprintable() else f"U+{ord(character):04X}"


def _figure(title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> Path:
    with replacing(path) as partial:
        figure.savefig(partial, dpi=120)
    return path
