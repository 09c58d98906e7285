"""KenLM and the plain tables: the same numbers, word by word."""

import sys

import pytest

from crnn_asr.errors import ModelError
from crnn_asr.language import histories
from crnn_asr.language.arpa import write_arpa
from crnn_asr.language.histories import LanguageModel
from crnn_asr.language.kneser_ney import estimate
from crnn_asr.language.ngram import NgramModel

TEXT = ["a b c", "a b", "c a b b", "b", "a b c d e", "a b c", "e d", "d a c"]


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.setitem(sys.modules, "kenlm", None)


@pytest.fixture
def path(tmp_path):
    write_arpa(tmp_path / "m.arpa", estimate(TEXT, 3).model)
    return tmp_path / "m.arpa"


def scores(model: LanguageModel, sentence: str) -> list[float]:
    history, values = model.begin(), []
    for word in sentence.split():
        value, history = model.extend(history, word)
        values.append(value)
    return [*values, model.end(history)]


def test_without_kenlm_it_is_the_model(path, plain):
    model, expected = LanguageModel(path), estimate(TEXT, 3).model
    assert (model.order, model.vocabulary) == (3, frozenset("abcde"))
    assert scores(model, "c a") == pytest.approx(
        [expected.log10(("<s>",), "c"), expected.log10(("<s>", "c"), "a"), expected.log10(("c", "a"), "</s>")], abs=1e-5
    )


@pytest.mark.parametrize("with_unknown", [True, False])
def test_kenlm_gives_the_same(path, monkeypatch, with_unknown, capfd):
    pytest.importorskip("kenlm", reason="KenLM is not installed: pip install -r requirements-lm.txt")
    if not with_unknown:
        first, *rest = estimate(TEXT, 3).model.tables
        del first["<unk>",]
        write_arpa(path, NgramModel((first, *rest)))
    theirs = LanguageModel(path)
    monkeypatch.setitem(sys.modules, "kenlm", None)
    ours = LanguageModel(path)
    assert type(theirs._histories) is not type(ours._histories)
    for sentence in ("a b c d e", "", "zebra", "a zebra b b a", "e e", "zebra zebra c a b"):
        assert scores(theirs, sentence) == pytest.approx(scores(ours, sentence), abs=1e-5), sentence
    assert capfd.readouterr() == ("", "")


def test_a_model_without_unknown_takes_its_rarest_word_for_it(path, plain):
    tables = ({("<s>",): (-99.0, -0.5), ("a",): (-0.5, -0.25), ("b",): (-1.5, 0.0), ("</s>",): (-0.75, 0.0)},)
    write_arpa(path, NgramModel(tables))
    model = LanguageModel(path)
    assert scores(model, "zebra a") == pytest.approx([-1.5, -0.5, -0.75])


def test_single_words_are_read_where_kenlm_refuses_them(path):
    write_arpa(path, estimate(TEXT, 1).model)
    model = LanguageModel(path)
    assert model.order == 1 and isinstance(model._histories, histories.PlainHistories)


def test_damage_behind_the_single_words_is_named_by_line(path):
    path.write_text(path.read_text().replace("\ta b c", "\ta b zebra"))
    with pytest.raises(ModelError, match=r"m\.arpa:\d+: expected words that are among the 1-grams"):
        LanguageModel(path)
