"""The README against the project: its tree, its commands and their options."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from crnn_asr.presets import PRESETS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tree() -> dict[str, str]:
    """Path and description of each line of the tree under "What is where"."""
    block = README.split("## What is where")[1].split("```")[1]
    entries, folder = {}, ""
    for line in block.strip().splitlines():
        name, _, description = line.strip().partition(" ")
        if line.startswith(" "):
            entries[folder + name] = description.strip()
        else:
            folder = name
            entries[name] = description.strip()
    return entries


def test_the_tree_is_true_and_whole():
    entries = tree()
    assert [name for name in entries if not (ROOT / name).exists()] == []
    inside = {f"crnn_asr/{path.name}{'/' if path.is_dir() else ''}" for path in (ROOT / "crnn_asr").iterdir()}
    assert inside - {"crnn_asr/__init__.py", "crnn_asr/__pycache__/"} == {
        n for n in entries if re.match("crnn_asr/.", n)
    }


def test_every_script_is_in_the_table_and_every_name_exists():
    named = set(re.findall(r"scripts/(\w+)\.py", README))
    assert {path.stem for path in (ROOT / "scripts").glob("*.py")} - {"demo"} <= named
    assert all((ROOT / "scripts" / f"{name}.py").exists() for name in named)


@pytest.mark.parametrize("command", re.findall(r"^ *(?:\S+bin/)?python (scripts/.*)$", README, re.MULTILINE))
def test_options_in_examples_exist(command: str):
    script, *words = command.split()
    usage = subprocess.run([sys.executable, ROOT / script, "--help"], capture_output=True, text=True, check=True).stdout
    for word in words:
        if word.startswith("--"):
            assert word in usage, f"{command}: {word}"


def test_presets_are_in_the_table():
    rows = re.findall(r"^\| `(\w+)`", README.split("| preset |")[1].split("###")[0], re.MULTILINE)
    assert rows == list(PRESETS)


@pytest.mark.parametrize(
    "page", sorted(path for folder in (".", "docs", "data", "models/an4") for path in (ROOT / folder).glob("*.md"))
)
def test_files_that_a_page_names_exist(page: Path):
    named = set(
        re.findall(
            r"\b(?:tests|benchmarks|scripts|docs)/[\w/]+(?:\.(?:py|md|png))?\b", page.read_text(encoding="utf-8")
        )
    )
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
