"""Long recordings in windows: the joined logits are those of the whole, and words and silences come out as said."""

import numpy as np
import pytest
import soxr

from crnn_asr.config import FeatureConfig, ModelConfig
from crnn_asr.corpus.speech import Speaker, Voice
from crnn_asr.inference.default_model import SHIPPED
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.inference.windows import LONG_S, OVERLAP_S, WINDOW_S, logits_in_windows

FRAME_S, REDUCTION, SYMBOLS = 0.04, 4, 5
UNSURE = round(0.9 / FRAME_S)  # logit frames at either end of a window of which a network knows little


class Network:
    """Gives the logits of its own whole recording, but noise near the ends of a window that are not the recording's."""

    def __init__(self, num_logits: int, rng: np.random.Generator) -> None:
        self.whole = rng.normal(size=(num_logits, SYMBOLS)).astype(np.float32)
        self.lengths: list[int] = []
        self.rng = rng

    def __call__(self, features: np.ndarray) -> np.ndarray:
        start, rest = divmod(int(features[0, 0]), REDUCTION)
        assert rest == 0
        self.lengths.append(len(features))
        end = start + -(-len(features) // REDUCTION)
        logits = self.whole[start:end].copy()
        if start:
            logits[:UNSURE] = self.rng.normal(size=(UNSURE, SYMBOLS))
        if end < len(self.whole):
            logits[-UNSURE:] = self.rng.normal(size=(UNSURE, SYMBOLS))
        return logits


def heard(network: Network, num_frames: int) -> np.ndarray:
    features = np.arange(num_frames, dtype=np.float32)[:, None]  # each frame says where it is
    return logits_in_windows(network, features, REDUCTION, FRAME_S)


def test_up_to_a_minute_is_one_piece(rng):
    frames = round(LONG_S / FRAME_S) * REDUCTION
    network = Network(frames // REDUCTION, rng)
    np.testing.assert_array_equal(heard(network, frames), network.whole)
    assert network.lengths == [frames]


@pytest.mark.parametrize("num_frames", [*range(6_001, 6_006), 7_801, 10_799, 10_800, 10_801, 50_003])
@pytest.mark.parametrize("quiet", [True, False])
def test_joined_windows_are_the_whole(num_frames: int, quiet: bool, rng):
    network = Network(-(-num_frames // REDUCTION), rng)
    network.whole[:, -1] += 3 if quiet else -3
    joined = heard(network, num_frames)
    np.testing.assert_array_equal(joined, network.whole)
    longest = round(WINDOW_S / FRAME_S) * REDUCTION
    assert set(network.lengths[:-1]) == {longest} and OVERLAP_S / FRAME_S < network.lengths[-1] <= longest


def test_words_are_joined_in_the_longest_silence(rng):
    """A letter that the two windows hear at other frames comes once, as long as it is not in that silence."""
    frames = round(80 / FRAME_S)
    first_overlap = round((WINDOW_S - OVERLAP_S) / FRAME_S)

    def network(features: np.ndarray) -> np.ndarray:
        start = int(features[0, 0]) // REDUCTION
        logits = np.zeros((-(-len(features) // REDUCTION), SYMBOLS), np.float32)
        logits[:, -1] = 5
        for frame in (30, 38, 65):  # of the overlap
            heard = first_overlap - start + frame + (start > 0)
            if 0 <= heard < len(logits):
                logits[heard, 1] = 10
        return logits

    features = np.arange(frames * REDUCTION, dtype=np.float32)[:, None]
    letters = np.flatnonzero(logits_in_windows(network, features, REDUCTION, FRAME_S).argmax(-1) == 1)
    assert list(letters - first_overlap) == [30, 38, 66]


@pytest.mark.parametrize("pause_s", [1.0, 8.0])
def test_phrases_with_pauses_in_over_a_minute(pause_s: float, rng):
    """Without windows and statistics of what is said, most of it is wrong after long pauses."""
    with Speaker(Voice("en-us", "m1")) as speaker:
        phrase, rate_hz = speaker.say("enter seven two"), speaker.sample_rate_hz
    recognizer = Recognizer(SHIPPED)
    phrase = soxr.resample(phrase, rate_hz, 16_000).astype(np.float32)
    silence = np.zeros(round(16_000 * pause_s), np.float32)
    count = round(90 * 16_000 / (len(phrase) + len(silence)))
    samples = np.tile(np.concatenate([silence, phrase]), count)
    samples += 1e-4 * rng.standard_normal(len(samples)).astype(np.float32)
    transcript = recognizer.transcribe(samples)
    assert transcript.text == " ".join(["enter seven two"] * count)
    period_s = (len(phrase) + len(silence)) / 16_000
    for number, word in enumerate(transcript.words[::3]):
        assert pause_s <= word.start_s - number * period_s < period_s


def test_a_logit_frame_lasts_as_long_as_its_hops():
    model = ModelConfig(conv_filters=(4, 4), conv_strides=((2, 2), (3, 1)))
    assert model.frame_s(FeatureConfig(hop_ms=8.0)) == pytest.approx(0.048)
