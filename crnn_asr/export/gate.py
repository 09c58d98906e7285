"""What a model file may lose against float32, and which of those within is the best for this machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from crnn_asr.export.measure import Measurement
from crnn_asr.export.speed import Timing

LENGTH_S = 16  # of the recording whose time, on one thread, counts
FOR_OTHER_MACHINES = ("integer",)  # not judged by its time here: it is made for chips without floating point
_SAME_TIME = 1.05  # files whose times differ by less are told apart by size


@dataclass(frozen=True)
class Gate:
    """Limits; infinity is off.

    `max_wer_increase` is in absolute percent of the words of dev; `max_slowdown` a multiple of float32's time for
    `LENGTH_S` seconds on one thread, above 1 because two measurements of the same differ.
    """

    max_wer_increase: float = 0.5
    max_slowdown: float = 1.1

    def objections(self, measured: Measurement) -> list[str]:
        """Sentences on each limit that a file goes beyond."""
        found = []
        if measured.wer_change.percent > self.max_wer_increase:
            found.append(
                f"{measured.scheme} loses {measured.wer_change.percent:.2f} % of the words on dev against float32, "
                f"more than {self.max_wer_increase:g} (--max-wer-increase)"
            )
        time = deciding_time(measured)
        if time and time.ratio > self.max_slowdown and measured.scheme not in FOR_OTHER_MACHINES:
            found.append(
                f"{measured.scheme} takes {time.ratio:.2f} times as long as float32 for {LENGTH_S} s of audio on one "
                f"thread, more than {self.max_slowdown:g} (--max-slowdown)"
            )
        return found


def deciding_time(measured: Measurement) -> Timing | None:
    """The time that counts; None where none was measured."""
    return next((time for time in measured.timings if (time.length_s, time.num_threads) == (LENGTH_S, 1)), None)


def best(measured: Sequence[Measurement]) -> Measurement:
    """The fastest of those given; the smallest, of those about as fast as that, or where times were not measured."""
    ratios = [time.ratio if (time := deciding_time(one)) else 1.0 for one in measured]
    fast = [one for one, ratio in zip(measured, ratios) if ratio <= _SAME_TIME * min(ratios)]
    return min(fast, key=lambda one: one.num_bytes)
