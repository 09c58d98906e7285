"""CTC beam search (pyctcdecode)."""

import logging
import weakref
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from crnn_asr.language.words import WordScores
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.text.decode import Symbol
from crnn_asr.text.viterbi import align

# Log-probability from which on a symbol of a frame is tried, beside the best: where the likely symbols lead to no word
# of a closed vocabulary, unlikely ones have to lead out.
_MIN_LOGP, _MIN_LOGP_CLOSED = -5.0, -12.0
_PRUNE_LOGP = -10.0  # texts that are so far behind the best are given up


class BeamDecoder:
    """Beam search over the logits of one utterance.

    Args:
        alphabet: of the network; a space in it divides words.
        width: texts that are followed at once.
        words: scores of words, or None to go by the network alone.
    """

    def __init__(self, alphabet: Alphabet, width: int, words: WordScores | None) -> None:
        logging.getLogger("pyctcdecode").setLevel(logging.ERROR)  # it warns that KenLM is not installed
        from pyctcdecode.alphabet import Alphabet as Labels  # a third of a second, only where it is used
        from pyctcdecode.decoder import BeamSearchDecoderCTC

        # not its build_ctcdecoder, which takes some symbols for others: | for a space, _ for the blank
        self._search: Any = BeamSearchDecoderCTC(Labels([*alphabet.symbols, ""], is_bpe=False), cast(Any, words))
        weakref.finalize(self, self._search.cleanup)  # it keeps `words` in a table of the class
        self._alphabet, self._width, self._words = alphabet, width, words

    def __call__(self, logits: NDArray[np.float32]) -> list[Symbol]:
        """Decode the logits (or log-probabilities) of one utterance, shape (T, V), blank last."""
        # not pyctcdecode's own times, which are those of the worst of the paths that it merged
        return align(_log_probs(logits), self.text(logits), self._alphabet)

    def text(self, logits: NDArray[np.float32]) -> str:
        """The text alone."""
        if not len(logits):
            return ""
        best, *_ = self._search.decode_beams(
            _log_probs(logits),
            beam_width=self._width,
            beam_prune_logp=_PRUNE_LOGP,
            token_min_logp=_MIN_LOGP_CLOSED if self._words and self._words.closed else _MIN_LOGP,
            prune_history=True,
        )
        # a search that no word of a closed vocabulary leads out of goes on outside
        return " ".join(word for word in best[0].split() if not self._words or self._words.allows(word))


def _log_probs(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """For pyctcdecode too: it would take logits whose frames happen to sum to 1 for probabilities."""
    below: NDArray[np.float64] = (logits - logits.max(axis=-1, keepdims=True)).astype(np.float64)
    log_probs: NDArray[np.float64] = below - np.log(np.exp(below).sum(axis=-1, keepdims=True))
    return log_probs
