"""A run as a person watches it: a bar where there is a terminal, else a line a minute; signals end it in good order."""

import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tqdm import tqdm

from crnn_asr.console import note
from crnn_asr.training.events import EpochDone, Event, Incident, StepDone, Stopped
from crnn_asr.training.loop import Trainer

LOG_EVERY_S = 60  # where there is no terminal to draw a bar on
TOLD_ONCE = ("not_finite", "explosion", "loss_jump")  # of these the first is told, and the file has all
NAMES_SHOWN = 3

logger = logging.getLogger(__name__)

Observer = Callable[[Iterator[Event]], Iterator[Event]]  # passes the events on, and does something of its own with them


def follow(trainer: Trainer, observers: Sequence[Observer] = ()) -> int:
    """Show the run to a person and to its observers until it ends; give the number of the signal that stopped it, or 0.

    What happens is logged too: incidents as WARNING, epochs as INFO, steps as DEBUG.
    """
    received: list[int] = []
    told: set[str] = set()

    def stop(number: int, _: object) -> None:
        if received:  # the second one stops at once; the last checkpoint stands
            raise SystemExit(128 + number)
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    interactive = sys.stderr.isatty()
    last_line = time.monotonic()
    events = trainer.events(lambda: bool(received))
    for observer in (*observers, logged):
        events = observer(events)
    with tqdm(unit="step", leave=False, disable=not interactive) as bar:
        for event in events:
            if isinstance(event, StepDone):
                bar.total, bar.n = event.batches, event.batch
                bar.set_description(f"epoch {event.epoch}", refresh=False)
                bar.set_postfix_str(step_line(event))
                if not interactive and time.monotonic() - last_line > LOG_EVERY_S:
                    print(f"epoch {event.epoch}, step {event.batch} of {event.batches}: {step_line(event)}", flush=True)
                    last_line = time.monotonic()
            elif isinstance(event, EpochDone):
                bar.clear()
                print(epoch_line(event.metrics) + ("  best" if event.is_best else ""), flush=True)
                last_line = time.monotonic()
            elif isinstance(event, Incident) and event.kind not in told:
                bar.clear()
                note(incident_line(event))
                if event.kind in TOLD_ONCE:
                    told.add(event.kind)
                    note(f"further ones of this kind are counted, and named in {trainer.run.incidents}")
    return received[0] if received else 0


def logged(events: Iterator[Event]) -> Iterator[Event]:
    """Pass events on, and log them with all that they hold."""
    for event in events:
        if isinstance(event, StepDone):
            logger.debug("step", extra={"fields": vars(event)})
        elif isinstance(event, EpochDone):
            logger.info("epoch", extra={"fields": {**event.metrics, "is_best": event.is_best}})
        elif isinstance(event, Incident):
            logger.warning("%s", event.sentence, extra={"fields": vars(event)})
        elif isinstance(event, Stopped):
            logger.info("stopped")
        yield event


def step_line(event: StepDone) -> str:
    return (
        f"loss {event.loss:.2f}, {event.audio_seconds_per_second:.0f} audio-s/s, wait {event.wait_share:.0%}, "
        f"{event.seconds_left / 60:.1f} min left"
    )


def epoch_line(metrics: dict[str, Any]) -> str:
    line = (
        "epoch {epoch:3d}  loss {train_loss:7.2f}  dev {dev_loss:7.2f}  WER {dev_wer:6.2f} %  CER {dev_cer:6.2f} %  "
        "lr {learning_rate:.1e}  {seconds:5.1f} s  {audio_seconds_per_second:.0f} audio-s/s  wait {wait_share:.0%}"
    ).format(**metrics)
    counts = [f"{metrics[name]} {words}" for name, words in INCIDENTS.items() if metrics[name]]
    return "  ".join([line, *counts])


INCIDENTS = {  # counted since the run began
    "skipped_steps": "skipped",
    "exploded_steps": "exploded",
    "loss_jumps": "loss jumps",
    "returns": "returns",
}


def incident_line(event: Incident) -> str:
    names = ", ".join(event.utterances[:NAMES_SHOWN])
    more = len(event.utterances) - NAMES_SHOWN
    whose = f" ({names}{f' and {more} more' if more > 0 else ''})" if names else ""
    return f"epoch {event.epoch}, after step {event.step}: {event.sentence}{whose}"
