"""What is inside a run directory, a `model.keras` and a checkpoint."""

import json

import pytest

from crnn_asr.errors import ModelError
from crnn_asr.export.inspect_run import inspect_any
from crnn_asr.inference.inspection import render
from crnn_asr.training.keras_file import save_keras
from crnn_asr.training.run import load_model, load_weights


def test_a_run_directory(melody_run, script, capsys):
    _, model = load_model(melody_run)
    assert script("inspect_model").main([str(melody_run), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["kind"] == "run directory" and values["parameters"] == model.count_params()
    layers = {layer["name"]: layer for layer in values["layers"]}
    assert list(layers) == ["conv0", "conv1", "projection", "lstm0", "norm0", "output"]
    assert layers["lstm0"]["parameters"] == 2 * (4 * 16 + 4 * 16 + 16)
    assert layers["lstm0"]["num_bytes"] == 4 * layers["lstm0"]["parameters"]
    assert layers["lstm0"]["macs_per_second"] == 25 * 2 * (4 * 16 + 4 * 16)
    assert values["about"]["files"]["checkpoints/best.npz"] == (melody_run / "checkpoints" / "best.npz").stat().st_size


def test_a_keras_model_has_the_layers_of_its_run(melody_run, tmp_path):
    config, weights = load_weights(melody_run)
    save_keras(tmp_path / "model.keras", config, weights)
    found = inspect_any(tmp_path / "model.keras")
    assert found.layers == inspect_any(melody_run).layers
    assert "' abc'" in render(found)
    assert inspect_any(tmp_path) == found


def test_a_checkpoint(melody_run, tmp_path):
    found = inspect_any(melody_run / "checkpoints" / "best.npz")
    _, model = load_model(melody_run)
    assert found.about["values"] == model.count_params() and found.about["arrays"] == len(model.weights)
    assert found.about["progress"]["epoch"] == 0


def test_others_are_sentences(melody_run, tmp_path):
    for name in ("other.keras", "other.npz"):
        (tmp_path / name).write_bytes(b"PK\3\4 something")
        with pytest.raises(ModelError, match=r"expected a (model\.keras|checkpoint)"):
            inspect_any(tmp_path / name)
    with pytest.raises(ModelError, match="not a run directory"):
        inspect_any(tmp_path)
    with pytest.raises(FileNotFoundError):
        inspect_any(tmp_path / "none")
    data = (melody_run / "checkpoints" / "best.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[:-40])
    with pytest.raises(ModelError, match="damaged"):
        inspect_any(tmp_path / "cut.npz")
