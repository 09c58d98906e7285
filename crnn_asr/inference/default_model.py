"""The model that is used when none is named."""

from pathlib import Path

from crnn_asr.errors import ModelError

PATTERN = "models/*/model.int8.tflite"


def find_model() -> Path:
    """The newest `models/<run>/model.int8.tflite` under the working directory.

    Raises:
        ModelError: there is none.
    """
    found = list(Path().glob(PATTERN))
    if not found:
        raise ModelError(
            f"no {PATTERN} under {Path.cwd()}: run scripts/train.py, then scripts/quantize.py, or name a model file"
        )
    return max(found, key=lambda path: path.stat().st_mtime)
