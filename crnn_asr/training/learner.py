"""Model and optimizer of a run and how they take a step, also where memory does not hold a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from crnn_asr.config import RunConfig
from crnn_asr.errors import DataError
from crnn_asr.training.batches import BATCH_SPEC, add_rows
from crnn_asr.training.replicas import Replicas
from crnn_asr.training.step import SEEDS_A_REPLICA, make_accumulating_step, make_learner, run_step

Arrays = Sequence[Any]  # the batches of this process's replicas, one after another
ARRAYS = len(BATCH_SPEC)  # of one replica


@dataclass(frozen=True)
class Outcome:
    """Of a step, all replicas together: loss in nats, summed over utterances; `norm` as of `run_step`.

    `limit` is the number of padded frames that memory holds at once, if that is known by now.
    """

    loss: float
    utterances: int
    frames: int
    norm: float
    limit: int


class Learner:
    """A model in training."""

    def __init__(self, config: RunConfig, replicas: Replicas) -> None:
        self.config, self.replicas = config, replicas
        with replicas.strategy.scope():
            self.model, self.optimizer, self.train_step = make_learner(config)
        self.variables = [*self.model.weights, *self.optimizer.variables]

    def step(self, group: Sequence[Arrays], number: int, rate: float, limit: int = 0) -> Outcome:
        """Train on the batches of one step.

        Where memory runs out, each batch that is too large is taken in parts of half its size, and in halves of those
        if need be, whose gradients are summed. Utterances then have the weight they have in the whole batch; batch norm
        sees the parts, and dropout draws other masks.

        Args:
            number: of the first batch, which no other step has.
            limit: padded frames that memory holds at once; 0 is no limit.

        Raises:
            DataError: memory does not hold a single utterance.
        """
        while True:
            counts = [_num_parts(batch, limit) for batch in group]
            parts = [
                (part, self._seed(number + i, k))
                for i, (batch, count) in enumerate(zip(group, counts))
                for k, part in enumerate(split(batch, count))
            ]
            if (outcome := self._try(parts, rate, limit)) is not None:
                return outcome
            # Outside of the handler, which would keep what the failed step holds.
            largest = max((batch for batch, _ in parts), key=_frames)
            utterances = _utterances(largest)
            if utterances <= 1:
                seconds = _frames(largest) * self.config.features.hop_ms / 1000
                raise DataError(
                    f"memory ran out in a step of one utterance of {seconds:.0f} s; lower --max-duration, "
                    "or close what else needs memory, and go on with --resume"
                )
            limit = _frames(largest) * -(-utterances // 2) // utterances

    def _try(self, parts: Sequence[tuple[Arrays, Any]], rate: float, limit: int) -> Outcome | None:
        """The step, or None where memory ran out before anything changed."""
        batches, seeds = zip(*parts)
        try:
            if limit and callable(self.train_step):  # then always, for the two round differently
                with self.replicas.strategy.scope():
                    self.train_step = make_accumulating_step(self.model, self.optimizer, self.config.training)
            totals, norm = run_step(self.train_step, batches, seeds, rate)
        except (tf.errors.ResourceExhaustedError, MemoryError):
            if not self.replicas.is_alone:  # the others wait for its part of this very step
                raise
            return None
        loss, utterances, frames = totals.numpy().tolist()
        return Outcome(loss, int(utterances), int(frames), float(norm), limit)

    def _seed(self, number: int, part: int) -> Any:
        """Of a batch's part: as of that of one more replica, so that parts have masks of their own."""
        replicas = self.replicas.strategy.num_replicas_in_sync
        return tf.constant([self.config.training.seed + SEEDS_A_REPLICA * replicas * part, number])


def _frames(batch: Arrays) -> int:
    """Padded frames of the replica that has the most."""
    return int(max(array.shape[0] * array.shape[1] for array in batch[::ARRAYS]))


def _utterances(batch: Arrays) -> int:
    """Rows of the replica that has the most."""
    return int(max(array.shape[0] for array in batch[::ARRAYS]))


def _num_parts(batch: Arrays, limit: int) -> int:
    """The fewest parts of at most `limit` padded frames; an utterance is not divided."""
    frames, utterances = _frames(batch), _utterances(batch)
    count = 1
    while limit and count < utterances and -(-utterances // count) * frames > limit * utterances:
        count += 1
    return count


def split(batch: Arrays, count: int) -> list[Arrays]:
    """Divide the rows of a batch, each replica's for itself, into parts of about the same size.

    Where a replica has fewer rows than there are parts, some of its parts have a row of nothing.
    """
    if count == 1:
        return [batch]
    parts: list[Arrays] = []
    for k in range(count):
        part: list[Any] = []
        for start in range(0, len(batch), ARRAYS):
            own = [np.asarray(array) for array in batch[start : start + ARRAYS]]  # no copies: memory just ran out
            first, end = (len(own[0]) * i // count for i in (k, k + 1))
            features, lengths, labels, label_lengths = (array[first:end] for array in own)
            part += add_rows((features, lengths, labels, label_lengths.copy()), 1)
        parts.append(part)
    return parts
