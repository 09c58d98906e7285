"""Watches a run and writes what describes it, epoch by epoch, beside what the loop itself needs to go on.

All of it is made anew from `metrics.jsonl`, so it is right whether the run is new, resumed, or went back. What goes
wrong here is said, and ends nothing: a run is worth more than its description.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from crnn_asr.console import complain, note
from crnn_asr.corpus.manifest import total_hours
from crnn_asr.files import write_text
from crnn_asr.training import tensorboard
from crnn_asr.training.alignment_picture import Picture, draw_alignment
from crnn_asr.training.curves import Row, best_of, draw_curves
from crnn_asr.training.events import EpochDone, Event, Stopped
from crnn_asr.training.history import write_history
from crnn_asr.training.model_card import Facts, is_own, model_card
from crnn_asr.training.plan import PlannedBatch
from crnn_asr.training.run import RunDirectory
from crnn_asr.training.setup import Setup
from crnn_asr.training.summary_picture import draw_summary

NUM_SAMPLES = 5  # dev utterances whose predictions are shown each epoch
PICTURES_SHARE = 0.01  # of the time, at most, goes into drawing; the last epoch is always drawn

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Recorder:
    """Passes events on, and writes TensorBoard's files, history, pictures and model card of what they tell.

    Args:
        dev_step: a function of a batch, as `step.make_dev_step` makes it, with the weights that dev was heard with.
    """

    def __init__(
        self,
        run: RunDirectory,
        setup: Setup,
        parameters: int,
        dev_step: Callable[..., Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run, self.config, self.dev, self.dev_step, self.clock = run, setup.config, setup.dev, dev_step, clock
        self.facts = Facts(
            train=[example.utterance for example in setup.train.always],
            pool=[example.utterance for example in setup.train.pool],
            dev=[example.utterance for example in setup.dev.examples],
            left_out=len(setup.failed) + len(setup.skipped),
            parameters=parameters,
            environment=run.read_environment(),
        )
        names = sorted(example.utterance.id for example in setup.dev.examples)
        places = np.linspace(0, len(names) - 1, min(NUM_SAMPLES, len(names))).astype(int)
        self.samples = {names[place] for place in places}
        by_length = np.argsort([example.num_samples for example in setup.dev.examples], kind="stable")
        self.shown = int(by_length[len(by_length) // 2])  # of middling length, whose alignment is drawn
        self.draw_again_at = -np.inf
        self.told: set[str] = set()

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        if not is_own(self.run.model_card):
            note(f"{self.run.model_card} was not written by training, or is kept by you: it stays as it is")
        rows = self.run.read_metrics()
        self._try(tensorboard.catch_up, self.run.tensorboard, rows)
        self._try(self._write_texts, rows)
        event: Event | None = None
        last: EpochDone | None = None
        for event in events:
            if isinstance(event, EpochDone):
                self._epoch(event, self.clock() >= self.draw_again_at)
                last = event
            yield event
        rows, is_over = self.run.read_metrics(), not isinstance(event, Stopped)
        if last and rows and rows[-1]["epoch"] == last.metrics["epoch"]:  # the run did not go back behind it
            self._epoch(last, True)
        self._try(self._write_texts, rows, is_over)

    def _epoch(self, event: EpochDone, with_pictures: bool) -> None:
        started, rows = time.process_time(), self.run.read_metrics()
        picture = None
        if with_pictures:
            began = self.clock()
            self._try(self._draw, rows)
            picture = self._try(self._alignment)
            self.draw_again_at = self.clock() + (self.clock() - began) / PICTURES_SHARE
        self._try(self._write_texts, rows)
        self._try(self._tell_tensorboard, rows, event, picture)
        fields = {"processor_seconds": round(time.process_time() - started, 4), "with_pictures": with_pictures}
        logger.debug("described epoch %d", event.metrics["epoch"], extra={"fields": fields})

    def _tell_tensorboard(self, rows: Sequence[Row], event: EpochDone, picture: Picture | None) -> None:
        texts = [text for text in event.texts if text[0] in self.samples]
        tensorboard.catch_up(self.run.tensorboard, rows[:-1])
        tensorboard.write_epoch(self.run.tensorboard, event.metrics, texts, picture)

    def _write_texts(self, rows: Sequence[Row], is_over: bool = False) -> None:
        write_history(rows, self.run.history)
        if is_own(self.run.model_card):
            write_text(self.run.model_card, model_card(self.run.root, self.config, self.facts, rows, is_over))

    def _draw(self, rows: Sequence[Row]) -> None:
        draw_curves(rows, self.run.curves)
        best = best_of(rows)
        title = f"{self.config.preset}, {total_hours(self.facts.train):.2f} h of speech, {len(rows)} epochs"
        which = f"{self.config.training.keep}, epoch {best['epoch']}"
        result = f"WER {best['dev_wer']:.2f} %, CER {best['dev_cer']:.2f} % in the {which}"
        draw_summary(rows, f"{title}: {result}", self.run.summary_picture)

    def _alignment(self) -> Picture | None:
        """The shown utterance as the model hears it now; None where it cannot be read."""
        planned = PlannedBatch(np.array([self.shown]), 1, 0)
        batch, examples = self.dev.load(self.dev.plan(0), planned)
        if not examples:
            return None
        logits, lengths, _ = self.dev_step(*batch)
        features = batch[0][0, : batch[1][0]]
        return draw_alignment(features, logits.numpy()[0, : lengths.numpy()[0]], examples[0].text, self.config)

    def _try(self, write: Callable[..., Result], *arguments: Any) -> Result | None:
        try:
            return write(*arguments)
        except Exception as error:  # whatever it is, training goes on
            logger.warning("not everything that describes the run was written", exc_info=True)
            sentence = f"the run goes on, but what describes it was not written: {type(error).__name__}: {error}"
            if sentence not in self.told:
                complain(sentence)
                self.told.add(sentence)
            return None
