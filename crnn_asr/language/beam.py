"""CTC beam search (pyctcdecode)."""

import logging
import weakref

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from crnn_asr.language.words import WordScores
from crnn_asr.text.align import align
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.text.decode import Symbol

TOKEN_MIN_LOGP = -5.0
BEAM_PRUNE_LOGP = -10.0


class BeamDecoder:
    """Beam search over the logits of one utterance.

    Args:
        alphabet: of the network; a space in it divides words.
        width: texts that are followed at once.
        words: scores of words, or None to go by the network alone.
    """

    def __init__(self, alphabet: Alphabet, width: int, words: WordScores | None = None) -> None:
        logging.getLogger("pyctcdecode").setLevel(logging.ERROR)  # it warns that KenLM is not installed
        from pyctcdecode.alphabet import Alphabet as Labels  # a fifth of a second, only where it is used
        from pyctcdecode.decoder import BeamSearchDecoderCTC

        # not build_ctcdecoder, which takes some symbols for others: | for a space, _ for the blank
        self._search = BeamSearchDecoderCTC(Labels([*alphabet.symbols, ""], is_bpe=False), words)
        weakref.finalize(self, self._search.cleanup)  # it keeps `words` in a table of the class
        self._alphabet, self._width, self._words = alphabet, width, words

    def __call__(self, logits: NDArray[np.float32]) -> list[Symbol]:
        """Decode the logits (or log-probabilities) of one utterance, shape (T, V), blank last."""
        if not len(logits):
            return []
        # not as they are: logits whose frames happen to sum to 1 would be taken for probabilities
        log_probs = log_softmax(logits.astype(np.float64), axis=-1)
        best, *_ = self._search.decode_beams(
            log_probs,
            beam_width=self._width,
            beam_prune_logp=BEAM_PRUNE_LOGP,
            token_min_logp=TOKEN_MIN_LOGP,
            prune_history=True,
        )
        # where no word of a closed vocabulary goes on, the search follows one that is outside
        words = [word for word in best[0].split() if self._words is None or self._words.allows(word)]
        # not its own times, which are those of the worst of the paths that it merged
        return align(log_probs, " ".join(words), self._alphabet)
