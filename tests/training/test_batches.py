"""Which utterances go together, which are left out, and that the same seed gives the same arrays."""

from dataclasses import replace

import numpy as np
import pytest

from crnn_asr.audio.augment import Augmenter
from crnn_asr.config import PRESETS
from crnn_asr.corpus.manifest import Utterance, read_manifest
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.training.batches import BatchSource, plan_batches, select_examples

ALPHABET = Alphabet((" ", "a", "b", "c"))
CONFIG = replace(PRESETS["tiny"], alphabet=ALPHABET.symbols)
CONFIG = replace(CONFIG, training=replace(CONFIG.training, batch_frames=500, max_batch_utterances=6))


def source(tone_corpus, augment=True) -> BatchSource:
    utterances, _ = read_manifest(tone_corpus / "train.jsonl")
    examples, skipped = select_examples(utterances, CONFIG, ALPHABET)
    assert not skipped
    return BatchSource(examples, CONFIG, Augmenter(CONFIG.augment) if augment else None)


def test_every_utterance_once_within_the_budget(rng):
    frames = rng.integers(10, 900, 300).tolist()
    for generator in (None, rng):
        batches = plan_batches(frames, 3_000, 12, generator)
        assert sorted(index for batch in batches for index in batch) == list(range(300))
        assert max(map(len, batches)) <= 12
        assert all(max(frames[i] for i in batch) * len(batch) <= 3_000 for batch in batches)
        padded = sum(max(frames[i] for i in batch) * len(batch) for batch in batches)
        assert sum(frames) / padded > 0.9


def test_an_utterance_over_the_budget_is_a_batch_of_its_own():
    assert plan_batches([50, 4_000, 60], 200, 10) == [[0, 2], [1]]


def test_same_seed_same_batches_and_any_start(tone_corpus):
    whole = list(source(tone_corpus).dataset(epoch=3))
    rest = list(source(tone_corpus).dataset(epoch=3, start=2, workers=1))
    other = list(source(tone_corpus).dataset(epoch=4))
    assert len(whole) == len(source(tone_corpus).plan(3)) == len(rest) + 2
    for found, wanted in zip(rest, whole[2:]):
        for left, right in zip(found, wanted):
            np.testing.assert_array_equal(left, right)
    assert any(a[0].shape != b[0].shape or not np.array_equal(a[0], b[0]) for a, b in zip(whole, other))


def test_lengths_are_those_of_the_arrays(tone_corpus):
    plain = source(tone_corpus, augment=False)
    for indices, (features, lengths, labels, label_lengths) in zip(plain.plan(0), plain.dataset(0)):
        assert features.shape[1] == lengths.numpy().max()
        assert lengths.numpy().tolist() == [plain.examples[index].num_frames for index in indices]
        for row, index in enumerate(indices):
            assert ALPHABET.decode(labels[row, : label_lengths[row]].numpy()) == plain.examples[index].text
            assert not features[row, lengths[row] :].numpy().any()


@pytest.mark.parametrize(
    ("text", "duration_s", "reason"),
    [
        ("aaaa", 0.25, "cannot be aligned: 7 symbols and repeats, 6 output frames"),
        ("abcd", 1.0, "outside the alphabet: 'd'"),
        ("", 1.0, "empty transcript"),
        ("a", 0.05, "too short"),
        ("a", 31.0, "too long"),
    ],
)
def test_what_cannot_be_trained_on_is_named(tmp_path, text, duration_s, reason):
    examples, skipped = select_examples([Utterance(tmp_path / "x.wav", duration_s, text, id="x")], CONFIG, ALPHABET)
    assert not examples
    assert skipped[0].where == "x" and reason in skipped[0].reason


def test_the_limit_of_alignment_is_exact(tmp_path):
    fits = Utterance(tmp_path / "x.wav", 0.25, "abcabc", id="x")  # 23 frames, 6 output frames
    assert len(select_examples([fits], CONFIG, ALPHABET)[0]) == 1


def test_audio_that_turns_out_unusable_is_left_out_and_named(tone_corpus, tmp_path):
    good = source(tone_corpus, augment=False)
    broken = tmp_path / "broken.wav"
    broken.write_text("not audio")
    bad = replace(good.examples[0], utterance=replace(good.examples[0].utterance, audio_path=broken, id="broken"))
    mixed = BatchSource([bad, *good.examples[1:3]], CONFIG)
    (features, *_), kept = mixed.load([0, 1, 2], 0)
    assert len(features) == len(kept) == 2
    assert "broken.wav" in mixed.problems["broken"].reason
    alone = list(BatchSource([bad], CONFIG).dataset(0))
    assert alone[0][0].shape == (1, 1, 80) and alone[0][1].numpy().tolist() == [0]
