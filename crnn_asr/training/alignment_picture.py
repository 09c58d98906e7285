"""An utterance as the model hears it: log-mel features, and above each moment the symbol that greedy decoding takes."""

import io
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import RunConfig
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.text.decode import Symbol, greedy_symbols, joined

_DPI = 80
_INCHES_A_SECOND = 2.2
_WIDTHS_INCHES = (7.0, 24.0)  # the least and the most
_SPACE = "␣"


@dataclass(frozen=True)
class Picture:
    """A PNG and its size in pixels."""

    png: bytes
    width: int
    height: int


def draw_alignment(
    features: NDArray[np.float32], logits: NDArray[np.float32], reference: str, config: RunConfig
) -> Picture:
    """Draw one utterance.

    Args:
        features: log-mel, (T, F), without padding.
        logits: of the model for them, (T', V), blank last.
        reference: what is said.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # not pyplot: no display, no global state
    from matplotlib.figure import Figure

    hop_s = config.features.hop_ms / 1000
    seconds = len(features) * hop_s
    low, high = _WIDTHS_INCHES
    width = min(high, max(low, _INCHES_A_SECOND * seconds))
    figure = Figure(figsize=(width, 4.6), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    sound, certainty = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    extent = (0, seconds, 0, features.shape[1])
    sound.imshow(features.T, origin="lower", aspect="auto", extent=extent, cmap="magma", interpolation="none")
    sound.set_ylabel("mel bin")
    symbols = greedy_symbols(logits, Alphabet(config.alphabet))
    frame_s = config.model.frame_s(config.features)
    _draw_certainty(certainty, logits, symbols, frame_s)
    for symbol in symbols:
        center = (symbol.start + symbol.end) / 2 * frame_s
        sound.axvline(center, color="white", alpha=0.35, linewidth=0.8)
        sound.text(center, features.shape[1] + 1, _shown(symbol), ha="center", va="bottom", fontsize=11)
    certainty.set(xlim=(0, seconds), xlabel="seconds")
    title = f"said: {reference}\nheard: {joined(symbols)}"
    lines = [textwrap.shorten(line, round(12 * width), placeholder=" …") for line in title.split("\n")]
    figure.suptitle("\n".join(lines), fontsize=11, x=0.01, ha="left")
    png = io.BytesIO()
    figure.savefig(png, dpi=_DPI, format="png")
    columns, rows = canvas.get_width_height()
    return Picture(png.getvalue(), columns, rows)


def _draw_certainty(axes: Any, logits: NDArray[np.float32], symbols: list[Symbol], frame_s: float) -> None:
    """How probable each decoded symbol is in its frames, and the blank in all."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    centers = (np.arange(len(logits)) + 0.5) * frame_s
    axes.fill_between(centers, probabilities[:, -1], step="mid", color="0.85", label="blank", linewidth=0)
    spoken = [frame for symbol in symbols for frame in range(symbol.start, symbol.end)]
    axes.bar(centers[spoken], probabilities[spoken].max(axis=1), 0.9 * frame_s, color="tab:blue", label="symbol")
    axes.set(ylim=(0, 1), ylabel="probability")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _shown(symbol: Symbol) -> str:
    return _SPACE if symbol.character == " " else symbol.character
