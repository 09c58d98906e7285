"""The whole way from a run directory to judged files, and the gate."""

import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.config import RunConfig, load_config, save_config
from crnn_asr.errors import DataError, ModelError
from crnn_asr.export import quantize as quantize_module
from crnn_asr.export.convert import file_name
from crnn_asr.export.quantize import check_float, keep
from crnn_asr.export.sets import read_sets
from crnn_asr.inference import model_file
from crnn_asr.inference.recognizer import Recognizer

SCHEMES = ("int8", "integer", "dynamic", "float16", "float32", "onnx", "onnx-int8")


@pytest.fixture(scope="module")
def quantized(melody_run: Path, melodies: Path, script) -> Path:
    """A run with all models, by the command line."""
    assert script("quantize").main([str(melody_run), "--scheme", "all", "--max-wer-increase", "0"]) == 0
    return melody_run


def test_every_scheme_hears_the_melodies(quantized, melodies):
    report = json.loads((quantized / "quantization.json").read_text())
    rows = {row["scheme"]: row for row in report["results"]}
    assert list(rows) == ["float32", "int8", "integer", "dynamic", "float16", "onnx", "onnx-int8"]
    assert all(row["accepted"] and row["dev_wer"] == row["dev_cer"] == 0 for row in rows.values())
    assert 0 <= report["float_difference"] <= 1e-4
    assert len(report["calibration"]["utterances"]) == 24
    for scheme in SCHEMES:
        _, metadata = model_file.read(quantized / file_name(scheme))
        assert (metadata.scheme, "".join(metadata.alphabet)) == (scheme, " abc")


def test_words_are_timed_where_they_sound(quantized, melodies):
    recognizer = Recognizer(quantized / "model.int8.tflite")
    for line in (melodies / "dev.jsonl").read_text().splitlines():
        utterance = json.loads(line)
        transcript = recognizer.transcribe(melodies / utterance["audio_filepath"])
        assert transcript.text == utterance["text"]
        for number, word in enumerate(transcript.words):  # two letters and a space, every 0.3 s a tone of 0.2 s
            assert 0 <= word.start_s - 0.9 * number < 0.1
            assert 0.4 < word.end_s - 0.9 * number < 0.55


def test_a_scheme_that_loses_too_much_is_kept_under_another_name(
    new_melody_run, quantized, script, monkeypatch, capsys
):
    good, rejected, previous = (new_melody_run / f"model.int8{kind}.tflite" for kind in ("", ".rejected", ".previous"))
    before = good.read_bytes()
    measure = quantize_module.measure_ranges

    def spoiled(*arguments):  # type: ignore[no-untyped-def]
        return {name: (low / 40, high / 40) for name, (low, high) in measure(*arguments).items()}

    monkeypatch.setattr(quantize_module, "measure_ranges", spoiled)
    assert script("quantize").main([str(new_melody_run)]) == 1
    out, err = capsys.readouterr()
    assert "error: int8 loses" in err and "model.int8.rejected.tflite" in err and "rejected.tflite" in out
    assert not good.exists() and previous.read_bytes() == before
    assert model_file.read(rejected)[1].scheme == "int8"
    report = json.loads((new_melody_run / "quantization.json").read_text())
    assert [(row["scheme"], row["accepted"]) for row in report["results"]] == [("float32", True), ("int8", False)]


def test_an_accepted_model_replaces_a_rejected_one(quantized, tmp_path):
    flatbuffer, metadata = model_file.read(quantized / "model.int8.tflite")
    assert keep(tmp_path, flatbuffer, metadata, accepted=False).name == "model.int8.rejected.tflite"
    assert keep(tmp_path, flatbuffer, metadata, accepted=True).name == "model.int8.tflite"
    assert [path.name for path in tmp_path.iterdir()] == ["model.int8.tflite"]


def test_a_converted_model_that_differs_is_refused():
    features = [np.zeros((3, 80), np.float32), np.ones((5, 80), np.float32)]
    assert check_float(np.sin, lambda x: np.sin(x) + 5e-5, features) == pytest.approx(5e-5, rel=0.01)
    for difference in (2e-4, np.nan):
        with pytest.raises(ModelError, match="nothing is written"):
            check_float(np.sin, lambda x, d=difference: np.sin(x) + d * (len(x) == 5), features)


def test_a_crash_leaves_the_files_as_they_are(new_melody_run, quantized, script, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    before = {path.name: path.read_bytes() for path in new_melody_run.glob("*.*")}
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelError, match="SIGSEGV"):
        script("quantize").main([str(new_melody_run)])
    assert {path.name: path.read_bytes() for path in new_melody_run.glob("*.*")} == before


def test_the_sets_are_those_of_the_run_or_those_named(melodies, melody_run):
    config = load_config(RunConfig, melody_run / "config.json")
    sets = read_sets(config)
    assert (len(sets.calibration), len(sets.dev), sets.problems) == (24, 10, ())
    train, dev = melodies / "train.jsonl", melodies / "dev.jsonl"
    assert len(read_sets(config, calibration=dev).calibration) == 10
    assert len(read_sets(config, dev=train).dev) == 24
    gone = replace(config, train_manifests=("gone.jsonl",))
    assert len(read_sets(gone, calibration=dev, dev=dev).dev) == 10
    with pytest.raises(FileNotFoundError):
        read_sets(gone)
    held_out = read_sets(replace(config, dev_manifest=""))
    assert len(held_out.calibration) + len(held_out.dev) == 24
    assert not {u.speaker for u in held_out.calibration} & {u.speaker for u in held_out.dev}


def test_unreadable_utterances_and_bad_lines_are_errors_and_the_rest_is_done(
    new_melody_run, quantized, melodies, script, capsys, monkeypatch
):
    made = {scheme: model_file.read(quantized / f"model.{scheme}.tflite")[0] for scheme in ("float32", "int8")}
    monkeypatch.setattr(quantize_module, "convert", lambda *_: made)
    lines = (melodies / "dev.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row["audio_filepath"] = str(melodies / row["audio_filepath"])
    rows[2]["audio_filepath"] = str(new_melody_run / "gone.wav")
    manifest = new_melody_run / "dev.jsonl"
    manifest.write_text("\n".join([*map(json.dumps, rows), "not json"]))
    assert script("quantize").main([str(new_melody_run), "--dev", str(manifest), "--samples", "3"]) == 1
    out, err = capsys.readouterr()
    assert "dev.jsonl:11: " in err and "gone.wav: No such file" in err
    assert "0.00 %" in out and (new_melody_run / "model.int8.tflite").exists()


def test_the_newest_run_is_the_default(tmp_path, monkeypatch, script):
    import os

    module = script("quantize")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"run scripts/train\.py first"):
        module.main([])
    for name, time in (("a", 100), ("b", 300), ("c", 200)):
        best = tmp_path / "models" / name / "checkpoints" / "best.npz"
        best.parent.mkdir(parents=True)
        best.touch()
        os.utime(best, (time, time))
        save_config(RunConfig(), best.parents[1] / "config.json")
    assert module.find_run() == Path("models/b")
    (tmp_path / "models" / "b" / "config.json").unlink()
    assert module.find_run() == Path("models/c")


def test_wrong_runs_are_sentences(tmp_path, script):
    main = script("quantize").main
    with pytest.raises(FileNotFoundError, match="no run directory"):
        main([str(tmp_path / "none")])
    with pytest.raises(ModelError, match="not a run directory"):
        main([str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), "--max-wer-increase", "-1"])
    assert stopped.value.code == 2


def test_nothing_to_calibrate_on(new_melody_run, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(10), 16_000)
    (tmp_path / "m.jsonl").write_text(json.dumps({"audio_filepath": "short.wav", "duration": 1, "text": "a"}))
    config = load_config(RunConfig, new_melody_run / "config.json")
    sets = read_sets(config, calibration=tmp_path / "m.jsonl")
    with pytest.raises(DataError, match="not one calibration utterance"):
        quantize_module.quantize(new_melody_run, ("int8",), sets, 5, 0.5, lambda *_: nullcontext(lambda *_: None))
