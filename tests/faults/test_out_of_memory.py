"""Memory that runs out in a step, as TensorFlow says it, and memory that grows."""

import numpy as np
import pytest
import tensorflow as tf
from fault_runner import arrays, make_trainer

from crnn_asr.errors import DataError
from crnn_asr.training import learner, loop
from crnn_asr.training.events import EpochDone, Incident, Stopped
from crnn_asr.training.replicas import explained


@pytest.fixture
def little_memory(monkeypatch):
    """As much as a step of 300 padded frames takes."""
    run_step = learner.run_step

    def limited(step, batches, seeds, rate):
        if any(batch[0].shape[0] * batch[0].shape[1] > 300 for batch in batches):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[2,3]")
        return run_step(step, batches, seeds, rate)

    monkeypatch.setattr(learner, "run_step", limited)


def test_the_run_goes_on_with_smaller_batches_says_so_once_and_resumes_to_the_bit(
    tone_corpus, tmp_path, little_memory, tally
):
    whole = make_trainer(tmp_path / "whole", tone_corpus, batch_frames=700)
    events = list(whole.events())
    assert isinstance(events[-1], EpochDone) and whole.progress.finished
    incidents = [event for event in events if isinstance(event, Incident)]
    kinds = [incident.kind for incident in incidents]
    assert set(kinds) == {"out_of_memory"} and 1 <= len(kinds) <= 2  # at most as often as a larger one comes
    assert "in parts" in incidents[0].sentence and 100 <= whole.progress.batch_limit <= 300
    assert [line["skipped_steps"] for line in whole.run.read_metrics()] == [0, 0]
    part = make_trainer(tmp_path / "run", tone_corpus, batch_frames=700)
    assert isinstance(list(part.events(lambda: part.progress.step >= 7))[-1], Stopped)
    again = make_trainer(tmp_path / "run", tone_corpus, batch_frames=700)
    again.resume()
    assert again.progress.batch_limit == part.progress.batch_limit > 0
    assert not [event for event in again.events() if isinstance(event, Incident)][len(kinds) - 1 :]
    for one, other in zip(arrays(tmp_path / "run"), arrays(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(one, other)
    tally("out of memory in a step", len(kinds), 0, 0)


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore")]
)
def test_memory_that_runs_out_elsewhere_is_a_sentence(error):
    with (
        pytest.raises(DataError, match=r"memory ran out .*--resume \((MemoryError|OOM when allocating)\)"),
        explained(),
    ):
        raise error


def test_growth_over_epochs_is_told(tone_corpus, tmp_path, monkeypatch):
    sizes = iter(range(900 << 20, 2_000 << 20, 30 << 20))
    monkeypatch.setattr(loop, "resident_memory", lambda: next(sizes))
    trainer = make_trainer(tmp_path / "run", tone_corpus)
    rows = [{"resident_mib": next(sizes) >> 20} for _ in range(20)]
    (incident,) = trainer._watch_memory(rows)
    assert incident.kind == "memory_grows" and "30 MiB an epoch" in incident.sentence
    assert not list(trainer._watch_memory(rows[:19])) and not list(trainer._watch_memory([rows[0]] * 20))
