"""ARPA files, the text form of back-off n-gram models that all toolkits read.

    \\data\\                       how many n-grams there are of each order
    ngram 1=4
    ngram 2=1

    \\1-grams:                    log10 of the probability, the words, log10 of the back-off weight where it is not 0
    -99     <s>     -0.3
    …

    \\end\\

Source: ngram-format(5) of SRILM.
"""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from crnn_asr.errors import ModelError
from crnn_asr.files import replacing
from crnn_asr.language.ngram import UNKNOWN, NgramModel, Table

MAX_ORDER = 10
_SPACES = re.compile("[ \t]+")  # no others: words may hold any


def write_arpa(path: Path, model: NgramModel) -> None:
    """Write a model whole or not at all, n-grams in code point order: equal models are equal files."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\\data\\\n")
        file.writelines(f"ngram {n}={len(table)}\n" for n, table in enumerate(model.tables, start=1))
        for n, table in enumerate(model.tables, start=1):
            file.write(f"\n\\{n}-grams:\n")
            for ngram, (probability, backoff) in sorted(table.items()):
                weight = f"\t{backoff:.7g}" if n < model.order else ""
                file.write(f"{probability:.7g}\t{' '.join(ngram)}{weight}\n")
        file.write("\n\\end\\\n")


def read_arpa(path: Path, highest: int = MAX_ORDER) -> NgramModel:
    """Read a model, or of a longer one the n-grams of up to `highest` words, and no line behind them.

    Raises:
        ModelError: not an ARPA file, or one that is damaged or cut short; the message names the line.
        OSError: the file cannot be opened.
    """
    with path.open(encoding="utf-8", newline="\n") as lines:
        try:
            return _Reader(path, lines).model(highest)
        except UnicodeDecodeError as error:
            raise ModelError(f"{path}: expected an ARPA file, text in UTF-8, got other bytes") from error


class _Reader:
    """A file on its way from top to bottom; blank lines are passed over."""

    def __init__(self, path: Path, lines: Iterable[str]) -> None:
        self._path, self._lines = path, enumerate(lines, start=1)
        self._number, self._line = 0, ""
        self._advance()

    def model(self, highest: int) -> NgramModel:
        self._take("\\data\\")
        sizes = self._sizes()
        tables: list[Table] = []
        for n, size in enumerate(sizes[:highest], start=1):
            self._take(f"\\{n}-grams:")
            tables.append(self._table(n, size, tables))
        if len(tables) == len(sizes):
            self._take("\\end\\")
        return NgramModel(tuple(tables))

    def _sizes(self) -> list[int]:
        sizes: list[int] = []
        while match := re.fullmatch(r"ngram +(\d{1,2}) *= *(\d{1,12})", self._line):
            if int(match[1]) != len(sizes) + 1 or int(match[2]) < 1:
                self._fail(f"a line 'ngram {len(sizes) + 1}=' with a number of n-grams above 0")
            sizes.append(int(match[2]))
            self._advance()
        if not 1 <= len(sizes) <= MAX_ORDER:
            self._fail(f"'ngram 1=' and so on, for 1 to {MAX_ORDER} orders, each with its number of n-grams")
        return sizes

    def _table(self, n: int, size: int, lower: list[Table]) -> Table:
        table: Table = {}
        while self._line and not self._line.startswith("\\"):
            first, *words = _SPACES.split(self._line)
            probability, backoff = self._log10(first), 0.0
            if len(words) == n + 1:
                backoff = self._log10(words.pop())
            if len(words) != n:
                self._fail(f"a log10 probability, {n} words, and at most a log10 back-off weight")
            if probability > 0:
                self._fail("a log10 probability of at most 0")
            ngram = tuple(UNKNOWN if word == "<UNK>" else word for word in words)  # KenLM reads both
            if ngram in table:
                self._fail("each n-gram once")
            if n > 1 and not all((word,) in lower[0] for word in ngram):
                self._fail("words that are among the 1-grams")
            table[ngram] = (probability, backoff)
            self._advance()
        if len(table) != size:
            self._fail(
                f"{size} {n}-grams, as the beginning of the file says, got {len(table)}; is it cut short?", "then"
            )
        return table

    def _log10(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self._fail(f"a finite number where {text!r} stands")
        return value

    def _take(self, mark: str) -> None:
        if self._line != mark:
            self._fail(f"{mark} of an ARPA file")
        self._advance()

    def _advance(self) -> None:
        self._line = ""
        for number, line in self._lines:
            self._number, self._line = number, line.strip(" \t\r\n")
            if self._line:
                break

    def _fail(self, expected: str, then: str = "got") -> NoReturn:
        found = repr(self._line[:80]) if self._line else "the end of the file"
        raise ModelError(f"{self._path}:{self._number}: expected {expected}, {then} {found}")
