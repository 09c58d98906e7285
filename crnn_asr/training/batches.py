"""From utterances to padded batches: what can be trained on, which go together, and the `tf.data` pipeline.

Every draw is a function of (seed, epoch, utterance), so an epoch can begin at any batch and gives the same arrays.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from crnn_asr.audio.augment import Augmenter
from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio
from crnn_asr.audio.spec_augment import spec_augment
from crnn_asr.config import RunConfig
from crnn_asr.console import describe
from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.text.alphabet import Alphabet, min_frames
from crnn_asr.text.normalize import normalize
from crnn_asr.training.records import Record

Batch = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]
BATCH_SPEC = (
    tf.TensorSpec((None, None, None), tf.float32),
    tf.TensorSpec((None,), tf.int32),
    tf.TensorSpec((None, None), tf.int32),
    tf.TensorSpec((None,), tf.int32),
)


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance that can be trained on: its normalised text and feature frames. A corpus of them is in memory."""

    utterance: Utterance
    text: str
    num_frames: int


def select_examples(
    utterances: Iterable[Utterance], config: RunConfig, alphabet: Alphabet
) -> tuple[list[Example], list[Problem]]:
    """Keep what CTC can align and the limits allow; name everything else with its reason."""
    examples, problems = [], []
    for utterance in utterances:
        text = normalize(utterance.text, config.text)
        frames = config.features.num_frames(round(utterance.duration_s * config.features.sample_rate_hz))
        if reason := _obstacle(utterance, text, frames, config, alphabet):
            problems.append(Problem(utterance.id or str(utterance.audio_path), reason))
        else:
            examples.append(Example(utterance, text, frames))
    return examples, problems


def _obstacle(utterance: Utterance, text: str, frames: int, config: RunConfig, alphabet: Alphabet) -> str:
    low, high = config.training.min_duration_s, config.training.max_duration_s
    if not text:
        return "empty transcript"
    if unknown := alphabet.unknown(text):
        return f"symbols outside the alphabet: {unknown!r}"
    if utterance.duration_s < low:
        return f"too short: {utterance.duration_s:.2f} s, the minimum is {low} s"
    if utterance.duration_s > high:
        return f"too long: {utterance.duration_s:.2f} s, the maximum is {high} s"
    have, need = config.model.output_length(frames), min_frames(alphabet.encode(text))
    if have < need:
        return f"cannot be aligned: {need} symbols and repeats, {have} output frames"
    return ""


def plan_batches(
    num_frames: Sequence[int], batch_frames: int, max_utterances: int, rng: np.random.Generator | None = None
) -> list[list[int]]:
    """Group utterances of like length so that each batch holds at most `batch_frames` padded frames.

    An utterance longer than the budget is a batch of its own. With `rng` the grouping is jittered and the order of
    batches shuffled; without, batches go from short to long.
    """
    keys = np.asarray(num_frames, np.float64)
    if rng is not None:
        keys = keys * rng.uniform(0.95, 1.05, len(keys))
    batches: list[list[int]] = []
    longest = 0
    for index in np.argsort(keys, kind="stable").tolist():
        longest = max(longest, num_frames[index])
        fits = batches and len(batches[-1]) < max_utterances and longest * (len(batches[-1]) + 1) <= batch_frames
        if fits:
            batches[-1].append(index)
        else:
            batches.append([index])
            longest = num_frames[index]
    if rng is not None:
        rng.shuffle(batches)  # type: ignore[arg-type]
    return batches


def nothing(num_mels: int) -> Batch:
    """One row of length 0, with the label that CTC insists on: a replica without utterances keeps in step with it."""
    return (
        np.zeros((1, 1, num_mels), np.float32),
        np.zeros(1, np.int32),
        np.zeros((1, 1), np.int32),
        np.ones(1, np.int32),
    )


def pad_batch(features: Sequence[NDArray[np.float32]], labels: Sequence[Sequence[int]], num_mels: int) -> Batch:
    """Features (B, T, F) and labels (B, U), zeros beyond the true lengths, each with its lengths. B may be 0."""
    feature_lengths = np.array([len(item) for item in features], np.int32)
    label_lengths = np.array([len(item) for item in labels], np.int32)
    values = np.zeros((len(features), feature_lengths.max(initial=0), num_mels), np.float32)
    ids = np.zeros((len(labels), label_lengths.max(initial=0)), np.int32)
    for row, (item, label) in enumerate(zip(features, labels)):
        values[row, : len(item)] = item
        ids[row, : len(label)] = label
    return values, feature_lengths, ids, label_lengths


class BatchSource:
    """Examples and what is done to them. `problems` collects utterances whose audio turned out unusable."""

    def __init__(self, examples: Sequence[Example], config: RunConfig, augmenter: Augmenter | None = None) -> None:
        self.examples = examples
        self.config = config
        self.augmenter = augmenter
        self.alphabet = Alphabet(config.alphabet)
        self.problems: dict[str, Problem] = {}

    def plan(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch, as indices of examples."""
        training = self.config.training
        rng = np.random.default_rng((training.seed, epoch)) if self.augmenter else None
        frames = [example.num_frames for example in self.examples]
        return plan_batches(frames, training.batch_frames, training.max_batch_utterances, rng)

    def load(self, indices: Sequence[int], epoch: int) -> tuple[Batch, list[Example]]:
        """Read, augment and transform the utterances of one batch; unusable ones are left out and named."""
        features, labels, kept = [], [], []
        for index in indices:
            example = self.examples[index]
            symbols = self.alphabet.encode(example.text)
            rng = np.random.default_rng((self.config.training.seed, epoch, index))
            try:
                features.append(self._features(example.utterance, min_frames(symbols), rng))
                labels.append(symbols)
                kept.append(example)
            except (OSError, ValueError) as error:
                name = example.utterance.id or str(example.utterance.audio_path)
                self.problems[name] = Problem(name, describe(error))
        return pad_batch(features, labels, self.config.features.num_mels), kept

    def _features(self, utterance: Utterance, need: int, rng: np.random.Generator) -> NDArray[np.float32]:
        if isinstance(utterance, Record):
            features = utterance.read_features()
        else:
            features = compute_features(self._samples(utterance, need, rng), self.config.features)
        if self.config.model.output_length(len(features)) < need:
            raise ValueError(f"the audio holds {len(features)} frames, too few for its {need} symbols and repeats")
        return spec_augment(features, self.config.spec_augment, rng) if self.augmenter else features

    def _samples(self, utterance: Utterance, need: int, rng: np.random.Generator) -> NDArray[np.float32]:
        config = self.config
        samples = read_audio(utterance.audio_path, config.features.sample_rate_hz)
        if self.augmenter:
            augmented = self.augmenter(samples, rng)
            if config.model.output_length(config.features.num_frames(len(augmented))) >= need:
                samples = augmented  # else it was sped up past what CTC can align
        return samples

    def dataset(self, epoch: int, start: int = 0, workers: int = 2, share: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """Batches of an epoch from number `start` on: features, feature_lengths, labels, label_lengths.

        Of the n replicas that share every batch, number i passes (i, n) and gets rows i, i + n, … Where these are none,
        or cannot be read, it gets one row of length 0, which counts nowhere.
        """
        plan = self.plan(epoch)
        first, step = share

        def load(number: NDArray[np.int64]) -> Batch:
            batch, examples = self.load(plan[int(number)][first::step], epoch)
            return batch if examples else nothing(self.config.features.num_mels)

        return pipeline(load, range(start, len(plan)), workers)


def pipeline(load: Callable[[Any], Batch], numbers: range, workers: int) -> tf.data.Dataset:
    """Call `load` for each number in parallel threads, keep the order, fetch ahead."""

    def fetch(number: Any) -> Any:
        # `load` is a function of its number: declared so, or op determinism would run it one by one.
        values = tf.numpy_function(load, [number], [spec.dtype for spec in BATCH_SPEC], stateful=False)
        return tuple(tf.ensure_shape(value, spec.shape) for value, spec in zip(values, BATCH_SPEC))

    dataset = tf.data.Dataset.range(numbers.start, numbers.stop)
    return dataset.map(fetch, num_parallel_calls=workers, deterministic=True).prefetch(workers)
