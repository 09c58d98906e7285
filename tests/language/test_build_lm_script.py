"""build_lm.py: what a user types, right and wrong."""

import json

import pytest

from crnn_asr.language.arpa import read_arpa
from crnn_asr.language.kneser_ney import estimate
from crnn_asr.language.ngram import surprise


@pytest.fixture
def build(script, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("Stop, now!\ngo\nstop\n\n")
    rows = [{"audio_filepath": "x.wav", "duration": 1, "text": "go NOW"}]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    module = script("build_lm")
    return lambda *arguments: module.main(list(map(str, arguments)))


def test_texts_and_manifests_make_a_file(build, tmp_path, capsys):
    assert build("a.txt", "b.jsonl", "--order", 2, "--out", "m.arpa", "--held-out", "a.txt") == 0
    out, err = capsys.readouterr()
    expected = estimate(["stop now", "go", "stop", "go now"], 2).model
    found = read_arpa(tmp_path / "m.arpa")
    assert found.vocabulary == expected.vocabulary
    assert found.log10(("<s>",), "go") == pytest.approx(expected.log10(("<s>",), "go"), abs=1e-6)
    perplexity = surprise(expected, ["stop now", "go", "stop"]).perplexity
    assert f"held out: perplexity {perplexity:.2f}, {perplexity:.2f} without the 0 unknown of 7" in out
    assert "4 sentences, 3 words\n" in out and "2-grams         7" in out and out.endswith("m.arpa\n")
    assert err == "note: too little text for discounts of 2-grams; usual ones are taken\n"


def test_the_same_text_makes_the_same_bytes(build, tmp_path):
    build("a.txt", "--out", "1.arpa")
    build("a.txt", "--out", "2.arpa")
    assert (tmp_path / "1.arpa").read_bytes() == (tmp_path / "2.arpa").read_bytes()


def test_casing_is_chosen_and_pruning_leaves_out(build, tmp_path):
    build("a.txt", "a.txt", "b.jsonl", "--out", "m.arpa", "--casing", "upper", "--order", 2, "--prune", 1)
    model = read_arpa(tmp_path / "m.arpa")
    assert model.vocabulary == {"STOP", "NOW", "GO"}
    assert ("STOP", "NOW") in model.tables[1] and ("GO", "NOW") not in model.tables[1]


def test_bad_lines_are_named_and_the_rest_is_done(build, tmp_path, capsys):
    with (tmp_path / "b.jsonl").open("a") as file:
        file.write("\n{")
    assert build("b.jsonl", "--order", 2, "--out", "m.arpa") == 1
    assert "error: b.jsonl:2: expected a JSON object" in capsys.readouterr().err
    assert read_arpa(tmp_path / "m.arpa").order == 2


@pytest.mark.parametrize("arguments", [[], ["a.txt"], ["--out", "m.arpa"], ["a.txt", "--out", "m", "--order", "0"]])
def test_wrong_usage(build, arguments):
    with pytest.raises(SystemExit) as stopped:
        build(*arguments)
    assert stopped.value.code == 2
