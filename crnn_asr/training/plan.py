"""Which utterances of an epoch go together, and to which shapes they are padded.

Shapes are few on purpose: oneDNN keeps a megabyte or so for each one it has met. So lengths are rounded up to those of
a fixed ladder, and a length alone says how many rows a batch of it has.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.augment import Tempo

Integers = NDArray[np.int64]

STEP_FRAMES = 8  # padded lengths are multiples of it
LADDER_RATIO = 1.06  # of a padded length to the one before, where that is more than a step


def _ladder() -> Integers:
    lengths = [2 * STEP_FRAMES]
    while lengths[-1] < 1 << 31:
        higher = max(lengths[-1] + STEP_FRAMES, lengths[-1] * LADDER_RATIO)
        lengths.append(int(-(-higher // STEP_FRAMES)) * STEP_FRAMES)
    return np.array(lengths)


_LADDER = _ladder()


def padded_length(num_frames: Integers | int) -> Integers:
    """The smallest length of the ladder that holds so many frames; 16 for none."""
    return _LADDER[np.searchsorted(_LADDER, num_frames)]


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """Indices of the examples, and the shape (rows, frames) that they are padded to; rows may be more than examples."""

    indices: Integers
    rows: int
    frames: int


@dataclass(frozen=True)
class Plan:
    """An epoch: its batches, and of every example, heard in it or not, the drawn tempo (None without augmentation) and
    frames (N,).
    """

    epoch: int
    batches: list[PlannedBatch]
    tempo: Tempo | None
    num_frames: Integers

    @property
    def num_shapes(self) -> int:
        return len({(batch.rows, batch.frames) for batch in self.batches})

    @property
    def padding_share(self) -> float:
        """Padding among the frames of all batches."""
        return 1 - self.total_frames / sum(batch.rows * batch.frames for batch in self.batches)

    @property
    def total_frames(self) -> int:
        """Without padding."""
        return sum(int(self.num_frames[batch.indices].sum()) for batch in self.batches)


def plan_batches(
    num_frames: Integers, batch_frames: int, max_utterances: int, rng: np.random.Generator | None = None
) -> list[PlannedBatch]:
    """Group utterances of like length so that each batch holds at most `batch_frames` padded frames.

    An utterance longer than the budget is a batch of its own. With `rng` it is drawn which utterances of one padded
    length go together, and the order of the batches; without, batches go from long to short.

    The shortest batch gets what is left over. Its rows are rounded up to quarters of a whole one, so that what is left,
    another number in each epoch, does not make another shape in each.
    """
    num_utterances = len(num_frames)
    padded = padded_length(num_frames)
    ties = np.arange(num_utterances) if rng is None else rng.random(num_utterances)
    order = np.lexsort((ties, -padded))
    batches: list[PlannedBatch] = []
    start = 0
    while start < num_utterances:
        frames = int(padded[order[start]])
        whole = min(max(1, batch_frames // frames), max_utterances, num_utterances)
        indices = order[start : start + whole]
        quarter = -(-whole // 4)
        rows = min(whole, -(-len(indices) // quarter) * quarter)
        batches.append(PlannedBatch(indices, rows, frames))
        start += whole
    return batches if rng is None else [batches[number] for number in rng.permutation(len(batches))]
