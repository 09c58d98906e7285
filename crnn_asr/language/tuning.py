"""Choosing alpha, beta and the beam's width for a language model by the errors on a manifest."""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crnn_asr.errors import ModelError
from crnn_asr.text.metrics import Scores

COARSE_ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
COARSE_BETAS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
FINE_ALPHA, FINE_BETA = 0.1, 0.5  # steps around the best of these
BEAMS = (8, 16, 32, 64, 128)
SEARCH_BEAM = 32


@dataclass(frozen=True)
class Tuning:
    """What was found for a language model, and the numbers that chose it; rates are in percent."""

    sha256: str  # of the ARPA file
    file: str  # its name then
    alpha: float
    beta: float
    beam: int
    wer: float
    cer: float
    greedy_wer: float
    utterances: int

    def __post_init__(self) -> None:
        if not (0 <= self.alpha < math.inf and math.isfinite(self.beta) and self.beam >= 1):
            raise ModelError(
                f"expected a finite alpha from 0, a finite beta and a beam of at least 1, "
                f"got {self.alpha}, {self.beta} and {self.beam}"
            )


@dataclass(frozen=True)
class Trial:
    """Errors with these settings."""

    alpha: float
    beta: float
    beam: int
    scores: Scores

    @property
    def rank(self) -> tuple[int, int, int, float, float]:
        """Fewer wrong words first, then fewer wrong characters, then what is cheaper and changes less."""
        return self.scores.words.errors, self.scores.characters.errors, self.beam, self.alpha, self.beta


def search(score: Callable[[float, float, int], Scores]) -> Iterator[Trial]:
    """Try settings, each once: a coarse grid of alpha and beta, a fine one around its best, then beams for the best.

    Args:
        score: from alpha, beta and beam to the errors.
    """
    tried: dict[tuple[float, float, int], Trial] = {}

    def attempt(alpha: float, beta: float, beam: int) -> Iterator[Trial]:
        if (alpha, beta, beam) not in tried:
            tried[alpha, beta, beam] = Trial(alpha, beta, beam, score(alpha, beta, beam))
            yield tried[alpha, beta, beam]

    def best() -> Trial:
        return min(tried.values(), key=lambda trial: trial.rank)

    for alpha in COARSE_ALPHAS:
        for beta in COARSE_BETAS:
            yield from attempt(alpha, beta, SEARCH_BEAM)
    center = best()
    for alpha in (center.alpha - FINE_ALPHA, center.alpha, center.alpha + FINE_ALPHA):
        for beta in (center.beta - FINE_BETA, center.beta, center.beta + FINE_BETA):
            if alpha >= 0:
                yield from attempt(round(alpha, 3), beta, SEARCH_BEAM)
    center = best()
    for beam in BEAMS:
        yield from attempt(center.alpha, center.beta, beam)


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
