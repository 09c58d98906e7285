"""Several devices or machines as one: each replica takes its rows of every batch, and what belongs to the whole batch
is summed over the replicas.

On one device nothing of this costs anything: sums are returned as they are, and the strategy is TensorFlow's default.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from crnn_asr.errors import DataError
from crnn_asr.training.tf_config import worker

Tensor = Any


def sum_over_replicas(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The sums of the tensors over all replicas, on each of them; to be called within a replica."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return tensors
    placed = [tf.identity(tensor) for tensor in tensors]  # what it is given must have a device
    return tuple(context.all_reduce(tf.distribute.ReduceOp.SUM, placed))


def num_local(strategy: tf.distribute.Strategy) -> int:
    """Replicas of this process."""
    return 1 if strategy.num_replicas_in_sync == 1 else len(strategy.extended.worker_devices)


def find_strategy() -> tf.distribute.Strategy:
    """Workers from TF_CONFIG, else all GPUs of the machine if there are two and more, else the one device there is.

    Call it before any tensor is made. With workers it returns when all of them have been started.

    Raises:
        DataError: TF_CONFIG is not what TensorFlow expects.
    """
    if worker()[1] > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


@contextmanager
def explained() -> Iterator[None]:
    """Turn TensorFlow's errors about a lost peer and about memory, which come from any operation, into sentences."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise DataError(
            "memory ran out where nothing could be divided; close what else needs memory, and go on from the last "
            f"checkpoint with --resume ({(str(error) or type(error).__name__).splitlines()[0]})"
        ) from error
    except tf.errors.OpError as error:
        if worker()[1] == 1:
            raise
        reasons = [line for line in error.message.splitlines() if line.startswith("Collective ops is aborted by")]
        raise ConnectionError(
            "another worker was lost; start all of them again with --resume, which goes on from the last checkpoint "
            f"(TensorFlow: {(reasons or error.message.split(chr(10)))[0]})"
        ) from error


class Replicas:
    """What a process needs to know of the strategy it runs under.

    Attributes:
        shares: (i, n) for each replica of this process: it takes rows i, i + n, … of a batch.
        is_chief: whether this process writes the run directory.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        local, total = num_local(strategy), strategy.num_replicas_in_sync
        self.is_alone = local == total
        number = 0 if self.is_alone else worker()[0]
        self.shares = [(number * local + i, total) for i in range(local)]
        self.is_chief = number == 0

        self._sum = _compiled_sum(strategy)

    def from_chief(self, *values: float) -> list[float]:
        """The chief's values, when it has them."""
        if self.is_alone:
            return list(values)
        array = np.array(values, np.float64) if self.is_chief else np.zeros(len(values))
        return self._sum(array).numpy().tolist()

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process."""
        return flag if self.is_alone else bool(self._sum(np.array([flag], np.float64))[0] > 0)

    def require_same(self, number: int, what: str) -> None:
        """Raise `DataError` in every process where `number`, below 2³², is not the same in all."""
        if self.any(number != self.from_chief(number)[0]):
            raise DataError(f"the workers do not have the same {what}; give each the same files and options")


def _compiled_sum(strategy: tf.distribute.Strategy) -> Callable[..., Any]:
    """A function from float64 values (N,) of a process to their sums over all processes."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float64)], autograph=False)
    def total(values):  # type: ignore[no-untyped-def]
        sums = strategy.run(lambda: sum_over_replicas(values)[0])
        return strategy.experimental_local_results(sums)[0] / num_local(strategy)

    return total
