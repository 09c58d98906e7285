"""Grammars against sentences enumerated by hand, and against the chances that the file asks for."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from crnn_asr.config import TextConfig
from crnn_asr.corpus.grammar_parser import parse_grammar, read_grammar
from crnn_asr.errors import DataError
from crnn_asr.text.normalize import normalize

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "data" / "grammars").glob("*.txt"))


def draws(text: str, count: int = 2_000, seed: int = 0) -> Counter[str]:
    grammar, rng = parse_grammar(text), np.random.default_rng(seed)
    return Counter(grammar.sample(rng) for _ in range(count))


def share_close(count: int, total: int, expected: float) -> bool:
    return abs(count / total - expected) < 4 * np.sqrt(expected * (1 - expected) / total)  # four standard errors


def test_every_sentence_of_a_grammar_is_drawn_and_no_other():
    found = draws("""
        # turns and stops
        <utterance> = [please] <command>;   # rules may come in any order
        <command> = turn (left | right){1,2} | stop;
    """)
    commands = ["turn left", "turn right", "turn left left", "turn left right", "turn right left", "turn right right"]
    assert set(found) == {start + command for start in ("", "please ") for command in [*commands, "stop"]}


def test_weights_optionals_and_repeats_have_the_chances_that_they_say():
    total = 4_000
    weighted = draws("<utterance> = /3/ a | b | /0.5/ c c;", total)
    assert share_close(weighted["a"], total, 3 / 4.5) and share_close(weighted["c c"], total, 0.5 / 4.5)
    assert share_close(draws("<utterance> = a [b];", total)["a b"], total, 1 / 2)
    lengths = Counter(len(sentence.split()) for sentence in draws("<utterance> = (a | b){2,5};", total).elements())
    assert set(lengths) == {2, 3, 4, 5} and all(share_close(lengths[n], total, 1 / 4) for n in lengths)
    assert set(draws("<utterance> = a{3};", 50)) == {"a a a"}


def test_a_repeat_draws_each_time_anew():
    assert len(draws("<utterance> = <digit>{4}; <digit> = zero | one;", 500)) == 2**4


def test_the_same_seed_draws_the_same_sentences():
    grammar = read_grammar(SHIPPED[0])
    first, again, other = ([grammar.sample(np.random.default_rng([s, i])) for i in range(20)] for s in (5, 5, 6))
    assert first == again != other


def test_an_empty_sentence_is_never_drawn():
    assert set(draws("<utterance> = [a] [b];", 300)) == {"a", "b", "a b"}
    assert set(draws("<utterance> = a{0,1};", 300)) == {"a"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("<utterance> =\n a <b>;", 2, "<b> is used, but has no rule"),
        ("<utterance> = a\n (b | c;", 2, "expected ')' for the '(' of line 2, got ';'"),
        ("<utterance> = a [b\n c;", 2, "expected ']' for the '[' of line 1"),
        ("<utterance> = a b);", 1, "expected ';' at the end of <utterance> of line 1, got ')'"),
        ("<utterance> = a\n<b> = c;", 2, "expected ';' at the end of <utterance> of line 1, got '='"),
        ("<utterance> = a", 1, "expected ';' at the end of <utterance> of line 1, got 'the end of the file'"),
        ("<utterance> = <utterance> a | b;", 1, "<utterance> contains itself (<utterance> → <utterance>)"),
        ("<utterance> = <b>;\n<b> = a [<c>];\n<c> = d <b>;", 3, "<b> contains itself (<b> → <c> → <b>)"),
        ("<utterance> = a;\n\n<utterance> = b;", 3, "<utterance> has a rule already, at line 1"),
        ("<utterance> = a |;", 1, "expected words, got ';'"),
        ("<utterance> = ();", 1, "expected words, got ')'"),
        ("<utterance> = a{5,2};", 1, "expected a repeat {low,high}"),
        ("<utterance> = a{0};", 1, "expected a repeat {low,high}"),
        ("<utterance> = a{1,1000};", 1, "up to 100 times, got {1,1000}"),
        ("<utterance> = /0/ a | b;", 1, "expected a weight above 0"),
        ("<utterance> = flight level 90;", 1, "got '90'; write numbers in words"),
        ("<utterance> = stop ! now;", 1, "expected a word as it is spoken, got '!'"),
        ("<utterance> = a {x};", 1, "got '{'"),
        ("\nturn left;", 2, "expected a rule, <name> = words;, got 'turn'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, message: str):
    with pytest.raises(DataError) as error:
        parse_grammar(text, "my.txt")
    assert str(error.value).startswith(f"my.txt:{line}: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a rule <utterance>, where sentences start, got an empty file"),
        ("  # nothing but a comment\n", "got an empty file"),
        ("<digit> = one;", "got <digit>"),
        ("<utterance> = " + "(" * 5_000 + "a" + ")" * 5_000 + ";", "nested hundreds deep"),
    ],
)
def test_what_is_missing_is_said(text: str, message: str):
    with pytest.raises(DataError, match=re.escape(message)):
        parse_grammar(text)


def test_a_file_that_is_no_text_is_said_so(tmp_path: Path):
    path = tmp_path / "speech.txt"
    path.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(DataError, match=r"speech\.txt: expected a grammar as text in UTF-8"):
        read_grammar(path)


def test_words_may_be_of_any_script():
    assert set(draws("<utterance> = sağa | sola dön | İrəli;", 100)) == {"sağa", "sola dön", "İrəli"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_grammars(path: Path):
    text = path.read_text(encoding="utf-8")
    grammar, rng = read_grammar(path), np.random.default_rng(1)
    used = {"utterance", *re.findall(r"<([\w-]+)>(?!\s*=)", re.sub("#.*", "", text))}
    assert set(grammar.rules) == used, "a rule that nothing uses"
    sentences = [grammar.sample(rng) for _ in range(1_500)]
    train, test = set(sentences[:1_200]), sentences[1_200:]
    assert sum(sentence in train for sentence in test) <= 0.2 * len(test)
    assert all(re.fullmatch("[a-z' ]+", normalize(sentence, TextConfig())) for sentence in sentences)
    assert max(len(line) for line in text.splitlines()) <= 120


def test_the_air_traffic_grammar_has_the_phraseology():
    grammar = read_grammar(next(path for path in SHIPPED if path.stem == "air_traffic_control"))
    spoken = "\n".join(grammar.sample(np.random.default_rng(seed)) for seed in range(2_000))
    for pattern in (
        r"turn (left|right) heading (zero|one|two|three) \w+ (zero|five)\b",
        r"flight level (one|two|three) \w+ zero",
        r"contact \w+ tower (on )?one (one|two|three) \w+ decimal \w+",
        r"squawk( (zero|one|two|three|four|five|six|seven)){4}",
        r"q n h one zero [a-z]+ [a-z]+",
        r"runway \w+ \w+ (left |right |center )?cleared (to land|for take off)",
        r"speedbird( (zero|one|two|three|four|five|six|seven|eight|nine|niner)){2,4}",
    ):
        assert re.search(pattern, spoken), pattern
