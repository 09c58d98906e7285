"""The model that is used when none is named."""

from pathlib import Path

from crnn_asr.errors import ModelError

PATTERN = "models/*/model.int8.tflite"
SHIPPED = Path(__file__).resolve().parents[2] / "models" / "an4" / "model.int8.tflite"


def find_model() -> Path:
    """The newest `models/<run>/model.int8.tflite` under the working directory that is not the one the project ships.

    Where there is none, `SHIPPED`.

    Raises:
        ModelError: that is missing too.
    """
    found = [path for path in Path().glob(PATTERN) if path.resolve() != SHIPPED]
    if found:
        return max(found, key=lambda path: path.stat().st_mtime)
    if SHIPPED.is_file():
        return SHIPPED
    raise ModelError(
        f"no {PATTERN} under {Path.cwd()}: run scripts/train.py, then scripts/quantize.py, or name a model file"
    )
