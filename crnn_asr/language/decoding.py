"""From logits to symbols: greedily, or by beam search with a language model, a lexicon, hotwords."""

import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import TextConfig
from crnn_asr.errors import DataError, ModelError
from crnn_asr.language.beam import BeamDecoder
from crnn_asr.language.histories import LanguageModel
from crnn_asr.language.sources import read_lexicon
from crnn_asr.language.tuning import Tuning, sha256_of
from crnn_asr.language.words import WordScores
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.text.decode import Symbol, greedy_symbols, with_pauses
from crnn_asr.text.normalize import normalize

Decoder = Callable[[NDArray[np.float32]], list[Symbol]]  # logits (T, V) of one utterance → its symbols

BEAM, ALPHA, BETA, UNKNOWN_PENALTY, HOTWORD_WEIGHT = 32, 0.5, 1.5, 10.0, 10.0  # unless told otherwise
PAUSE_S = 0.5  # between two letters: three times the longest inside a word of AN4
MAX_UNWRITABLE = 0.1  # share of a vocabulary; with more it is of other text than the model's


@dataclass(frozen=True)
class Decoding:
    """How logits become text: greedily, unless anything is set; then by beam search. None is the usual value.

    Args:
        beam: texts that are followed at once (32).
        lm: an ARPA file.
        alpha: weight of the language model's ln P (0.5, or what `scripts/tune_lm.py` found).
        beta: what a word is worth, in nats (1.5 with a language model, or what was found; else 0).
        lexicon: a text with a word a line: the words that come out.
        unknown_penalty: what a word costs that is neither in the lexicon nor, where there is none, in the language
            model, in nats (infinite with a lexicon, so that it does not come out; else 10).
        hotwords: words to listen for, each with a weight in nats, which may be negative.

    Raises:
        ModelError: a number out of range, or one that has nothing to work on.
    """

    beam: int | None = None
    lm: str | os.PathLike[str] | None = None
    alpha: float | None = None
    beta: float | None = None
    lexicon: str | os.PathLike[str] | None = None
    unknown_penalty: float | None = None
    hotwords: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.beam is not None and self.beam < 1:
            raise ModelError(f"beam: expected at least 1, got {self.beam}")
        if self.alpha is not None and not (self.lm and 0 <= self.alpha < math.inf):
            raise ModelError(f"alpha: expected a number from 0 and a language model that it weighs, got {self.alpha}")
        if self.beta is not None and not math.isfinite(self.beta):
            raise ModelError(f"beta: expected a finite number, got {self.beta}")
        if self.unknown_penalty is not None and not ((self.lm or self.lexicon) and self.unknown_penalty >= 0):
            raise ModelError(
                "unknown_penalty: expected a number from 0, and a language model or a lexicon that says which words "
                f"are known, got {self.unknown_penalty}"
            )
        for word, weight in self.hotwords.items():
            if not math.isfinite(weight):
                raise ModelError(f"hotword {word!r}: expected a finite weight, got {weight}")


GREEDY = Decoding()


def open_decoder(
    decoding: Decoding, alphabet: Alphabet, text: TextConfig, frame_s: float, tunings: Sequence[Tuning] = ()
) -> tuple[Decoder, list[str]]:
    """What decodes, and what a user should know of it.

    Args:
        alphabet, text: of the model; lexicon and hotwords are normalized as its transcripts were.
        frame_s: seconds for each frame of its logits; a pause of over half a second divides words.
        tunings: of the model; for a language model without one the last is used.

    Raises:
        DataError: a lexicon or a hotword that is not what it should be.
        ModelError: a language model that is not, or words that the model cannot write.
        OSError: a file cannot be opened.
    """
    divided = partial(with_pauses, alphabet=alphabet, num_frames=PAUSE_S / frame_s)
    if decoding == GREEDY:
        return lambda logits: greedy_symbols(divided(logits), alphabet), []
    lm = lexicon = None
    beam, alpha, beta, notes = BEAM, ALPHA, 0.0, []
    if decoding.lm:
        path, beta = Path(decoding.lm), BETA
        lm = LanguageModel(path)
        notes += check_writable(lm.vocabulary, alphabet, path)
        if tunings:
            tuning, remarks = _choose(path, decoding, tunings)
            beam, alpha, beta, notes = tuning.beam, tuning.alpha, tuning.beta, notes + remarks
    if decoding.lexicon:
        lexicon = read_lexicon(Path(decoding.lexicon), text)
        notes += check_writable(lexicon, alphabet, Path(decoding.lexicon))
    words = WordScores(
        lm,
        alpha if decoding.alpha is None else decoding.alpha,
        beta if decoding.beta is None else decoding.beta,
        lexicon or (lm.vocabulary if lm else None),
        (math.inf if lexicon else UNKNOWN_PENALTY) if decoding.unknown_penalty is None else decoding.unknown_penalty,
        _normal_hotwords(decoding.hotwords, alphabet, text),
    )
    search = BeamDecoder(alphabet, decoding.beam or beam, words)
    return lambda logits: search(divided(logits)), notes


def check_writable(words: Collection[str], alphabet: Alphabet, path: Path) -> list[str]:
    """Remark on the words of a file that have symbols which the model does not write.

    Raises:
        ModelError: they are more than a tenth, so the file is of other text than the model's.
    """
    unwritable = sorted(word for word in words if alphabet.unknown(word))
    if not unwritable:
        return []
    found = (
        f"{path}: {len(unwritable)} of {len(words)} words have symbols that the model does not write, such as "
        f"{unwritable[0]!r}"
    )
    if len(unwritable) > MAX_UNWRITABLE * len(words):
        raise ModelError(f"{found}; it writes {''.join(alphabet.symbols)!r}: take a file of text in this form")
    return [f"{found}; they cannot come out"]


def _choose(path: Path, decoding: Decoding, tunings: Sequence[Tuning]) -> tuple[Tuning, list[str]]:
    """The tuning of the language model, or the last one, with a remark where it matters."""
    digest = sha256_of(path)
    for tuning in tunings:
        if tuning.sha256 == digest:
            return tuning, []
    last = tunings[-1]
    if decoding.alpha is not None and decoding.beta is not None:
        return last, []
    return last, [
        f"{path}: alpha {last.alpha:g} and beta {last.beta:g} were tuned for another language model, {last.file}; "
        f"run scripts/tune_lm.py for this one"
    ]


def _normal_hotwords(hotwords: Mapping[str, float], alphabet: Alphabet, text: TextConfig) -> dict[str, float]:
    normal = {}
    for hotword, weight in hotwords.items():
        word = normalize(hotword, text)
        if not word or " " in word:
            raise DataError(f"hotword {hotword!r}: expected one word, got {len(word.split())}; name each by itself")
        if unknown := alphabet.unknown(word):
            raise DataError(f"hotword {hotword!r}: the model does not write {unknown!r}; spell it in other symbols")
        normal[word] = weight
    return normal
