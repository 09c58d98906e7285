"""Phrase grammars: rules that stand for many sentences, and sentences drawn from them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crnn_asr.errors import DataError

START = "utterance"  # the rule where a sentence starts
_MAX_DRAWS = 100


@dataclass(frozen=True)
class Word:
    text: str


@dataclass(frozen=True)
class Reference:
    """The name of a rule, inside another one."""

    name: str


@dataclass(frozen=True)
class Sequence:
    items: tuple["Node", ...]


@dataclass(frozen=True)
class Choice:
    """One of `options`, drawn with `probabilities`."""

    options: tuple["Node", ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Repeat:
    """`item` from `low` to `high` times, each number as likely as the next."""

    item: "Node"
    low: int
    high: int


Node = Word | Reference | Sequence | Choice | Repeat


@dataclass(frozen=True)
class Grammar:
    """Rules by name: every reference has one, none contains itself, `START` is among them."""

    rules: Mapping[str, Node]

    def sample(self, rng: np.random.Generator) -> str:
        """Draw a sentence of at least one word, single spaces between words.

        Raises:
            DataError: a hundred draws in a row were empty.

        Example:
            >>> Grammar({"utterance": Repeat(Word("stop"), 2, 2)}).sample(np.random.default_rng(0))
            'stop stop'
        """
        for _ in range(_MAX_DRAWS):
            if words := self._words(self.rules[START], rng):
                return " ".join(words)
        raise DataError(f"expected sentences from <{START}>, got {_MAX_DRAWS} empty ones; make a part not optional")

    def _words(self, node: Node, rng: np.random.Generator) -> list[str]:
        match node:
            case Word(text):
                return [text]
            case Reference(name):
                return self._words(self.rules[name], rng)
            case Sequence(items):
                return [word for item in items for word in self._words(item, rng)]
            case Choice(options, probabilities):
                return self._words(options[int(rng.choice(len(options), p=probabilities))], rng)
            case Repeat(item, low, high):
                return [word for _ in range(int(rng.integers(low, high + 1))) for word in self._words(item, rng)]
