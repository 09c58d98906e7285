"""What a run tells TensorBoard: one event file an epoch, so that an epoch done again replaces what it said before.

An event file is a TFRecord file of `Event` messages. They are written as such: TensorBoard itself is needed for looking
at them alone (`pip install tensorboard`, then `tensorboard --logdir models`). The step of an event is the epoch.
"""

import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from crnn_asr.files import replacing
from crnn_asr.training.alignment_picture import Picture
from crnn_asr.training.curves import Row
from crnn_asr.training.history import Text, num_errors

GROUPS = {  # what TensorBoard shows together; what is not named here is under "other"
    "loss": ("train_loss", "dev_loss"),
    "errors": ("dev_wer", "dev_cer"),
    "optimizer": ("learning_rate", "gradient_norm_mean", "gradient_norm_max"),
    "guards": ("skipped_steps", "exploded_steps", "loss_jumps", "returns"),
    "speed": ("audio_seconds_per_second", "seconds", "wait_share"),
    "memory": ("resident_mib", "gpu_mib"),
}
X_AXIS = ("epoch", "step")
PREDICTIONS, ALIGNMENT = "dev/predictions", "dev/alignment"

_VERSION = "brain.Event:2"
_NAME = "events.out.tfevents."  # TensorBoard reads such files, in the order of their names


def tag_of(key: str) -> str:
    """The name that TensorBoard shows for a key of `metrics.jsonl`."""
    return next((f"{group}/{key}" for group, keys in GROUPS.items() if key in keys), f"other/{key}")


def write_epoch(folder: Path, row: Row, texts: Sequence[Text] = (), picture: Picture | None = None) -> None:
    """Write the event file of an epoch, whole or not at all: its metrics, and if given predictions and alignment."""
    values: list[Any] = [
        tf.compat.v1.Summary.Value(tag=tag_of(key), simple_value=value)
        for key, value in row.items()
        if key not in X_AXIS and _is_number(value)
    ]
    if texts:
        values.append(_text(PREDICTIONS, predictions_table(texts)))
    if picture:
        image = tf.compat.v1.Summary.Image(
            encoded_image_string=picture.png, width=picture.width, height=picture.height, colorspace=3
        )
        values.append(tf.compat.v1.Summary.Value(tag=ALIGNMENT, image=image))
    now = time.time()
    events = [
        tf.compat.v1.Event(wall_time=now, file_version=_VERSION),
        tf.compat.v1.Event(wall_time=now, step=row["epoch"], summary=tf.compat.v1.Summary(value=values)),
    ]
    with replacing(_file(folder, row["epoch"])) as partial, tf.io.TFRecordWriter(str(partial)) as writer:
        for event in events:
            writer.write(event.SerializeToString())


def catch_up(folder: Path, rows: Iterable[Row]) -> None:
    """Make the event files those of the epochs in `rows`: remove the others, write the metrics of those missing."""
    wanted = {_file(folder, row["epoch"]): row for row in rows}
    found = set(folder.glob(f"{_NAME}*"))
    for path in found - wanted.keys():
        path.unlink()
    for path, row in wanted.items():
        if path not in found:
            write_epoch(folder, row)


def predictions_table(texts: Sequence[Text]) -> str:
    """Utterances as a Markdown table."""
    lines = ["| utterance | said | heard | wrong words |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(map(_cell, text))} | {num_errors(text)} |" for text in texts]
    return "\n".join(lines)


def _file(folder: Path, epoch: int) -> Path:
    return folder / f"{_NAME}{epoch:06d}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _text(tag: str, markdown: str) -> Any:
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="text")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin)
    return tf.compat.v1.Summary.Value(tag=tag, metadata=metadata, tensor=tf.make_tensor_proto(markdown))
