"""Ranges of all products' inputs and outputs, measured on recordings; INT8 spreads its 256 steps over them."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from crnn_asr.config import ModelConfig
from crnn_asr.export.graph import Weights, compiled, forward
from crnn_asr.export.histogram import Histogram
from crnn_asr.export.modes import Float, Int8, Observing, Simulated
from crnn_asr.export.ranges import Ranges, ranges_by, rules_of

Features = NDArray[np.float32]

_HELD_BACK = 5  # one utterance of so many judges the ranges that the others gave


@dataclass(frozen=True)
class Calibration:
    """Ranges and what is known of them.

    `errors` holds, for each rule that was tried, the RMS error of log-probabilities on utterances it was not measured
    on; `saturated` the share of values there that lies beyond the range, for each product that is rounded.
    """

    ranges: Ranges
    rule: str
    errors: dict[str, float]
    saturated: dict[str, float]


def calibrate(
    weights: Weights,
    config: ModelConfig,
    features: Sequence[Features],
    choice: str,
    output: str = "float32",
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Calibration:
    """Measure ranges by every rule that `choice` allows, and keep those that change log-probabilities least.

    Each fifth utterance is held back from measuring and judges the rules. Of one or two, all do both.

    Args:
        features: of each utterance, (T, F).
        choice: of `ranges.CHOICES`.
        output: of the file, float32 or int8.
    """
    held_back, measured = split(features)
    done = itertools.count(1)

    def moving(part: Sequence[Features]) -> Iterator[Features]:
        for values in part:
            yield values
            progress(next(done), len(measured) + 2 * len(held_back))

    seen = watch(weights, config, moving(measured))
    tried = {rule: ranges_by(rule, seen) for rule in rules_of(choice)}
    errors = judge(weights, config, tried, moving(held_back), output)
    rule = min(errors, key=errors.__getitem__)
    unseen = watch(weights, config, moving(held_back))
    rounded = tried[rule].keys() - Int8(tried[rule], output).left_float
    saturated = {name: unseen[name].share_outside(*tried[rule][name]) for name in tried[rule] if name in rounded}
    return Calibration(tried[rule], rule, errors, saturated)


def split(features: Sequence[Features]) -> tuple[list[Features], list[Features]]:
    """Utterances that judge ranges, and those that ranges are measured on."""
    if len(features) < 3:
        return list(features), list(features)
    rest = [values for number, values in enumerate(features) if number % _HELD_BACK != 2]
    return list(features[2::_HELD_BACK]), rest


def measure_ranges(weights: Weights, config: ModelConfig, features: Sequence[Features], rule: str = "mean") -> Ranges:
    """The ranges that one of `ranges.RULES` makes of utterances' features, each (T, F)."""
    return ranges_by(rule, watch(weights, config, features))


def watch(weights: Weights, config: ModelConfig, features: Iterable[Features]) -> dict[str, Histogram]:
    """The values of every product's input and output over all utterances, in the float graph."""

    def observe(x: Any) -> dict[str, Any]:
        mode = Observing()
        forward(x, weights, config, mode)
        return mode.seen

    watched = compiled(observe, config)
    histograms: dict[str, Histogram] = {}
    for values in features:
        for name, seen in watched(values[None]).items():
            histograms.setdefault(name, Histogram()).add(seen.numpy())
    return histograms


def judge(
    weights: Weights,
    config: ModelConfig,
    candidates: Mapping[str, Ranges],
    features: Iterable[Features],
    output: str = "float32",
) -> dict[str, float]:
    """The RMS error of log-probabilities that each candidate makes on utterances, against the float graph.

    Activations are rounded as INT8 kernels do. Weights are not: their error is the same for all candidates.
    """
    names = list(next(iter(candidates.values())))
    tables = {candidate: np.array([ranges[name] for name in names], "f") for candidate, ranges in candidates.items()}

    signature = [tf.TensorSpec((1, None, config.num_mels)), tf.TensorSpec((len(names), 2))]

    @tf.function(input_signature=signature, autograph=False)
    def rounded(x: Any, table: Any) -> Any:
        mode = Simulated({name: (table[row, 0], table[row, 1]) for row, name in enumerate(names)}, output)
        return tf.nn.log_softmax(forward(x, weights, config, mode))

    exact = compiled(lambda x: tf.nn.log_softmax(forward(x, weights, config, Float())), config)
    squares, count = dict.fromkeys(candidates, 0.0), 0
    for values in features:
        expected = exact(values[None])
        count += expected.shape.num_elements()
        for candidate, table in tables.items():
            squares[candidate] += float(tf.reduce_sum((rounded(values[None], table) - expected) ** 2))
    return {candidate: float(np.sqrt(total / count)) for candidate, total in squares.items()}
