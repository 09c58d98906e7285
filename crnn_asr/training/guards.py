"""What the numbers of a step say: a good one, a strange one, or one that must not be taken."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

MAX_RETURNS = 3  # to an earlier state, each with half the learning rate; then the run ends
GOOD_EVERY_STEPS = 500  # a state to return to is kept: by steps, not by the clock, so that a run can be repeated

MEMORY_STEPS = 100  # over which a running level is averaged, exponentially
WARMUP_STEPS = 50  # before a level is trusted
NORM_RATIO, LOSS_RATIO = 10.0, 4.0  # to the running level, from which a number is strange
SPREADS = 6.0  # mean absolute deviations of the logarithm, which a strange number must be above the level too


@dataclass
class Level:
    """A running level of positive numbers: mean and mean absolute deviation of their logarithms."""

    steps: int = 0
    mean: float = 0.0
    spread: float = 0.0

    def bound(self, ratio: float) -> float:
        """From where a number is strange: so many times the level, and far outside its spread; infinite at first."""
        if self.steps < WARMUP_STEPS:
            return math.inf
        return math.exp(self.mean + max(math.log(ratio), SPREADS * self.spread))

    def add(self, value: float, ratio: float) -> bool:
        """Take a number in, at most as the bound, and say whether it was above it."""
        bound = self.bound(ratio)
        log = math.log(max(min(value, bound), 1e-12))
        self.steps += 1
        share = max(1 / self.steps, 1 / MEMORY_STEPS)
        if self.steps > 1:
            self.spread += max(1 / (self.steps - 1), share) * (abs(log - self.mean) - self.spread)
        self.mean += share * (log - self.mean)
        return value > bound


@dataclass
class Health:
    """What a run's numbers were like so far."""

    bad_in_a_row: int = 0  # steps
    returns: int = 0  # to an earlier state
    skipped_steps: int = 0  # whose loss or gradient was not finite
    exploded_steps: int = 0  # whose gradient was clipped from far above its running level
    loss_jumps: int = 0
    norm: Level = field(default_factory=Level)  # of the gradient
    loss: Level = field(default_factory=Level)  # of nats a frame, for utterances differ in length


@dataclass(frozen=True)
class Verdict:
    """Of a step. `kind` is that of the incident it is, if it is one."""

    is_good: bool
    kind: str = ""
    sentence: str = ""


def judge(health: Health, loss: float, frames: int, norm: float) -> Verdict:
    """Say what a step was and count it.

    Args:
        health: is brought up to date.
        loss: in nats, summed over `frames` frames of the step's utterances.
        frames: 0 for a step without an utterance, which is neither good nor bad.
        norm: of the gradient before clipping; not finite where a number of the step was not, and it changed nothing.
    """
    if not frames:
        return Verdict(False)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        health.bad_in_a_row += 1
        health.skipped_steps += 1
        return Verdict(False, "not_finite", "loss or gradient is not finite; the step is skipped and changed nothing")
    health.bad_in_a_row = 0
    usual_norm, usual_loss = math.exp(health.norm.mean), math.exp(health.loss.mean)
    exploded, jumped = health.norm.add(norm, NORM_RATIO), health.loss.add(loss / frames, LOSS_RATIO)
    health.exploded_steps += exploded
    health.loss_jumps += jumped
    if exploded:
        return Verdict(True, "explosion", f"gradient of norm {norm:.3g} where {usual_norm:.3g} is usual; clipped")
    if jumped:
        ratio = loss / frames / usual_loss
        return Verdict(True, "loss_jump", f"a loss of {ratio:.1f} times what is usual; listen to these utterances")
    return Verdict(True)


def steady_growth(values: list[float], epochs: int = 10, share: float = 0.1) -> float:
    """Growth an epoch, where the last values grew steadily: a leak looks so, a cache that fills up flattens; else 0.

    Args:
        values: of each epoch, the first of which is still filling caches and does not count.
        epochs: that are looked at.
        share: by which they must have grown together.
    """
    last = values[1:][-epochs - 1 :]
    if len(last) <= epochs:
        return 0.0
    steps = [later - earlier for earlier, later in pairwise(last)]
    half = epochs // 2
    first, second = sum(steps[:half]), sum(steps[-half:])
    steady = sum(step > 0 for step in steps) >= 0.8 * epochs and second >= 0.5 * first
    return (last[-1] - last[0]) / epochs if steady and last[-1] - last[0] > share * last[0] else 0.0
