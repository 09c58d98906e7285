"""Words and sentences from files."""

import json

import pytest

from crnn_asr.config import TextConfig
from crnn_asr.errors import DataError
from crnn_asr.language.sources import read_lexicon, read_sentences


def test_a_lexicon_is_normalized(tmp_path):
    (tmp_path / "words.txt").write_text("\ufeffStop\n\n  GO!\nit\u2019s\nstop\n", encoding="utf-8")
    assert read_lexicon(tmp_path / "words.txt", TextConfig()) == {"stop", "go", "it's"}
    (tmp_path / "az.txt").write_text("QIZIL\nİKİ\n", encoding="utf-8")
    assert read_lexicon(tmp_path / "az.txt", TextConfig(language="az")) == {"qızıl", "iki"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"stop\ngo on\n", r"words\.txt:2: expected one word a line, got 'go on'"),
        (b"stop\n---\n", r"words\.txt:2: expected one word a line, got '---'"),
        (b"\n\n", "expected a word a line, got an empty file"),
        (b"\xff\xfe", "expected a text in UTF-8"),
    ],
)
def test_lexicons_that_are_none(tmp_path, content, words):
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_lexicon(tmp_path / "words.txt", TextConfig())


def test_sentences_of_texts_and_manifests(tmp_path):
    (tmp_path / "a.txt").write_text("One, two!\n\n...\nthree\n")
    rows = [{"audio_filepath": "x.wav", "duration": 1, "text": text} for text in ("FOUR five", "")]
    (tmp_path / "b.jsonl").write_text("\n".join([*map(json.dumps, rows), "{"]))
    sentences, problems = read_sentences([tmp_path / "a.txt", tmp_path / "b.jsonl"], TextConfig())
    assert sentences == ["one two", "three", "four five"]
    assert [problem.where for problem in problems] == [f"{tmp_path / 'b.jsonl'}:3"]
    with pytest.raises(DataError, match=r"expected sentences in .*empty\.txt, got none"):
        (tmp_path / "empty.txt").touch()
        read_sentences([tmp_path / "empty.txt"], TextConfig())
