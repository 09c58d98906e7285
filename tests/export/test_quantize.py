"""The whole way from a run directory to judged files, and the gate."""

import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.config import RunConfig
from crnn_asr.errors import DataError, ModelError
from crnn_asr.export import measure as measure_module
from crnn_asr.export import quantize as quantize_module
from crnn_asr.export.convert import file_name
from crnn_asr.export.quantize import Order, check_float, keep
from crnn_asr.export.sets import read_sets
from crnn_asr.export.speed import Timing
from crnn_asr.inference import model_file
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.strict_json import load_config, save_config

SCHEMES = ("int8", "integer", "dynamic", "float16", "float32", "onnx", "onnx-int8")


def test_every_scheme_hears_the_melodies(quantized, melodies):
    report = json.loads((quantized / "report.json").read_text())
    rows = {row["scheme"]: row for row in report["results"]}
    assert list(rows) == ["float32", "int8", "integer", "dynamic", "float16", "onnx", "onnx-int8"]
    assert all(row["accepted"] and row["dev_wer"] == row["dev_cer"] == 0 for row in rows.values())
    assert 0 <= report["float_difference"] <= 1e-4
    assert len(report["calibration"]["utterances"]) == 24
    assert set(report["calibration"]["products"]) == {"features", "conv0", "conv1", "projection"} | {
        f"lstm0.{name}" for name in ("projected", "recurrent")
    }
    for scheme, row in rows.items():
        assert row["bytes"] == (quantized / row["file"]).stat().st_size
        assert all(time["milliseconds"] > 0 and time["ratio"] > 0 for time in row["timings"])
        assert len(row["timings"]) in (3, 6)
        difference = row["log_probability_difference"]
        assert 0 <= difference["rms"] <= difference["max"]
        assert difference["max"] < 0.01 or scheme not in ("float32", "float16", "onnx")
        assert difference["max"] > 0.01 or scheme not in ("int8", "integer")
    text = (quantized / "report.md").read_text()
    assert report["recommendation"] in text and "| float16 |" in text
    assert (quantized / "report.png").read_bytes()[:4] == b"\x89PNG"
    assert not list(quantized.glob(".quantize*"))
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
    calibrate = quantize_module.calibrate

    def spoiled(*arguments):  # type: ignore[no-untyped-def]
        found = calibrate(*arguments)
        return replace(found, ranges={name: (low / 40, high / 40) for name, (low, high) in found.ranges.items()})

    monkeypatch.setattr(quantize_module, "calibrate", spoiled)
    assert script("quantize").main([str(new_melody_run), "--no-speed"]) == 1
    out, err = capsys.readouterr()
    assert "error: int8 loses" in err and "model.int8.rejected.tflite" in err and "rejected.tflite" in out
    assert "take float32 (--scheme float32 writes it)" in out
    assert not good.exists() and previous.read_bytes() == before
    assert not (new_melody_run / "report.png").exists()
    assert model_file.read(rejected)[1].scheme == "int8"
    report = json.loads((new_melody_run / "report.json").read_text())
    assert [(row["scheme"], row["accepted"]) for row in report["results"]] == [("float32", True), ("int8", False)]
    assert report["results"][1]["timings"] == []


def test_a_slow_scheme_is_rejected_and_a_good_one_still_written(new_melody_run, quantized, monkeypatch, script, capsys):
    made = {name: model_file.read(quantized / f"model.{name}.tflite")[0] for name in ("float32", "int8", "float16")}
    monkeypatch.setattr(quantize_module, "convert", lambda *_: made)
    times = {
        name: (Timing(16, 1, 10 * ratio, ratio),) for name, ratio in (("float32", 1), ("int8", 1.2), ("float16", 1))
    }
    monkeypatch.setattr(measure_module, "measure_speed", lambda *_: times)
    for path in new_melody_run.glob("model.*"):
        path.unlink()
    assert script("quantize").main([str(new_melody_run), "--scheme", "all", "--max-slowdown", "1.15"]) == 1
    assert "error: int8 takes 1.20 times as long as float32 for 16 s" in capsys.readouterr().err
    names = ["model.float16.tflite", "model.float32.tflite", "model.int8.rejected.tflite"]
    assert sorted(path.name for path in new_melody_run.glob("model.*")) == names


def test_an_accepted_model_replaces_a_rejected_one(tmp_path):
    for accepted, name in ((False, "model.int8.rejected.tflite"), (True, "model.int8.tflite")):
        written = tmp_path / "scratch" / "model.int8.tflite"
        written.parent.mkdir(exist_ok=True)
        written.write_text(name)
        assert keep(tmp_path, written, accepted) == tmp_path / name
        assert [path.read_text() for path in tmp_path.glob("model.*")] == [name]


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
    assert script("quantize").main([str(new_melody_run), "--dev", str(manifest), "--samples", "3", "--no-speed"]) == 1
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


def test_a_folder_with_a_model_and_no_run(melody_keras, melodies, quantized, script):
    main = script("quantize").main
    for named in ([], ["--dev", str(melodies / "dev.jsonl")], ["--calibration", str(melodies / "train.jsonl")]):
        with pytest.raises(DataError, match="name manifests with --calibration and --dev"):
            main([str(melody_keras), *named])
    both = ["--calibration", str(melodies / "train.jsonl"), "--dev", str(melodies / "dev.jsonl")]
    assert main([str(melody_keras), "--no-speed", *both]) == 0
    ours, theirs = (model_file.read(folder / "model.int8.tflite")[0] for folder in (melody_keras, quantized))
    assert ours == theirs


def test_wrong_runs_are_sentences(tmp_path, script):
    main = script("quantize").main
    with pytest.raises(FileNotFoundError, match="no run directory"):
        main([str(tmp_path / "none")])
    with pytest.raises(ModelError, match="not a run directory"):
        main([str(tmp_path)])
    for option, value in (("--max-wer-increase", "-1"), ("--max-slowdown", "nan"), ("--ranges", "best")):
        with pytest.raises(SystemExit) as stopped:
            main([str(tmp_path), option, value])
        assert stopped.value.code == 2


def test_nothing_to_calibrate_on(new_melody_run, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(10), 16_000)
    (tmp_path / "m.jsonl").write_text(json.dumps({"audio_filepath": "short.wav", "duration": 1, "text": "a"}))
    config = load_config(RunConfig, new_melody_run / "config.json")
    sets = read_sets(config, calibration=tmp_path / "m.jsonl")
    with pytest.raises(DataError, match="not one calibration utterance"):
        quantize_module.quantize(new_melody_run, Order(("int8",)), sets, lambda *_: nullcontext(lambda *_: None))
