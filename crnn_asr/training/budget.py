"""How much audio a step may hold: real steps on random features, larger and larger, in a process of their own."""

import math
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from crnn_asr.config import RunConfig
from crnn_asr.corpus.parallel import interrupts_blocked
from crnn_asr.errors import DataError
from crnn_asr.native import load_tensorflow
from crnn_asr.training.memory import available_memory, peak_memory
from crnn_asr.training.plan import Plan

MIN_STEPS = 8  # an epoch of fewer updates learns little, however large they are
CLOSE = 1.05  # a budget within this factor of the largest is as good
MIB = 1 << 20


@dataclass(frozen=True)
class Budget:
    """A found `batch_frames`: the bytes its steps hold at most, the bytes allowed, and why it is not larger."""

    batch_frames: int
    peak_bytes: int
    allowed_bytes: int
    limit: str

    def __str__(self) -> str:
        peak, allowed = self.peak_bytes / MIB, self.allowed_bytes / MIB
        return f"{self.batch_frames} frames, because {self.limit}; steps take {peak:.0f} of {allowed:.0f} MiB allowed"


@dataclass(frozen=True)
class Device:
    """Where steps are measured: the bytes of a GPU (0 without one), how many of them, and what a model alone takes."""

    gpu_bytes: int
    replicas: int
    base_bytes: int


def find_budget(config: RunConfig, plan: Plan, memory_share: float) -> Budget:
    """The largest `batch_frames` whose steps stay below a share of the memory.

    What this process holds already is counted a second time, because the other process loads TensorFlow and the model
    again: that is room for reading and augmentation. Memory is not the only limit. A budget that leaves an epoch fewer
    than eight steps, or that every batch reaches `max_batch_utterances` within, would make nothing better, and is not
    tried.

    Args:
        config: of the run, complete.
        plan: of an epoch, for its lengths.
        memory_share: of what is available now, limits of control groups included; of all its memory on a GPU.

    Raises:
        DataError: the longest utterance alone needs more, or the system does not tell how much memory it has.
        OSError: the process that measures fails.
    """
    training, available = config.training, available_memory()
    longest = max(batch.frames for batch in plan.batches)
    limits = {
        f"batches have {training.max_batch_utterances} utterances at most": longest * training.max_batch_utterances,
        f"an epoch has {MIN_STEPS} steps": plan.total_frames // (MIN_STEPS * training.accumulate_batches),
    }
    limit = min(limits, key=lambda name: limits[name])
    with measured_steps(config, longest) as (device, peak_of):
        most = max(longest, limits[limit] // device.replicas)
        allowed = int(memory_share * (device.gpu_bytes or available))
        frames, peak = largest_budget(peak_of, device.base_bytes, longest, most, allowed)
    if not frames:
        seconds = longest * config.features.hop_ms / 1000
        needed = "more than there is" if math.isinf(peak) else f"{peak / MIB:.0f} MiB"
        raise DataError(
            f"a step of one utterance of {seconds:.0f} s needs {needed}, and {allowed / MIB:.0f} MiB are allowed; "
            "raise --memory-share, lower --max-duration, or give --batch-seconds a number"
        )
    reason = limit if CLOSE * frames >= most else f"a share of {memory_share:g} of the memory"
    return Budget(frames * device.replicas, int(peak), allowed, reason)


def largest_budget(
    peak_of: Callable[[int], float], base: float, least: int, most: int, allowed: float
) -> tuple[int, float]:
    """Frames from `least` to `most` whose peak is at most `allowed`, and the peak; (0, its peak) where `least` is not.

    Peaks grow about linearly. The line through the last two says how far to go, at most to the double; the first one,
    from what is held without any step, is too steep, which is the safe side. What is returned was measured itself, or
    lies on the line between one that fitted and one that did not.

    Args:
        peak_of: measures a step of so many frames; infinite where it failed for want of memory.
        base: the peak before any step.
        least: frames, as `most`.
        allowed: bytes, as all peaks.
    """
    frames, peak, candidate = 0, base, least
    while frames == 0 or candidate >= CLOSE * frames:
        found = peak_of(candidate)
        if found > allowed and frames == 0:
            return 0, found
        slope = (found - peak) / (candidate - frames)
        if found > allowed:
            return frames + int(max(0.0, allowed - peak) / slope), allowed
        frames, peak = candidate, found
        room = (allowed - peak) / slope if slope > 0 else math.inf
        candidate = int(min(most, 2 * frames, frames + room))
    return frames, peak


@contextmanager
def measured_steps(config: RunConfig, longest: int) -> Iterator[tuple[Device, Callable[[int], float]]]:
    """Start the process; yield what it runs on, and the function of a number of frames that gives the peak in bytes.

    Peaks are of all steps so far, so ask in ascending order. They are infinite from where the process was killed, as
    Linux does when memory runs out. The process ends with the block.

    Raises:
        OSError: the process fails in another way.
    """
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(config, theirs), daemon=True)
    with interrupts_blocked():
        process.start()
    theirs.close()  # so that its end is seen here

    def answer(*question: int) -> Any:
        try:
            if question:
                pipe.send(question)
            return pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            process.join()
            code = process.exitcode or 0
            if code < 0 and question:
                return math.inf
            raise OSError(f"the process that measures training steps ended with code {code}") from error

    def peak_of(frames: int) -> float:
        rows = -(-frames // longest)
        return float(answer(rows, frames // rows))

    try:
        yield answer(), peak_of
    finally:
        process.kill()
        process.join()


def _serve(config: RunConfig, pipe: Connection) -> None:
    """In the process: answer each (rows, frames) with the peak in bytes after two steps of that shape."""
    load_tensorflow()
    import tensorflow as tf

    from crnn_asr.training.step import make_learner, run_step

    tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_logical_devices("GPU")

    def peak() -> int:
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpus else peak_memory()  # type: ignore[no-any-return]

    _, _, step = make_learner(config)
    seed = tf.constant([0, 0])
    try:
        pipe.send(Device(_gpu_bytes() if gpus else 0, max(1, len(gpus)), peak()))
        while True:
            batch = _random_batch(config, *pipe.recv())
            try:
                for _ in range(2):
                    run_step(step, [batch], [seed], 0.0)
                pipe.send(peak())
            except tf.errors.ResourceExhaustedError:
                pipe.send(math.inf)
    except EOFError:  # who asked is gone
        return


def _gpu_bytes() -> int:
    """What TensorFlow may take of the smallest GPU."""
    from tensorflow.python.client import device_lib

    return min(int(device.memory_limit) for device in device_lib.list_local_devices() if device.device_type == "GPU")


def _random_batch(config: RunConfig, rows: int, frames: int) -> tuple[np.ndarray[Any, Any], ...]:
    """A batch without padding; labels, each unlike the one before, for half of the logit frames."""
    rng = np.random.default_rng(0)
    symbols = max(1, config.model.output_length(frames) // 2)
    labels = np.tile(np.arange(symbols, dtype=np.int32) % (config.model.num_symbols - 1), (rows, 1))
    features = rng.standard_normal((rows, frames, config.model.num_mels), np.float32)
    return features, np.full(rows, frames, np.int32), labels, np.full(rows, symbols, np.int32)
