"""Grammar files: text to `Grammar`. The syntax follows JSGF, the grammar format of the W3C's and Java's speech APIs.

    # a comment
    <utterance> = [please] <command> | /0.5/ dial <digit>{3,7};
    <command>   = turn (left | right) | stop;
    <digit>     = zero | one | two;

A file is a list of rules, each ended by a semicolon; a sentence starts at `<utterance>`. `|` separates alternatives, a
number between slashes before one is its weight (1 where there is none), `( )` groups, `[ ]` is said half of the time,
`{3,7}` or `{3}` repeats what stands before it. Everything else is a word. No rule may contain itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from crnn_asr.corpus.grammar import START, Choice, Grammar, Node, Reference, Repeat, Sequence, Word
from crnn_asr.errors import DataError

MAX_REPEATS = 100

_TOKEN = re.compile(
    r"(?P<space>\s+|\#[^\n]*)|<(?P<rule>[\w-]+)>|/(?P<weight>\d+\.?\d*)/|\{(?P<repeat>\d+(?:,\d+)?)\}"
    r"|(?P<mark>[=|;()\[\]])|(?P<word>[^\s<>{}()\[\]=|;/\#]+)|(?P<wrong>.)"
)


def read_grammar(path: Path) -> Grammar:
    """Read a grammar file in UTF-8.

    Raises:
        DataError: something is wrong in it; the message names the file and the line.
        OSError: the file cannot be read.
    """
    try:
        return parse_grammar(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a grammar as text in UTF-8, got other bytes") from error


def parse_grammar(text: str, where: str = "grammar") -> Grammar:
    """Parse the text of a grammar file; `where` names it in errors.

    Raises:
        DataError: see `read_grammar`.

    Example:
        >>> parse_grammar("<utterance> = stop{2};").rules["utterance"]
        Repeat(item=Word(text='stop'), low=2, high=2)
    """
    try:
        return Grammar(_Parser(text, where).rules())
    except RecursionError as error:
        raise DataError(f"{where}: brackets or rules are nested hundreds deep; write it flatter") from error


@dataclass(frozen=True)
class _Token:
    kind: str  # a group of _TOKEN, a mark itself, or "end"
    text: str
    line: int


class _Parser:
    """Recursive descent over the tokens of one file: a method for each level of the syntax."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.tokens = list(self._tokenize(text))
        self.references: dict[str, list[_Token]] = {}  # of each rule
        self.position = 0

    def rules(self) -> dict[str, Node]:
        rules: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while self._next.kind != "end":
            head = self._take("rule", "a rule, <name> = words;")
            if head.text in rules:
                self._fail(head.line, f"<{head.text}> has a rule already, at line {lines[head.text]}")
            lines[head.text] = head.line
            self.references[head.text] = []
            self._take("=", f"'=' after <{head.text}>")
            rules[head.text] = self._choice(head.text)
            self._take(";", f"';' at the end of <{head.text}> of line {head.line}")
        if START not in rules:
            found = ", ".join(f"<{name}>" for name in rules) or "an empty file"
            raise DataError(f"{self.where}: expected a rule <{START}>, where sentences start, got {found}")
        checked: set[str] = set()
        for name in rules:
            self._check_references((name,), checked)
        return rules

    def _choice(self, rule: str) -> Node:
        weights, options = [self._weight()], [self._sequence(rule)]
        while self._next.kind == "|":
            self.position += 1
            weights.append(self._weight())
            options.append(self._sequence(rule))
        if len(options) == 1:
            return options[0]
        return Choice(tuple(options), tuple(weight / sum(weights) for weight in weights))

    def _weight(self) -> float:
        if self._next.kind != "weight":
            return 1.0
        token = self._take("weight", "a weight")
        if float(token.text) == 0:
            self._fail(token.line, f"expected a weight above 0, got /{token.text}/; leave the alternative out")
        return float(token.text)

    def _sequence(self, rule: str) -> Node:
        items = []
        while self._next.kind in ("word", "rule", "(", "["):
            items.append(self._repeated(self._item(rule)))
        if not items:
            self._fail(self._next.line, f"expected words, got {self._next.text!r}; [ ] makes words optional")
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _item(self, rule: str) -> Node:
        token = self._take(self._next.kind, "words")
        if token.kind == "rule":
            self.references[rule].append(token)
            return Reference(token.text)
        if token.kind == "word":
            if any(map(str.isnumeric, token.text)) or not any(map(str.isalpha, token.text)):
                self._fail(token.line, f"expected a word as it is spoken, got {token.text!r}; write numbers in words")
            return Word(token.text)
        node = self._choice(rule)
        closing = {"(": ")", "[": "]"}[token.kind]
        self._take(closing, f"{closing!r} for the {token.kind!r} of line {token.line}")
        return node if token.kind == "(" else Choice((Sequence(()), node), (0.5, 0.5))

    def _repeated(self, node: Node) -> Node:
        if self._next.kind != "repeat":
            return node
        token = self._take("repeat", "a repeat")
        low, high = (int(token.text.split(",")[index]) for index in (0, -1))
        if not low <= high <= MAX_REPEATS or high == 0:
            self._fail(token.line, f"expected a repeat {{low,high}} up to {MAX_REPEATS} times, got {{{token.text}}}")
        return Repeat(node, low, high)

    def _check_references(self, path: tuple[str, ...], checked: set[str]) -> None:
        """Follow every reference from the end of `path`, but through the rules in `checked`, which are in order."""
        for token in self.references[path[-1]]:
            if token.text not in self.references:
                self._fail(token.line, f"<{token.text}> is used, but has no rule")
            if token.text in path:
                way = " → ".join(f"<{name}>" for name in (*path[path.index(token.text) :], token.text))
                self._fail(token.line, f"<{token.text}> contains itself ({way}); write a repeat, {{1,5}}, instead")
            if token.text not in checked:
                self._check_references((*path, token.text), checked)
        checked.add(path[-1])

    @property
    def _next(self) -> _Token:
        return self.tokens[self.position]

    def _take(self, kind: str, expected: str) -> _Token:
        token = self._next
        if token.kind != kind:
            self._fail(token.line, f"expected {expected}, got {token.text!r}")
        self.position += 1
        return token

    def _tokenize(self, text: str) -> Iterator[_Token]:
        line = 1
        for match in _TOKEN.finditer(text):
            kind, value = str(match.lastgroup), match[str(match.lastgroup)]
            if kind == "wrong":
                self._fail(line, f"expected a word, <rule>, /weight/ or {{low,high}}, got {value!r}")
            if kind != "space":
                yield _Token(value if kind == "mark" else kind, value, line)
            line += match[0].count("\n")
        yield _Token("end", "the end of the file", line)

    def _fail(self, line: int, message: str) -> NoReturn:
        raise DataError(f"{self.where}:{line}: {message}")
