"""From a trained run to judged model files: calibrate, convert, check against Keras, score on dev, keep or reject."""

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.errors import ModelError
from crnn_asr.export.calibrate import choose, measure_ranges, read_features
from crnn_asr.export.convert import convert, file_name
from crnn_asr.export.flatbuffer import check_int8, check_integer
from crnn_asr.export.sets import UtteranceSets
from crnn_asr.files import write_text
from crnn_asr.inference import model_file
from crnn_asr.inference.evaluation import Evaluation, evaluate
from crnn_asr.inference.flatbuffer import encodings
from crnn_asr.inference.model_file import Metadata
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.training.run import RunDirectory, load_run
from crnn_asr.training.transcriber import open_model

Features = NDArray[np.float32]
Model = Callable[[Features], NDArray[np.float32]]  # features (T, F) → logits (T', V)
Progress = Callable[[str, str], AbstractContextManager[Callable[[int, int], object]]]  # of a title and a unit

MAX_FLOAT_DIFFERENCE = 1e-4
_PARITY_UTTERANCES = 8


@dataclass(frozen=True)
class Result:
    """A model in one scheme and how it did on dev; `path` is None where it was only measured."""

    scheme: str
    num_bytes: int
    evaluation: Evaluation
    accepted: bool
    path: Path | None

    @property
    def wer(self) -> float:
        """In percent."""
        return self.evaluation.scores.words.percent

    @property
    def cer(self) -> float:
        """In percent."""
        return self.evaluation.scores.characters.percent

    def to_dict(self) -> dict[str, Any]:
        return {
            "scheme": self.scheme,
            "file": self.path.name if self.path else None,
            "bytes": self.num_bytes,
            "dev_wer": self.wer,
            "dev_cer": self.cer,
            "real_time_factor": self.evaluation.real_time_factor,
            "accepted": self.accepted,
        }


def quantize(
    folder: Path,
    schemes: Sequence[str],
    sets: UtteranceSets,
    num_samples: int,
    max_wer_increase: float,
    progress: Progress,
    io: str = "float32",
) -> tuple[list[Result], list[Problem]]:
    """Convert a run's best weights and judge the results; write the model files and `quantization.json`.

    Args:
        folder: of the run.
        schemes: wanted, of those that `convert` knows; float32 is always made, to compare with.
        sets: what to calibrate on and what to score on.
        num_samples: utterances to measure the ranges on.
        max_wer_increase: what a scheme may lose against float32, in absolute percent of the words.
        io: type of the networks' input and output, as in `convert`.

    Returns:
        float32's result, then those of the other schemes; and the utterances that could not be read.

    Raises:
        ModelError: not a trained run; the converter crashed; a model that is not what it should be.
        DataError: no utterance can be read.
    """
    config, weights = load_run(folder)
    metadata = Metadata("float32", config.features, config.model, config.text, config.alphabet, _summary(folder))
    chosen = choose(sets.calibration, num_samples)
    with progress("calibrate", "utterance") as move:
        features, problems = read_features(chosen, config.features, move)
    ranges = measure_ranges(weights, config.model, features)
    networks = convert(weights, config.model, ranges, tuple(dict.fromkeys(("float32", *schemes))), features, io)
    for scheme, check in (("int8", check_int8), ("integer", check_integer)):
        if scheme in networks:
            check(networks[scheme], config.model)
    some = features[:: max(1, len(features) // _PARITY_UTTERANCES)]
    reference = open_model(folder)[1]
    floats = [_open(networks[scheme], metadata) for scheme in ("float32", "onnx") if scheme in networks]
    difference = max(check_float(recognizer.logits, reference, some) for recognizer in floats)
    results: list[Result] = []
    for scheme, network in networks.items():
        first, last = (model_file.Encoding(),) * 2 if model_file.is_onnx(network) else encodings(network)
        described = replace(metadata, scheme=scheme, input=first, output=last)
        with progress(f"score {scheme}", "utterance") as move:
            evaluation = score_model(network, described, sets.dev, move)
        wer = evaluation.scores.words.percent
        accepted = wer <= (results[0].wer if results else wer) + max_wer_increase
        path = keep(folder, network, described, accepted) if scheme in schemes else None
        results.append(Result(scheme, len(network), evaluation, accepted, path))
    report = {
        "calibration": {"utterances": [utterance.id for utterance in chosen], "ranges": ranges},
        "max_wer_increase": max_wer_increase,
        "float_difference": difference,
        "results": [result.to_dict() for result in results],
    }
    write_text(folder / "quantization.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return results, [*problems, *results[0].evaluation.problems]


def check_float(model: Model, reference: Model, features: Sequence[Features]) -> float:
    """Make sure that the float model gives the reference's logits; return the largest difference.

    Raises:
        ModelError: it is above `MAX_FLOAT_DIFFERENCE`.
    """
    difference = max(float(np.abs(model(values) - reference(values)).max()) for values in features)
    if not difference <= MAX_FLOAT_DIFFERENCE:
        raise ModelError(
            f"expected the converted float model to give the trained one's logits within {MAX_FLOAT_DIFFERENCE:.0e}, "
            f"got a difference of {difference:.1e}; nothing is written. Is another version of TensorFlow installed?"
        )
    return difference


def score_model(
    network: bytes, metadata: Metadata, dev: Sequence[Utterance], progress: Callable[[int, int], object]
) -> Evaluation:
    """Evaluate a model as it will be used: through the recognizer, one thread."""
    recognizer = _open(network, metadata)
    return evaluate(recognizer.logits, metadata.features, metadata.text, recognizer.alphabet, dev, progress)


def keep(folder: Path, network: bytes, metadata: Metadata, accepted: bool) -> Path:
    """Write an accepted model under its scheme's name, another with the mark `rejected`.

    The names speak of the last call: an earlier rejected file is deleted, and a good one, of earlier weights, gets the
    mark `previous`, so that nobody takes it for the model of the run as it is now.
    """
    good, rejected = (folder / file_name(metadata.scheme, *marks) for marks in ((), ("rejected",)))
    path = good if accepted else rejected
    model_file.write(path, network, metadata)
    if accepted:
        rejected.unlink(missing_ok=True)
    elif good.exists():
        good.replace(folder / file_name(metadata.scheme, "previous"))
    return path


def _open(network: bytes, metadata: Metadata) -> Recognizer:
    with tempfile.TemporaryDirectory(prefix="crnn_asr_") as folder:
        path = Path(folder) / "model"
        model_file.write(path, network, metadata)
        return Recognizer(path)


def _summary(folder: Path) -> dict[str, Any]:
    path = RunDirectory(folder).summary
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return summary
