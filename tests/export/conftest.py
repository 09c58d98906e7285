"""Models that the export tests share: one of AN4's size with random weights, and a run that hears melodies."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from crnn_oracle import Weights, random_weights

from crnn_asr.audio.features import mel_triangles
from crnn_asr.config import FeatureConfig, ModelConfig, TextConfig
from crnn_asr.export.calibrate import measure_ranges
from crnn_asr.export.convert import convert
from crnn_asr.export.modes import Ranges
from crnn_asr.inference import model_file
from crnn_asr.inference.flatbuffer import encodings
from crnn_asr.inference.model_file import Encoding, Metadata
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import save_config

AN4 = PRESETS["an4"].model
PITCHES_HZ = {" ": 500.0, "a": 1_000.0, "b": 2_000.0, "c": 4_000.0}
MELODIES = ModelConfig(
    conv_filters=(1, 1), conv_strides=((2, 1), (2, 1)), projection_units=4, lstm_layers=1, lstm_units=4, num_symbols=5
)


@pytest.fixture(scope="session")
def an4_weights() -> Weights:
    return random_weights(AN4, np.random.default_rng(2))


@pytest.fixture(scope="session")
def an4_ranges(an4_weights: Weights) -> Ranges:
    rng = np.random.default_rng(3)
    features = [rng.standard_normal((frames, 80)).astype(np.float32) for frames in (30, 150, 400)]
    return measure_ranges(an4_weights, AN4, features)


@pytest.fixture(scope="session")
def an4_models(an4_weights: Weights, an4_ranges: Ranges) -> dict[str, bytes]:
    """Flatbuffers, float32 and int8."""
    return convert(an4_weights, AN4, an4_ranges, ("float32", "int8"))


@pytest.fixture(scope="session")
def open_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes, ModelConfig], Recognizer]:
    """A function that opens a converted network as the model file that it would be, alphabet and all."""

    def opened(network: bytes, config: ModelConfig) -> Recognizer:
        ends = (Encoding(),) * 2 if model_file.is_onnx(network) else encodings(network)
        alphabet = tuple(chr(ord("一") + number) for number in range(config.num_symbols - 1))
        features = FeatureConfig(num_mels=config.num_mels)
        path = tmp_path_factory.mktemp("model") / "model"
        model_file.write(path, network, Metadata("any", features, config, TextConfig(), alphabet, {}, *ends))
        return Recognizer(path)

    return opened


@pytest.fixture(scope="session")
def melodies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.jsonl (24 utterances, 6 speakers) and dev.jsonl (10): each character is a tone of its own.

    A tone lasts 0.2 s, a tenth of a second of near silence follows.
    """
    root, rng = tmp_path_factory.mktemp("melodies"), np.random.default_rng(8)
    time_s = np.arange(3_200) / 16_000
    for name, count in (("train", 24), ("dev", 10)):
        rows = []
        for number in range(count):
            letters = rng.permutation(list("abcabc" + "abc"[: number % 3] * 2))  # all, or features would be of noise
            text = " ".join(map("".join, letters.reshape(-1, 2)))
            tones = [0.3 * np.sin(2 * np.pi * PITCHES_HZ[letter] * time_s) * np.hanning(3_200) for letter in text]
            samples = np.concatenate([np.pad(tone, (0, 1_600)) for tone in tones])
            file = f"{name}{number:02d}.wav"
            soundfile.write(root / file, samples + 0.003 * rng.standard_normal(len(samples)), 16_000)
            row = {"audio_filepath": file, "duration": 0.3 * len(text), "text": text, "speaker": str(number % 6)}
            rows.append(json.dumps(row))
        (root / f"{name}.jsonl").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="session")
def melody_run(melodies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory whose weights are set by hand, so that the network hears `melodies` without training.

    Convolutions pass the features on, the projection listens at each pitch, the LSTM squashes what it is given.
    """
    from crnn_asr.training.checkpoint import Progress, save_checkpoint
    from crnn_asr.training.model import CRNN
    from crnn_asr.training.run import RunDirectory

    config = replace(
        PRESETS["tiny"],
        model=MELODIES,
        alphabet=tuple(PITCHES_HZ),
        train_manifests=(str(melodies / "train.jsonl"),),
        dev_manifest=str(melodies / "dev.jsonl"),
    )
    model, rng = CRNN(MELODIES), np.random.default_rng(1)
    for conv in model.convs:
        conv.set_weights([np.pad([[[[1.0]]]], [(1, 1), (1, 1), (0, 0), (0, 0)])])
    bins = np.array([round(hz * 512 / 16_000) for hz in PITCHES_HZ.values()])
    ears = mel_triangles(FeatureConfig())[bins].T  # (80, 4), the mel bins that a pitch falls in
    model.projection.set_weights([2 * ears / ears.sum(0), np.full(4, -1.0)])
    gates = [0.1 * np.eye(4), 0.1 * np.eye(4), np.eye(4), 0.1 * np.eye(4)]  # all zero, they would have no scale in INT8
    model.lstms[0].kernel.assign(np.tile(np.concatenate(gates, 1), 2))
    model.lstms[0].recurrent.assign(0.02 * rng.standard_normal((2, 4, 16)))
    model.lstms[0].bias.assign(np.tile(np.repeat([4.0, -4.0, 0.0, 4.0], 4), 2))  # gates i, o open, f shut
    kernel = np.concatenate([np.eye(4, 5)] * 2)
    model.output_layer.set_weights([3 * kernel, np.array([0, 0, 0, 0, 6.0])])
    run = RunDirectory(tmp_path_factory.mktemp("melody_run"))
    save_config(config, run.config)
    save_checkpoint(run.best, model.weights, Progress())
    return run.root


@pytest.fixture(scope="session")
def quantized(melody_run: Path, script: Callable[[str], ModuleType]) -> Path:
    """`melody_run` with a model of every scheme and a report, by the command line."""
    limits = ["--max-wer-increase", "0", "--max-slowdown", "3"]  # a network so small has no time to speak of
    assert script("quantize").main([str(melody_run), "--scheme", "all", *limits]) == 0
    return melody_run


@pytest.fixture
def new_melody_run(melody_run: Path, tmp_path: Path) -> Path:
    """The run in a place that the test may write to."""
    return Path(shutil.copytree(melody_run, tmp_path / "run"))


@pytest.fixture
def melody_keras(melody_run: Path, tmp_path: Path) -> Path:
    """A folder with a model.keras that names no manifest and no more, as models/an4 is."""
    from crnn_asr.training.keras_file import save_keras
    from crnn_asr.training.run import load_weights

    config, weights = load_weights(melody_run)
    (tmp_path / "given").mkdir()
    config = replace(config, train_manifests=(), dev_manifest="")
    save_keras(tmp_path / "given" / "model.keras", config, weights)
    return tmp_path / "given"
