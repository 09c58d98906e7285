"""What a person sees of a run, and how signals end it."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from crnn_asr.training.events import EpochDone, Incident, StepDone, Stopped
from crnn_asr.training.progress import follow, incident_line
from crnn_asr.training.run import RunDirectory

STEP = StepDone(epoch=1, batch=1, batches=9, loss=1.0, audio_seconds_per_second=1.0, wait_share=0.0, seconds_left=1.0)
METRICS = dict.fromkeys(
    [
        *("epoch", "train_loss", "dev_loss", "dev_wer", "dev_cer", "learning_rate", "seconds", "wait_share"),
        *("audio_seconds_per_second", "skipped_steps", "exploded_steps", "loss_jumps", "returns"),
    ],
    0,
)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def trainer(events: Callable[[Callable[[], bool]], Iterator[object]]) -> SimpleNamespace:
    return SimpleNamespace(events=events, run=RunDirectory(Path("run")))


def test_incidents_are_told_once_but_those_that_change_the_run_always(capsys):
    names = ("a", "b", "c", "d", "e")
    bad = Incident("not_finite", 1, 7, "loss is not finite", None, None, names)
    back = Incident("went_back", 1, 27, "back to step 0")

    def events(_):
        yield from [STEP, bad, bad, back, bad, back]
        yield EpochDone(METRICS | {"skipped_steps": 3, "returns": 2}, True, [])

    assert follow(trainer(events)) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "note: epoch 1, after step 7: loss is not finite (a, b, c and 2 more)",
        f"note: further ones of this kind are counted, and named in {Path('run/incidents.jsonl')}",
        *["note: epoch 1, after step 27: back to step 0"] * 2,
    ]
    assert captured.out.endswith("wait 0%  3 skipped  2 returns  best\n")
    assert incident_line(Incident("not_finite", 1, 7, "x", utterances=("a",))).endswith("x (a)")


def test_every_incident_is_logged_with_what_it_holds(caplog):
    incidents = [Incident("not_finite", 1, step, "it was not", None, None, ("a",)) for step in (3, 4)]
    with caplog.at_level("INFO", "crnn_asr.training.progress"):
        follow(trainer(lambda _: iter([STEP, *incidents, Stopped()])))
    *told, stopped = [record for record in caplog.records if record.name == "crnn_asr.training.progress"]
    assert [(r.levelname, r.getMessage(), r.fields["step"], r.fields["utterances"]) for r in told] == [
        ("WARNING", "it was not", 3, ("a",)),
        ("WARNING", "it was not", 4, ("a",)),
    ]
    assert (stopped.levelname, stopped.getMessage()) == ("INFO", "stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_ends_the_run_in_order_and_a_second_one_at_once(number):
    asked = []

    def events(should_stop):
        yield STEP
        os.kill(os.getpid(), number)
        asked.append(should_stop())
        yield STEP
        if second:
            os.kill(os.getpid(), number)
        asked.append("saved")
        yield Stopped()

    second = False
    assert follow(trainer(events)) == number and asked == [True, "saved"]
    asked.clear()
    second = True
    with pytest.raises(SystemExit) as exit_:
        follow(trainer(events))
    assert exit_.value.code == 128 + number and asked == [True]
