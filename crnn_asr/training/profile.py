"""A profile of some training steps: TensorFlow's own trace of them, and a table of where their time went."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from crnn_asr.console import complain, describe, note
from crnn_asr.files import replacing
from crnn_asr.training.events import Event, StepDone

WARM_UP_STEPS = 5  # which compile, and fill caches
TABLE = "operations.csv"

_AROUND = (  # what encloses operations
    "Process",
    "ParallelFor",
    "EagerExecute",
    "EagerKernelExecute",
    "Run",
    "TFE_Py_ExecuteCancelable",
    "train_step",
    "dev_step",
)


class Profiler:
    """Passes events on, and has TensorFlow profile `steps` steps after the first few, into `folder`.

    A run with fewer steps is profiled to its end. TensorBoard with its profile plugin shows the trace.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder, self.steps = folder, steps

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        done, running = 0, False
        try:
            for event in events:
                done += isinstance(event, StepDone)
                if running and done == WARM_UP_STEPS + self.steps:
                    running = False
                    self._finish(self.steps)
                yield event
                if done == WARM_UP_STEPS and isinstance(event, StepDone):
                    tf.profiler.experimental.start(str(self.folder))
                    running = True
        finally:
            if running:
                self._finish(done - WARM_UP_STEPS)
        if done <= WARM_UP_STEPS:
            note(f"--profile: nothing is profiled, for the run ended within the {WARM_UP_STEPS} steps of warming up")

    def _finish(self, steps: int) -> None:
        """Write the profile of so many steps, if any; what goes wrong is said, and ends nothing."""
        try:
            tf.profiler.experimental.stop(save=steps > 0)
            if steps < 1:
                return
            *_, trace = sorted(self.folder.rglob("*.xplane.pb"))  # by the time in their folders' names
            write_operations(operation_times(trace, steps), self.folder / TABLE)
        except (OSError, ValueError, tf.errors.OpError) as error:
            complain(f"the run goes on, but its profile was not written: {describe(error)}")
            return
        note(f"profile of {steps} steps: {self.folder}")


def operation_times(trace: Path, steps: int) -> Counter[str]:
    """Milliseconds a step by kind of operation, summed over threads, from a trace of so many steps."""
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    space = XSpace.FromString(trace.read_bytes())
    total: Counter[str] = Counter()
    for plane in space.planes:
        for line in plane.lines if "CPU" in plane.name else ():
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                kind = name.split(":")[-1].removeprefix("_Mkl").removeprefix("_").removeprefix("Native")
                total[kind] += event.duration_ps / 1e9 / steps
    return Counter({kind: ms for kind, ms in total.items() if not _encloses(kind)})


def _encloses(kind: str) -> bool:
    return (
        kind in _AROUND or kind.startswith(" ") or "__inference" in kind
    )  # the blank is that of "EagerLocalExecute: "


def write_operations(total: Counter[str], path: Path) -> None:
    """Write the times as CSV, the longest first."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("operation", "milliseconds_a_step"))
        writer.writerows((kind, f"{ms:.3f}") for kind, ms in total.most_common())
