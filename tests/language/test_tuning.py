"""The search over settings, on errors with a known best."""

import hashlib

import pytest

from crnn_asr.errors import ModelError
from crnn_asr.language.tuning import ALPHAS, BEAMS, BETAS, Trial, Tuning, search, sha256_of
from crnn_asr.text.metrics import ErrorCounts, Scores


def scores(words: int, characters: int) -> Scores:
    return Scores(ErrorCounts(words, 0, 0, 100), ErrorCounts(characters, 0, 0, 500), words, 50)


def test_every_setting_is_tried_once_and_the_best_is_found():
    asked = []

    def errors(alpha: float, beta: float, beam: int) -> Scores:
        asked.append((alpha, beta, beam))
        return scores(round(10 + 50 * abs(alpha - 0.6) + 5 * abs(beta - 4)) + (beam < 64), 30)

    trials = list(search(errors))
    assert asked == [(trial.alpha, trial.beta, trial.beam) for trial in trials]
    assert len(set(asked)) == len(asked) == len(ALPHAS) * len(BETAS) + len(BEAMS) - 1
    best = min(trials, key=lambda trial: trial.rank)
    assert (best.alpha, best.beta, best.beam) == (0.6, 4, 64)


def test_equal_word_errors_are_told_apart_by_characters():
    ranks = [Trial(0.5, 1, 32, scores(*errors)).rank for errors in ((9, 30), (9, 31), (10, 5))]
    assert ranks == sorted(ranks)


def test_of_equals_the_beam_of_the_grid_is_taken():
    trials = list(search(lambda alpha, beta, beam: scores(9, 30)))
    assert min(trials, key=lambda trial: trial.rank).beam == 32


@pytest.mark.parametrize("values", [(-0.1, 1, 8), (float("nan"), 1, 8), (0.5, float("inf"), 8), (0.5, 1, 0)])
def test_values_that_make_no_sense_are_refused(values):
    with pytest.raises(ModelError, match="expected a finite alpha from 0"):
        Tuning("0" * 64, "a.arpa", *values, 9.0, 5.0, 12.0, 100)


def test_the_checksum_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a.arpa").write_bytes(b"\\data\\\n" * 9999)
    assert sha256_of(tmp_path / "a.arpa") == hashlib.sha256(b"\\data\\\n" * 9999).hexdigest()
