"""ARPA files: what is written comes back, KenLM reads the same, and damage is named by line."""

from pathlib import Path

import pytest

from crnn_asr.errors import ModelError
from crnn_asr.language.arpa import read_arpa, write_arpa
from crnn_asr.language.kneser_ney import estimate

GOOD = """
\\data\\
ngram 1=4
ngram  2 = 2

\\1-grams:
-99\t<s>\t-0.25
-0.5 a -0.125
-0.75\tb
-1e-1\t</s>

\\2-grams:
-0.25\t<s> a
-0.5\ta\tb

\\end\\
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "m.arpa").write_text(GOOD, encoding="utf-8")
    return tmp_path / "m.arpa"


def test_spaces_tabs_and_missing_weights_are_read(path):
    first, second = read_arpa(path).tables
    assert first == {("<s>",): (-99, -0.25), ("a",): (-0.5, -0.125), ("b",): (-0.75, 0), ("</s>",): (-0.1, 0)}
    assert second == {("<s>", "a"): (-0.25, 0), ("a", "b"): (-0.5, 0)}


def test_the_lower_orders_alone(path):
    text = path.read_text()
    path.write_text(text[: text.index("\\2-grams")])
    assert read_arpa(path, highest=1).order == 1
    with pytest.raises(ModelError, match=r"m\.arpa:11: expected \\2-grams: of an ARPA file, got the end of the file"):
        read_arpa(path)


def test_round_trip_and_equal_files(tmp_path):
    model = estimate(["a ə b", "a b", "ə"], 3).model
    write_arpa(tmp_path / "a.arpa", model)
    found = read_arpa(tmp_path / "a.arpa")
    assert [set(table) for table in found.tables] == [set(table) for table in model.tables]
    for read, written in zip(found.tables, model.tables):
        for ngram, values in written.items():
            assert read[ngram] == pytest.approx(values, abs=1e-6)
    write_arpa(tmp_path / "b.arpa", found)
    assert (tmp_path / "a.arpa").read_bytes() == (tmp_path / "b.arpa").read_bytes()


@pytest.mark.parametrize("order", [2, 3, 4])
def test_kenlm_reads_the_same(tmp_path, order):
    kenlm = pytest.importorskip("kenlm", reason="KenLM is not installed: pip install -r requirements-lm.txt")
    model = estimate(["a b c", "a b", "c a b b", "b", "a b c d e"] * 3 + ["e d", "d a c"], order).model
    write_arpa(tmp_path / "m.arpa", model)
    config = kenlm.Config()
    config.show_progress, config.arpa_complain = False, kenlm.ARPALoadComplain.NONE
    theirs = kenlm.Model(str(tmp_path / "m.arpa"), config)
    assert theirs.order == order
    for sentence in ("a b c", "e e e", "", "a zebra b c d", "d a b c d e a"):
        context, expected = ("<s>",), []
        for word in (*sentence.split(), "</s>"):
            expected.append(model.log10(context, model.known(word)))
            context = (*context, model.known(word))
        assert [score for score, _, _ in theirs.full_scores(sentence)] == pytest.approx(expected, abs=2e-6), sentence


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("\\data\\", "data", 2, r"expected \\data\\ of an ARPA file, got 'data'"),
        ("ngram 1=4", "ngram 1=3", 12, "expected 3 1-grams, as the beginning of the file says, got 4"),
        ("ngram 1=4", "ngram 1=5", 12, "expected 5 1-grams, as the beginning of the file says, got 4"),
        ("ngram 1=4", "ngram 2=4", 3, "'ngram 1='"),
        ("ngram 1=4", "ngram one=4", 3, "'ngram 1=' and so on"),
        ("ngram  2 = 2", "ngram 2=0", 4, "'ngram 2=' with a number of n-grams above 0"),
        ("\\1-grams:", "\\2-grams:", 6, r"expected \\1-grams:"),
        ("-0.5 a -0.125", "-0.5 a b -0.125", 8, "a log10 probability, 1 words"),
        ("-0.5 a -0.125", "-0.5", 8, "a log10 probability, 1 words"),
        ("-0.5 a -0.125", "half a -0.125", 8, "a finite number where 'half' stands"),
        ("-0.5 a -0.125", "nan a -0.125", 8, "a finite number where 'nan' stands"),
        ("-0.5 a -0.125", "-0.5 a -inf", 8, "a finite number where '-inf' stands"),
        ("-0.5 a -0.125", "0.5 a -0.125", 8, "a log10 probability of at most 0, got '0.5 a"),
        ("-0.75\tb", "-0.75\ta", 9, "each n-gram once"),
        ("-0.5\ta\tb", "-0.5\ta\tz", 14, "words that are among the 1-grams, got '-0.5.*z'"),
        ("\\end\\", "", 16, r"expected \\end\\ of an ARPA file, got the end of the file"),
    ],
)
def test_damage_is_named_by_line(path, old, new, line, words):
    assert GOOD.count(old) == 1
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ModelError, match=rf"m\.arpa:{line}: .*{words}"):
        read_arpa(path)


def test_every_cut_is_found(path):
    whole = GOOD.rstrip("\n")
    for length in range(len(whole)):
        path.write_text(whole[:length])
        with pytest.raises(ModelError, match=r"m\.arpa:\d+: expected"):
            read_arpa(path)


def test_files_that_are_something_else(tmp_path):
    for name, content, words in (
        ("empty", b"", ":0: expected .*, got the end of the file"),
        ("text", b"hello there\n", ":1: expected .*, got 'hello there'"),
        ("binary", b"mmap lm http://kheafield.com/code\xff\xfe\n", ": expected an ARPA file, text in UTF-8"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=words):
            read_arpa(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_arpa(tmp_path / "missing.arpa")


def test_the_other_spelling_of_unknown_is_read(path):
    path.write_text(GOOD.replace("-0.75\tb", "-0.75\t<UNK>").replace("a\tb", "a\t<UNK>"))
    model = read_arpa(path)
    assert model.has_unknown and ("a", "<unk>") in model.tables[1]
