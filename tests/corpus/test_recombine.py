"""New utterances of old words: what is written is what is heard, of one speaker, the same for the same seed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from crnn_asr.audio.read import read_audio, write_audio
from crnn_asr.corpus.manifest import Utterance, read_manifest
from crnn_asr.corpus.recombine import Cut, recombine
from crnn_asr.errors import DataError

RATE_HZ, LENGTH = 8_000, 400
LEVELS = {"one": 0.1, "two": 0.2, "three": 0.3, "four": 0.4}  # a word is a constant; speaker b is its negative


def cut(folder: Path, name: str, speaker: str, text: str, sign: int = 1) -> Cut:
    words = text.split()
    samples = np.concatenate([np.full(LENGTH, sign * LEVELS[word], np.float32) for word in words])
    path = folder / f"{name}.wav"
    write_audio(path, samples, RATE_HZ)
    spans = tuple((word, LENGTH * place, LENGTH * (place + 1)) for place, word in enumerate(words))
    return Cut(Utterance(path, len(samples) / RATE_HZ, text, speaker, name), spans)


@pytest.fixture
def cuts(tmp_path: Path) -> list[Cut]:
    return [
        cut(tmp_path, "a1", "a", "one two three"),
        cut(tmp_path, "a2", "a", "two two two two one"),
        cut(tmp_path, "b1", "b", "three four", -1),
    ]


def heard(path: Path) -> tuple[list[str], set[int]]:
    """The words of a recording by the level in the middle of each, and the signs."""
    middles = read_audio(path, RATE_HZ).reshape(-1, LENGTH)[:, LENGTH // 2]
    names = [min(LEVELS, key=lambda word: abs(LEVELS[word] - abs(value))) for value in middles]
    return names, set(np.sign(middles).astype(int))


def test_what_is_written_is_what_is_heard(tmp_path: Path, cuts: list[Cut]):
    made = recombine(cuts, tmp_path / "out", 60, RATE_HZ)
    again, problems = read_manifest(tmp_path / "out" / "recombined.jsonl")
    assert problems == [] and len(made) == len(again) == 60
    assert [item.audio_path.resolve() for item in again] == [item.audio_path.resolve() for item in made]
    for item in again:
        words, signs = heard(item.audio_path)
        assert item.text.split() == words
        assert signs == {1 if item.speaker == "a" else -1}, "one speaker"
        assert item.duration_s == pytest.approx(len(words) * LENGTH / RATE_HZ)
        assert len(words) in (2, 3, 5)
    texts = {item.text for item in again}
    assert len(texts) > 30 and any("three two" in text for text in texts), "orders that were never said"


def test_ends_of_pieces_are_faded(tmp_path: Path, cuts: list[Cut]):
    recombine(cuts, tmp_path / "out", 1, RATE_HZ, num_words=(1, 1))
    samples = read_audio(next((tmp_path / "out").rglob("*.wav")), RATE_HZ)
    assert samples[0] == samples[-1] == 0 and np.abs(np.diff(samples)).max() < 0.02


def test_seeds(tmp_path: Path, cuts: list[Cut]):
    first, same, other = (
        [item.text for item in recombine(cuts, tmp_path / str(n), 20, RATE_HZ, seed=seed)]
        for n, seed in enumerate((0, 0, 1))
    )
    assert first == same != other


def test_what_an_earlier_run_made_is_not_left_behind(tmp_path: Path, cuts: list[Cut]):
    (tmp_path / "out" / "wav" / "mine").mkdir(parents=True)
    (tmp_path / "out" / "wav" / "mine" / "note.wav").touch()
    recombine(cuts, tmp_path / "out", 9, RATE_HZ)
    made = recombine(cuts, tmp_path / "out", 4, RATE_HZ)
    found = {path.name for path in (tmp_path / "out").rglob("*.wav")}
    assert found == {item.audio_path.name for item in made} | {"note.wav"}


def test_an_interruption_leaves_no_texts_of_other_recordings(tmp_path: Path, cuts: list[Cut]):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    recombine(cuts, tmp_path / "out", 9, RATE_HZ)
    with pytest.raises(KeyboardInterrupt):
        recombine(cuts, tmp_path / "out", 9, RATE_HZ, seed=1, progress=interrupt)
    assert not (tmp_path / "out" / "recombined.jsonl").exists()


def test_its_own_recordings_are_not_written_over(tmp_path: Path, cuts: list[Cut]):
    made = recombine(cuts, tmp_path / "out", 9, RATE_HZ)
    again = [Cut(item, ((item.text.split()[0], 0, LENGTH),)) for item in made]
    with pytest.raises(DataError, match="choose another"):
        recombine(again, tmp_path / "out", 9, RATE_HZ)
    assert heard(made[0].audio_path)[0] == made[0].text.split()


def test_lengths_and_chosen_words(tmp_path: Path, cuts: list[Cut]):
    made = recombine(cuts, tmp_path / "out", 40, RATE_HZ, num_words=(1, 2), only={"two", "three"})
    assert {len(item.text.split()) for item in made} == {1, 2}
    assert {word for item in made for word in item.text.split()} == {"two", "three"}
    with pytest.raises(DataError, match="not one of 4 words"):
        recombine(cuts, tmp_path / "out", 40, RATE_HZ, only={"five"})


def test_rare_words_are_drawn_more_often_than_they_were_said(tmp_path: Path):
    cuts = [cut(tmp_path, "c", "c", "one " * 16 + "two")]
    made = recombine(cuts, tmp_path / "out", 400, RATE_HZ, num_words=(1, 1))
    counts = Counter(item.text for item in made)
    # a start at "one" weighs 16^-0.4, at "two" 1: 16^0.6 = 5.3 of the first for each of the second
    assert counts["one"] / counts["two"] == pytest.approx(16**0.6, rel=0.4)


def test_without_speakers_words_stay_in_their_utterance(tmp_path: Path):
    cuts = [cut(tmp_path, "a", "", "one two"), cut(tmp_path, "b", "", "three four")]
    for item in recombine(cuts, tmp_path / "out", 30, RATE_HZ):
        assert set(item.text.split()) in ({"one"}, {"two"}, {"one", "two"}, {"three"}, {"four"}, {"three", "four"})
        assert item.speaker == ""
