"""What quantizing a run found: the models, what each is judged to be, and all of it as JSON."""

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from crnn_asr.corpus.manifest import Problem
from crnn_asr.export.calibrate import Calibration
from crnn_asr.export.gate import LENGTH_S, Gate, best, deciding_time
from crnn_asr.export.measure import Measurement


@dataclass(frozen=True)
class Result:
    """A measured model, what speaks against it, and its file; `path` is None where it was only measured."""

    measured: Measurement
    objections: tuple[str, ...]
    path: Path | None

    @property
    def accepted(self) -> bool:
        return not self.objections


@dataclass(frozen=True)
class Report:
    """A run's models, float32 first, and how they were made.

    `utterances` are the ids of those that calibrated, `left_out` those that could not, being in dev, and
    `float_difference` is the largest difference of logits between Keras and the float32 file.
    """

    results: tuple[Result, ...]
    calibration: Calibration
    utterances: tuple[str, ...]
    left_out: tuple[Problem, ...]
    gate: Gate
    float_difference: float

    @property
    def recommended(self) -> Result:
        """The best for this machine of those within the gate."""
        chosen = best([result.measured for result in self.results if result.accepted])
        return next(result for result in self.results if result.measured is chosen)

    def recommendation(self) -> str:
        """The sentence that says which model to take on this machine, and why."""
        measured, path = self.recommended.measured, self.recommended.path
        share = measured.num_bytes / self.results[0].measured.num_bytes
        why = "the smallest within the limits"
        if time := deciding_time(measured):
            why = (
                f"the fastest within the limits: {LENGTH_S} s of audio in {time.milliseconds:.1f} ms on one thread, "
                f"{time.ratio:.2f} of float32's time"
            )
        where = path.name if path else f"--scheme {measured.scheme} writes it"
        return (
            f"On this machine take {measured.scheme} ({where}), {why}; {measured.num_bytes / 1e6:.2f} MB, "
            f"{share:.2f} of float32's size; dev WER {measured.wer:.2f} %."
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, in JSON types. Rates in percent, times in milliseconds, sizes in bytes."""
        calibration, dev = self.calibration, self.results[0].measured.evaluation
        return {
            "machine": machine(),
            "recommended": self.recommended.measured.scheme,
            "recommendation": self.recommendation(),
            "gate": {name: _finite(value) for name, value in asdict(self.gate).items()},
            "float_difference": self.float_difference,
            "dev": {
                "utterances": dev.scores.utterances,
                "words": dev.scores.words.units,
                "duration_s": dev.duration_s,
                "problems": [asdict(problem) for problem in dev.problems],
            },
            "calibration": {
                "rule": calibration.rule,
                "log_probability_errors": calibration.errors,
                "utterances": list(self.utterances),
                "left_out": [asdict(problem) for problem in self.left_out],
                "products": {
                    name: dict(zip(("low", "high"), calibration.ranges[name]), saturated_share=share)
                    for name, share in calibration.saturated.items()
                },
            },
            "results": [_result_to_dict(result) for result in self.results],
        }


def machine() -> dict[str, Any]:
    """What the times are of."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "ai_edge_litert": version("ai-edge-litert"),
    }


def _processor() -> str:
    """The model's name, where Linux tells it, or the architecture's."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _result_to_dict(result: Result) -> dict[str, Any]:
    measured = result.measured
    return {
        "scheme": measured.scheme,
        "file": result.path.name if result.path else None,
        "accepted": result.accepted,
        "objections": list(result.objections),
        "bytes": measured.num_bytes,
        "dev_wer": _finite(measured.wer),
        "dev_wer_change": asdict(measured.wer_change),
        "dev_cer": _finite(measured.cer),
        "dev_cer_change": asdict(measured.cer_change),
        "dev_real_time_factor": measured.evaluation.real_time_factor,
        "log_probability_difference": {"max": measured.max_difference, "rms": measured.rms_difference},
        "timings": [{**asdict(time), "real_time_factor": time.real_time_factor} for time in measured.timings],
        "peak_memory_mb": measured.peak_mb,
    }


def _finite(value: float) -> float | None:
    """JSON knows no infinity; a limit that is off, or a rate of errors among no words, is null."""
    return value if abs(value) < float("inf") else None
