"""The search for a budget on machines made up, and the process that measures real steps."""

import itertools
import math
import multiprocessing
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from crnn_asr.config import ModelConfig, TrainingConfig
from crnn_asr.errors import DataError
from crnn_asr.presets import PRESETS
from crnn_asr.training import budget, setup
from crnn_asr.training.budget import CLOSE, Budget, Device, find_budget, largest_budget, measured_steps
from crnn_asr.training.plan import Plan, padded_length, plan_batches

MODEL = ModelConfig(conv_filters=(16, 4), projection_units=8, lstm_layers=1, lstm_units=8, num_symbols=4)
CONFIG = replace(PRESETS["tiny"], model=MODEL, training=TrainingConfig(max_batch_utterances=10, precision="float32"))
BASE = 600.0


def plan_of(num_frames: list[int]) -> Plan:
    return Plan(0, plan_batches(np.array(num_frames), 4_000, 10), None, np.array(num_frames))


@pytest.mark.parametrize("slope", [0.01, 0.2, 3.0])
@pytest.mark.parametrize("first", [0.0, 90.0])
@pytest.mark.parametrize("allowed", [1_000.0, 4_321.0, 1e6])
def test_a_line_is_followed_to_its_end_and_not_beyond(slope, first, allowed):
    """Memory is `BASE`, `first` for the first step, and `slope` for each frame."""
    asked = []

    def peak_of(frames):
        asked.append(frames)
        return BASE + first + slope * frames

    frames, peak = largest_budget(peak_of, BASE, 70, 20_000, allowed)
    largest = min(20_000, (allowed - BASE - first) / slope)
    assert asked == sorted(asked) and all(later <= 2 * earlier for earlier, later in itertools.pairwise(asked))
    assert peak == peak_of(frames) <= allowed
    assert max(asked) <= largest, "nothing was tried that does not fit"
    # A step too small to tell the line from the first step's own memory ends the search early, on the safe side.
    assert frames >= largest / CLOSE or first > 0.5 * (allowed - BASE - slope * 70)


def test_memory_that_grows_faster_than_a_line():
    frames, peak = largest_budget(lambda frames: 100 + frames + (frames / 300) ** 3, 100, 10, 10**6, 3_000)
    assert 100 + frames + (frames / 300) ** 3 <= 3_000 == peak
    assert frames > 1_500


def test_a_step_that_is_killed_is_too_large():
    frames, _ = largest_budget(lambda frames: 1.0 if frames <= 3_000 else math.inf, 0, 10, 10**6, 1_000)
    assert 1_500 <= frames <= 3_000


@pytest.mark.parametrize("peak", [1_001.0, math.inf])
def test_not_even_the_least_fits(peak):
    assert largest_budget(lambda frames: peak, 10, 10, 10**6, 1_000) == (0, peak)


@pytest.fixture
def machine(monkeypatch):
    """Instead of the process: a GPU or none, where each frame takes 1000 bytes."""
    monkeypatch.setattr(budget, "available_memory", lambda: 4_000_000)

    def make(device: Device) -> None:
        class Steps:
            def __init__(self, *_): ...
            def __enter__(self):
                return device, lambda frames: 500_000 + 1_000 * frames

            def __exit__(self, *_): ...

        monkeypatch.setattr(budget, "measured_steps", Steps)

    make(Device(0, 1, 500_000))
    return make


def test_what_keeps_a_budget_from_being_larger(machine):
    longest = int(padded_length(300))
    found = find_budget(CONFIG, plan_of([300] * 100), 0.5)
    assert found.limit == "a share of 0.5 of the memory" and found.allowed_bytes == 2_000_000
    assert found.batch_frames == pytest.approx(1_500, rel=0.05) and found.peak_bytes <= 2_000_000
    found = find_budget(CONFIG, plan_of([300] * 100), 1.0)
    assert found.limit == "batches have 10 utterances at most" and found.batch_frames == 10 * longest
    found = find_budget(CONFIG, plan_of([300] * 40), 0.5)
    assert found.limit == "an epoch has 8 steps" and found.batch_frames == 40 * 300 / 8
    twice = replace(CONFIG, training=replace(CONFIG.training, accumulate_batches=2))
    assert find_budget(twice, plan_of([300] * 40), 0.5).batch_frames == 40 * 300 / 16
    with pytest.raises(
        DataError, match="one utterance of 3 s needs 1 MiB, and 0 MiB are allowed; raise --memory-share"
    ):
        find_budget(CONFIG, plan_of([300] * 40), 0.01)


def test_gpus_share_a_batch_and_each_has_its_memory(machine):
    machine(Device(3_000_000, 2, 500_000))
    found = find_budget(replace(CONFIG, training=TrainingConfig(max_batch_utterances=99)), plan_of([300] * 400), 0.5)
    assert found.allowed_bytes == 1_500_000 and found.batch_frames == pytest.approx(2 * 1_000, rel=0.05)


def test_the_setup_is_made_with_the_budget(tone_corpus, monkeypatch):
    monkeypatch.setattr(setup, "find_budget", lambda config, plan, share: Budget(int(1_000 * share), 0, 0, "so"))
    paths = {"train_manifests": (str(tone_corpus / "train.jsonl"),), "dev_manifest": str(tone_corpus / "dev.jsonl")}
    made = setup.prepare(replace(CONFIG, **paths), "auto", 0.7)
    assert made.config.training.batch_frames == made.train.config.training.batch_frames == 700
    assert all(batch.rows * batch.frames <= 700 for batch in made.train.plan(0).batches)
    assert setup.prepare(replace(CONFIG, **paths), "auto").budget is None


def test_real_steps_are_measured_in_a_process_of_their_own():
    """The first convolution's output alone is 16 channels of 40 bins for every second frame, in float32."""
    with measured_steps(CONFIG, 400) as (device, peak_of):
        small, large = peak_of(400), peak_of(24_000)
        assert device.gpu_bytes == 0 and device.replicas == 1 and 100 << 20 < device.base_bytes <= small
        assert 2 * 16 * 40 * 4 * 24_000 / 2 < large - small < 100 * 16 * 40 * 4 * 24_000 / 2
        (process,) = multiprocessing.active_children()
        process.kill()
        assert peak_of(30_000) == math.inf, "killed is too large"
    assert not multiprocessing.active_children()


def test_a_process_that_ends_before_it_has_begun():
    def kill() -> None:
        while not (children := multiprocessing.active_children()):  # not yet, on a busy machine
            time.sleep(0.01)
        children[0].kill()

    threading.Thread(target=kill, daemon=True).start()
    with pytest.raises(OSError, match="ended with code -9"), measured_steps(CONFIG, 400):
        pass
