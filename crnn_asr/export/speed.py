"""How long models take for recordings of several lengths, measured in turn, so that all share the machine's moods.

With one thread it is processor time that counts: on an idle machine that is the time on the clock, and on a busy one
it still tells models 5 % apart from each other, where the clock does not. With several threads it is the clock.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from crnn_asr.inference.recognizer import Recognizer

LENGTHS_S = (4, 16, 32)
MIN_TURNS, MAX_TURNS = 5, 15
_ENOUGH_S = 2.0  # of measuring one length with one number of threads, once there are `MIN_TURNS`


@dataclass(frozen=True)
class Timing:
    """The network's time for one length of audio: the median over turns, in milliseconds.

    `ratio` is the median over turns of the time by that of the first model in the same turn.
    """

    length_s: int
    num_threads: int
    milliseconds: float
    ratio: float

    @property
    def real_time_factor(self) -> float:
        return self.milliseconds / 1_000 / self.length_s


def measure_speed(paths: Mapping[str, Path], progress: Callable[[int, int], object]) -> dict[str, tuple[Timing, ...]]:
    """Time model files on random features: every length of `LENGTHS_S`, with one thread and with all cores.

    Args:
        paths: model files by name; the first is what the others are compared with.

    Returns:
        The timings of each, first those with one thread, by length.
    """
    timings: dict[str, list[Timing]] = {name: [] for name in paths}
    rng = np.random.default_rng(0)
    settings = [(threads, length_s) for threads in thread_counts() for length_s in LENGTHS_S]
    for number, (num_threads, length_s) in enumerate(settings, start=1):
        recognizers = [Recognizer(path, num_threads) for path in paths.values()]
        config = recognizers[0].metadata.features
        shape = (config.num_frames(length_s * config.sample_rate_hz), config.num_mels)
        features = rng.standard_normal(shape, np.float32)
        clock = time.thread_time if num_threads == 1 else time.perf_counter
        turns = np.array(list(_turns(recognizers, features, clock)))
        ratios = turns / turns[:, :1]
        for column, name in enumerate(paths):
            middle = median(turns[:, column]), median(ratios[:, column])
            timings[name].append(Timing(length_s, num_threads, 1_000 * float(middle[0]), float(middle[1])))
        progress(number, len(settings))
    return {name: tuple(found) for name, found in timings.items()}


def thread_counts() -> list[int]:
    """One, and as many as the machine has cores."""
    return sorted({1, os.cpu_count() or 1})


def _turns(
    recognizers: Sequence[Recognizer], features: NDArray[np.float32], clock: Callable[[], float]
) -> Iterator[list[float]]:
    """Seconds of each recognizer, turn after turn. Each run follows one that is not timed and fills the caches."""
    start = time.perf_counter()
    for turn in range(MAX_TURNS):
        if turn >= MIN_TURNS and time.perf_counter() - start > _ENOUGH_S:
            return
        seconds = []
        for recognizer in recognizers:
            recognizer.logits(features)
            begin = clock()
            recognizer.logits(features)
            seconds.append(clock() - begin)
        yield seconds
