"""What a run writes as tables: metrics by epoch, and what it heard in each dev utterance."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from crnn_asr.files import write_text
from crnn_asr.text.metrics import score
from crnn_asr.training.curves import Row

Text = tuple[str, str, str]  # id, reference, hypothesis

PREDICTION_COLUMNS = ("id", "reference", "hypothesis", "errors")


def write_history(rows: Sequence[Row], path: Path) -> None:
    """Write the lines of `metrics.jsonl` as CSV: a column for each key that any has, empty where an epoch lacks it."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    _write_csv(path, keys, ([row.get(key, "") for key in keys] for row in rows))


def write_predictions(texts: Iterable[Text], path: Path) -> None:
    """Write (id, reference, hypothesis) as CSV, with the number of wrong words: substituted, inserted and deleted."""
    _write_csv(path, PREDICTION_COLUMNS, ((*text, num_errors(text)) for text in texts))


def num_errors(text: Text) -> int:
    """Wrong words of an utterance."""
    _, reference, hypothesis = text
    return score([reference], [hypothesis]).words.errors


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, table.getvalue())
