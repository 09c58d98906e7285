"""Train a small speech recogniser of your own, export it as one INT8 `.tflite`, transcribe without TensorFlow."""

import logging
from typing import Any

logging.getLogger(__name__).addHandler(logging.NullHandler())  # who uses the library says where its log goes

__version__ = "0.1.0"
__all__ = ["Recognizer"]


def __getattr__(name: str) -> Any:  # lazily, so that `import crnn_asr` costs nothing
    if name == "Recognizer":
        from crnn_asr.inference.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module 'crnn_asr' has no attribute {name!r}")
