"""A profile holds the steps that were asked for, and no others."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

from crnn_asr.training.events import Event, StepDone
from crnn_asr.training.profile import TABLE, WARM_UP_STEPS, Profiler


def steps(count: int) -> Iterator[Event]:
    """A run in which step n multiplies matrices n times."""
    multiply = tf.function(tf.linalg.matmul)
    for number in range(1, count + 1):
        for _ in range(number):
            multiply(tf.ones((8, 8)), tf.ones((8, 8)))
        yield StepDone(1, number, count, 1.0, 1.0, 0.0, 0.0)


def products(folder: Path) -> int:
    """Matrix products in the trace, which is the only one."""
    (trace,) = folder.rglob("*.xplane.pb")
    planes = [plane for plane in XSpace.FromString(trace.read_bytes()).planes if "CPU" in plane.name]
    names = [plane.event_metadata[e.metadata_id].name for plane in planes for line in plane.lines for e in line.events]
    return sum(name.startswith("MatMul:") for name in names)


@pytest.mark.parametrize(("count", "last"), [(12, WARM_UP_STEPS + 3), (WARM_UP_STEPS + 2, WARM_UP_STEPS + 2)])
def test_the_steps_asked_for_are_profiled(tmp_path, count, last, capsys):
    """Three after those of warming up, or those that there are."""
    events = list(Profiler(tmp_path, 3)(steps(count)))
    assert [event.batch for event in events] == list(range(1, count + 1))
    assert products(tmp_path) == sum(range(WARM_UP_STEPS + 1, last + 1))
    with (tmp_path / TABLE).open(newline="") as file:
        rows = {row["operation"]: float(row["milliseconds_a_step"]) for row in csv.DictReader(file)}
    assert rows["MatMul"] > 0 and list(rows.values()) == sorted(rows.values(), reverse=True)
    assert f"profile of {last - WARM_UP_STEPS} steps" in capsys.readouterr().err


def test_a_run_that_is_left_leaves_the_profiler_free(tmp_path):
    events = Profiler(tmp_path, 100)(steps(50))
    for event in events:
        if event.batch == WARM_UP_STEPS + 4:
            break
    events.close()
    assert products(tmp_path) > 0
    with tf.profiler.experimental.Profile(str(tmp_path / "next")):  # which refuses while another is running
        pass


def test_a_run_too_short_to_profile_is_told(tmp_path, capsys):
    assert len(list(Profiler(tmp_path, 3)(steps(WARM_UP_STEPS)))) == WARM_UP_STEPS
    assert "nothing is profiled" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_profile_that_cannot_be_written_ends_nothing(tmp_path, capsys):
    (tmp_path / TABLE).mkdir()
    assert len(list(Profiler(tmp_path, 3)(steps(12)))) == 12
    assert "error: the run goes on, but its profile was not written" in capsys.readouterr().err
