"""What a run writes about itself while it goes, beside its checkpoints; of several workers, the chief's does."""

import json
from dataclasses import asdict
from typing import Any

from crnn_asr.corpus.manifest import total_hours
from crnn_asr.files import naming, write_text
from crnn_asr.training.batches import BatchSource
from crnn_asr.training.events import Incident
from crnn_asr.training.plan import Plan
from crnn_asr.training.run import RunDirectory
from crnn_asr.training.state import Progress


class Journal:
    """Files of a run directory that grow with the run. They are cut back where the run goes back."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run

    def cut(self, progress: Progress) -> None:
        """Take out what was written after this point, which will be done again."""
        self.run.write_metrics([row for row in self.run.read_metrics() if row["epoch"] <= progress.epoch])
        lines = self.run.read_incidents()
        if len(lines) > progress.incidents:
            write_text(self.run.incidents, "".join(lines[: progress.incidents]))

    def add_incident(self, incident: Incident) -> None:
        row = {name: value for name, value in asdict(incident).items() if value not in (None, ())}
        with naming(self.run.incidents), self.run.incidents.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def add_epoch(self, metrics: dict[str, Any]) -> list[dict[str, Any]]:
        """Add a line of metrics; all lines."""
        rows = [*self.run.read_metrics(), metrics]
        self.run.write_metrics(rows)
        return rows

    def write_summary(self, preset: str, progress: Progress, train: BatchSource, dev: BatchSource, size: int) -> None:
        """Write what the run has come to. `size` is the number of parameters."""
        summary = {
            "preset": preset,
            "epochs": progress.epoch,
            "best_epoch": progress.best_epoch,
            "dev_wer": progress.best_scores["dev_wer"],
            "dev_cer": progress.best_scores["dev_cer"],
            "train_seconds": round(progress.seconds, 1),
            "train_hours": round(total_hours(example.utterance for example in train.always), 4),
            "train_utterances": len(train.always),
            "pool_utterances": len(train.pool),
            "dev_utterances": len(dev.examples),
            "parameters": size,
            "finished": progress.finished,
        }
        write_text(self.run.summary, json.dumps(summary, indent=2) + "\n")


def epoch_metrics(
    progress: Progress, plan: Plan, rate: float, dev: dict[str, float], memory: tuple[int, int]
) -> dict[str, Any]:
    """The line of `metrics.jsonl` of the epoch that `progress` has just completed.

    Args:
        rate: the learning rate of the last step.
        dev: `dev_loss` in nats an utterance, `dev_wer` and `dev_cer` in %.
        memory: bytes that the process holds, and that it held on the GPU at most; 0 where that is not known.
    """
    p = progress
    return {
        "epoch": p.epoch,
        "step": p.step,
        "train_loss": p.loss_sum / max(1, p.utterances),
        **dev,
        "learning_rate": rate,
        "gradient_norm_mean": p.norm_sum / max(1, p.good_steps),
        "gradient_norm_max": p.norm_max,
        "skipped_steps": p.health.skipped_steps,
        "exploded_steps": p.health.exploded_steps,
        "loss_jumps": p.health.loss_jumps,
        "returns": p.health.returns,
        "padding_share": round(plan.padding_share, 4),
        "batch_shapes": plan.num_shapes,
        "seconds": round(p.epoch_seconds, 3),
        "audio_seconds_per_second": round(p.audio_seconds / max(p.epoch_seconds, 1e-9), 1),
        "wait_share": round(p.wait_seconds / max(p.epoch_seconds, 1e-9), 4),
        "resident_mib": memory[0] >> 20,
        "gpu_mib": memory[1] >> 20,
    }
