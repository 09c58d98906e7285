"""The whole way as a person goes it: every stage a process, from a grammar to text out of an INT8 file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def call(cwd: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def succeed(cwd: Path, script: str, *arguments: str) -> str:
    result = call(cwd, script, *arguments)
    assert result.returncode == 0, f"{script}: {result.stderr[-2000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after synthesise, convert, train, quantize, the last three with no argument they could do without."""
    cwd = tmp_path_factory.mktemp("home")
    grammar = cwd / "grammar.txt"
    grammar.write_text("<utterance> = yes | no | stop | go;\n")
    counts = ("--train", "48", "--dev", "6", "--test", "4")
    succeed(cwd, "synthesize", "--grammar", str(grammar), "--out", "data/raw", *counts)
    succeed(cwd, "convert_librispeech")
    assert sorted(path.name for path in (cwd / "data/librispeech").glob("*.jsonl")) == [
        "dev-synthetic.jsonl",
        "test-synthetic.jsonl",
        "train-synthetic.jsonl",
    ]
    succeed(cwd, "train", "--preset", "tiny", "--epochs", "3", "--batch-seconds", "8", "--learning-rate", "0.002")
    succeed(cwd, "quantize", "--max-wer-increase", "100", "--samples", "10")
    return cwd


def test_a_run_directory_describes_itself(home: Path):
    run = home / "models" / "crnn"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    environment = json.loads((run / "environment.json").read_text())
    assert environment["packages"]["tensorflow"] and environment["devices"]
    for name in ("curves.png", "summary.png"):
        assert (run / name).read_bytes()[:4] == b"\x89PNG"
    assert "Training is over" in (run / "README.md").read_text()
    assert (run / "skipped.jsonl").read_text() == ""
    assert len((run / "predictions.csv").read_text().splitlines()) == 1 + 6


def test_every_form_of_the_model_scores_alike(home: Path):
    rates = {}
    for name in ("models/crnn", "models/crnn/model.keras", "models/crnn/model.int8.tflite"):
        succeed(home, "evaluate", name, "data/librispeech/test-synthetic.jsonl", "--json", "result.json")
        result = json.loads((home / "result.json").read_text())
        assert result["utterances"] == 4
        assert {"wer", "cer", "sentence_error_rate", "real_time_factor"} <= result.keys()
        rates[name] = (result["wer"], [row["hypothesis"] for row in result["results"]])
    assert rates["models/crnn"] == rates["models/crnn/model.keras"]


def test_transcription_finds_the_model_and_does_the_rest_where_a_file_is_bad(home: Path):
    clip = next((home / "data" / "librispeech").rglob("*.wav"))
    (home / "bad.wav").write_text("not audio")
    result = call(home, "infer_tflite", str(clip), "bad.wav", str(clip))
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.count("error:") == 1 and "bad.wav" in result.stderr


def test_evaluation_names_what_is_gone_and_scores_the_rest(home: Path):
    manifest = home / "data" / "librispeech" / "test-synthetic.jsonl"
    rows = manifest.read_text().splitlines()
    broken = manifest.with_name("broken.jsonl")
    gone = json.dumps({**json.loads(rows[0]), "audio_filepath": "gone.wav", "id": "gone"})
    broken.write_text("\n".join([gone, "{", *rows[1:]]))
    result = call(home, "evaluate", "models/crnn/model.int8.tflite", str(broken))
    assert result.returncode == 1
    assert f"{broken.relative_to(home)}:2" in result.stderr.replace(f"{home}/", "") and "gone.wav" in result.stderr
    assert "of 3 utterances" in result.stdout


def test_bare_commands_in_an_empty_folder_say_what_to_run(tmp_path: Path):
    for script, wanted in (
        ("convert_librispeech", "--download"),
        ("train", "convert_librispeech.py"),
        ("quantize", "train.py"),
    ):
        result = call(tmp_path, script)
        assert result.returncode == 1, script
        assert result.stderr.startswith("error: ") and wanted in result.stderr, result.stderr
        assert "Traceback" not in result.stderr
