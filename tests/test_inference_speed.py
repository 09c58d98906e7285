"""The benchmark of inference: its table, and peers that are the same network."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from crnn_oracle import random_weights, reference_logits

from crnn_asr.config import ModelConfig

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
SMALL = ["--projection-units", "8", "--lstm-layers", "1", "--lstm-units", "8", "--seconds", "0.5", "1"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("inference_speed")


def test_the_table_has_medians_ratios_and_reasons(benchmark):
    results = {
        "int8": {"error": 0.01, "seconds": [[0.004, 0.002, 0.009], [0.02, 0.02, 0.01]]},
        "ort-float": {"error": 0.0, "seconds": [[0.008], [0.032]]},
        "keras-float": {"failed": "crashed with exit code -11"},
    }
    rows = {line.split()[0]: line.split()[1:] for line in benchmark.table(results, [4.0, 16.0]).splitlines()[2:]}
    assert rows["int8"] == ["4.0", "0.00100", "1.00", "0.50", "20.0", "0.00125", "1.00", "0.62", "5.00", "0.0100"]
    assert rows["ort-float"][:4] == ["8.0", "0.00200", "2.00", "1.00"]
    assert " ".join(rows["keras-float"]) == "crashed with exit code -11"
    del results["ort-float"]
    assert "–" in benchmark.table(results, [4.0, 16.0])


def test_the_default_sizes(benchmark):
    config = benchmark.model_config(benchmark.parse_args([]))
    assert (config.lstm_layers, config.lstm_units, len(config.conv_filters)) == (3, 256, 2)
    weights = random_weights(config, np.random.default_rng(0))
    assert 6.2e6 < sum(array.size for array in weights.values()) < 6.4e6
    small = benchmark.model_config(benchmark.parse_args(["--preset", "tiny", "--lstm-units", "8"]))
    assert (small.lstm_units, small.projection_units) == (8, 96)


def test_the_peers_are_the_same_network(benchmark, tmp_path, rng):
    """Those of PyTorch where it is installed."""
    pytest.importorskip("torch")
    contenders = importlib.import_module("inference_contenders").CONTENDERS
    config = ModelConfig(
        conv_filters=(3, 4), conv_strides=((2, 1), (1, 3)), projection_units=7, lstm_layers=2, lstm_units=5
    )
    weights = random_weights(config, rng)
    features = rng.standard_normal((31, 80)).astype(np.float32)
    expected = reference_logits(features, weights, config)
    for name in ("torch-float", "ort-float"):
        np.testing.assert_allclose(contenders[name](tmp_path, weights, config, 1)(features), expected, atol=1e-4)
    for name in ("torch-dynamic", "ort-dynamic"):
        difference = contenders[name](tmp_path, weights, config, 1)(features) - expected
        assert 0 < np.sqrt(np.mean(difference**2) / np.mean(expected**2)) < 0.2


@pytest.mark.slow
def test_a_run_with_a_contender_that_is_not_there(benchmark, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", [str(FOLDER / "inference_speed.py")])
    monkeypatch.setattr(benchmark, "missing_packages", lambda name: ["torch"] if name == "torch-float" else [])
    names = ["int8", "onnx-int8", "plain-integer", "keras-dynamic", "torch-float"]
    arguments = [*SMALL, "--rounds", "2", "--only", *names, "--json", str(tmp_path / "report.json")]
    assert benchmark.main(arguments) == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[3:]] == names[:4]
    assert "note: left out: torch-float, which needs torch" in err and (tmp_path / "report.json").exists()
