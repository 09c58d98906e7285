"""evaluate.py: what a user types, right and wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.corpus.manifest import Utterance, write_manifest


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with three recordings, a manifest of them, noise in subfolders, and a room."""
    rng = np.random.default_rng(4)
    utterances = []
    for number in range(3):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(8_000), 16_000)
        utterances.append(Utterance(path, 0.5, "one two", id=f"u{number}"))
    write_manifest(tmp_path / "m.jsonl", utterances)
    for name, rate_hz in (("a/rain.flac", 44_100), ("b/hum.ogg", 8_000), ("rooms/hall.wav", 16_000)):
        (tmp_path / name).parent.mkdir(parents=True)
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(9_000), rate_hz)
    for name in "ab":
        (tmp_path / "noise").mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / "noise" / name)
    return tmp_path


@pytest.fixture
def call(script, model_path, corpus, monkeypatch):
    monkeypatch.chdir(corpus)
    module = script("evaluate")
    return lambda *arguments: module.main([str(model_path), "m.jsonl", *map(str, arguments)])


def test_a_table_a_json_file_and_a_report(call, corpus, capsys) -> None:
    assert call("--snr", "20,0", "--noise", "noise", "--rooms", "rooms", "--json", "r.json", "--out", "report") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("clean", "20 dB", "0 dB", "rooms"))] == [
        "clean",
        "20",
        "0",
        "rooms",
    ]
    values = json.loads((corpus / "r.json").read_text())
    report = json.loads((corpus / "report" / "report.json").read_text())
    assert values["robustness"] == report["robustness"] and values["results"] == report["results"]
    assert values["robustness"]["noise_files"] == 2 and values["wer"] == report["wer"]
    assert (corpus / "report" / "index.html").is_file() and (corpus / "report" / "robustness.png").is_file()


def test_without_options_nothing_of_it(call, corpus, capsys) -> None:
    assert call("--json", "r.json") == 0
    assert "clean" not in capsys.readouterr().out
    assert "robustness" not in json.loads((corpus / "r.json").read_text())


def test_a_report_is_not_written_over_anything_without_force(call, corpus) -> None:
    (corpus / "report").mkdir()
    assert call("--out", "report", "--worst", "0") == 0
    with pytest.raises(FileExistsError, match="report: expected an empty folder; give another one, or --force"):
        call("--out", "report")
    assert call("--out", "report", "--force") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--snr", "loud"], "expected numbers from -100 to 100 between commas, got 'loud'"),
        (["--snr", "10,,5"], "expected numbers"),
        (["--snr", "nan"], "expected numbers"),
        (["--snr", "500"], "expected numbers"),
        (["--noise", "noise"], "add, for example, --snr 20,10,5,0"),
        (["--seed", "-1"], "expected a whole number of at least 0"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_code_2(call, capsys, arguments, message) -> None:
    with pytest.raises(SystemExit) as stopped:
        call(*arguments)
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_a_folder_without_noise_is_named_before_anything_is_scored(call, corpus) -> None:
    (corpus / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: expected recordings"):
        call("--snr", "10", "--noise", "empty")
    with pytest.raises(NotADirectoryError, match="nowhere: expected a folder"):
        call("--rooms", "nowhere")


def test_levels_below_zero_and_twice(call, capsys) -> None:
    assert call("--snr=-5,0,-5") == 0
    out = capsys.readouterr().out
    assert out.count("-5 dB") == 1 and "white noise" in out
