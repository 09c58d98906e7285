"""Which epoch is kept: the lowest loss among those whose WER cannot be told from the lowest."""

import math

import pytest

from crnn_asr.training.choice import Choice


def kept(epochs: list[tuple[float, float]], num_words: int) -> Choice:
    """After epochs of (WER, loss)."""
    choice = Choice()
    for number, (wer, loss) in enumerate(epochs, start=1):
        choice = choice.after(number, wer, loss, num_words)
    return choice


@pytest.mark.parametrize(
    ("epochs", "num_words", "epoch"),
    [
        ([(0.5, 9.0), (0.2, 5.0), (0.4, 4.0)], 100, 2),  # 0.2 ± 0.04: the lower loss is of another class
        ([(0.5, 9.0), (0.2, 5.0), (0.23, 4.0)], 100, 3),  # within it
        ([(0.5, 9.0), (0.2, 5.0), (0.23, 4.0)], 1_000, 2),  # on ten times the words it is not
        ([(0.2, 5.0), (0.23, 4.0), (0.1, 6.0)], 100, 3),  # what was kept is no longer near the lowest
        ([(0.2, 5.0), (0.23, 4.0), (0.19, 6.0), (0.23, 4.5)], 100, 3),  # the limit falls from 0.24 to 0.229
        ([(1.0, 9.0), (1.0, 8.0), (1.2, 7.0)], 100, 2),  # nothing heard yet
        ([(0.0, 1.0), (0.01, 0.5), (0.0, 0.9)], 100, 3),  # nothing wrong has no error
        ([(0.2, 5.0), (0.2, 5.0)], 100, 1),  # the first of equals
        ([(math.inf, 5.0), (0.9, 5.0)], 0, 2),  # a dev set without words
    ],
)
def test_the_epoch_that_is_kept(epochs: list[tuple[float, float]], num_words: int, epoch: int):
    assert kept(epochs, num_words).epoch == epoch


def test_rates_do_not_creep_upwards():
    """Each epoch is a little worse and has a little less loss: only those near the lowest of all may win."""
    epochs = [(0.1 + 0.01 * n, 5.0 - 0.1 * n) for n in range(20)]
    choice = kept(epochs, 100)  # the standard error at 0.1 is 0.03
    assert choice.epoch == 4 and choice.wer == pytest.approx(0.13) and choice.lowest_wer == 0.1
