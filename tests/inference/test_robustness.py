"""Noise and rooms: what the model is given, which clip, which rows, and the picture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import soundfile

from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio
from crnn_asr.config import FeatureConfig, TextConfig
from crnn_asr.corpus.manifest import Utterance
from crnn_asr.inference import evaluation
from crnn_asr.inference.evaluation import System
from crnn_asr.inference.robustness import Robustness, Surroundings, evaluate_robustness
from crnn_asr.inference.robustness_picture import draw_robustness
from crnn_asr.text.alphabet import ENGLISH, Alphabet

ALPHABET = Alphabet(ENGLISH)
RATE_HZ = 16_000


def answer(text: str) -> np.ndarray:
    ids = [i for label in ALPHABET.encode(text) for i in (label, ALPHABET.blank_id)]
    return np.eye(ALPHABET.num_symbols, dtype=np.float32)[ids]


@pytest.fixture
def utterances(tmp_path: Path, rng: np.random.Generator) -> list[Utterance]:
    found = []
    for number in range(6):
        path = tmp_path / f"{number}.wav"
        samples = 0.1 * np.sin(2 * np.pi * 500 * np.arange(8_000 + 1_000 * number) / RATE_HZ)
        soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
        found.append(Utterance(path, len(samples) / RATE_HZ, "five", id=f"u{number}"))
    return found


@pytest.fixture
def noise_files(tmp_path: Path, rng: np.random.Generator) -> tuple[Path, ...]:
    paths = [tmp_path / f"noise{number}.wav" for number in range(8)]
    for path in paths:
        soundfile.write(path, rng.normal(0, 0.1, 3_000), RATE_HZ, subtype="FLOAT")
    return tuple(paths)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    response = np.zeros(700)
    response[[100, 400]] = 0.8, 0.6
    soundfile.write(tmp_path / "room.wav", response, RATE_HZ, subtype="FLOAT")
    return tmp_path / "room.wav"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """All samples that features were computed of."""
    given: list[np.ndarray] = []

    def spy(samples: np.ndarray, config: FeatureConfig) -> np.ndarray:
        given.append(samples)
        return compute_features(samples, config)

    monkeypatch.setattr(evaluation, "compute_features", spy)
    return given


def run(utterances: Sequence[Utterance], answers: Sequence[str] = ("five",), **surroundings: object) -> Robustness:
    """Evaluate with a model that gives the answers in turn, over and over."""
    count = iter(range(10_000))
    return evaluate_robustness(
        Surroundings(**surroundings),  # type: ignore[arg-type]
        System(lambda _: answer(answers[next(count) % len(answers)]), FeatureConfig(), TextConfig(), ALPHABET),
        utterances,
    )


def snr_db(clean: np.ndarray, noisy: np.ndarray) -> float:
    clean, noise = clean.astype(np.float64), noisy.astype(np.float64) - clean
    return 10 * np.log10(np.mean(clean**2) / np.mean(noise**2))


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "white"])
def test_noise_has_the_level_asked_for_and_is_the_same_at_every_level(utterances, noise_files, heard, recorded) -> None:
    run(utterances, snrs_db=(20.0, 0.0, -5.0), noise_files=noise_files if recorded else ())
    for number, utterance in enumerate(utterances):
        clean, *noisy = heard[4 * number : 4 * number + 4]
        np.testing.assert_array_equal(clean, read_audio(utterance.audio_path))
        assert [snr_db(clean, sound) for sound in noisy] == pytest.approx([20, 0, -5], abs=0.01)
        np.testing.assert_allclose((noisy[0] - clean) * 10, noisy[1] - clean, atol=1e-5)


def test_noise_is_that_of_the_files(utterances, noise_files, heard) -> None:
    """Each utterance is longer than a clip, so its noise is one clip, from somewhere on, over and over."""
    run(utterances, snrs_db=(0.0,), noise_files=noise_files)
    clips = [read_audio(path) for path in noise_files]
    used = set()
    for clean, noisy in zip(heard[::2], heard[1::2]):
        noise = (noisy - clean)[:3_000]
        fits = [np.abs(np.fft.ifft(np.fft.fft(noise) * np.fft.fft(clip).conj())).max() for clip in clips]
        best = int(np.argmax(fits))
        assert fits[best] == pytest.approx(np.linalg.norm(noise) * np.linalg.norm(clips[best]), rel=1e-3)
        used.add(best)
    assert len(used) > 1


def test_what_an_utterance_meets_depends_on_its_id_and_the_seed_alone(utterances, noise_files, room, heard) -> None:
    def sounds(order: Sequence[Utterance], seed: int) -> list[np.ndarray]:
        heard.clear()
        run(order, snrs_db=(5.0,), noise_files=noise_files, room_files=(room,), seed=seed)
        by_length = sorted(heard, key=len)  # stable: clean, noisy, in a room
        return by_length

    first, again, other = sounds(utterances, 1), sounds(utterances[::-1], 1), sounds(utterances, 2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first[1::3], other[1::3]))
    twin = replace(utterances[0], id="another")
    assert not np.array_equal(sounds([twin], 1)[1], first[1])


def test_a_room_is_a_convolution_from_the_direct_sound_on(utterances, room, heard) -> None:
    result = run(utterances[:1], room_files=(room,))
    clean, wet = heard
    echo = 0.8 * clean + 0.6 * np.pad(clean, (300, 0))[: len(clean)]
    np.testing.assert_allclose(wet, echo * np.sqrt(np.mean(clean**2) / np.mean(echo**2)), atol=1e-5)
    assert [(row.name, row.snr_db) for row in result.rows] == [("rooms", None)]


def test_rows_by_hand(utterances, room) -> None:
    """Of six one-word utterances, one is wrong as recorded; at 10 dB three are, in rooms all."""
    clean, noisy, rooms = "five five five five five a", "five five five a a a", "a a a a a a"
    answers = [text.split()[number] for number in range(6) for text in (clean, noisy, rooms)]
    result = run(utterances, answers, snrs_db=(10.0,), room_files=(room,))
    rates = [row.evaluation.scores.words.percent for row in result.rows]
    assert [result.clean.scores.words.percent, *rates] == pytest.approx([100 / 6, 50, 100])
    assert [row.ratio for row in result.rows] == pytest.approx([3, 6])
    change = result.rows[0].change
    assert change.percent == pytest.approx(100 / 3) and change.low < change.percent < change.high
    values = result.to_dict()
    assert values["noise_files"] == 0 and values["room_files"] == 1
    assert [row["condition"] for row in values["conditions"]] == ["10 dB", "rooms"]
    assert values["conditions"][0]["wer_change"]["percent"] == change.percent


def test_without_errors_as_recorded_there_is_no_ratio(utterances) -> None:
    assert run(utterances, snrs_db=(0.0,)).rows[0].ratio is None


def test_every_file_is_read_once_and_recognized_once_a_condition(utterances, room, heard, monkeypatch) -> None:
    reads: list[Path] = []

    def spy(path: Path, *arguments: object) -> np.ndarray:
        reads.append(path)
        return read_audio(path, *arguments)

    monkeypatch.setattr(evaluation, "read_audio", spy)
    run(utterances, snrs_db=(20.0, 10.0), room_files=(room,))
    assert reads == [utterance.audio_path for utterance in utterances]
    assert len(heard) == 4 * len(utterances)


def test_an_utterance_that_fails_in_one_condition_is_left_out_of_all(utterances, noise_files, tmp_path) -> None:
    (tmp_path / "broken.wav").write_text("no noise")
    result = run(utterances, snrs_db=(10.0,), noise_files=(tmp_path / "broken.wav", *noise_files[:1]))
    kept = [item.id for item in result.clean.utterances]
    assert 0 < len(kept) < 6 and kept == [item.id for item in result.rows[0].evaluation.utterances]
    assert {problem.where for problem in result.clean.problems} == {f"u{number}" for number in range(6)} - set(kept)
    assert "broken.wav" in result.clean.problems[0].reason


def test_silent_pieces_of_noise_are_drawn_again_and_silence_alone_is_refused(utterances, tmp_path, rng, heard) -> None:
    """Nine tenths of the clip are silence, so most draws of so short a piece meet nothing else."""
    soundfile.write(tmp_path / "gaps.wav", np.r_[np.zeros(90_000), rng.normal(0, 0.1, 10_000)], RATE_HZ)
    run(utterances, snrs_db=(10.0,), noise_files=(tmp_path / "gaps.wav",))
    assert all(snr_db(a, b) == pytest.approx(10, abs=0.01) for a, b in zip(heard[::2], heard[1::2], strict=True))
    soundfile.write(tmp_path / "silence.wav", np.zeros(9_000), RATE_HZ)
    with pytest.raises(ValueError, match=r"pieces of silence in turn, the last in .*silence\.wav"):
        run(utterances, snrs_db=(10.0,), noise_files=(tmp_path / "silence.wav",))


def test_a_silent_recording_stays_silent_in_noise(utterances, noise_files, tmp_path, heard) -> None:
    soundfile.write(tmp_path / "0.wav", np.zeros(8_000), RATE_HZ)
    run(utterances[:1], snrs_db=(10.0,), noise_files=noise_files)
    assert not heard[1].any()


def test_the_picture_holds_a_curve(utterances, room, tmp_path) -> None:
    answers = ["five", "a", "five", "five", "a", "a", "a"]
    result = run(utterances, answers, snrs_db=(20.0, 0.0), room_files=(room,))
    draw_robustness(result, tmp_path / "new" / "robustness.png")
    pixels = matplotlib.image.imread(tmp_path / "new" / "robustness.png")[..., :3]
    assert pixels.shape[0] > 400 and pixels.shape[1] > 700
    reds = (pixels[..., 0] > 0.75) & (pixels[..., 1] < 0.3)
    assert reds.sum() > 500
