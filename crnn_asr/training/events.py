"""What happens in a run, as the loop tells it to whoever shows it."""

from dataclasses import dataclass
from typing import Any

from crnn_asr.training.history import Text


@dataclass(frozen=True)
class StepDone:
    """A step's loss is in nats an utterance; `seconds_left` counts to the end of the run."""

    epoch: int
    batch: int
    batches: int
    loss: float
    audio_seconds_per_second: float
    wait_share: float
    seconds_left: float


@dataclass(frozen=True)
class EpochDone:
    """One line of `metrics.jsonl`, and the dev set as it was heard, by id; nothing where another worker is chief."""

    metrics: dict[str, Any]
    is_best: bool
    texts: list[Text]


@dataclass(frozen=True)
class Incident:
    """Something that went wrong and was dealt with: one line of `incidents.jsonl`.

    Attributes:
        kind: not_finite, explosion, loss_jump, went_back, out_of_memory, memory_grows or damaged.
        step: steps completed before it.
        loss: of the step in nats an utterance, and the gradient's `norm`; None where not finite, or not about a step.
        utterances: ids of those in the step.
    """

    kind: str
    epoch: int
    step: int
    sentence: str
    loss: float | None = None
    norm: float | None = None
    utterances: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stopped:
    """The run was asked to stop and has saved everything."""


Event = StepDone | EpochDone | Incident | Stopped
