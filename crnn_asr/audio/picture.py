"""A picture of takes: waveform and spectrogram of each, and what SpecAugment does to the features."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.read import Samples
from crnn_asr.audio.showcase import Take
from crnn_asr.files import replacing

_SHOWN_S = 10.0  # of a long recording, its beginning
_RANGE_DB = 75.0  # below the original's loudest point everything is black
_FFT_SIZE = 512


def draw_picture(
    path: Path, takes: Sequence[Take], sample_rate_hz: int, features: NDArray[np.float32], masked: NDArray[np.float32]
) -> None:
    """Write a PNG with a row for each take, the original first, all on the same scales, and one for the features."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # not pyplot: no display, no global state
    from matplotlib.figure import Figure

    shown = [take.samples[: round(_SHOWN_S * sample_rate_hz)] for take in takes]
    figure = Figure(figsize=(15, 1.75 * (len(takes) + 1)), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(takes) + 1, 2, width_ratios=(2, 3), squeeze=False)
    peak = max(1e-3, 1.5 * float(np.abs(shown[0]).max()))
    top_db = float(_spectrogram_db(shown[0]).max())
    for row, take, samples in zip(rows, takes, shown):
        _draw_waveform(row[0], samples, sample_rate_hz, peak)
        image = _draw_spectrogram(row[1], samples, sample_rate_hz, top_db)
        for axes in row:
            axes.set_xlim(0, max(map(len, shown)) / sample_rate_hz)
        row[0].set_title(take.name.replace("_", " "), loc="left", fontweight="bold", fontsize=11)
        row[1].set_title(textwrap.fill("  ·  ".join(take.effects), 130), loc="left", fontsize=9)
    for axes in rows[-2]:
        axes.set_xlabel("seconds", fontsize=8)
    figure.colorbar(image, ax=rows[:-1, 1], label="dB", shrink=0.3, pad=0.01)
    for axes, values, title in zip(rows[-1], (features, masked), ("features, normalized", "after SpecAugment")):
        axes.imshow(values.T, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-3, vmax=3, interpolation="none")
        axes.set_title(title, loc="left", fontweight="bold", fontsize=11)
        axes.set_xlabel("frame")
        axes.set_ylabel("mel bin")
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110)


def _draw_waveform(axes: Any, samples: Samples, sample_rate_hz: int, peak: float) -> None:
    axes.plot(np.arange(len(samples)) / sample_rate_hz, samples, linewidth=0.4)
    axes.set_ylim(-peak, peak)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)


def _draw_spectrogram(axes: Any, samples: Samples, sample_rate_hz: int, top_db: float) -> Any:
    axes.set_ylabel("kHz", fontsize=8)
    axes.tick_params(labelsize=8)
    extent = (0, len(samples) / sample_rate_hz, 0, sample_rate_hz / 2000)
    limits = {"vmin": top_db - _RANGE_DB, "vmax": top_db}
    return axes.imshow(_spectrogram_db(samples).T, origin="lower", aspect="auto", extent=extent, cmap="magma", **limits)


def _spectrogram_db(samples: Samples) -> NDArray[np.float64]:
    padded = np.pad(samples, (_FFT_SIZE // 2, _FFT_SIZE))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SIZE)[:: _FFT_SIZE // 4]
    power = np.abs(np.fft.rfft(windows * np.hanning(_FFT_SIZE))) ** 2
    decibels: NDArray[np.float64] = 10 * np.log10(power + 1e-10)
    return decibels
