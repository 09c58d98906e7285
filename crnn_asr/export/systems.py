"""A model in any of its forms, ready to be scored or to align: run directory, `.keras`, `.tflite` or `.onnx`."""

from pathlib import Path

from crnn_asr.inference.evaluation import System
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.language.decoding import GREEDY, Decoding, open_decoder
from crnn_asr.native import load_tensorflow
from crnn_asr.text.alphabet import Alphabet


def open_system(path: Path, decoding: Decoding = GREEDY) -> tuple[System, list[str]]:
    """Any file or folder that we write, and remarks on its decoding; TensorFlow only if needed.

    Raises:
        ModelError, DataError, OSError: as `Recognizer` and `open_model` do.
    """
    if path.is_file() and path.suffix != ".keras":
        recognizer = Recognizer(path, decoding=decoding)
        metadata = recognizer.metadata
        named = (metadata.features, metadata.text, recognizer.alphabet, recognizer.decode)
        return System(recognizer.logits, *named), recognizer.notes
    load_tensorflow()
    from crnn_asr.training.transcriber import open_model

    config, model = open_model(path)
    alphabet = Alphabet(config.alphabet)
    decode, notes = open_decoder(decoding, alphabet, config.text, config.model.frame_s(config.features))
    return System(model, config.features, config.text, alphabet, decode), notes
