"""Transcription with a model file, without TensorFlow."""

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio
from crnn_asr.errors import ModelError
from crnn_asr.inference import model_file
from crnn_asr.inference.backends import open_network
from crnn_asr.inference.transcript import Transcript, split_words
from crnn_asr.inference.windows import logits_in_windows
from crnn_asr.language.decoding import GREEDY, Decoding, open_decoder
from crnn_asr.text.alphabet import Alphabet

Samples = NDArray[np.float32]


class Recognizer:
    """An open model. One thread at a time may use it; open one for each thread.

    Args:
        path: a model file that `scripts/quantize.py` wrote, `.tflite` or `.onnx`.
        num_threads: of the network; None is one, and more hardly help a recurrent network.
        decoding: how logits become text.

    Attributes:
        notes: what a user should know of the decoding, a sentence each.

    Raises:
        ModelError: not such a file, or a damaged one; an `.onnx` where ONNX Runtime is not installed; a language model
            that is none, or words that this model cannot write.
        DataError: a lexicon or a hotword that is not what it should be.
        OSError: a file cannot be opened.

    Example:
        >>> Recognizer("models/an4/model.int8.tflite").transcribe("audio.wav").text  # doctest: +SKIP
        'yes erase u c v seventy nine'
    """

    def __init__(
        self, path: str | os.PathLike[str], num_threads: int | None = None, decoding: Decoding = GREEDY
    ) -> None:
        network, self.metadata = model_file.read(Path(path))
        self.alphabet = Alphabet(self.metadata.alphabet)
        self._frame_s = self.metadata.model.frame_s(self.metadata.features)
        self.decode, self.notes = open_decoder(
            decoding, self.alphabet, self.metadata.text, self._frame_s, self.metadata.tunings
        )
        self._network = open_network(network, num_threads or 1)
        described = (self.metadata.model.num_mels, self.metadata.model.num_symbols)
        if self._network.widths != described:
            raise ModelError(
                f"the network's input and output have widths {self._network.widths}; its description says "
                f"{described[0]} mel bins and {described[1]} symbols"
            )
        encoded = (self.metadata.input.type, self.metadata.output.type)
        if self._network.types != encoded:
            raise ModelError(
                f"the network's input and output are {' and '.join(self._network.types)}; its description says "
                f"{' and '.join(encoded)}"
            )
        self.transcribe(np.zeros(self.metadata.features.window_samples, np.float32))  # so that the first is not slower

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (T', V) of normalised features (T, F), as `compute_features` gives them; any T from 1.

        Where `metadata.log_probs` says so, they are normalised: log-probabilities. More than a minute is heard in
        windows of half one.
        """
        num_mels = self.metadata.model.num_mels
        if features.ndim != 2 or not len(features) or features.shape[1] != num_mels:
            raise ModelError(f"expected features of shape (frames, {num_mels}), got {features.shape}")
        return logits_in_windows(self._window_logits, features, self.metadata.model.time_reduction, self._frame_s)

    def _window_logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.metadata.output.decode(self._network.logits(self.metadata.input.encode(features)))

    def transcribe(self, audio: str | os.PathLike[str] | Samples, channel: int | str = "mean") -> Transcript:
        """Transcribe one recording.

        Args:
            audio: a file, of any rate and format that `read_audio` knows; or samples (N,) float32 in [-1, 1] at the
                model's rate, `metadata.features.sample_rate_hz`.
            channel: which channel of a file is heard, counted from 0; "mean" is the average of all.

        Raises:
            AudioError: unreadable, empty, not finite, or shorter than one window.
            OSError: the file cannot be opened.
        """
        rate_hz = self.metadata.features.sample_rate_hz
        samples = audio if isinstance(audio, np.ndarray) else read_audio(Path(audio), rate_hz, channel)
        start = time.perf_counter()
        return self._finish(compute_features(samples, self.metadata.features), len(samples) / rate_hz, start)

    def transcribe_features(self, features: NDArray[np.float32]) -> Transcript:
        """Transcribe normalised features (T, F), as `compute_features` gives them."""
        config = self.metadata.features
        samples = (len(features) - 1) * config.hop_samples + config.window_samples
        return self._finish(features, samples / config.sample_rate_hz, time.perf_counter())

    def _finish(self, features: NDArray[np.float32], duration_s: float, start: float) -> Transcript:
        symbols = self.decode(self.logits(features))
        words = split_words(symbols, self._frame_s, duration_s)
        return Transcript(words, duration_s, seconds=time.perf_counter() - start)
