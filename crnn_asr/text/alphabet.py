"""Symbols: an ordered tuple of characters; the CTC blank is one id past the last."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from crnn_asr.errors import DataError

ENGLISH = tuple(" 'abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class Alphabet:
    """Characters and their ids.

    Example:
        >>> Alphabet(("a", "b")).encode("ba")
        [1, 0]
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.symbols:
            raise DataError("an alphabet needs at least one symbol, got none; are the transcripts empty?")
        if any(len(symbol) != 1 for symbol in self.symbols):
            raise DataError(f"every symbol must be one character, got {[s for s in self.symbols if len(s) != 1]}")
        if len(set(self.symbols)) != len(self.symbols):
            raise DataError(f"a symbol stands twice in the alphabet {''.join(self.symbols)!r}")

    @property
    def blank_id(self) -> int:
        return len(self.symbols)

    @property
    def num_symbols(self) -> int:
        """Logits per frame: the symbols and the blank."""
        return len(self.symbols) + 1

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: index for index, symbol in enumerate(self.symbols)}

    def unknown(self, text: str) -> str:
        """Characters of `text` that are not symbols, sorted, each once."""
        return "".join(sorted(set(text) - set(self.symbols)))

    def encode(self, text: str) -> list[int]:
        """Symbol ids of a normalised transcript.

        Raises:
            DataError: a character that is not in the alphabet.
        """
        if unknown := self.unknown(text):
            raise DataError(f"{unknown!r} in {text!r} is not in the alphabet {''.join(self.symbols)!r}")
        return [self._ids[character] for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """The characters of symbol ids, which must not include the blank."""
        return "".join(self.symbols[index] for index in ids)

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> "Alphabet":
        """Every character of normalised transcripts, in code point order."""
        return cls(tuple(sorted(set().union(*texts))))


def min_frames(labels: Sequence[int]) -> int:
    """Logit frames that CTC needs at least: one a symbol, one more (a blank) between equal neighbours."""
    return len(labels) + sum(left == right for left, right in itertools.pairwise(labels))
