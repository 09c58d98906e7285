"""The training loop: a generator of events, so that who calls it decides what a person sees and when it stops."""

import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from crnn_asr.config import RunConfig
from crnn_asr.errors import DataError
from crnn_asr.files import write_text
from crnn_asr.strict_json import to_dict
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.text.decode import greedy_batch
from crnn_asr.text.metrics import Scores, score
from crnn_asr.training.batches import BatchSource
from crnn_asr.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from crnn_asr.training.history import Text, write_predictions
from crnn_asr.training.keras_file import save_keras
from crnn_asr.training.model import CRNN
from crnn_asr.training.plan import Plan
from crnn_asr.training.replicas import Replicas
from crnn_asr.training.run import RunDirectory, load_run
from crnn_asr.training.step import learning_rate, make_dev_step, make_learner, run_step
from crnn_asr.training.transfer import inherit


@dataclass(frozen=True)
class StepDone:
    """A step's loss is in nats an utterance; `steps_left` counts to the end of the run."""

    epoch: int
    batch: int
    batches: int
    loss: float
    audio_seconds_per_second: float
    wait_share: float
    seconds_left: float


@dataclass(frozen=True)
class EpochDone:
    """One line of `metrics.jsonl`, and the dev set as it was heard, by id; nothing where another worker is chief."""

    metrics: dict[str, Any]
    is_best: bool
    texts: list[Text]


@dataclass(frozen=True)
class Stopped:
    """The run was asked to stop and has saved everything."""


Event = StepDone | EpochDone | Stopped


class Trainer:
    """A run in progress: model, optimiser, data, and where it stands.

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
        self.run, self.config, self.train_source, self.dev_source = run, config, train, dev
        self.alphabet = Alphabet(config.alphabet)
        self.replicas = Replicas(strategy or tf.distribute.get_strategy())
        with self.replicas.strategy.scope():
            self.model, self.optimizer, self.train_step = make_learner(config)
            # The weights as they will be exported: averaged, and in float32.
            self.dev_model = CRNN(config.model, frozen=config.transfer.freeze)
        self.variables = [*self.model.weights, *self.optimizer.variables]
        self.dev_step = make_dev_step(self.dev_model)
        self.progress = Progress()
        self.dev_plan = dev.plan(0)
        steps = -(-len(train.plan(0).batches) // config.training.accumulate_batches)
        self.total_steps = config.training.epochs * steps  # nearly: epochs differ by what is drawn for them
        self.saved_at = time.monotonic()

    def resume(self) -> None:
        """Go on from the last checkpoint; from the start where the run was ended before it wrote one."""
        if self.run.last.is_file():
            self.progress = load_checkpoint(self.run.last, self.variables)
        if self.replicas.is_chief:
            rows = [row for row in self.run.read_metrics() if row["epoch"] <= self.progress.epoch]
            self.run.write_metrics(rows)

    def save(self) -> None:
        if self.replicas.is_chief:
            save_checkpoint(self.run.last, self.variables, self.progress)
        self.saved_at = time.monotonic()

    def write_keras(self) -> None:
        """Write the best weights so far as `model.keras`: at the end, for it takes as long as many steps."""
        if self.replicas.is_chief and self.run.best.is_file():
            save_keras(self.run.keras_model, *load_run(self.run.root))

    def events(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Train to the end, or until `should_stop`, which is asked after every step."""
        p, training = self.progress, self.config.training
        self._require_same_start()
        if not p.step and self.config.transfer.model:
            inherit(self.model, self.config)
        while not p.finished:
            plan = self.train_source.plan(p.epoch)
            for event in self._epoch(plan):
                yield event
                if self.replicas.any(should_stop()):
                    self.save()
                    self.write_keras()
                    yield Stopped()
                    return
            yield self._end_epoch(plan)
            p.finished = p.epoch >= training.epochs or (0 < training.early_stopping_epochs <= p.epoch - p.best_epoch)
            if self.replicas.is_chief:
                self._write_summary()
            self.save()
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

    def _epoch(self, plan: Plan) -> Iterator[StepDone]:
        p, training = self.progress, self.config.training
        batches = len(plan.batches)
        datasets = [iter(self.train_source.dataset(plan, p.batch, share=share)) for share in self.replicas.shares]
        hop_s = self.config.features.hop_ms / 1000
        session_start, session_step = time.perf_counter(), p.step
        while p.batch < batches:
            start = time.perf_counter()
            size = min(training.accumulate_batches, batches - p.batch)
            group = [[array for dataset in datasets for array in next(dataset)] for _ in range(size)]
            p.wait_seconds += time.perf_counter() - start
            (loss, utterances, frames), finite = self._step(group, self._rate(p.batch / batches))
            p.skipped_steps += utterances > 0 and not finite
            p.loss_sum += loss if finite else 0.0
            p.utterances += utterances if finite else 0
            p.step += 1
            p.batch += size
            seconds = time.perf_counter() - start
            p.seconds += seconds
            p.epoch_seconds += seconds
            p.audio_seconds += frames * hop_s
            pace = (time.perf_counter() - session_start) / (p.step - session_step)
            if time.monotonic() - self.saved_at > training.checkpoint_every_s and p.batch < batches:
                self.save()
            yield StepDone(
                epoch=p.epoch + 1,
                batch=p.batch,
                batches=batches,
                loss=loss / max(1, utterances),
                audio_seconds_per_second=p.audio_seconds / p.epoch_seconds,
                wait_share=p.wait_seconds / p.epoch_seconds,
                seconds_left=pace * (self.total_steps - self._position(p.batch / batches)),
            )
        for dataset in datasets:
            next(dataset, None)  # to its end: an iterator that is not there yet takes seconds to be deleted

    def _position(self, share: float) -> float:
        """Where in `total_steps` the run is after a share of the current epoch."""
        return self.total_steps * (self.progress.epoch + share) / self.config.training.epochs

    def _rate(self, share: float) -> float:
        """The learning rate of a step that begins after a share of the current epoch."""
        position = self._position(share)
        return learning_rate(self.config.training, position, self.total_steps, self.progress.learning_rate_scale)

    def _step(self, group: list[Any], rate: float) -> tuple[tuple[float, int, int], bool]:
        """Train on the batches of one step: (loss, utterances, frames) of all replicas, and whether it was finite."""
        training = self.config.training
        number = self.progress.step * training.accumulate_batches  # of no other batch
        seeds = [tf.constant([training.seed, number + i]) for i in range(len(group))]
        totals, norm = run_step(self.train_step, group, seeds, rate)
        loss, utterances, frames = totals.numpy().tolist()
        return (loss, int(utterances), int(frames)), bool(np.isfinite(norm))

    def _end_epoch(self, plan: Plan) -> EpochDone:
        p, size, batches = self.progress, self.config.training.accumulate_batches, len(plan.batches)
        rate = self._rate((batches - 1) // size * size / batches)  # of the last step
        numbers, texts = [0.0] * 4, []
        if self.replicas.is_chief:  # the others wait for its numbers and decide by them as it does
            loss, scores, texts = self.evaluate()
            numbers = [loss, scores.words.rate, scores.words.percent, scores.characters.percent]
        dev_loss, wer, wer_percent, cer_percent = self.replicas.from_chief(*numbers)
        p.epoch += 1
        is_best = (wer, dev_loss) < (p.best_wer, p.best_loss)
        metrics = {
            "epoch": p.epoch,
            "step": p.step,
            "train_loss": p.loss_sum / max(1, p.utterances),
            "dev_loss": dev_loss,
            "dev_wer": wer_percent,
            "dev_cer": cer_percent,
            "learning_rate": rate,
            "skipped_steps": p.skipped_steps,
            "padding_share": round(plan.padding_share, 4),
            "batch_shapes": plan.num_shapes,
            "seconds": round(p.epoch_seconds, 3),
            "audio_seconds_per_second": round(p.audio_seconds / max(p.epoch_seconds, 1e-9), 1),
            "wait_share": round(p.wait_seconds / max(p.epoch_seconds, 1e-9), 4),
        }
        p.batch, p.loss_sum, p.utterances = 0, 0.0, 0
        p.epoch_seconds = p.audio_seconds = p.wait_seconds = 0.0
        self._judge(is_best, wer, dev_loss)
        if self.replicas.is_chief:
            rows = [*self.run.read_metrics(), metrics]
            self.run.write_metrics(rows)
            if is_best:
                self._keep_best(texts)
        return EpochDone(metrics, is_best, texts)

    def _judge(self, is_best: bool, wer: float, dev_loss: float) -> None:
        p, training = self.progress, self.config.training
        p.epochs_since_change += 1
        if is_best:
            p.best_wer, p.best_loss, p.best_epoch, p.epochs_since_change = wer, dev_loss, p.epoch, 0
        elif training.schedule == "plateau" and p.epochs_since_change >= training.plateau_patience:
            p.learning_rate_scale, p.epochs_since_change = p.learning_rate_scale / 2, 0

    def _keep_best(self, texts: list[Text]) -> None:
        save_checkpoint(self.run.best, self.dev_model.weights, self.progress)
        write_predictions(texts, self.run.predictions)

    def _write_summary(self) -> None:
        p = self.progress
        best = self.run.read_metrics()[p.best_epoch - 1]
        summary = {
            "preset": self.config.preset,
            "epochs": p.epoch,
            "best_epoch": p.best_epoch,
            "dev_wer": best["dev_wer"],
            "dev_cer": best["dev_cer"],
            "train_seconds": round(p.seconds, 1),
            "train_hours": round(sum(e.utterance.duration_s for e in self.train_source.examples) / 3600, 4),
            "train_utterances": len(self.train_source.examples),
            "dev_utterances": len(self.dev_source.examples),
            "parameters": int(self.model.count_params()),
            "finished": p.finished,
        }
        write_text(self.run.summary, json.dumps(summary, indent=2) + "\n")

    def evaluate(self) -> tuple[float, Scores, list[tuple[str, str, str]]]:
        """Dev loss in nats an utterance, corpus scores, and (id, reference, hypothesis) of every utterance."""
        losses: list[float] = []
        texts: list[tuple[str, str, str]] = []
        self.dev_model.set_weights(self.model.get_weights())
        self.optimizer.finalize_variable_values(self.dev_model.trainable_variables)
        for planned in self.dev_plan.batches:
            batch, examples = self.dev_source.load(self.dev_plan, planned)
            if not examples:
                continue
            logits, lengths, values = self.dev_step(*batch)
            losses += values.numpy().tolist()
            hypotheses = greedy_batch(logits.numpy(), lengths.numpy(), self.alphabet)
            texts += [(e.utterance.id, e.text, hypothesis) for e, hypothesis in zip(examples, hypotheses)]
        if not texts:
            raise DataError(
                f"not one dev utterance could be read; the first: {next(iter(self.dev_source.problems.values()))}"
            )
        scores = score([reference for _, reference, _ in texts], [hypothesis for *_, hypothesis in texts])
        return float(np.mean(losses)), scores, sorted(texts)
