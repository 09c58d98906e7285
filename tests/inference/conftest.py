"""A small model with random weights; the export runs in a process of its own, so TensorFlow stays out of this one."""

from pathlib import Path

import numpy as np
import pytest
from crnn_oracle import random_weights

from crnn_asr.config import FeatureConfig, ModelConfig, TextConfig
from crnn_asr.export.convert import convert
from crnn_asr.inference import model_file
from crnn_asr.inference.model_file import Metadata
from crnn_asr.text.alphabet import ENGLISH

MODEL = ModelConfig(conv_filters=(4, 6), projection_units=12, lstm_layers=1, lstm_units=8)


@pytest.fixture(scope="session")
def metadata() -> Metadata:
    return Metadata("float32", FeatureConfig(), MODEL, TextConfig(), ENGLISH, {"epoch": 3, "dev_wer": 12.5})


@pytest.fixture(scope="session")
def model_path(metadata: Metadata, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.float32.tflite"
    flatbuffers = convert(random_weights(MODEL, np.random.default_rng(5)), MODEL, {}, ["float32"])
    model_file.write(path, flatbuffers["float32"], metadata)
    return path
