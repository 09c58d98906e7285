"""Where a run stands, whole: with the weights it is all that going on exactly there needs."""

from dataclasses import dataclass, field

from crnn_asr.training.guards import Health


@dataclass
class Progress:
    """All randomness is drawn from the seed and these counters, all decisions are made by these numbers."""

    epoch: int = 0  # epochs completed
    step: int = 0  # steps completed
    batch: int = 0  # batches of the current epoch completed
    best_wer: float = float("inf")  # dev, as a share, of the epoch whose weights are kept: see `choice`
    best_loss: float = float("inf")
    lowest_wer: float = float("inf")  # of all epochs
    best_epoch: int = 0
    best_scores: dict[str, float] = field(default_factory=dict)  # its dev_loss, dev_wer and dev_cer in metrics.jsonl
    learning_rate_scale: float = 1.0  # lowered by the plateau schedule, and when the run goes back
    epochs_since_change: int = 0  # since the best or the last lowering
    batch_limit: int = 0  # padded frames that memory holds at once, found by running out of it; 0 is no limit
    incidents: int = 0  # lines of incidents.jsonl
    health: Health = field(default_factory=Health)
    loss_sum: float = 0.0  # of the current epoch, with the number of utterances
    utterances: int = 0
    norm_sum: float = 0.0  # of the gradients of the current epoch's good steps, with their number
    norm_max: float = 0.0
    good_steps: int = 0
    seconds: float = 0.0  # spent in training, all sessions
    audio_seconds: float = 0.0  # of the current epoch
    epoch_seconds: float = 0.0
    wait_seconds: float = 0.0  # of the current epoch, for data
    finished: bool = False

    def begin_epoch(self) -> None:
        """Set what is counted within an epoch to nothing."""
        self.batch = self.utterances = self.good_steps = 0
        self.loss_sum = self.norm_sum = self.norm_max = 0.0
        self.epoch_seconds = self.audio_seconds = self.wait_seconds = 0.0

    def gone_back_from(self, later: "Progress") -> None:
        """Make this earlier state the one that a run in trouble returns to.

        The learning rate is halved once for each return that this state does not know of yet, so that it comes to the
        same however often it is returned to. What really happened since stays counted, and the best
        weights stay the best.
        """
        returns = later.health.returns + 1
        self.learning_rate_scale *= 0.5 ** (returns - self.health.returns)
        self.health.returns = returns
        self.health.skipped_steps = later.health.skipped_steps
        self.health.exploded_steps, self.health.loss_jumps = later.health.exploded_steps, later.health.loss_jumps
        self.best_wer, self.best_loss, self.best_epoch = later.best_wer, later.best_loss, later.best_epoch
        self.lowest_wer = later.lowest_wer
        self.best_scores = later.best_scores
        self.batch_limit, self.incidents, self.seconds = later.batch_limit, later.incidents, later.seconds
