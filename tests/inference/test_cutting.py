"""Recordings cut into words: cuts fall where it is quiet, and what the model does not hear is said."""

import numpy as np
import pytest

from crnn_asr.config import FeatureConfig, TextConfig
from crnn_asr.errors import DataError
from crnn_asr.inference.cutting import cut_words
from crnn_asr.inference.evaluation import System
from crnn_asr.text.alphabet import Alphabet

ALPHABET = Alphabet((" ", "a", "b", "c"))
RATE_HZ, FRAME = 16_000, 640  # samples of a logit frame


def system(spikes: dict[int, str], frames: int) -> System:
    """A network that is sure of one character at each of some logit frames, and of nothing at the others."""
    logits = np.zeros((frames, 5), np.float32)
    logits[:, 4] = 20
    for frame, character in spikes.items():
        logits[frame] = 0
        logits[frame, ALPHABET.encode(character)[0]] = 20
    return System(lambda features: logits, FeatureConfig(), TextConfig(), ALPHABET)


def speech(*spans_s: tuple[float, float], length_s: float = 2.0) -> np.ndarray:
    """Noise in some spans, in seconds, and hardly any between them."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 1e-4, round(length_s * RATE_HZ)).astype(np.float32)
    for start, end in spans_s:
        part = slice(round(start * RATE_HZ), round(end * RATE_HZ))
        samples[part] += rng.normal(0, 0.1, part.stop - part.start)
    return samples


def test_cuts_fall_into_the_gaps():
    samples = speech((0.1, 0.8), (0.9, 1.3), (1.34, 1.9))
    spikes = {5: "a", 15: "b", 21: " ", 26: "c", 33: " ", 36: "a", 44: "b"}  # a frame is 40 ms
    cuts = cut_words(samples, "AB c ab", system(spikes, 49))
    assert [word for word, _, _ in cuts] == ["ab", "c", "ab"]
    assert [start for _, start, _ in cuts[1:]] == [end for _, _, end in cuts[:-1]], "side by side"
    assert cuts[0][1] == 0 and cuts[-1][2] == len(samples)
    assert 0.8 <= cuts[1][1] / RATE_HZ <= 0.9 and 1.3 <= cuts[2][1] / RATE_HZ <= 1.34


def test_words_without_a_gap_or_a_space_between_them():
    samples = speech((0.0, 1.0), length_s=1.0)
    cuts = cut_words(samples, "a b", system({10: "a", 11: " ", 12: "b"}, 24))
    assert 10 * FRAME <= cuts[1][1] <= 13 * FRAME


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty transcript"),
        ("a x", "does not write 'x'"),
        ("c c", "hears something else"),
        ("a" * 30, "expected frames for 30 symbols"),
    ],
)
def test_what_cannot_be_cut_is_a_sentence(text: str, message: str):
    with pytest.raises(DataError, match=message):
        cut_words(speech((0.0, 1.0), length_s=1.0), text, system({10: "a"}, 24))
