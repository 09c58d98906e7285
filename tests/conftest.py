"""Fixtures that every room's tests share."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

# Features differ in their last bit by the number of BLAS threads: here and in all processes one, as scripts have it.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pytest
import soundfile

from crnn_asr.corpus.manifest import Utterance, write_manifest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the project; for tests marked `realdata`."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real recordings: the folder shared/data beside the project is not there")
    return SHARED_DATA


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """Import a file of scripts/ as a module, so that a test can call its `main`."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def tone_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.jsonl (24 utterances, 6 speakers) and dev.jsonl (6): each letter of a, b, c is a tone."""
    root = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(3)
    for name, count in (("train", 24), ("dev", 6)):
        utterances = []
        for number in range(count):
            text = " ".join("".join(rng.choice(list("abc"), 2)) for _ in range(rng.integers(1, 4)))
            path = root / name / f"{name}-{number:02d}.wav"
            path.parent.mkdir(exist_ok=True)
            samples = tones(text, rng)
            soundfile.write(path, samples, 16_000)
            utterances.append(Utterance(path, len(samples) / 16_000, text, f"speaker{number % 6}", path.stem))
        write_manifest(root / f"{name}.jsonl", utterances)
    return root


def tones(text: str, rng: np.random.Generator) -> np.ndarray:
    """Speak a text of a, b, c and spaces as tones of a fifth of a second, with a little noise."""
    time_s = np.arange(3_200) / 16_000
    pitches_hz = {"a": 400.0, "b": 900.0, "c": 2_000.0, " ": 0.0}
    sound = np.concatenate([0.3 * np.sin(2 * np.pi * pitches_hz[c] * time_s) * np.hanning(3_200) for c in text])
    return (sound + 0.003 * rng.standard_normal(len(sound))).astype(np.float32)
