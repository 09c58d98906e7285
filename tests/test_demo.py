"""The demo's own part, stages stood in for by tiny scripts: the order, the end at a failure, the table."""

import json
from pathlib import Path
from types import ModuleType

import pytest

STAGES = ("synthesize", "convert_librispeech", "train", "quantize", "evaluate", "evaluate", "infer_tflite")
STAND_IN = """
import pathlib, sys

def leave(file, text):
    path = pathlib.Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

with open("order.txt", "a") as file:
    file.write(pathlib.Path(__file__).stem + "\\n")
"""
RESULT = {"wer": 3.25, "utterances": 2, "duration_s": 6.0, "real_time_factor": 0.002}
LEAVES = {
    "convert_librispeech": {
        "data/demo/test-synthetic.jsonl": {"audio_filepath": "clip.wav", "duration": 3.0, "text": "CALL NINE ONE"}
    },
    "train": {
        "models/demo/summary.json": {"train_hours": 1.02, "train_seconds": 250.4},
        "models/demo/model.keras": "x" * 10_000,
    },
    "quantize": {"models/demo/model.int8.tflite": "x" * 3_000},
    "evaluate": {"models/demo/test.float.json": RESULT, "models/demo/test.int8.json": {**RESULT, "wer": 3.5}},
}


@pytest.fixture
def demo(script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, run in a folder where every stage notes its name and leaves what the real one leaves."""
    module = script("demo")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "scripts").mkdir()
    for name in STAGES:
        left = {file: json.dumps(value) for file, value in LEAVES.get(name, {}).items()}
        lines = [f"leave({file!r}, {text!r})" for file, text in left.items()]
        if name == "infer_tflite":
            lines.append("""print('{"text": "' + pathlib.Path(sys.argv[1]).name + '"}')""")
        (tmp_path / "scripts" / f"{name}.py").write_text(STAND_IN + "\n".join(lines))
    return module


def test_the_table_has_what_the_stages_measured(demo: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert demo.main([]) == 0, capfd.readouterr().err
    assert (tmp_path / "order.txt").read_text().split() == list(STAGES)
    table = capfd.readouterr().out.rsplit("── done\n", 1)[1]
    for row in (
        "training corpus   1.02 h",
        "training          250 s",
        "WER float         3.25 %",
        "WER INT8          3.50 %",
        "file float        0.01 MB  models/demo/model.keras",
        "real-time factor  0.00200, 500 times faster",
        "  said            call nine one",
        "  heard           clip.wav",
        "learning curves   models/demo/curves.png",
    ):
        assert row in table


def test_it_stops_where_a_stage_fails(demo: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "scripts" / "train.py").write_text(STAND_IN + "sys.exit(3)")
    assert demo.main([]) == 1
    assert (tmp_path / "order.txt").read_text().split() == list(STAGES[:3])
    assert "error: the demo stops: scripts/train.py ended with exit code 3" in capfd.readouterr().err


def test_a_stage_that_was_stopped_gives_its_exit_code(demo: ModuleType, tmp_path: Path):
    (tmp_path / "scripts" / "train.py").write_text("raise SystemExit(143)")
    assert demo.main([]) == 143


def test_a_crash_is_told_from_an_exit_code(demo: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "scripts" / "quantize.py").write_text("import os; os.kill(os.getpid(), 11)")
    assert demo.main([]) == 1
    assert "scripts/quantize.py ended by signal 11" in capfd.readouterr().err


def test_it_starts_over(demo: ModuleType, tmp_path: Path):
    for folder in ("data/demo", "models/demo"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "old").touch()
    (tmp_path / "scripts" / "synthesize.py").write_text("raise SystemExit(1)")
    assert demo.main([]) == 1
    assert not (tmp_path / "data/demo").exists() and not (tmp_path / "models/demo").exists()
