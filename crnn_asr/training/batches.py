"""From utterances to padded batches: what can be trained on, and the `tf.data` pipeline.

Every draw is a function of (seed, epoch, utterance), so an epoch can begin at any batch and gives the same arrays.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
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
from crnn_asr.errors import DataError
from crnn_asr.text.alphabet import Alphabet, min_frames
from crnn_asr.text.normalize import normalize
from crnn_asr.training.plan import Plan, PlannedBatch, padded_length, plan_batches
from crnn_asr.training.records import Record

Batch = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]
BATCH_SPEC = (
    tf.TensorSpec((None, None, None), tf.float32),
    tf.TensorSpec((None,), tf.int32),
    tf.TensorSpec((None, None), tf.int32),
    tf.TensorSpec((None,), tf.int32),
)

logger = logging.getLogger(__name__)
_POOL = 1 << 31  # tells draws from the pool from all others; no epoch has this number


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance that can be trained on: its normalised text, its samples at the front end's rate, and the logit
    frames that CTC needs for it at least. A corpus of them is in memory.
    """

    utterance: Utterance
    text: str
    num_samples: int
    min_logit_frames: int


def select_examples(
    utterances: Iterable[Utterance], config: RunConfig, alphabet: Alphabet
) -> tuple[list[Example], list[Problem]]:
    """Keep what CTC can align and the limits allow; name everything else with its reason."""
    examples, problems = [], []
    for utterance in utterances:
        text = normalize(utterance.text, config.text)
        reason, need = _obstacle(utterance, text, config, alphabet), 0
        samples = round(utterance.duration_s * config.features.sample_rate_hz)
        if not reason:
            need = min_frames(alphabet.encode(text))
            have = config.model.output_length(config.features.num_frames(samples))
            reason = f"cannot be aligned: {need} symbols and repeats, {have} output frames" if have < need else ""
        if reason:
            problems.append(Problem(utterance.id or str(utterance.audio_path), reason))
        else:
            examples.append(Example(utterance, text, samples, need))
    return examples, problems


def _obstacle(utterance: Utterance, text: str, config: RunConfig, alphabet: Alphabet) -> str:
    low, high = config.training.min_duration_s, config.training.max_duration_s
    if not text:
        return "empty transcript"
    if unknown := alphabet.unknown(text):
        return f"symbols outside the alphabet: {unknown!r}"
    if utterance.duration_s < low:
        return f"too short: {utterance.duration_s:.2f} s, the minimum is {low} s"
    if utterance.duration_s > high:
        return f"too long: {utterance.duration_s:.2f} s, the maximum is {high} s"
    return ""


def pad_batch(
    features: Sequence[NDArray[np.float32]], labels: Sequence[Sequence[int]], num_mels: int, frames: int = 0
) -> Batch:
    """Features (B, T, F) and labels (B, U), zeros beyond the true lengths, each with its lengths.

    T is `frames`, or the padded length of the longest where that does not hold it. B may be 0.
    """
    feature_lengths = np.array([len(item) for item in features], np.int32)
    label_lengths = np.array([len(item) for item in labels], np.int32)
    frames = max(frames, int(padded_length(feature_lengths.max(initial=0))))
    values = np.zeros((len(features), frames, num_mels), np.float32)
    ids = np.zeros((len(labels), label_lengths.max(initial=1)), np.int32)
    for row, (item, label) in enumerate(zip(features, labels)):
        values[row, : len(item)] = item
        ids[row, : len(label)] = label
    return values, feature_lengths, ids, label_lengths


def add_rows(batch: Batch, rows: int) -> Batch:
    """Fill a batch up with rows of length 0, with the label that CTC insists on; they count nowhere."""
    missing = max(0, rows - len(batch[0]))
    features, lengths, ids, label_lengths = (
        np.pad(array, [(0, missing), *[(0, 0)] * (array.ndim - 1)]) if missing else array for array in batch
    )
    label_lengths[len(label_lengths) - missing :] = 1
    return features, lengths, ids, label_lengths


class BatchSource:
    """Examples and what is done to them. `problems` collects utterances whose audio turned out unusable.

    Where it is `strict`, the first of them is an error. Of the `pool`, which follows the others in `examples`, an epoch
    takes as many as there are others, or a little more, and each once before any comes again.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        config: RunConfig,
        augmenter: Augmenter | None = None,
        strict: bool = False,
        pool: Sequence[Example] = (),
    ) -> None:
        self.always, self.pool = examples, pool
        self.examples = examples = [*examples, *pool]
        self.config = config
        self.augmenter = augmenter
        self.strict = strict
        self.alphabet = Alphabet(config.alphabet)
        self.problems: dict[str, Problem] = {}
        self._num_samples = np.array([example.num_samples for example in examples], np.int64)
        self._min_logit_frames = np.array([example.min_logit_frames for example in examples], np.int64)
        self._is_audio = np.array([not isinstance(example.utterance, Record) for example in examples], bool)

    def plan(self, epoch: int) -> Plan:
        """The batches of an epoch, by the lengths that its utterances will have after the tempo drawn for them."""
        training, features = self.config.training, self.config.features
        rng, tempo, num_samples = None, None, self._num_samples
        if self.augmenter:
            rng = np.random.default_rng((training.seed, epoch))
            tempo = self.augmenter.scaled(self._strength(epoch)).draw_tempo(num_samples, rng)
            changed = tempo.num_samples(num_samples)
            fits = self.config.model.output_length(features.num_frames(changed)) >= self._min_logit_frames
            fits &= self._is_audio  # what is stored as features is not played at all
            tempo = replace(tempo, stretch=np.where(fits, tempo.stretch, 1), speed=np.where(fits, tempo.speed, 1))
            num_samples = np.where(fits, changed, num_samples)
        num_frames = features.num_frames(num_samples)
        heard = self._heard(epoch)
        batches = plan_batches(num_frames[heard], training.batch_frames, training.max_batch_utterances, rng)
        return Plan(epoch, [replace(batch, indices=heard[batch.indices]) for batch in batches], tempo, num_frames)

    def _heard(self, epoch: int) -> NDArray[np.int64]:
        """Indices of an epoch's examples, in order."""
        always, pool = len(self.always), len(self.pool)
        epochs = max(1, pool // max(1, always))  # in which all of the pool is heard
        turn, part = divmod(epoch, epochs)
        drawn = np.random.default_rng((self.config.training.seed, turn, _POOL)).permutation(pool)[part::epochs]
        return np.concatenate([np.arange(always), always + np.sort(drawn)])

    def load(self, plan: Plan, batch: PlannedBatch, share: slice = slice(None)) -> tuple[Batch, list[Example]]:
        """Read, augment and transform the utterances of a batch; unusable ones are left out and named."""
        features, labels, kept = [], [], []
        for index in batch.indices[share].tolist():
            example = self.examples[index]
            try:
                features.append(self._features(plan, index))
                labels.append(self.alphabet.encode(example.text))
                kept.append(example)
            except (OSError, ValueError) as error:
                name = example.utterance.id or str(example.utterance.audio_path)
                if name not in self.problems:
                    logger.warning("unusable utterance %s: %s", name, describe(error), extra={"fields": {"id": name}})
                self.problems[name] = Problem(name, describe(error))
                if self.strict:
                    raise DataError(str(self.problems[name])) from error
        return pad_batch(features, labels, self.config.features.num_mels, batch.frames), kept

    def _features(self, plan: Plan, index: int) -> NDArray[np.float32]:
        utterance, need = self.examples[index].utterance, self.examples[index].min_logit_frames
        rng = np.random.default_rng((self.config.training.seed, plan.epoch, index))
        if isinstance(utterance, Record):
            features = utterance.read_features()
        else:
            features = compute_features(self._samples(plan, index, rng), self.config.features)
        if not np.isfinite(features.sum()):
            raise ValueError("its features are not finite; listen to it, and take it out of the manifest")
        if self.config.model.output_length(len(features)) < need:
            raise ValueError(f"the audio holds {len(features)} frames, too few for its {need} symbols and repeats")
        if self.augmenter is None:
            return features
        return spec_augment(features, self.config.spec_augment.scaled(self._strength(plan.epoch)), rng)

    def _samples(self, plan: Plan, index: int, rng: np.random.Generator) -> NDArray[np.float32]:
        example, config = self.examples[index], self.config
        samples = read_audio(example.utterance.audio_path, config.features.sample_rate_hz)
        if self.augmenter is None or plan.tempo is None:
            return samples
        for effects in (plan.tempo.effects(index), plan.tempo.cuts(index)):
            played = self.augmenter.apply(samples, effects)
            # Too short is what is cut too closely, or planned by a duration that is too long in the manifest.
            if config.model.output_length(config.features.num_frames(len(played))) >= example.min_logit_frames:
                samples = played
        return self.augmenter.apply(samples, self.augmenter.scaled(self._strength(plan.epoch)).draw_scene(rng))

    def _strength(self, epoch: int) -> float:
        """The share of augmentation that an epoch gets: it grows in the first ones, where there is a ramp."""
        ramp = self.config.training.ramp_epochs
        return min(1.0, epoch / ramp) if ramp else 1.0

    def dataset(self, plan: Plan, start: int = 0, workers: int = 2, share: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
        """Batches of an epoch from number `start` on: features, feature_lengths, labels, label_lengths.

        Of the n replicas that share every batch, number i passes (i, n) and gets rows i, i + n, … Rows without an
        utterance, or whose utterance cannot be read, have length 0 and count nowhere; a share has at least one row.
        """
        own = slice(share[0], None, share[1])

        def load(number: NDArray[np.int64]) -> Batch:
            planned = plan.batches[int(number)]
            return add_rows(self.load(plan, planned, own)[0], max(1, len(range(planned.rows)[own])))

        return pipeline(load, range(start, len(plan.batches)), workers)


def pipeline(load: Callable[[Any], Batch], numbers: range, workers: int) -> tf.data.Dataset:
    """Call `load` for each number in parallel threads, keep the order, fetch ahead."""

    def fetch(number: Any) -> Any:
        # `load` is a function of its number: declared so, or op determinism would run it one by one.
        values = tf.numpy_function(load, [number], [spec.dtype for spec in BATCH_SPEC], stateful=False)
        return tuple(tf.ensure_shape(value, spec.shape) for value, spec in zip(values, BATCH_SPEC))

    dataset = tf.data.Dataset.range(numbers.start, numbers.stop)
    dataset = dataset.map(fetch, num_parallel_calls=workers, deterministic=True).prefetch(workers)
    # The tuner has nothing to tune here, and its thread can sleep for up to a minute before an iterator is deleted.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
