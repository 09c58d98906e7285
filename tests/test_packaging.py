"""What a fresh machine meets: requirement files, the Makefile, the CI script, and every command's --help."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
OPTIONAL = ("requirements-onnx.txt", "requirements-lm.txt")
HEAVY = {"tensorflow", "keras", "librosa", "matplotlib", "onnx", "onnxruntime"}


def read_pins(name: str) -> dict[str, str]:
    """Version by distribution, import-name style (underscores); every other line must be `-e .`."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    lines = [line for line in lines if line]
    assert lines.count("-e .") == (name not in OPTIONAL), f"{name} must install the package itself"
    pins = [re.fullmatch(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)", line) for line in lines if line != "-e ."]
    assert all(pins), f"{name} must pin exactly: {lines}"
    return {pin[1].replace("-", "_"): pin[2] for pin in pins if pin}


def third_party_imports(folder: Path) -> set[str]:
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    local = {path.stem for path in folder.rglob("*.py")}
    return names - set(sys.stdlib_module_names) - local - {"crnn_asr"}


def test_everything_that_is_imported_is_pinned():
    pinned = set(read_pins("requirements.txt")).union(*map(read_pins, OPTIONAL))
    for folder in ("crnn_asr", "scripts", "tests"):
        assert third_party_imports(ROOT / folder) <= pinned, folder


def test_inference_needs_few_and_the_same_versions():
    everything, few = read_pins("requirements.txt"), read_pins("requirements-infer.txt")
    assert few.items() < everything.items()
    assert not HEAVY & set(few)
    assert third_party_imports(ROOT / "crnn_asr" / "inference") <= set(few) | {
        "onnxruntime",
        "matplotlib",
    }  # if asked for


def test_decoding_needs_no_more_and_kenlm_where_it_is():
    few = set(read_pins("requirements-infer.txt"))
    assert third_party_imports(ROOT / "crnn_asr" / "language") == {"numpy", "pyctcdecode", "kenlm"}
    assert {"numpy", "pyctcdecode"} <= few and set(read_pins("requirements-lm.txt")) == {"kenlm"}


def test_make_installs_what_the_tests_need():
    assert "-r requirements.txt -r requirements-onnx.txt\n" in make("--dry-run", "VENV=none", "test").stdout


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_help_is_quick_and_true(path: Path):
    command = [sys.executable, "-X", "importtime", str(path), "--help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-500:]
    assert result.stdout.startswith(f"usage: {path.name}")
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in result.stderr.splitlines()}
    assert not HEAVY & imported


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_wrong_option_is_wrong_usage(path: Path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(path), "--no-such-option"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 2 and "usage:" in result.stderr


def make(*arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**environment, "PATH": path}, capture_output=True, text=True)


def fake(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_make_alone_lists_the_targets():
    result = make()
    assert result.returncode == 0
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [
        f"make {name}" for name in ("help", "demo", "test", "clean")
    ]


def test_make_passes_over_a_shim_and_takes_the_python_that_runs(tmp_path: Path):
    fake(tmp_path / "bin" / "python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    fake(tmp_path / "bin" / "python3.11", 'case "$1" in -c) exit 0;; -m) echo "made $4"; exit 3;; esac')
    venv = tmp_path / "venv"
    result = make(f"VENV={venv}", f"{venv}/.installed", path=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert f"making {venv} with python3.11\nmade {venv}\n" in result.stdout
    assert result.returncode == 2


def test_make_says_what_it_needs_when_no_python_fits(tmp_path: Path):
    for name in ("python3.12", "python3.11", "python3"):
        fake(tmp_path / "bin" / name, "exit 1")
    result = make(f"VENV={tmp_path / 'venv'}", "test", path=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert result.returncode == 2
    assert "error: expected Python 3.11 or 3.12" in result.stderr
    assert "make test PYTHON=/path/to/python3.12" in result.stderr


@pytest.mark.parametrize(
    ("pytest_says", "make_code", "expected"),
    [
        ("=== 12 passed, 1 skipped in 3.2s ===", 0, 0),
        ("=== 12 passed, 1 failed in 3.2s ===", 2, 1),
        ("=== 3 skipped in 0.1s ===", 0, 1),
        ("=== no tests ran in 0.1s ===", 0, 1),
        ("=== 0 passed in 0.1s ===", 0, 1),
    ],
)
def test_ci_fails_when_tests_fail_and_when_none_ran(tmp_path: Path, pytest_says: str, make_code: int, expected: int):
    fake(tmp_path / "make", f'test "$*" = test || exit 9\necho "{pytest_says}"\nexit {make_code}')
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = subprocess.run([ROOT / ".ci" / "run"], env=environment, capture_output=True, text=True)
    assert result.returncode == expected, result.stderr
    assert ("did any test run?" in result.stderr) == (make_code == 0 and expected == 1)
