"""Greedy CTC decoding: the best symbol of each frame, repeats merged, blanks dropped."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crnn_asr.text.alphabet import Alphabet

_CERTAIN = 20.0  # nats above all other symbols


@dataclass(frozen=True)
class Symbol:
    """One decoded character and the logit frames [start, end) in which it was the best."""

    character: str
    start: int
    end: int


def greedy_symbols(logits: NDArray[np.float32], alphabet: Alphabet) -> list[Symbol]:
    """Decode the logits (or log-probabilities) of one utterance, shape (T, V), blank last."""
    best = np.argmax(logits, axis=-1)
    bounds = np.flatnonzero(np.diff(best, prepend=-1, append=-1))
    return [
        Symbol(alphabet.symbols[best[start]], int(start), int(end))
        for start, end in itertools.pairwise(bounds)
        if best[start] != alphabet.blank_id
    ]


def with_pauses(logits: NDArray[np.float32], alphabet: Alphabet, num_frames: float) -> NDArray[np.float32]:
    """Logits (T, V), with a space in the middle of each run of more than `num_frames` blanks between two letters.

    Utterances seldom have long pauses inside, so the network learns no space from them, and joins the words around.
    """
    if " " not in alphabet.symbols:
        return logits
    space, best = alphabet.symbols.index(" "), np.argmax(logits, axis=-1)
    bounds = np.flatnonzero(np.diff(best, prepend=-1, append=-1))
    middles = [
        (start + end) // 2
        for start, end in itertools.pairwise(bounds)
        if best[start] == alphabet.blank_id
        and end - start > num_frames
        and 0 < start < end < len(best)
        and space not in (best[start - 1], best[end])
    ]
    if middles:
        logits = logits.copy()
        logits[middles, space] = logits[middles].max(-1) + _CERTAIN
    return logits


def joined(symbols: Iterable[Symbol]) -> str:
    """The text of decoded symbols, with outer and double spaces removed."""
    return " ".join("".join(symbol.character for symbol in symbols).split())


def greedy_text(logits: NDArray[np.float32], alphabet: Alphabet) -> str:
    """The text of one utterance, shape (T, V), as `joined` gives it."""
    return joined(greedy_symbols(logits, alphabet))


def greedy_batch(logits: NDArray[np.float32], logit_lengths: NDArray[np.int32], alphabet: Alphabet) -> list[str]:
    """Texts of a padded batch, shape (B, T, V); frames past each true length are not looked at."""
    return [greedy_text(values[:length], alphabet) for values, length in zip(logits, logit_lengths)]
