"""Checkpoints that rot, disks that fill up, folders that vanish: a sentence, and what was saved is still there."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from fault_runner import RunDirectory, arrays, make_trainer

from crnn_asr.console import run as run_script
from crnn_asr.errors import ModelError
from crnn_asr.training.events import Incident, StepDone


def same(found: Path, wanted: Path) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(arrays(found), arrays(wanted), strict=True))


def stop_after(root: Path, corpus: Path, steps: int) -> None:
    trainer = make_trainer(root, corpus)
    list(trainer.events(lambda: trainer.progress.step >= steps))


def resumed(root: Path, corpus: Path) -> tuple[int, list[Incident]]:
    """Let the run finish: the step that it went on from, and what it told."""
    trainer = make_trainer(root, corpus)
    trainer.resume()
    return trainer.progress.step, [event for event in trainer.events() if isinstance(event, Incident)]


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "damage", ["bit", *(pytest.param(name, marks=SLOW) for name in ("truncated", "zeros", "gone"))]
)
def test_a_damaged_checkpoint_costs_a_step_and_not_the_run(tone_corpus, tmp_path, whole, tally, damage):
    root = tmp_path / "run"
    stop_after(root, tone_corpus, 14)
    last, data = RunDirectory(root).last, bytearray(RunDirectory(root).last.read_bytes())
    data[len(data) // 2] ^= 16
    changed = {"truncated": data[: len(data) // 2], "bit": data, "zeros": bytes(len(data)), "gone": b""}[damage]
    if damage == "gone":
        last.unlink()
    else:
        last.write_bytes(changed)
    step, found = resumed(root, tone_corpus)
    if damage == "gone":
        assert not found
    else:
        assert [incident.kind for incident in found] == ["damaged"]
        assert "last.npz" in found[0].sentence and "last.1.npz, of step 14, is used instead" in found[0].sentence
        assert (root / "checkpoints" / "last.damaged").read_bytes() == changed
    assert same(root, whole)
    tally(f"checkpoint: {damage}", 1, 14 - step, 0)


@SLOW
def test_when_all_are_damaged_the_kept_state_is_used_and_then_a_sentence(tone_corpus, tmp_path, whole):
    root = tmp_path / "run"
    stop_after(root, tone_corpus, 14)
    folder = root / "checkpoints"
    for path in folder.glob("last*"):
        path.write_bytes(b"\0" * 99)
    trainer = make_trainer(root, tone_corpus)
    trainer.resume()
    assert trainer.progress.step == 0 and len(trainer.found) == 3
    (folder / "good.npz").write_bytes(b"")
    for path in folder.glob("last*"):
        path.rename(path.with_suffix(".npz"))
    with pytest.raises(ModelError, match=r"no whole checkpoint is left .*--fresh"):
        make_trainer(root, tone_corpus).resume()


@SLOW
def test_a_damaged_best_is_chosen_anew(tone_corpus, tmp_path, whole):
    root = tmp_path / "run"
    stop_after(root, tone_corpus, 14)
    RunDirectory(root).best.write_bytes(b"damaged")
    _, (incident,) = resumed(root, tone_corpus)
    assert "best.npz" in incident.sentence and "among those to come" in incident.sentence
    assert same(root, whole) and RunDirectory(root).best.is_file() and RunDirectory(root).summary.is_file()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes the rights of root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Leave not a page of the disk."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4_096))


def exit_code(script, *options: object) -> int:
    """Of train.py; a traceback would be an exception here."""
    with pytest.raises(SystemExit) as exit_:
        run_script(lambda _: script("train").main([str(option) for option in options]))
    return exit_.value.code


@pytest.mark.parametrize("fault", ["full", pytest.param("read-only", marks=SLOW)])
def test_a_disk_that_cannot_be_written(tone_corpus, tmp_path, whole, small_disk, script, capsys, tally, fault):
    root = small_disk / "run"
    stop_after(root, tone_corpus, 14)
    before, ballast = RunDirectory(root).last.read_bytes(), small_disk / "ballast"
    if fault == "full":
        fill(ballast)
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert exit_code(script, "--out", root, "--resume") == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and ("No space left" if fault == "full" else "Read-only") in error
    assert str(root) in error and RunDirectory(root).last.read_bytes() == before
    if fault == "full":
        ballast.unlink()
    else:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert exit_code(script, "--out", root, "--resume") == 0
    assert same(root, whole)
    tally(f"disk: {fault}", 1, 0, 0)


@SLOW
@pytest.mark.parametrize("moment", ["save", "epoch"])
def test_a_disk_that_fills_up_during_the_run(tone_corpus, tmp_path, whole, small_disk, moment):
    root = small_disk / "run"
    trainer = make_trainer(root, tone_corpus, checkpoint_every_s=0.0 if moment == "save" else 1e9)
    wanted = 14 if moment == "save" else 19
    with pytest.raises(OSError, match="No space left") as error:
        for event in trainer.events():
            if isinstance(event, StepDone) and trainer.progress.step == wanted:
                fill(small_disk / "ballast")
    assert str(root) in str(error.value.filename)
    (small_disk / "ballast").unlink()
    again = make_trainer(root, tone_corpus)
    again.resume()
    assert again.progress.step == (14 if moment == "save" else 10)
    list(again.events())
    assert same(root, whole)


def test_a_folder_that_vanishes_is_not_made_anew(tone_corpus, tmp_path, whole, tally):
    root, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    trainer = make_trainer(root, tone_corpus)
    with pytest.raises(FileNotFoundError, match=r"checkpoints is no longer there.*--resume"):
        for event in trainer.events():
            if isinstance(event, StepDone) and trainer.progress.step == 14:
                root.rename(elsewhere)
    assert not root.exists()
    elsewhere.rename(root)
    step, _ = resumed(root, tone_corpus)
    assert same(root, whole)
    tally("folder gone", 1, 14 - step, 0)


def test_two_trainers_in_one_directory(tone_corpus, tmp_path, script, capsys):
    root = tmp_path / "run"
    make_trainer(root, tone_corpus)
    with RunDirectory(root).locked():
        for options in (["--resume"], ["--fresh", "--train", tone_corpus / "train.jsonl"]):
            assert exit_code(script, "--out", root, *options) == 1
            error = capsys.readouterr().err
            assert f"another trainer (process {os.getpid()}) is at work in {root}" in error
    assert RunDirectory(root).exists()
    with RunDirectory(root).locked():  # it ends with the block
        pass


def test_a_start_that_fails_leaves_no_directory_it_made(tmp_path, script, capsys):
    missing = ["--train", tmp_path / "missing.jsonl"]
    (tmp_path / "mine").mkdir()
    for name in ("new", "mine"):
        assert exit_code(script, "--out", tmp_path / name, *missing) == 1
        assert "missing.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "mine").is_dir()


def test_what_a_killed_process_was_writing_is_cleaned_away(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.last.parent.mkdir(parents=True)
    process = subprocess.Popen(["true"])
    process.wait()
    ended, here = process.pid, os.getpid()
    partial = [run.root / f".metrics.jsonl.{ended}.partial.jsonl", run.last.parent / f".last.npz.{ended}.partial.npz"]
    others = [run.metrics, run.root / f".model.int8.tflite.{here}.partial.tflite", run.root / ".a.b.partial.c"]
    for path in (*partial, *others):
        path.write_text("")
    with run.locked():
        assert not any(path.exists() for path in partial) and all(path.is_file() for path in others)
