"""The recipe's own part, scripts stood in for by tiny ones: what each is asked, going on, failures, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAND_IN = """
import json, pathlib, sys

asked = sys.argv[1:]
with open("asked.jsonl", "a") as file:
    file.write(json.dumps([pathlib.Path(__file__).stem, *asked]) + "\\n")

def leave(*files):
    for file in map(pathlib.Path, files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

out = asked[asked.index("--out") + 1] if "--out" in asked else asked[0]
"""
LEAVES = {
    "train": "leave(f'{out}/config.json', f'{out}/model.keras')",
    "recombine": "leave(f'{out}/recombined.jsonl')",
    "quantize": "leave(f'{out}/model.int8.tflite')",
}
COMMAND = ["--train", "a.jsonl", "b.jsonl", "--dev", "dev.jsonl", "--out", "run", "--noise", "noise", "--seed", "3"]


@pytest.fixture
def recipe(script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, in a folder where every stage notes what it was asked and leaves what the real one leaves."""
    module = script("train_twice")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise").mkdir()
    (tmp_path / "scripts").mkdir()
    for name in LEAVES:
        behave(name)
    return module


def behave(name: str, lines: str | None = None) -> None:
    Path("scripts", f"{name}.py").write_text(STAND_IN + (LEAVES[name] if lines is None else lines))


def asked() -> list[str]:
    commands = [" ".join(json.loads(line)) for line in Path("asked.jsonl").read_text().splitlines()]
    Path("asked.jsonl").unlink()
    return commands


def test_what_each_stage_is_asked_and_how_the_same_command_goes_on(recipe: ModuleType):
    command = [*COMMAND, "--epochs", "9", "--times", "7", "--sample-rate", "8000", "--alphabet", "english"]
    command += ["--optimizer", "adamw"]
    assert recipe.main(command) == 0
    both = "--dev dev.jsonl --seed 3 --sample-rate 8000 --optimizer adamw"
    first = f"train --out run/first --preset clean --epochs 60 --train a.jsonl b.jsonl {both}"
    new = "run/recombined/recombined.jsonl"
    second = f"train --out run --preset an4 --epochs 9 --noise noise --train a.jsonl b.jsonl --pool {new}"
    cut = "recombine run/first a.jsonl b.jsonl --out run/recombined --times 7 --seed 3"
    assert asked() == [f"{first} --alphabet english", cut, f"{second} {both} --alphabet english", "quantize run"]
    assert recipe.main(command) == 0
    assert asked() == [f"{first} --resume", f"{second} {both} --resume", "quantize run"]


@pytest.mark.parametrize(
    ("name", "lines", "code", "stages"),
    [
        ("train", "sys.exit(2)", 2, 1),
        ("train", "sys.exit(143)", 143, 1),
        ("recombine", "sys.exit(1)", 1, 2),
        ("quantize", "import os; os.kill(os.getpid(), 9)", 1, 4),
    ],
)
def test_it_stops_where_a_stage_fails(recipe: ModuleType, capfd, name: str, lines: str, code: int, stages: int):
    behave(name, lines)
    assert recipe.main(COMMAND) == code
    assert len(asked()) == stages
    how = "by signal 9" if "kill" in lines else f"with exit code {code}"
    said = capfd.readouterr().err
    assert f"error: the recipe stops: scripts/{name}.py ended {how}" in said and "the same command goes on" in said


def test_recordings_that_are_no_good_do_not_stop_it_but_show_in_the_exit_code(recipe: ModuleType):
    behave("recombine", LEAVES["recombine"] + "\nsys.exit(1)")
    assert recipe.main(COMMAND) == 1
    assert len(asked()) == 4 and Path("run/model.int8.tflite").exists()


def test_what_an_earlier_run_left_is_not_taken_for_done(recipe: ModuleType):
    assert recipe.main(COMMAND) == 0
    asked()
    os.utime("run/first/model.keras", (1e9, 1e9))
    behave("train", "sys.exit(1)")
    assert recipe.main(COMMAND) == 1
    assert len(asked()) == 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--preset", "clean"], "--noise would do nothing with --preset clean"),
        (["--rooms", "dev.jsonl"], "--rooms: expected a folder of recordings, got dev.jsonl"),
    ],
)
def test_what_the_second_training_would_refuse_is_said_first(recipe: ModuleType, capsys, wrong, sentence: str):
    assert recipe.main([*COMMAND, *wrong]) == 2
    assert sentence in capsys.readouterr().err and not Path("asked.jsonl").exists()


@pytest.mark.parametrize(("number", "to_all"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_stage_has_time_to_save_what_it_has(recipe: ModuleType, tmp_path: Path, number: int, to_all: bool):
    """Ctrl-C goes to every process of a terminal, `kill` to one."""
    saving = f"""
import signal, time

def save(number, _):
    time.sleep(0.5)
    print("saved", file=sys.stderr, flush=True)
    sys.exit(128 + number)

signal.signal({number}, save)
leave("begun")
time.sleep(60)
"""
    behave("train", saving)
    start = "import sys; sys.path.insert(0, 'scripts'); import train_twice as t; from crnn_asr.console import run"
    (tmp_path / "scripts" / "train_twice.py").write_text((ROOT / "scripts" / "train_twice.py").read_text())
    command = [sys.executable, "-c", f"{start}; run(t.main)", *COMMAND]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if Path("begun").exists():
            break
        time.sleep(0.05)
    (os.killpg if to_all else os.kill)(process.pid, number)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + number
    assert said.index("saved") < said.index("the recipe stops") < said.index("the same command goes on")
