"""The training loop: a generator of events, so that who calls it decides what a person sees and when it stops."""

import json
import math
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from typing import Any

import tensorflow as tf

from crnn_asr.config import RunConfig
from crnn_asr.console import describe
from crnn_asr.errors import DataError, ModelError
from crnn_asr.strict_json import to_dict
from crnn_asr.training.batches import BatchSource
from crnn_asr.training.checkpoint import (
    load_checkpoint,
    load_newest,
    newest,
    read_checkpoint,
    save_checkpoint,
    set_aside,
)
from crnn_asr.training.choice import Choice
from crnn_asr.training.dev import DevSet
from crnn_asr.training.events import EpochDone, Event, Incident, StepDone, Stopped
from crnn_asr.training.guards import GOOD_EVERY_STEPS, MAX_RETURNS, judge, steady_growth
from crnn_asr.training.history import write_predictions
from crnn_asr.training.journal import Journal, epoch_metrics
from crnn_asr.training.keras_file import save_keras
from crnn_asr.training.learner import Learner, Outcome
from crnn_asr.training.memory import gpu_memory, resident_memory
from crnn_asr.training.plan import Plan
from crnn_asr.training.replicas import Replicas
from crnn_asr.training.run import RunDirectory, load_weights
from crnn_asr.training.state import Progress
from crnn_asr.training.step import learning_rate
from crnn_asr.training.transfer import inherit


class Trainer:
    """A run in progress: model, optimizer, data, and where it stands.

    With several workers each has its own, all do the same steps, and the chief's writes the run directory.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: RunConfig,
        train: BatchSource,
        dev: BatchSource,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        tf.config.experimental.enable_op_determinism()
        tf.keras.utils.set_random_seed(config.training.seed)
        self.run, self.config, self.train_source = run, config, train
        self.replicas = Replicas(strategy or tf.distribute.get_strategy())
        self.learner = Learner(config, self.replicas)
        with self.replicas.strategy.scope():
            self.dev = DevSet(dev, config)
        self.model, self.variables = self.learner.model, self.learner.variables
        self.journal = Journal(run)
        self.progress = Progress()
        self.found: list[str] = []  # damage, in sentences that are still to be told
        steps = -(-len(train.plan(0).batches) // config.training.accumulate_batches)
        self.total_steps = config.training.epochs * steps  # nearly: epochs differ by what is drawn for them
        self.saved_at = time.monotonic()

    def resume(self) -> None:
        """Go on from the newest whole checkpoint; from the start where the run was ended before it wrote one.

        Raises:
            ModelError: what there is is damaged, or of another architecture.
        """
        paths = [*newest(self.run.last, self.config.training.keep_checkpoints), self.run.good]
        self.progress, damaged = load_newest(paths, self.variables)
        if not self.replicas.is_chief:
            return
        if self.progress.best_epoch and not self.progress.finished:
            try:
                read_checkpoint(self.run.best)
            except (ModelError, FileNotFoundError) as error:
                damaged[self.run.best] = f"{describe(error)}; the best epoch is chosen among those to come"
                self.progress.best_wer = self.progress.best_loss = self.progress.lowest_wer = math.inf
        for path in damaged:
            set_aside(path)
        self.found = list(damaged.values())
        self.journal.cut(self.progress)

    def save(self) -> None:
        if self.replicas.is_chief:
            self.run.require_there()
            save_checkpoint(self.run.last, self.variables, self.progress, self.config.training.keep_checkpoints)
        self.saved_at = time.monotonic()

    def write_keras(self) -> None:
        """Write the best weights so far as `model.keras`: at the end, for it takes as long as many steps."""
        if self.replicas.is_chief and self.run.best.is_file():
            save_keras(self.run.keras_model, *load_weights(self.run.root))

    def events(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Train to the end, or until `should_stop`, which is asked after every step.

        Raises:
            DataError: the numbers do not get well, or memory does not hold one utterance.
            OSError: the run directory cannot be written. What was saved before is as it was.
        """
        self._require_same_start()
        if self.replicas.is_chief:
            self.run.last.parent.mkdir(parents=True, exist_ok=True)
        yield from (self._incident("damaged", sentence) for sentence in self.found)
        if not self.progress.step and self.config.transfer.model:
            inherit(self.model, self.config)
        while not self.progress.finished:
            plan, p = self.train_source.plan(self.progress.epoch), self.progress
            for event in self._epoch(plan):
                yield event
                if isinstance(event, StepDone) and self.replicas.any(should_stop()):
                    self.save()
                    self.write_keras()
                    yield Stopped()
                    return
            if self.progress is not p:  # but an earlier one
                continue
            yield from self._end_epoch(plan)
            if self.replicas.any(should_stop()) and not p.finished:
                self.write_keras()
                yield Stopped()
                return
        self.write_keras()

    def _require_same_start(self) -> None:
        p, transfer = self.progress, self.config.transfer
        ids = [example.utterance.id for example in self.train_source.examples]
        start = [ids, to_dict(self.config.training), transfer.sha256, transfer.freeze]
        self.replicas.require_same(zlib.crc32(json.dumps(start).encode()), "data")
        self.replicas.require_same(p.step, "checkpoint")

    def _epoch(self, plan: Plan) -> Iterator[Event]:
        """The steps that are left of an epoch. It ends early where the run goes back: `progress` is another then."""
        p, training = self.progress, self.config.training
        batches = len(plan.batches)
        datasets = [iter(self.train_source.dataset(plan, p.batch, share=share)) for share in self.replicas.shares]
        session_start, session_step = time.perf_counter(), p.step
        while p.batch < batches:
            if p.step % GOOD_EVERY_STEPS == 0 and not p.health.bad_in_a_row and self.replicas.is_chief:
                self.run.require_there()
                save_checkpoint(self.run.good, self.variables, p)
            start = time.perf_counter()
            size = min(training.accumulate_batches, batches - p.batch)
            group = [[array for dataset in datasets for array in next(dataset)] for _ in range(size)]
            p.wait_seconds += time.perf_counter() - start
            number, rate = p.step * training.accumulate_batches, self._rate(p.batch / batches)
            done = self.learner.step(group, number, rate, p.batch_limit)
            yield from self._heed(done, plan, size)
            p.step += 1
            p.batch += size
            self._count(done, time.perf_counter() - start)
            if p.health.bad_in_a_row >= training.max_bad_steps:
                yield self._go_back()
                return
            if time.monotonic() - self.saved_at > training.checkpoint_every_s and p.batch < batches:
                self.save()
            pace = (time.perf_counter() - session_start) / (p.step - session_step)
            yield StepDone(
                epoch=p.epoch + 1,
                batch=p.batch,
                batches=batches,
                loss=done.loss / max(1, done.utterances),
                audio_seconds_per_second=p.audio_seconds / max(p.epoch_seconds, 1e-9),
                wait_share=p.wait_seconds / max(p.epoch_seconds, 1e-9),
                seconds_left=pace * (self.total_steps - self._position(p.batch / batches)),
            )

    def _heed(self, done: Outcome, plan: Plan, size: int) -> Iterator[Incident]:
        """Judge a step of `size` batches, and tell what was wrong with it."""
        p = self.progress
        if done.limit != p.batch_limit:
            p.batch_limit = done.limit
            seconds = done.limit * self.config.features.hop_ms / 1000
            sentence = f"memory ran out; from here on batches of more than {seconds:.0f} s are taken in parts"
            yield self._incident("out_of_memory", sentence)
        verdict = judge(p.health, done.loss, done.frames, done.norm)
        if verdict.is_good:
            p.loss_sum += done.loss
            p.utterances += done.utterances
            p.norm_sum += done.norm
            p.norm_max = max(p.norm_max, done.norm)
            p.good_steps += 1
        if verdict.kind:
            planned = plan.batches[p.batch : p.batch + size]
            examples = self.train_source.examples
            names = [examples[i].utterance.id for batch in planned for i in batch.indices.tolist()]
            yield self._incident(verdict.kind, verdict.sentence, done, tuple(names))

    def _count(self, done: Outcome, seconds: float) -> None:
        p = self.progress
        p.seconds += seconds
        p.epoch_seconds += seconds
        p.audio_seconds += done.frames * self.config.features.hop_ms / 1000

    def _incident(
        self, kind: str, sentence: str, done: Outcome | None = None, utterances: tuple[str, ...] = ()
    ) -> Incident:
        """Write it down and count it, so that it stays with the checkpoints."""
        p = self.progress
        loss, norm = (done.loss / max(1, done.utterances), done.norm) if done else (math.nan, math.nan)
        values = [value if math.isfinite(value) else None for value in (loss, norm)]
        incident = Incident(kind, p.epoch + 1, p.step, sentence, *values, utterances)
        p.incidents += 1
        if self.replicas.is_chief:
            self.journal.add_incident(incident)
        return incident

    def _go_back(self) -> Incident:
        """Return to the last good state, with half the learning rate."""
        later, count = self.progress, self.config.training.max_bad_steps
        if later.health.returns >= MAX_RETURNS:
            raise DataError(
                f"{count} steps in a row were not finite, after {MAX_RETURNS} returns to an earlier state, each with "
                f"half the learning rate; {self.run.incidents} names the utterances. Look at these, lower "
                "--learning-rate, or give --precision float32, and start over with --fresh"
            )
        self.progress = load_checkpoint(self.run.good, self.variables)
        self.progress.gone_back_from(later)
        sentence = (
            f"{count} steps in a row were not finite; back to step {self.progress.step} with "
            f"{self.progress.learning_rate_scale:g} of the learning rate"
        )
        incident = self._incident("went_back", sentence)
        if self.replicas.is_chief:
            self.journal.cut(self.progress)
        self.save()
        return incident

    def _position(self, share: float) -> float:
        """Where in `total_steps` the run is after a share of the current epoch."""
        return self.total_steps * (self.progress.epoch + share) / self.config.training.epochs

    def _rate(self, share: float) -> float:
        """The learning rate of a step that begins after a share of the current epoch."""
        position = self._position(share)
        return learning_rate(self.config.training, position, self.total_steps, self.progress.learning_rate_scale)

    def _end_epoch(self, plan: Plan) -> Iterator[Event]:
        """Hear the dev set, decide by it, write everything down and save."""
        p, training, batches = self.progress, self.config.training, len(plan.batches)
        rate = self._rate((batches - 1) // training.accumulate_batches * training.accumulate_batches / batches)
        numbers, texts = [0.0] * 5, []
        if self.replicas.is_chief:  # the others wait for its numbers and decide by them as it does
            loss, scores, texts = self.dev.evaluate(self.model, self.learner.optimizer)
            words = scores.words
            numbers = [loss, words.rate, words.units, words.percent, scores.characters.percent]
        dev_loss, wer, num_words, wer_percent, cer_percent = self.replicas.from_chief(*numbers)
        p.epoch += 1
        # Not compared with epochs of less augmentation, which clean dev speech favors.
        earlier = Choice(p.best_epoch, p.best_wer, p.best_loss, p.lowest_wer)
        choice = (Choice() if p.epoch - 2 < training.ramp_epochs else earlier).after(p.epoch, wer, dev_loss, num_words)
        if training.keep == "last":
            choice = replace(choice, epoch=p.epoch, wer=wer, loss=dev_loss)
        is_kept = choice.epoch == p.epoch
        heard = {"dev_loss": dev_loss, "dev_wer": wer_percent, "dev_cer": cer_percent}
        metrics = epoch_metrics(p, plan, rate, heard, (resident_memory(), gpu_memory()))
        p.best_scores = heard if is_kept else p.best_scores
        p.begin_epoch()
        self._judge(choice)
        metrics["best_epoch"] = p.best_epoch
        p.finished = p.epoch >= training.epochs or (0 < training.early_stopping_epochs <= p.epoch - p.best_epoch)
        if self.replicas.is_chief:
            self.run.require_there()
            rows = self.journal.add_epoch(metrics)
            if is_kept:
                save_checkpoint(self.run.best, self.dev.model.weights, p)
                write_predictions(texts, self.run.predictions)
            size = int(self.model.count_params())
            self.journal.write_summary(self.config.preset, p, self.train_source, self.dev.source, size)
            yield from self._watch_memory(rows)
        self.save()
        yield EpochDone(metrics, is_kept and training.keep == "best", texts)

    def _watch_memory(self, rows: list[dict[str, Any]]) -> Iterator[Incident]:
        growth = steady_growth([row["resident_mib"] for row in rows])
        if growth and len(rows) % 10 == 0:
            yield self._incident(
                "memory_grows", f"memory grows by {growth:.0f} MiB an epoch and does not stop; watch it, and --resume"
            )

    def _judge(self, choice: Choice) -> None:
        p, training = self.progress, self.config.training
        p.best_epoch, p.best_wer, p.best_loss, p.lowest_wer = astuple(choice)
        p.epochs_since_change += 1
        if choice.epoch == p.epoch:
            p.epochs_since_change = 0
        elif training.schedule == "plateau" and p.epochs_since_change >= training.plateau_patience:
            p.learning_rate_scale, p.epochs_since_change = p.learning_rate_scale / 2, 0
