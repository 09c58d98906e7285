"""scripts/train.py as a person meets it: interrupted, killed, called wrongly."""

import argparse
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crnn_asr.corpus.manifest import read_manifest, write_manifest
from crnn_asr.errors import DataError, ModelError
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.presets import PRESETS
from crnn_asr.training.options import add_training_options, wanted_config
from crnn_asr.training.run import RunDirectory

ROOT = Path(__file__).resolve().parents[2]


def command(corpus: Path, out: Path, *options: str) -> list[str]:
    script = [sys.executable, str(ROOT / "scripts" / "train.py"), "--out", str(out)]
    data = ["--train", str(corpus / "train.jsonl"), "--preset", "tiny", "--epochs", "6", "--batch-seconds", "5"]
    return script + (list(options) if "--resume" in options else data + list(options))


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(*arguments, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)


def weights(out: Path) -> list[np.ndarray]:
    with np.load(out / "checkpoints" / "last.npz") as file:
        return [file[name] for name in sorted(file.files) if name != "progress"]


@pytest.fixture(scope="module")
def uninterrupted(tone_corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    result = run(command(tone_corpus, out), cwd=out.parent)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("epoch ") >= 6
    return out


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)]
)
def test_a_signal_loses_nothing(tone_corpus, tmp_path, uninterrupted, number, code):
    out = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command(tone_corpus, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    for line in process.stdout:
        if line.startswith("epoch   2"):
            process.send_signal(number)
            break
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    if number != signal.SIGKILL:
        assert "--resume" in errors and "Traceback" not in errors
    resumed = run(command(tone_corpus, out, "--resume"), cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    for found, wanted in zip(weights(out), weights(uninterrupted), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_wrong_calls_are_sentences(tone_corpus, tmp_path, uninterrupted, script, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main = script("train").main
    data = ["--train", str(tone_corpus / "train.jsonl")]
    assert main([*data, "--out", str(uninterrupted)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["--out", str(uninterrupted), "--resume", "--epochs", "99"]) == 2
    assert "--fresh" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=r"convert_librispeech\.py"):
        main([])
    with pytest.raises(FileNotFoundError, match="no run directory"):
        main(["--out", "nowhere", "--resume"])
    with pytest.raises(SystemExit) as usage:
        main([*data, "--epochs", "0"])
    assert usage.value.code == 2 and "at least 1" in capsys.readouterr().err


def test_another_rate_goes_all_the_way(tone_corpus, tmp_path, script, capsys):
    out, data = tmp_path / "run", ["--train", str(tone_corpus / "train.jsonl"), "--preset", "tiny", "--epochs", "1"]
    assert script("train").main([*data, "--sample-rate", "8000", "--out", str(out)]) == 0
    features = RunDirectory(out).load_config().features
    assert (features.sample_rate_hz, features.high_hz) == (8_000, 4_000)
    assert script("quantize").main([str(out), "--scheme", "float32"]) == 0
    assert Recognizer(out / "model.float32.tflite").metadata.features == features
    capsys.readouterr()
    with pytest.raises(ModelError, match="hop_ms must be at least one sample"):
        script("train").main([*data, "--sample-rate", "30", "--out", str(tmp_path / "other")])


def test_a_found_budget_becomes_the_runs_own(tone_corpus, tmp_path, script, capsys, monkeypatch):
    from crnn_asr.training import setup

    shares = []

    def find(config, plan, memory_share):
        shares.append(memory_share)
        return setup.Budget(450, 9 << 20, 30 << 20, "it is so")

    monkeypatch.setattr(setup, "find_budget", find)
    main, auto = script("train").main, ["--batch-seconds", "auto"]
    options = command(tone_corpus, tmp_path / "run", "--epochs", "1", *auto, "--memory-share", "0.25")[2:]
    assert main(options) == 0
    assert "auto: 450 frames, because it is so; steps take 9 of 30 MiB allowed" in capsys.readouterr().err
    assert RunDirectory(tmp_path / "run").load_config().training.batch_frames == 450
    assert main(["--out", str(tmp_path / "run"), "--resume", *auto]) == 0
    assert shares == [0.25], "a run that goes on keeps its budget"


def test_options_of_the_budget_that_make_no_sense(tone_corpus, tmp_path, script, capsys, monkeypatch):
    main, data = script("train").main, ["--train", str(tone_corpus / "train.jsonl"), "--out", str(tmp_path / "run")]
    for wrong in (["--batch-seconds", "often"], ["--batch-seconds", "auto", "--memory-share", "1.5"]):
        with pytest.raises(SystemExit) as usage:
            main([*data, *wrong])
        assert usage.value.code == 2
    assert main([*data, "--memory-share", "0.5"]) == main([*data, "--memory-share", "0.5", "--batch-seconds", "9"]) == 2
    assert "--batch-seconds auto" in capsys.readouterr().err
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}')
    assert main([*data, "--batch-seconds", "auto"]) == 2
    assert "give it a number" in capsys.readouterr().err


def test_the_last_epoch_and_what_goes_by_the_best(tone_corpus, tmp_path, script, capsys):
    data = ["--train", str(tone_corpus / "train.jsonl"), "--out", str(tmp_path / "run"), "--keep", "last"]
    for other in (["--early-stopping", "2"], ["--schedule", "plateau"]):
        assert script("train").main([*data, *other]) == 2
        assert "go by the best epoch; leave them out, or --keep last" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "keep"),
    [("", "last"), ("--early-stopping 2", "best"), ("--schedule plateau", "best"), ("--keep best", "best")],
)
def test_what_goes_by_the_best_epoch_keeps_it(options, keep):
    parser = argparse.ArgumentParser()
    add_training_options(parser)
    assert wanted_config(parser.parse_args(options.split()), PRESETS["an4"]).training.keep == keep


@pytest.mark.parametrize(
    ("options", "preset", "share"),
    [("", "an4", 0.5), ("--augment-ramp 0", "an4", 0.0), ("--augment-ramp 1", "tiny", 1.0)],
)
def test_the_ramp_that_was_asked_for(options, preset, share):
    parser = argparse.ArgumentParser()
    add_training_options(parser)
    assert wanted_config(parser.parse_args(options.split()), PRESETS[preset]).training.augment_ramp_share == share


def test_a_ramp_that_is_none(tmp_path, script, capsys):
    main, data = script("train").main, ["--out", str(tmp_path / "run"), "--train", str(tmp_path / "train.jsonl")]
    assert main([*data, "--no-augment", "--augment-ramp", "0"]) == 2
    assert "--augment-ramp would do nothing with --no-augment" in capsys.readouterr().err
    for wrong in ("1.5", "-0.1", "nan", "half"):
        with pytest.raises(SystemExit) as usage:
            main([*data, f"--augment-ramp={wrong}"])
        assert usage.value.code == 2 and "expected a share from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "preset", "optimizer"),
    [("", "tiny", "muon"), ("", "an4", "adamw"), ("--optimizer muon", "an4", "muon")],
)
def test_the_optimizer_that_was_asked_for(options, preset, optimizer):
    parser = argparse.ArgumentParser()
    add_training_options(parser)
    assert wanted_config(parser.parse_args(options.split()), PRESETS[preset]).training.optimizer == optimizer


def test_a_pool_is_announced_described_and_watched(tone_corpus, tmp_path, script, capsys):
    utterances, train, pool = (
        read_manifest(tone_corpus / "train.jsonl")[0],
        tmp_path / "train.jsonl",
        tmp_path / "new.jsonl",
    )
    write_manifest(train, utterances[:8])
    write_manifest(pool, utterances[8:])
    out = tmp_path / "run"
    asked = ["--train", str(train), "--pool", str(pool), "--preset", "tiny", "--epochs", "2", "--out", str(out)]
    assert script("train").main(asked) == 2
    assert "--pool may hold what is held out of --train" in capsys.readouterr().err
    assert script("train").main([*asked, "--dev", str(tone_corpus / "dev.jsonl")]) == 0
    assert "8 utterances to train on, as many in each epoch of 16 more, " in capsys.readouterr().out
    card, data = (out / "README.md").read_text(), json.loads((out / "data.json").read_text())
    assert "| train | 8 | " in card and "| pool | 16 | " in card and "as many utterances of the pool" in card
    assert str(pool) in data and len([name for name in data if name.endswith(".wav")]) == 24 + 6
    write_manifest(pool, [replace(utterances[8], audio_path=tmp_path / "gone.wav")])
    with pytest.raises(DataError, match="not one pool utterance can be used; 1 are left out"):
        script("train").main([*asked, "--fresh", "--dev", str(tone_corpus / "dev.jsonl")])


@pytest.mark.parametrize("without", [["--preset", "clean"], ["--no-augment"]])
def test_noise_and_rooms_that_nobody_would_hear(tmp_path, script, capsys, without):
    data = ["--out", str(tmp_path / "run"), "--train", str(tmp_path / "train.jsonl"), *without]
    assert script("train").main([*data, "--noise", str(tmp_path), "--rooms", str(tmp_path)]) == 2
    assert f"--noise and --rooms would do nothing with {' '.join(without)}" in capsys.readouterr().err
    assert script("train").main([*data, "--rooms", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "--rooms would do nothing" in said and "--noise" not in said


def test_an_unwritable_output_folder(tone_corpus, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    result = run(command(tone_corpus, blocked / "run"), cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1].startswith("error: ") and "Traceback" not in result.stderr


def test_a_checkpoint_of_another_architecture(tone_corpus, tmp_path, uninterrupted):
    out = tmp_path / "run"
    (out / "checkpoints").mkdir(parents=True)
    text = (uninterrupted / "config.json").read_text()
    (out / "config.json").write_text(text.replace('"lstm_units": 96', '"lstm_units": 97'))
    for name in ("last.npz", "best.npz"):
        (out / "checkpoints" / name).write_bytes((uninterrupted / "checkpoints" / name).read_bytes())
    result = run(command(tone_corpus, out, "--resume"), cwd=tmp_path)
    assert result.returncode == 1
    assert "another architecture" in result.stderr and "Traceback" not in result.stderr


def test_another_model_to_start_from(tone_corpus, tmp_path, uninterrupted, script, capsys):
    main, model, out = script("train").main, uninterrupted / "model.keras", str(tmp_path / "run")
    start = ["--init", str(model), "--freeze", "3"]
    data = ["--train", str(tone_corpus / "train.jsonl"), "--epochs", "1", "--alphabet", " abcd", "--out", out]
    assert main([*data, *start]) == 0
    errors = capsys.readouterr().err
    assert (
        f"note: from {model}: kept conv0, conv1, projection, lstm0, lstm1, the outputs of 4 of 5 symbols and of the "
        "blank; drawn anew: the outputs of 'd'\nnote: frozen: conv0, conv1, projection\n"
    ) in errors
    config = RunDirectory(tmp_path / "run").load_config()
    assert (config.preset, config.transfer.model, config.transfer.freeze) == ("tiny", str(model), 3)
    assert main(["--out", out, "--resume", *start]) == main(["--out", out, "--resume"]) == 0
    assert main(["--out", out, "--resume", "--init", str(model), "--freeze", "2"]) == 2


def test_a_folder_with_no_more_of_a_run_than_its_model(tone_corpus, tmp_path, uninterrupted, script, capsys):
    shipped, data = tmp_path / "shipped", ["--train", str(tone_corpus / "train.jsonl"), "--epochs", "1"]
    shipped.mkdir()
    (shipped / "model.keras").write_bytes((uninterrupted / "model.keras").read_bytes())
    out = tmp_path / "run"
    assert script("train").main([*data, "--init", str(shipped), "--out", str(out)]) == 0
    assert f"from {shipped / 'model.keras'}: kept conv0" in capsys.readouterr().err
    assert script("train").main(["--init", str(shipped), "--out", str(out), "--resume"]) == 0
    assert RunDirectory(out).load_config().transfer.model == str(shipped / "model.keras")


def test_dev_recordings_that_the_first_model_heard(tone_corpus, tmp_path, uninterrupted, script, capsys):
    """It was trained on train.jsonl and chosen by dev.jsonl."""
    train, dev = ((tone_corpus / f"{name}.jsonl").read_text().splitlines(True) for name in ("train", "dev"))
    some = tone_corpus / "some.jsonl"
    command = ["--init", str(uninterrupted), "--train", str(tone_corpus / "train.jsonl"), "--epochs", "1", "--fresh"]
    command += ["--out", str(tmp_path / "run"), "--dev", str(some)]
    for lines, words in ((dev, ""), (train[:2] + dev[:1], "note: 2 of 3 dev recordings were in the training of")):
        some.write_text("".join(lines))
        assert script("train").main(command) == 0
        errors = capsys.readouterr().err
        assert words in errors and ("dev recordings" in errors) == bool(words)
    some.unlink()  # the corpus is shared by all tests


def test_wrong_wishes_for_another_model(tone_corpus, tmp_path, uninterrupted, script, capsys):
    main, data = script("train").main, ["--train", str(tone_corpus / "train.jsonl"), "--out", str(tmp_path / "run")]
    for wrong, words in (
        (["--freeze", "1"], "--freeze keeps layers of the model that --init names"),
        (
            ["--init", str(uninterrupted), "--freeze", "6"],
            "expected 0 to 5 layers (conv0, conv1, projection, lstm0, lstm1)",
        ),
        (["--init", str(uninterrupted), "--out", str(uninterrupted), "--fresh"], "would be deleted"),
        (["--init", str(uninterrupted / "model.keras"), "--out", str(uninterrupted), "--fresh"], "would be deleted"),
    ):
        assert main([*data, *wrong]) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(ModelError, match="file for recognition"):
        main([*data, "--init", "model.int8.tflite"])
    with pytest.raises(FileNotFoundError, match="no run directory at nowhere"):
        main([*data, "--init", "nowhere"])


def test_a_log_and_a_profile(tone_corpus, tmp_path, script, capsys):
    main, out, log = script("train").main, tmp_path / "run", tmp_path / "logs" / "train.jsonl"
    options = command(tone_corpus, out, "--epochs", "2", "--profile", "3", "--log-json", str(log))[2:]
    assert main([*options, "--log-level", "crnn_asr.training=debug", "crnn_asr.training.setup=warning"]) == 0
    assert f"note: profile of 3 steps: {out / 'profile'}" in capsys.readouterr().err
    assert list((out / "profile").rglob("*.xplane.pb")) and "MatMul," in (out / "profile/operations.csv").read_text()
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    rows = RunDirectory(out).read_metrics()
    epochs = [line for line in lines if line["message"] == "epoch"]
    assert [{key: line[key] for key in rows[0]} for line in epochs] == rows
    assert sum(line["message"] == "step" for line in lines) == rows[-1]["step"]
    assert "crnn_asr.training.setup" not in {line["module"] for line in lines}
    said = [line["message"] for line in lines if line["module"] == "crnn_asr.console"]
    assert sum("profile of 3 steps" in message for message in said) == 1
    assert main([*options[:2], "--resume", "--log-level", "crnn_asr=debug"]) == 2
    assert "--log-json" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*options, "--log-level", "debug"])
    assert "expected MODULE=LEVEL" in capsys.readouterr().err


def test_records_instead_of_audio_stopped_and_resumed(tone_corpus, tmp_path, script, capsys):
    records = tmp_path / "records"
    made = [str(tone_corpus / "train.jsonl"), "--out", str(records), "--preset", "tiny", "--jobs", "1"]
    assert script("make_records").main(made) == 0
    options = ["--records", str(records), "--dev", str(tone_corpus / "dev.jsonl"), "--preset", "tiny"]
    options += ["--epochs", "2", "--batch-seconds", "5"]
    main = script("train").main
    assert main([*options, "--out", str(tmp_path / "whole")]) == 0
    assert "waveform is not augmented" in capsys.readouterr().err
    script_path = str(ROOT / "scripts" / "train.py")
    process = subprocess.Popen(
        [sys.executable, script_path, *options, "--out", str(tmp_path / "cut")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    next(line for line in process.stdout if line.startswith("epoch   1"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 143
    assert main(["--out", str(tmp_path / "cut"), "--resume", "--records", str(records)]) == 0
    for found, wanted in zip(weights(tmp_path / "cut"), weights(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert main(["--out", str(tmp_path / "new"), "--records", str(records), "--noise", str(tmp_path)]) == 2
    assert "--noise" in capsys.readouterr().err
