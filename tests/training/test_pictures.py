"""Pictures of a run, read back as pixels."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from crnn_asr.config import FeatureConfig, ModelConfig, RunConfig
from crnn_asr.training import summary_picture
from crnn_asr.training.alignment_picture import draw_alignment
from crnn_asr.training.curves import ERRORS, LOSSES, best_of, draw_curves, draw_panel
from crnn_asr.training.summary_picture import PANELS, draw_summary

CONFIG = RunConfig(alphabet=("a", "b", " "), features=FeatureConfig(), model=ModelConfig(num_symbols=4))


def rows(epochs: int, wer: float = 40.0) -> list[dict]:
    keys = {key for panel in PANELS for key in panel.lines}
    numbers = range(1, epochs + 1)
    return [
        {"epoch": e, "step": e, **dict.fromkeys(keys, 1.0), "dev_wer": wer / e, "dev_cer": wer / e} for e in numbers
    ]


def white_lines_s(frames: list[int], symbols: list[int], length: int = 50) -> list[float]:
    """Draw utterances of nothing whose greedy path has these symbols in these logit frames; where lines are, in s."""
    logits = np.full((length, 4), -5.0, np.float32)
    logits[:, 3] = 5.0
    logits[frames, symbols] = 10.0
    picture = draw_alignment(np.zeros((4 * length, 80), np.float32), logits, "a b", CONFIG)
    pixels = imread(io.BytesIO(picture.png))[..., :3]
    assert pixels.shape == (picture.height, picture.width, 3)
    row = pixels[pixels.shape[0] // 3].sum(axis=1)  # through the spectrogram, which has one color
    dark = np.flatnonzero(row < 0.1)  # darker than the labels of its axis
    left, right = dark.min(), dark.max()
    peaks = np.flatnonzero(row[left : right + 1] > 0.1)
    groups = np.split(peaks, np.flatnonzero(np.diff(peaks) > 1) + 1)
    return [float(group.mean() / (right - left) * length * 0.04) for group in groups if len(group)]


def test_symbols_stand_at_their_moments():
    """A logit frame is 4 feature frames of 10 ms: the middle of frame 10 is 0.42 s, of 20 and 21 together 0.84 s."""
    assert white_lines_s([10, 20, 21, 40], [0, 1, 1, 2]) == pytest.approx([0.42, 0.84, 1.62], abs=0.01)


def test_an_utterance_in_which_nothing_is_heard_is_drawn():
    assert white_lines_s([], []) == []


def test_a_long_utterance_has_a_picture_of_bounded_width():
    logits = np.zeros((750, 4), np.float32)
    picture = draw_alignment(np.zeros((3_000, 80), np.float32), logits, "a b " * 200, CONFIG)
    assert picture.width < 2_000


@pytest.mark.parametrize("epochs", [1, 2, 30])
@pytest.mark.parametrize("wer", [0.0, 40.0, float("inf")])
def test_every_run_can_be_drawn(tmp_path, epochs, wer):
    draw_curves(rows(epochs, wer), tmp_path / "curves.png")
    draw_summary(rows(epochs, wer), "title", tmp_path / "summary.png")
    for name in ("curves.png", "summary.png"):
        assert imread(tmp_path / name).std() > 0.01


def test_a_summary_leaves_out_what_a_run_does_not_tell(tmp_path):
    """Panels stand in two rows: two panels less are a column less."""
    widths, path = [], tmp_path / "summary.png"
    for without in (set(), {"wait_share", "padding_share", "seconds"}):
        draw_summary([{k: v for k, v in row.items() if k not in without} for row in rows(3)], "title", path)
        widths.append(imread(path).shape[1])
    columns = -(-len(PANELS) // 2)
    assert widths[1] * columns == widths[0] * (columns - 1)


def test_curves_are_the_values_by_epoch_and_the_best_is_named():
    told = rows(4)
    told[2] = {**told[2], "dev_wer": 5.0}
    del told[1]["dev_cer"]
    axes = Figure().subplots()
    draw_panel(axes, ERRORS, told)
    words, characters = axes.lines
    assert list(words.get_xdata()) == [1, 2, 3, 4] and list(words.get_ydata()) == [40.0, 20.0, 5.0, 10.0]
    assert np.isnan(characters.get_ydata()[1])
    (best,) = [text for text in axes.texts if "%" in text.get_text()]
    assert best.get_text() == "5.0 %" and best.xy == (3, 5.0) and best_of(told)["epoch"] == 3
    (dot,) = axes.collections
    assert dot.get_offsets().tolist() == [[3, 5.0]]


def test_shares_are_drawn_in_percent():
    axes = Figure().subplots()
    panel = next(panel for panel in PANELS if "wait_share" in panel.lines)
    draw_panel(axes, panel, [{**row, "wait_share": 0.25} for row in rows(3)])
    assert set(axes.lines[0].get_ydata()) == {25.0}


def test_a_gpu_is_drawn_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drawn: dict[str, int] = {}
    monkeypatch.setattr(
        summary_picture,
        "draw_panel",
        lambda axes, panel, told: (draw_panel(axes, panel, told), drawn.update({panel.title: len(axes.lines)})),
    )
    for mib, lines in ((0, 1), (300, 2)):
        draw_summary([{**row, "gpu_mib": mib} for row in rows(2)], "title", tmp_path / "summary.png")
        assert drawn["Memory"] == lines


def test_a_logarithmic_axis_needs_something_above_zero(tmp_path: Path):
    for value, scale in ((0.0, "linear"), (2.0, "log")):
        axes = Figure().subplots()
        draw_panel(axes, replace(LOSSES, is_log=True), [{"epoch": 1, "train_loss": value, "dev_loss": 0.0}])
        assert axes.get_yscale() == scale
