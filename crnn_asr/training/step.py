"""One step of training and one of evaluation, compiled."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from crnn_asr.config import RunConfig, TrainingConfig
from crnn_asr.training.batches import BATCH_SPEC
from crnn_asr.training.loss import ctc_loss
from crnn_asr.training.model import CRNN
from crnn_asr.training.optimizers import make_optimizer
from crnn_asr.training.replicas import num_local, sum_over_replicas

Tensor = Any
SCALAR = tf.TensorSpec((), tf.float32)
SEED = tf.TensorSpec((2,), tf.int32)
SEEDS_A_REPLICA = 1_000  # more than a model draws dropout masks from


def make_learner(config: RunConfig) -> tuple[CRNN, keras.optimizers.Optimizer, Any]:
    """A run's model and optimizer, and what `run_step` takes: one function, or three where batches are accumulated."""
    model = CRNN(config.model, config.training.precision, config.transfer.freeze)
    optimizer = make_optimizer(config.training, model)
    make_step = make_train_step if config.training.accumulate_batches == 1 else make_accumulating_step
    return model, optimizer, make_step(model, optimizer, config.training)


def run_step(step: Any, batches: Sequence[Any], seeds: Sequence[Tensor], rate: float) -> tuple[Tensor, Tensor]:
    """One step on batches, each with its seed (2,): the totals (loss, utterances, frames), and the gradient's norm.

    The norm is NaN where the loss, the gradient or a statistic of batch norm was not finite: the step changed nothing.
    """
    if callable(step):
        (batch,), (seed,) = batches, seeds
        return step(*batch, seed, rate)  # type: ignore[no-any-return]
    begin, add, finish = step
    begin()
    for batch, seed in zip(batches, seeds):
        add(*batch, seed)
    return finish(rate)  # type: ignore[no-any-return]


def learning_rate(config: TrainingConfig, step: float, total_steps: int, scale: float) -> float:
    """The rate of a step: linear warm-up, then cosine to zero or constant; `scale` times that."""
    warmup = min(config.warmup_steps, total_steps // 2)
    if step < warmup:
        return config.learning_rate * scale * (step + 1) / warmup
    if config.schedule == "plateau":
        return config.learning_rate * scale
    return scale * config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total_steps - warmup)))


def make_train_step(model: CRNN, optimizer: keras.optimizers.Optimizer, config: TrainingConfig) -> Callable[..., Any]:
    """A compiled function of the batches of this process's replicas, one after another, a seed (2,) and a rate.

    It returns the totals of the whole batch (loss, utterances, frames) and the norm of the gradient before clipping. A
    number that is not finite leaves weights, optimizer and batch norm as they were, and so does a batch of nothing.
    """
    strategy = tf.distribute.get_strategy()

    def replica_step(batches: Any, seed: Tensor) -> tuple[Any, ...]:
        batch = _own(batches)
        (utterances,) = sum_over_replicas(tf.reduce_sum(_counts(batch[1])))
        totals, gradients, seen = _totals_and_gradients(model, batch, seed, tf.maximum(utterances, 1.0), config)
        averages = [variable.value for variable in model.running_statistics]
        totals, *gradients = sum_over_replicas(totals, *gradients)
        return totals, model.moved_statistics(averages, seen), *tf.clip_by_global_norm(gradients, config.clip_norm)

    @tf.function(input_signature=_signature(strategy, SEED, SCALAR), autograph=False)
    def train_step(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        *batches, seed, rate = arguments
        return _update(strategy, model, optimizer, rate, *strategy.run(replica_step, (batches, seed)))

    return train_step


def make_accumulating_step(
    model: CRNN, optimizer: keras.optimizers.Optimizer, config: TrainingConfig
) -> tuple[Callable[..., Any], ...]:
    """`make_train_step` in three functions, for a step of several batches that are not in memory together.

    The first begins a step, whatever became of the one before; the second takes batches and a seed, the third a rate.
    Sums of losses are accumulated and divided by the number of utterances at the end, so that each utterance has the
    weight it would have in one large batch. Batch norm's statistics move from batch to batch, beside the model.
    """
    strategy = tf.distribute.get_strategy()
    variables, statistics = model.trainable_variables, model.running_statistics
    options = {"trainable": False, "synchronization": tf.VariableSynchronization.ON_READ}
    sums = [
        tf.Variable(tf.zeros(shape), aggregation=tf.VariableAggregation.SUM, **options)
        for shape in [(3,), *(variable.shape for variable in variables)]
    ]
    moving = [
        tf.Variable(tf.zeros(variable.shape), aggregation=tf.VariableAggregation.MEAN, **options)
        for variable in statistics
    ]

    def replica_begin() -> None:
        for accumulator in sums:
            accumulator.assign(tf.zeros_like(accumulator))
        for average, variable in zip(moving, statistics):
            average.assign(variable.value)

    def replica_add(batches: Any, seed: Tensor) -> None:
        totals, gradients, seen = _totals_and_gradients(model, _own(batches), seed, 1.0, config)
        averages = [tf.convert_to_tensor(average) for average in moving]
        for accumulator, value in zip(sums, [totals, *gradients]):
            accumulator.assign_add(value)
        for average, value in zip(moving, model.moved_statistics(averages, seen)):
            average.assign(value)

    def replica_finish() -> tuple[Any, ...]:
        totals, *gradients = sum_over_replicas(*(tf.convert_to_tensor(accumulator) for accumulator in sums))
        gradients = [gradient / tf.maximum(totals[1], 1.0) for gradient in gradients]
        averages = [tf.convert_to_tensor(average) for average in moving]
        return totals, averages, *tf.clip_by_global_norm(gradients, config.clip_norm)

    @tf.function(input_signature=[], autograph=False)
    def begin() -> None:
        strategy.run(replica_begin)

    @tf.function(input_signature=_signature(strategy, SEED), autograph=False)
    def add(*arguments: Tensor) -> None:
        *batches, seed = arguments
        strategy.run(replica_add, (batches, seed))

    @tf.function(input_signature=[SCALAR], autograph=False)
    def finish(rate: Tensor) -> tuple[Tensor, Tensor]:
        return _update(strategy, model, optimizer, rate, *strategy.run(replica_finish))

    return begin, add, finish


def _signature(strategy: tf.distribute.Strategy, *more: tf.TensorSpec) -> list[tf.TensorSpec]:
    return [*BATCH_SPEC * num_local(strategy), *more]


def _replica() -> int:
    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))


def _own(batches: list[Tensor]) -> list[Tensor]:
    """A replica's batch out of those of its process."""
    size = len(BATCH_SPEC)
    start = size * _replica() % len(batches)
    return batches[start : start + size]


def _counts(lengths: Tensor) -> Tensor:
    """1.0 for an utterance, 0.0 for the row that `batches.nothing` fills an empty share with."""
    return tf.cast(lengths > 0, tf.float32)


def _totals_and_gradients(
    model: CRNN, batch: list[Tensor], seed: Tensor, divisor: Tensor, config: TrainingConfig
) -> tuple[Tensor, list[Tensor], list[tuple[Tensor, ...]]]:
    """Of a replica's batch: summed loss, utterances and frames (3,), the gradient of summed loss / divisor, and what
    the batch norms saw.

    The gradient is that of (1 - w) · CTC of the last layer + w · the mean of those behind the layers before (Lee &
    Watanabe 2021), w being `inner_loss_weight`; the loss is the last layer's.
    """
    features, lengths, labels, label_lengths = batch
    variables = [variable.value for variable in model.trainable_variables]
    seed = seed + tf.constant([SEEDS_A_REPLICA * _replica(), 0])
    with tf.GradientTape(watch_accessed_variables=False) as tape:  # so that nothing is done for frozen layers
        tape.watch(variables)
        seen: list[tuple[Tensor, ...]] = []
        *inner, logits = model.every_logits((features, lengths), training=True, seed=seed, seen=seen)
        logit_lengths = tf.maximum(model.settings.output_length(lengths), 1)

        def summed(logits: Tensor) -> Tensor:
            return tf.reduce_sum(ctc_loss(logits, logit_lengths, labels, label_lengths) * _counts(lengths))

        total = summed(logits)
        loss = total / divisor
        if inner and (weight := config.inner_loss_weight):
            mean = tf.add_n([summed(logits) for logits in inner]) / len(inner)
            loss = ((1 - weight) * total + weight * mean) / divisor
    frames = tf.cast(tf.reduce_sum(lengths), tf.float32)
    return tf.stack([total, tf.reduce_sum(_counts(lengths)), frames]), tape.gradient(loss, variables), seen


def _update(
    strategy: tf.distribute.Strategy,
    model: CRNN,
    optimizer: keras.optimizers.Optimizer,
    rate: Tensor,
    totals: Any,
    statistics: Any,
    gradients: Any,
    norm: Any,
) -> tuple[Tensor, Tensor]:
    """Apply gradients and assign statistics, which all replicas have alike, if they are finite and of something; return
    totals and norm, NaN where anything is not finite.
    """
    own = [strategy.experimental_local_results(value)[0] for value in (totals, norm, *statistics)]
    totals, norm, *averages = own
    is_finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in (totals[0], norm, *averages)])

    def change(gradients: Any, statistics: Any) -> None:
        optimizer.apply(gradients)
        for variable, value in zip(model.running_statistics, statistics):
            variable.assign(value)

    def apply() -> Tensor:
        optimizer.learning_rate.assign(rate)
        strategy.run(change, (gradients, statistics))
        return norm

    norm = tf.where(is_finite, norm, math.nan)
    return totals, tf.cond((totals[1] > 0) & is_finite, apply, lambda: norm)


def make_dev_step(model: CRNN) -> Callable[..., Any]:
    """A compiled function of a batch: the logits, their lengths, and the loss of each utterance."""

    @tf.function(input_signature=[*BATCH_SPEC], autograph=False)
    def dev_step(features: Tensor, lengths: Tensor, labels: Tensor, label_lengths: Tensor):  # type: ignore[no-untyped-def]
        logits = model((features, lengths), training=False)
        logit_lengths = model.settings.output_length(lengths)
        return logits, logit_lengths, ctc_loss(logits, logit_lengths, labels, label_lengths)

    return dev_step
