"""Recordings cut into their words, by the best path of the known text through a model's logits."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import Samples
from crnn_asr.errors import DataError
from crnn_asr.inference.evaluation import System
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.text.normalize import normalize
from crnn_asr.text.viterbi import align

MIN_CONFIDENCE = -0.5  # nats, the mean over symbols of ln P where they are said; below, the text is not what is heard
_ENERGY_S = 0.025  # window over which the level is averaged to find the quietest point


def cut_words(samples: Samples, text: str, system: System) -> list[tuple[str, int, int]]:
    """The words of a recording, normalised, each with its samples [start, end).

    CTC puts a word's letters somewhere inside its sound, so the cut between two words is where the recording is
    quietest between the last letter of one and the first of the next. The first word begins with the recording, the
    last ends with it.

    Args:
        samples: shape (N,), at the rate of the system's features.
        text: what is said in it.

    Raises:
        AudioError: too short, or not finite.
        DataError: no words, symbols that the model does not write, or words that it does not hear.
    """
    words = normalize(text, system.text)
    if not words:
        raise DataError("expected words, got an empty transcript")
    if unknown := system.alphabet.unknown(words):
        raise DataError(f"the model does not write {unknown!r}")
    log_probs = _log_softmax(system.model(compute_features(samples, system.features)))
    spans = _word_frames(log_probs, words, system.alphabet)
    config = system.features
    frame_samples = config.hop_samples * round(config.num_frames(len(samples)) / len(log_probs))
    level = _level(samples, round(_ENERGY_S * config.sample_rate_hz))
    cuts = [0]
    for (_, end), (start, _) in pairwise(spans):
        low = min(int((end - 0.5) * frame_samples), len(samples) - 2)
        high = max(low + 1, min(int((start + 0.5) * frame_samples), len(samples)))
        cuts.append(low + int(level[low:high].argmin()))
    return list(zip(words.split(), cuts, [*cuts[1:], len(samples)]))


def _word_frames(log_probs: NDArray[np.float64], words: str, alphabet: Alphabet) -> list[tuple[int, int]]:
    """The logit frames [start, end) of each word."""
    try:
        symbols = align(log_probs, words, alphabet)
    except ValueError as error:
        raise DataError(str(error)) from error
    ids = alphabet.encode(words)
    confidence = np.mean([log_probs[item.start : item.end, number].mean() for item, number in zip(symbols, ids)])
    if confidence < MIN_CONFIDENCE:
        raise DataError(f"the model hears something else than the transcript ({confidence:.1f} nats a symbol)")
    spans: list[tuple[int, int]] = []
    inside = False
    for item in symbols:
        if item.character == " ":
            inside = False
        else:
            spans.append((spans.pop()[0] if inside else item.start, item.end))
            inside = True
    return spans


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(float) - logits.max(axis=-1, keepdims=True)
    values: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return values


def _level(samples: Samples, window: int) -> NDArray[np.float64]:
    """Mean power around each sample."""
    sums = np.cumsum(np.pad(np.square(samples, dtype=np.float64), (window // 2 + 1, window - window // 2)))
    power: NDArray[np.float64] = sums[window : window + len(samples)] - sums[: len(samples)]
    return power
