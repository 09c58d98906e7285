"""Scores of words and of their beginnings, by hand."""

import math

import pytest

from crnn_asr.language.arpa import write_arpa
from crnn_asr.language.histories import LanguageModel
from crnn_asr.language.ngram import NgramModel
from crnn_asr.language.words import WordScores

TABLES = (
    {
        ("<s>",): (-99.0, -0.5),
        ("stop",): (-0.5, -0.25),
        ("start",): (-1.0, 0.0),
        ("</s>",): (-0.75, 0.0),
        ("<unk>",): (-3.0, 0.0),
    },
    {("<s>", "stop"): (-0.25, 0.0), ("stop", "</s>"): (-0.125, 0.0)},
)
LN_10 = math.log(10)


@pytest.fixture
def model(tmp_path) -> LanguageModel:
    write_arpa(tmp_path / "m.arpa", NgramModel(TABLES))
    return LanguageModel(tmp_path / "m.arpa")


def test_words_of_a_sentence(model):
    scores = WordScores(model, 0.5, 2.0, model.vocabulary, 7.0, {})
    first, state = scores.score(scores.get_start_state(), "stop")
    assert first == pytest.approx(0.5 * LN_10 * -0.25 + 2)
    second, _ = scores.score(state, "start", is_last_word=True)
    assert second == pytest.approx(0.5 * LN_10 * (-0.25 - 1.0 - 0.75) + 2)
    unknown, _ = scores.score(state, "step")
    assert unknown == pytest.approx(0.5 * LN_10 * (-0.25 - 3.0) + 2 - 7)


def test_the_end_of_a_text_that_ends_in_a_space_is_no_word(model):
    scores = WordScores(model, 0.5, 2.0, model.vocabulary, 7.0, {})
    _, state = scores.score(scores.get_start_state(), "stop")
    assert scores.score(state, "", is_last_word=True)[0] == pytest.approx(0.5 * LN_10 * -0.125)


def test_beginnings_are_penalized_as_soon_as_no_word_begins_so():
    scores = WordScores(None, 0.5, 0.0, {"stop", "start"}, 7.0, {})
    found = [scores.score_partial_token(text) for text in ("s", "st", "sta", "start", "starts", "x", "top")]
    assert found == [0, 0, 0, 0, -7, -7, -7]
    assert [scores.score(None, word)[0] for word in ("stop", "sto", "starts")] == [0, -7, -7]


def test_without_vocabulary_every_word_is_one():
    scores = WordScores(None, 0.5, 1.5, None, math.inf, {})
    assert scores.score_partial_token("xyz") == 0 and scores.score(None, "xyz") == (1.5, None)
    assert scores.allows("xyz") and scores.order == 1


def test_an_infinite_penalty_closes_the_vocabulary():
    scores = WordScores(None, 0.5, 0.0, {"stop"}, math.inf, {"go": 1.0})
    assert [scores.allows(word) for word in ("stop", "go", "sto", "")] == [True, True, False, False]
    assert scores.score_partial_token("stp") == scores.score(None, "sto")[0] == -math.inf


def test_hotwords_earn_their_weight_letter_by_letter_and_need_no_vocabulary():
    scores = WordScores(None, 0.5, 0.0, {"stop"}, 7.0, {"seven": 5.0, "seventeen": 18.0, "no": -3.0})
    found = [scores.score_partial_token(text) for text in ("s", "seven", "sevent", "sevens", "n")]
    assert found == pytest.approx([2, 10, 12, -7, -1.5])
    assert [scores.score(None, word)[0] for word in ("seven", "seventeen", "no", "stop")] == [5, 18, -3, 0]
