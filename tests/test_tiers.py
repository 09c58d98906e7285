"""The rules of the house, read off the code: which room may import which, and what the light tier does without."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "crnn_asr"
# modules beside the rooms, which import each other alone
BASE = {"config", "console", "errors", "files", "native", "page", "presets", "strict_json"}
ALLOWED = {
    "audio": set(),
    "text": set(),
    "corpus": {"audio", "text"},
    "checking": {"audio", "text", "corpus"},
    "training": {"audio", "text", "corpus"},
    "export": {"audio", "text", "corpus", "training", "inference", "language"},
    "language": {"text", "corpus"},
    "inference": {"audio", "text", "corpus", "language"},
}
LIGHT = ("audio", "text", "corpus", "checking", "language", "inference")
FILES = sorted(PACKAGE.rglob("*.py"))

BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras"):
            raise ImportError(f"blocked: {name}")

sys.meta_path.insert(0, Block())
"""

USE_LIGHT_TIER = """
import importlib, json, pkgutil, tempfile
from pathlib import Path
import numpy as np
import crnn_asr

for room in ("audio", "text", "corpus", "checking", "language", "inference"):
    package = importlib.import_module(f"crnn_asr.{room}")
    for module in pkgutil.iter_modules(package.__path__, f"crnn_asr.{room}."):
        importlib.import_module(module.name)

from crnn_asr.audio.augment import Augmenter
from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio, write_audio
from crnn_asr.config import AugmentConfig, FeatureConfig, TextConfig
from crnn_asr.corpus.manifest import Utterance, read_manifest, write_manifest
from crnn_asr.text.alphabet import ENGLISH, Alphabet
from crnn_asr.text.decode import greedy_text
from crnn_asr.text.normalize import normalize

folder, rng = Path(tempfile.mkdtemp()), np.random.default_rng(0)
write_audio(folder / "a.wav", 0.1 * rng.standard_normal(16_000).astype(np.float32), 16_000)
samples = Augmenter(AugmentConfig(noise_probability=1.0))(read_audio(folder / "a.wav"), rng)
assert compute_features(samples, FeatureConfig()).shape[1] == 80
write_manifest(folder / "a.jsonl", [Utterance(folder / "a.wav", 1.0, "Hello")])
(utterance,), _ = read_manifest(folder / "a.jsonl")
alphabet = Alphabet(ENGLISH)
labels = alphabet.encode(normalize(utterance.text, TextConfig()))
frames = np.eye(alphabet.num_symbols, dtype=np.float32)[[i for label in labels for i in (label, alphabet.blank_id)]]
assert greedy_text(frames, alphabet) == "hello"
assert crnn_asr.Recognizer.__name__ == "Recognizer"
print("done without", sorted({"tensorflow", "keras", "librosa"} - set(sys.modules)))
"""


def imports(path: Path, at_import_time: bool = False) -> Iterator[str]:
    """Dotted names that a file imports; with `at_import_time` only those outside functions."""
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if not (at_import_time and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            nodes.extend(ast.iter_child_nodes(node))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_is_there():
    assert set(ALLOWED) == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_arrows_point_one_way(path: Path):
    room = room_of(path)
    allowed = BASE | {room} | ALLOWED.get(room, set())
    if room == "__init__":
        allowed = {"inference"}  # lazily: the package's one public name
    for name in imports(path):
        if name.startswith("crnn_asr.") and room_of(PACKAGE / name.split(".")[1]) not in allowed:
            assert name == "crnn_asr.__version__", f"{room} must not import {name}"


@pytest.mark.parametrize("room", LIGHT)
def test_the_light_tier_never_names_tensorflow_and_imports_librosa_only_where_it_is_used(room: str):
    for path in FILES:
        if room_of(path) == room:
            assert not {"tensorflow", "keras"} & {name.split(".")[0] for name in imports(path)}, path
            assert "librosa" not in {name.split(".")[0] for name in imports(path, at_import_time=True)}, path


def test_the_light_tier_works_where_tensorflow_cannot_be_imported():
    command = [sys.executable, "-c", BLOCKED + USE_LIGHT_TIER]
    result = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "done without ['keras', 'librosa', 'tensorflow']\n"


def test_the_block_does_block():
    command = [sys.executable, "-c", BLOCKED + "import crnn_asr.training.model"]
    result = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True)
    assert result.returncode == 1 and "blocked: " in result.stderr


def test_importing_the_package_costs_nothing():
    command = [sys.executable, "-c", "import sys, crnn_asr; print('numpy' in sys.modules)"]
    assert subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True).stdout == "False\n"
