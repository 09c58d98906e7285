"""An n-gram model word by word: from a history to the next. With KenLM where it is installed, or without.

Both give the same probabilities. KenLM needs a tenth of the memory and reads a large file much faster.
"""

from pathlib import Path
from typing import Any

from crnn_asr.language.arpa import read_arpa
from crnn_asr.language.ngram import BEGIN, END, MISSING_UNKNOWN, Ngram, NgramModel
from crnn_asr.native import without_native_lines


class PlainHistories:
    """A history is the last words."""

    def __init__(self, model: NgramModel) -> None:
        self._model = model
        self.order = model.order

    def begin(self) -> Ngram:
        """The history of a sentence's first word."""
        return (BEGIN,)

    def extend(self, history: Ngram, word: str) -> tuple[float, Ngram]:
        """log10 P(word | history), and the history with the word."""
        word = self._model.known(word)
        return self._model.log10(history, word), (*history, word)[-self.order :]


class KenlmHistories:
    """A history is a state of KenLM."""

    def __init__(self, path: Path) -> None:
        import kenlm

        self._new_state = kenlm.State
        config = kenlm.Config()
        config.show_progress = False
        config.arpa_complain = kenlm.ARPALoadComplain.NONE
        with without_native_lines(b"The ARPA file is missing <unk>"):
            self._model: Any = kenlm.Model(str(path), config)
        self.order = int(self._model.order)

    def begin(self) -> Any:
        """The history of a sentence's first word."""
        state = self._new_state()
        self._model.BeginSentenceWrite(state)
        return state

    def extend(self, history: Any, word: str) -> tuple[float, Any]:
        """log10 P(word | history), and the history with the word."""
        state = self._new_state()
        return self._model.BaseScore(history, word, state), state


class LanguageModel:
    """An open ARPA file.

    Attributes:
        vocabulary: its words, without the marks.
        order: words of its longest n-grams.

    Raises:
        ModelError: not an ARPA file, or a damaged one.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        words = read_arpa(path, highest=1)
        rarest = min(probability for (word,), (probability, _) in words.tables[0].items() if word != BEGIN)
        self._for_unknown = 0.0 if words.has_unknown else rarest - MISSING_UNKNOWN
        self._histories = _open(path)
        self.vocabulary, self.order = words.vocabulary, self._histories.order

    def begin(self) -> Any:
        """The history of a sentence's first word."""
        return self._histories.begin()

    def extend(self, history: Any, word: str) -> tuple[float, Any]:
        """log10 P(word | history), and the history with the word.

        A word that the model does not have counts as <unk>, or as the rarest of its words where it has no <unk> either.
        """
        log10, history = self._histories.extend(history, word)
        return log10 + (self._for_unknown if word not in self.vocabulary else 0.0), history

    def end(self, history: Any) -> float:
        """log10 P(</s> | history)."""
        return self._histories.extend(history, END)[0]


def _open(path: Path) -> PlainHistories | KenlmHistories:
    try:
        return KenlmHistories(path)
    except (ImportError, OSError):  # what KenLM refuses runs here, as 1-grams alone do, or its line is named
        return PlainHistories(read_arpa(path))
