"""From a trained run to judged model files: calibrate, convert, check against Keras, measure, keep or reject."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from crnn_asr.corpus.manifest import Problem
from crnn_asr.errors import ModelError
from crnn_asr.export.calibrate import calibrate
from crnn_asr.export.convert import convert, file_name
from crnn_asr.export.flatbuffer import check_int8, check_integer
from crnn_asr.export.gate import Gate
from crnn_asr.export.measure import Progress, measure
from crnn_asr.export.picture import draw_report
from crnn_asr.export.report import Report, Result
from crnn_asr.export.sampling import choose, read_features
from crnn_asr.export.sets import UtteranceSets
from crnn_asr.export.tables import markdown_text
from crnn_asr.files import write_text
from crnn_asr.inference import model_file
from crnn_asr.inference.flatbuffer import encodings
from crnn_asr.inference.model_file import Metadata
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.training.run import RunDirectory, load_weights
from crnn_asr.training.transcriber import open_model

Features = NDArray[np.float32]
Model = Callable[[Features], NDArray[np.float32]]  # features (T, F) → logits (T', V)

REFERENCE = "float32"
MAX_FLOAT_DIFFERENCE = 1e-4
_PARITY_UTTERANCES = 8


@dataclass(frozen=True)
class Order:
    """What is wanted of a run.

    `schemes` are of `convert.SCHEMES`; float32 is always made, to compare with. `num_samples` utterances calibrate, by
    the rules of one of `ranges.CHOICES`.
    """

    schemes: tuple[str, ...]
    num_samples: int = 100
    ranges: str = "auto"
    gate: Gate = field(default_factory=Gate)
    with_speed: bool = True
    io: str = "float32"  # of the networks' input and output, as in `convert`
    log_probs: bool = False  # whether networks end in log-softmax


def quantize(folder: Path, order: Order, sets: UtteranceSets, progress: Progress) -> tuple[Report, list[Problem]]:
    """Convert a run's best weights and judge the results; write the model files and `report.json`, `.md` and `.png`.

    Args:
        folder: of the run.
        sets: what to calibrate on and what to score on.

    Returns:
        The report, and the utterances that could not be read.

    Raises:
        ModelError: not a trained run; the converter crashed; a model that is not what it should be.
        DataError: no utterance can be read.
    """
    config, weights = load_weights(folder)
    metadata = Metadata(
        *(REFERENCE, config.features, config.model, config.text, config.alphabet, _summary(folder)),
        log_probs=order.log_probs,
    )
    with progress("choose", "utterance") as move:
        chosen, unread = choose(sets.calibration, order.num_samples, config.features.sample_rate_hz, move)
    with progress("read", "utterance") as move:
        features, problems = read_features(chosen, config.features, move)
    with progress("calibrate", "utterance") as move:
        calibration = calibrate(weights, config.model, features, order.ranges, order.io, move)
    schemes = tuple(dict.fromkeys((REFERENCE, *order.schemes)))
    networks = convert(weights, config.model, calibration.ranges, schemes, features, order.io, order.log_probs)
    for scheme, check in (("int8", check_int8), ("integer", check_integer)):
        if scheme in networks:
            check(networks[scheme], config.model)
    with tempfile.TemporaryDirectory(prefix=".quantize_", dir=folder) as scratch:
        paths = {scheme: Path(scratch) / file_name(scheme) for scheme in networks}
        for scheme, network in networks.items():
            first, last = (model_file.Encoding(),) * 2 if model_file.is_onnx(network) else encodings(network)
            model_file.write(paths[scheme], network, replace(metadata, scheme=scheme, input=first, output=last))
        some = features[:: max(1, len(features) // _PARITY_UTTERANCES)]
        reference = _reference(folder, order.log_probs)
        floats = [paths[scheme] for scheme in (REFERENCE, "onnx") if scheme in paths]
        difference = max(check_float(Recognizer(path).logits, reference, some) for path in floats)
        results = []
        for measured in measure(paths, sets.dev, order.with_speed, progress):
            objections = () if measured.scheme == REFERENCE else tuple(order.gate.objections(measured))
            wanted = measured.scheme in order.schemes
            path = keep(folder, paths[measured.scheme], not objections) if wanted else None
            results.append(Result(measured, objections, path))
    ids = tuple(utterance.id for utterance in chosen)
    report = Report(tuple(results), calibration, ids, sets.left_out, order.gate, difference)
    write_report(folder, report)
    return report, [*unread, *problems, *results[0].measured.evaluation.problems]


def _reference(folder: Path, log_probs: bool) -> Model:
    """The trained model, with log-softmax behind it if wanted."""
    model = open_model(folder)[1]
    return (lambda features: log_softmax(model(features), -1)) if log_probs else model


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


def keep(folder: Path, written: Path, accepted: bool) -> Path:
    """Move a model file into the run: an accepted one under its name, another as `model.<scheme>.rejected.<suffix>`.

    The names speak of the last call: an earlier rejected file is deleted, and a good one, of earlier weights, becomes
    `model.<scheme>.previous.<suffix>`, where nobody takes it for the model of the run as it is now.
    """
    good, rejected, previous = (
        folder / f"{written.stem}{kind}{written.suffix}" for kind in ("", ".rejected", ".previous")
    )
    if accepted:
        rejected.unlink(missing_ok=True)
    elif good.exists():
        good.replace(previous)
    return written.replace(good if accepted else rejected)


def write_report(folder: Path, report: Report) -> None:
    """`report.json`, `report.md`, and where times were measured, `report.png`."""
    run = RunDirectory(folder)
    text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(run.report_json, text + "\n")
    write_text(run.report_markdown, markdown_text(report))
    run.report_picture.unlink(missing_ok=True)
    if report.results[0].measured.timings:
        draw_report(report, run.report_picture)


def _summary(folder: Path) -> dict[str, Any]:
    path = RunDirectory(folder).summary
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return summary
