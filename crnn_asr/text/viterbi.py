"""When each symbol of a text is said: the best CTC path of that text (Viterbi).

The states are the symbols with a blank before, between and behind them. From frame to frame a path stays, goes one
state on, or passes over a blank between unequal symbols. Source: Graves et al., ICML 2006, section 4.1.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crnn_asr.text.alphabet import Alphabet
from crnn_asr.text.decode import Symbol

_REACH = 200.0  # nats: states so far behind the best of their frame are left out, so that an hour costs what it should


def align(log_probs: NDArray[np.float64], text: str, alphabet: Alphabet) -> list[Symbol]:
    """The symbols of a text with the logit frames [start, end) in which they are.

    Where the best path of all has this text, the symbols and frames are those of `greedy_symbols`.

    Args:
        log_probs: of one utterance, (T, V), blank last.
        text: what is said; the alphabet has its symbols.

    Raises:
        ValueError: the text needs more frames than there are.
    """
    labels = np.array(alphabet.encode(text), int)
    if not len(labels):
        return []
    states = np.full(2 * len(labels) + 1, alphabet.blank_id)
    states[1::2] = labels
    path = _best_path(log_probs, states, _REACH)
    if path is None:
        path = _best_path(log_probs, states, np.inf)
    if path is None:
        raise ValueError(f"expected frames for {len(labels)} symbols, got {len(log_probs)}")
    bounds = np.flatnonzero(np.diff(path, prepend=-1, append=-1))
    spans = [(int(start), int(end)) for start, end in pairwise(bounds) if path[start] % 2]
    return [Symbol(symbol, *span) for symbol, span in zip(text, spans)]


def _best_path(log_probs: NDArray[np.float64], states: NDArray[np.int_], reach: float) -> NDArray[np.int_] | None:
    """The state of each frame, or None if no path reaches the end."""
    jumps = np.zeros(len(states), bool)
    jumps[1] = True  # with `scores[1]`: the first frame is a blank, or by a jump the first symbol
    jumps[3::2] = states[3::2] != states[1:-2:2]
    scores = np.full(len(states) + 2, -np.inf)  # from the third on, so that each has two before it
    scores[1] = 0.0
    low, high = 0, 0  # the states that paths are in
    moves = []
    for frame in log_probs:
        high = min(high + 2, len(states))
        before = scores[low : high + 2]
        ways = np.stack([before[2:], before[1:-1], np.where(jumps[low:high], before[:-2], -np.inf)])
        moves.append((low, ways.argmax(axis=0)))
        scores[1] = -np.inf
        here = scores[low + 2 : high + 2]
        here[:] = ways.max(axis=0) + frame[states[low:high]]
        near = np.flatnonzero(here > here.max() - reach)
        if not len(near):
            return None
        here[: near[0]] = here[near[-1] + 1 :] = -np.inf
        low, high = low + int(near[0]), low + int(near[-1]) + 1
    if scores[-2:].max() == -np.inf:
        return None
    state = len(states) - 2 + int(scores[-2:].argmax())
    path = np.empty(len(log_probs), int)
    for time in range(len(log_probs) - 1, -1, -1):
        path[time] = state
        low, steps = moves[time]
        state -= int(steps[state - low])
    return path
