"""Clocks that jump or stand still change when a run saves, and nothing of what it comes to."""

import time

import numpy as np
import pytest
from fault_runner import arrays, make_trainer

from crnn_asr.training.events import StepDone


@pytest.mark.parametrize(
    "clock",
    [
        lambda number: 1e9 - 3_600.0 * number,
        pytest.param(lambda number: 1e9, marks=pytest.mark.slow),
        pytest.param(lambda number: 1e9 + 1e7 * (number % 3), marks=pytest.mark.slow),
    ],
    ids=["backwards", "still", "jumping"],
)
def test_clocks(tone_corpus, tmp_path, monkeypatch, whole, tally, clock):
    trainer = make_trainer(tmp_path / "run", tone_corpus, checkpoint_every_s=60.0)
    calls = iter(range(1_000_000))
    with monkeypatch.context() as patch:
        for name in ("time", "monotonic", "perf_counter"):
            patch.setattr(time, name, lambda: clock(next(calls)))
        events = list(trainer.events())
    for found, value in zip(arrays(tmp_path / "run"), arrays(whole), strict=True):
        np.testing.assert_array_equal(found, value)
    assert all(np.isfinite(event.seconds_left) for event in events if isinstance(event, StepDone))
    tally("clock jumps", 1, 0, 0)
