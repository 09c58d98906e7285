"""Which epoch's weights are kept.

A dev set of a hundred utterances tells word error rates to a point or two, and the lowest of a hundred epochs is luck:
weights of an epoch in the middle of a run, whose learning rate was still high. So of all epochs whose rate lies within
one standard error of the lowest, that with the lowest loss is kept (the one-standard-error rule of Breiman et al.,
Classification and Regression Trees, 1984, section 3.4.3). While augmentation still grows, the newest epoch is kept, and
the choice begins with the first that has it in full.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """The best of the epochs so far.

    Attributes:
        epoch: from 1 on; 0 is none.
        wer: its dev WER, as a share.
        loss: its dev loss.
        lowest_wer: of all epochs so far.
    """

    epoch: int = 0
    wer: float = math.inf
    loss: float = math.inf
    lowest_wer: float = math.inf

    def after(self, epoch: int, wer: float, loss: float, num_words: int) -> "Choice":
        """The choice when one more epoch was heard, on a dev set of so many words."""
        lowest = min(wer, self.lowest_wer)
        share = min(max(lowest, 0.0), 1.0)
        limit = lowest + math.sqrt(share * (1 - share) / max(num_words, 1))
        wins = wer <= limit and (self.wer > limit or (loss, wer) < (self.loss, self.wer))
        return Choice(epoch, wer, loss, lowest) if wins else Choice(self.epoch, self.wer, self.loss, lowest)
