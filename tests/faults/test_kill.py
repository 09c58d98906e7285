"""A process that is killed at any moment, also inside a save, and resumed: the run is the one that was not killed."""

import time
from pathlib import Path

import fault_runner
import numpy as np
import pytest
from fault_runner import INSIDE, arrays, start

PATIENCE_S = 120


@pytest.fixture(scope="module")
def whole(tone_corpus, tmp_path_factory) -> Path:
    """The run without a fault, in a process of the same kind: threads of BLAS, which round differently, are alike."""
    root = tmp_path_factory.mktemp("whole") / "run"
    process, pipe = start(root, tone_corpus)
    steps = follow(pipe)
    process.join(PATIENCE_S)
    assert process.exitcode == 0 and steps > 15
    return root


def follow(pipe) -> int:
    """The number of the last step that a process told before its end."""
    last = 0
    try:
        while pipe.poll(PATIENCE_S):
            last = max(last, pipe.recv()[1])
    except EOFError:
        return last
    raise AssertionError("the process neither goes on nor ends")


def kill_once(root: Path, corpus: Path, place: str, number: int, wait_s: float) -> int:
    """Start the run and have it killed, inside a save or after a time from its first step on; the last step it did."""
    process, pipe = start(root, corpus, (place, number))
    if not place:
        for word in ("ready", "step"):
            assert pipe.poll(PATIENCE_S) and pipe.recv()[0] == word
        time.sleep(wait_s)
        process.kill()
    done = follow(pipe)
    process.join(PATIENCE_S)
    assert process.exitcode in (-9, 0)
    return done


def resume(root: Path, corpus: Path) -> int:
    """Let the run finish; the step that it went on from."""
    process, pipe = start(root, corpus)
    assert pipe.poll(PATIENCE_S)
    word, step = pipe.recv()
    assert word == "ready"
    follow(pipe)
    process.join(PATIENCE_S)
    assert process.exitcode == 0
    return step


def differs(found: Path, wanted: Path) -> bool:
    pairs = list(zip(arrays(found), arrays(wanted), strict=True))
    partial = [path for folder in (found, found / "checkpoints") for path in folder.glob(".*.partial*")]
    return bool(partial) or not all(np.array_equal(one, other) for one, other in pairs)


def killed_and_resumed(tmp_path, corpus, whole, tally, kills: int, duration_s: float) -> None:
    """Every other kill is inside a save. Each begins a new run, so that each result is compared."""
    rng = np.random.default_rng(11)
    lost, wrong = {"": [], "save": []}, {"": 0, "save": 0}
    for number in range(kills):
        place = "" if number % 2 == 0 else INSIDE[number // 2 % len(INSIDE)]
        root = tmp_path / str(number)
        done = kill_once(root, corpus, place, int(rng.integers(2, 40)), float(rng.uniform(0, duration_s)))
        went_on = resume(root, corpus)
        kind = "save" if place else ""
        lost[kind].append(max(0, done - went_on))
        wrong[kind] += differs(root, whole)
    for kind, name in (("", "killed at a random moment"), ("save", "killed inside a save")):
        tally(name, len(lost[kind]), max(lost[kind]), wrong[kind])
    assert sum(wrong.values()) == 0
    assert max(lost[""] + lost["save"]) <= 2  # it saves after every step


def test_killed_and_resumed_is_the_run_that_was_not(tone_corpus, tmp_path, whole, tally):
    killed_and_resumed(tmp_path, tone_corpus, whole, tally, 2, 1.0)


@pytest.mark.slow
def test_fifty_kills(tone_corpus, tmp_path, whole, tally):
    killed_and_resumed(tmp_path, tone_corpus, whole, tally, 50, 1.0)


def test_the_kills_are_real(tone_corpus, tmp_path):
    """Else the tests above could not fail: a half-written file is left by a kill inside a save."""
    root = tmp_path / "run"
    kill_once(root, tone_corpus, "write", 3, 0.0)
    assert len(list((root / "checkpoints").glob(".*.partial*"))) == 1
    assert fault_runner.RunDirectory(root).last.is_file()
