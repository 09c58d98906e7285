"""infer_tflite.py: what a user types, right and wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.inference.recognizer import Recognizer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def infer(script, model_path, monkeypatch, tmp_path):
    """Call `main` with the model, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    module = script("infer_tflite")
    return lambda *arguments: module.main([*map(str, arguments), "--model", str(model_path)])


@pytest.fixture
def clip(tmp_path) -> Path:
    rng = np.random.default_rng(11)
    soundfile.write(tmp_path / "clip.wav", 0.1 * rng.standard_normal(20_000), 16_000)
    return Path("clip.wav")


def test_one_file_is_its_text_and_several_are_named(infer, clip, tmp_path, model_path, capsys):
    text = Recognizer(model_path).transcribe(tmp_path / clip).text
    assert infer(clip) == 0
    assert capsys.readouterr() == (f"{text}\n", "")
    assert infer(clip, clip) == 0
    assert capsys.readouterr().out == f"clip.wav\t{text}\n" * 2


def test_json_of_several_files_is_json_lines(infer, clip, capsys):
    assert infer(clip, clip, "--format", "json", "--threads", 2) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["file"] for row in rows] == ["clip.wav"] * 2
    assert rows[0]["duration_s"] == 1.25 and 0 < rows[0]["real_time_factor"] < 10
    assert " ".join(word["text"] for word in rows[0]["words"]) == rows[0]["text"]


def write_hostile(folder: Path) -> None:
    values = np.zeros(16_000, np.float32)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("hello, this is a text\n" * 20)
    (folder / "folder.wav").mkdir()
    soundfile.write(folder / "none.wav", values[:0], 16_000)
    soundfile.write(folder / "one.wav", values[:1], 16_000)
    values[7] = np.nan
    soundfile.write(folder / "nan.wav", values, 16_000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.wav", "No such file"),
        ("folder.wav", "Is a directory; name the files in it"),
        ("empty.wav", "an empty file"),
        ("text.wav", "expected audio"),
        ("none.wav", "zero samples"),
        ("nan.wav", "1 of 16000 that are NaN"),
        ("one.wav", "got 1"),
    ],
)
def test_each_bad_file_is_a_line_and_the_rest_is_done(infer, clip, tmp_path, capsys, name, words):
    write_hostile(tmp_path)
    assert infer(name, clip) == 1
    out, err = capsys.readouterr()
    assert out.startswith("clip.wav\t") and out.count("\n") == 1
    assert err.startswith("error: ") and err.count("\n") == 1
    assert name in err and words in err


def test_unusual_recordings_are_remarked_on_and_done(infer, tmp_path, capsys, rng):
    for name, channels, rate_hz in (("six.wav", 6, 16_000), ("high.wav", 1, 96_000), ("usual.wav", 2, 44_100)):
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal((rate_hz, channels)), rate_hz)
    assert infer("six.wav", "high.wav", "usual.wav") == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 3
    assert err == (
        "note: six.wav: the mean of 6 channels is heard; choose one with --channel\n"
        "note: high.wav: resampled from 96000 Hz\n"
    )
    assert infer("six.wav", "--channel", 5) == 0
    assert capsys.readouterr().err == ""
    assert infer("six.wav", "--channel", 6) == 1
    assert "from 0 to 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["a.wav", "--format", "srt", "b.wav"], ["a.wav", "--channel", "left"], ["a.wav", "--threads", "0"]],
)
def test_wrong_usage(infer, arguments):
    with pytest.raises(SystemExit) as stopped:
        infer(*arguments)
    assert stopped.value.code == 2


def run_script(*arguments: object, cwd: Path, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, str(ROOT / "scripts" / "infer_tflite.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_models_that_are_not_one(clip, tmp_path):
    (tmp_path / "text.tflite").write_text("no model")
    for arguments, words in (
        (["--model", "missing.tflite"], "missing.tflite: No such file"),
        (["--model", "text.tflite"], "text.tflite: expected a model file"),
    ):
        result = run_script(clip, *arguments, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("error: ") and words in result.stderr and result.stderr.count("\n") == 1


def test_the_process_says_nothing_but_text_and_loads_nothing_heavy(clip, tmp_path, model_path):
    result = run_script(clip, "--model", model_path, cwd=tmp_path, options=("-X", "importtime"))
    assert result.returncode == 0 and result.stdout.count("\n") == 1
    lines = result.stderr.splitlines()
    assert all(line.startswith("import time:") for line in lines)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "ai_edge_litert" in loaded
    assert not loaded & {
        "tensorflow",
        "keras",
        "librosa",
        "matplotlib",
        "rapidfuzz",
        "onnx",
        "onnxruntime",
        "pyctcdecode",
    }
