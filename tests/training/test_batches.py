"""What is left out, that plans know the arrays, and that the same seed gives the same arrays."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from crnn_asr.audio.augment import Augmenter
from crnn_asr.audio.read import write_audio
from crnn_asr.config import AugmentConfig
from crnn_asr.corpus.manifest import Utterance, read_manifest
from crnn_asr.presets import PRESETS
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.training.batches import BatchSource, Example, add_rows, pad_batch, select_examples

ALPHABET = Alphabet((" ", "a", "b", "c"))
TEMPO = AugmentConfig(
    **{name: 0.0 for name in vars(AugmentConfig()) if name.endswith("_probability")}
    | {"stretch_probability": 0.5, "stretch_rate": (0.8, 1.25), "speed_probability": 0.7, "speed_rate": (0.8, 1.25)}
)
CONFIG = replace(PRESETS["tiny"], alphabet=ALPHABET.symbols, augment=TEMPO)
CONFIG = replace(CONFIG, training=replace(CONFIG.training, batch_frames=500, max_batch_utterances=6))


def examples(tone_corpus) -> list[Example]:
    found, skipped = select_examples(read_manifest(tone_corpus / "train.jsonl")[0], CONFIG, ALPHABET)
    assert not skipped
    return found


def source(tone_corpus, augment=True) -> BatchSource:
    return BatchSource(examples(tone_corpus), CONFIG, Augmenter(CONFIG.augment) if augment else None)


def epoch(source, number, **options):
    return source.dataset(source.plan(number), **options)


def test_same_seed_same_batches_and_any_start(tone_corpus):
    whole = list(epoch(source(tone_corpus), 3))
    rest = list(epoch(source(tone_corpus), 3, start=2, workers=1))
    other = list(epoch(source(tone_corpus), 4))
    assert len(whole) == len(source(tone_corpus).plan(3).batches) == len(rest) + 2
    for found, wanted in zip(rest, whole[2:]):
        for left, right in zip(found, wanted):
            np.testing.assert_array_equal(left, right)
    assert any(a[0].shape != b[0].shape or not np.array_equal(a[0], b[0]) for a, b in zip(whole, other))


def test_no_tuner_holds_up_the_end_of_an_epoch(tone_corpus):
    """Its thread misses, now and then, that it is to end, and sleeps on: 20 s at the end of an epoch of 20 s."""
    assert epoch(source(tone_corpus), 0).options().autotune.enabled is False


@pytest.mark.parametrize(("always", "pool", "epochs"), [(8, 16, 2), (8, 15, 1), (6, 18, 3), (8, 3, 1), (24, 0, 1)])
def test_an_epoch_takes_a_part_of_the_pool_and_each_turn_all_of_it(tone_corpus, always, pool, epochs):
    """Every utterance of `always` is in every epoch; of the pool, each in one of so many epochs, then in others."""
    found = examples(tone_corpus)
    mixed = BatchSource(found[:always], CONFIG, Augmenter(CONFIG.augment), pool=found[always : always + pool])
    plans = [mixed.plan(number) for number in range(2 * epochs)]
    heard = [sorted(index for batch in plan.batches for index in batch.indices.tolist()) for plan in plans]
    assert all(indices[:always] == list(range(always)) for indices in heard)
    drawn = [indices[always:] for indices in heard]
    for turn in (drawn[:epochs], drawn[epochs:]):
        assert sorted(itertools.chain(*turn)) == list(range(always, always + pool))
    assert epochs == 1 or drawn[:epochs] != drawn[epochs:]
    assert all(min(always, pool) <= len(part) < 2 * always for part in drawn)
    frames = [plan.num_frames[indices].sum() for plan, indices in zip(plans, heard)]
    assert frames == [plan.total_frames for plan in plans]
    texts = [
        example.text for _, kept in [mixed.load(plans[0], batch) for batch in plans[0].batches] for example in kept
    ]
    assert sorted(texts) == sorted(mixed.examples[index].text for index in heard[0])


def test_augmentation_grows_over_the_ramp(tone_corpus):
    """Of the utterances, how many have another tempo: none at first, then more, then as many as without a ramp."""
    ramped = replace(CONFIG, training=replace(CONFIG.training, epochs=16, augment_ramp_share=0.25))
    ramp = BatchSource(examples(tone_corpus), ramped, Augmenter(CONFIG.augment))
    drawn = [ramp.plan(number).tempo for number in range(6)]
    shares = [np.mean((tempo.stretch != 1) | (tempo.speed != 1)) for tempo in drawn]
    assert shares[0] == 0 and 0 < shares[1] < shares[3]
    plain = source(tone_corpus)
    for left, right in zip(epoch(ramp, 4), epoch(plain, 4), strict=True):
        np.testing.assert_array_equal(left[0], right[0])


def test_a_plan_knows_the_arrays(tone_corpus):
    """Lengths after the drawn tempo, shapes, and the padding of the epoch."""
    augmented, true, padded, changed = source(tone_corpus), 0, 0, 0
    for number in range(4):
        plan = augmented.plan(number)
        for planned, (features, lengths, _, label_lengths) in zip(plan.batches, augmented.dataset(plan), strict=True):
            rows = len(planned.indices)
            assert features.shape == (planned.rows, planned.frames, 80)
            assert lengths[:rows].numpy().tolist() == plan.num_frames[planned.indices].tolist()
            assert not lengths[rows:].numpy().any() and (label_lengths[rows:].numpy() == 1).all()
            true, padded = true + lengths.numpy().sum(), padded + features.shape[0] * features.shape[1]
        assert plan.padding_share == pytest.approx(1 - true / padded)
        true = padded = 0
        changed += np.count_nonzero(plan.num_frames != augmented.plan(number + 1).num_frames)
    assert changed > 40, "tempo is drawn anew in each epoch"


def test_no_tempo_where_ctc_could_not_align_it(tone_corpus):
    """Utterances that just fit: sped up they would not, and plan and arrays agree that they are not."""
    fitting = examples(tone_corpus)
    exact = [
        replace(example, min_logit_frames=CONFIG.model.output_length(CONFIG.features.num_frames(example.num_samples)))
        for example in fitting
    ]
    free, bound = (BatchSource(each, CONFIG, Augmenter(CONFIG.augment)) for each in (fitting, exact))
    wild, tame = free.plan(0), bound.plan(0)
    original = np.array([CONFIG.features.num_frames(example.num_samples) for example in fitting])
    shortened = CONFIG.model.output_length(wild.num_frames) < CONFIG.model.output_length(original)
    assert 3 < shortened.sum() < len(fitting) - 3
    np.testing.assert_array_equal(tame.num_frames, np.where(shortened, original, wild.num_frames))
    for planned in tame.batches:
        (_, lengths, *_), kept = bound.load(tame, planned)
        assert lengths.tolist() == tame.num_frames[planned.indices].tolist() and len(kept) == len(lengths)
    assert not bound.problems


def test_ends_are_cut_only_as_far_as_ctc_can_align_the_rest(tmp_path):
    """A loud word with soft ends, which are cut off: with few symbols it is shorter, with many as it was."""
    samples = np.full(24_000, 1e-3, np.float32)
    samples[8_000:16_000] = 0.5
    write_audio(tmp_path / "a.wav", samples, 16_000)
    cutting = replace(CONFIG, augment=replace(CONFIG.augment, trim_probability=1.0, speed_probability=1.0))
    utterance = Utterance(tmp_path / "a.wav", 1.5, "a")
    for need, shortest, longest in ((1, 40, 80), (20, 80, 188)):
        found = BatchSource([Example(utterance, "a", 24_000, need)], cutting, Augmenter(cutting.augment))
        lengths = [int(batch[1][0]) for number in range(12) for batch in epoch(found, number)]
        assert len(lengths) == 12 and shortest <= min(lengths) and max(lengths) <= longest and not found.problems


def test_a_wrong_duration_in_the_manifest_loses_nothing(tone_corpus):
    """Planned as twice as long as they are, sped up so far that CTC could not align what comes out."""
    wrong = [
        replace(
            example,
            num_samples=2 * example.num_samples,
            min_logit_frames=CONFIG.model.output_length(CONFIG.features.num_frames(example.num_samples)),
        )
        for example in examples(tone_corpus)
    ]
    config = replace(CONFIG, training=replace(CONFIG.training, batch_frames=2_000))
    mistaken = BatchSource(wrong, config, Augmenter(CONFIG.augment))
    assert sum(np.count_nonzero(lengths) for _, lengths, *_ in epoch(mistaken, 0)) == len(wrong)
    assert not mistaken.problems
    features, *_ = pad_batch([np.ones((100, 3), np.float32)], [[0]], 3, frames=64)
    assert features.shape == (1, 104, 3), "longer than planned"


def test_shares_are_the_rows_of_the_batch(tone_corpus):
    augmented = source(tone_corpus)
    plan = augmented.plan(1)
    shares = [augmented.dataset(plan, share=(i, 4)) for i in range(4)]
    for planned, whole, *parts in zip(plan.batches, augmented.dataset(plan), *shares, strict=True):
        for i, part in enumerate(parts):
            assert part[0].shape[1] == planned.frames and part[0].shape[0] == max(1, len(range(i, planned.rows, 4)))
            if i < planned.rows:
                np.testing.assert_array_equal(part[0], whole[0][i::4])
                np.testing.assert_array_equal(part[1], whole[1][i::4])
            else:
                assert part[1].numpy().tolist() == [0] and part[3].numpy().tolist() == [1]


def test_labels_and_padding(tone_corpus):
    plain = source(tone_corpus, augment=False)
    plan = plain.plan(0)
    for planned, (features, lengths, labels, label_lengths) in zip(plan.batches, plain.dataset(plan), strict=True):
        for row, index in enumerate(planned.indices):
            assert ALPHABET.decode(labels[row, : label_lengths[row]].numpy()) == plain.examples[index].text
            assert not features[row, lengths[row] :].numpy().any()


def test_rows_of_nothing(rng):
    batch = pad_batch([rng.random((20, 3), np.float32)], [[1, 0]], 3)
    features, lengths, labels, label_lengths = add_rows(batch, 3)
    assert features.shape == (3, 24, 3) and not features[1:].any()
    assert (lengths.tolist(), label_lengths.tolist()) == ([20, 0, 0], [2, 1, 1])
    assert labels.tolist() == [[1, 0], [0, 0], [0, 0]]
    for found, wanted in zip(itertools.chain(add_rows(batch, 1), add_rows(batch, 0)), [*batch, *batch]):
        np.testing.assert_array_equal(found, wanted)
    assert [array.shape for array in add_rows(pad_batch([], [], 3), 1)] == [(1, 16, 3), (1,), (1, 1), (1,)]


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
    config = replace(CONFIG, training=replace(CONFIG.training, batch_frames=1_000))
    mixed = BatchSource([bad, *good.examples[1:3]], config)
    plan = mixed.plan(0)
    (planned,) = plan.batches
    (features, *_), kept = mixed.load(plan, planned)
    assert len(features) == len(kept) == 2
    assert "broken.wav" in mixed.problems["broken"].reason
    (whole,) = mixed.dataset(plan)
    assert whole[0].shape == (3, planned.frames, 80) and np.count_nonzero(whole[1]) == 2, "the shape is as planned"
    (alone,) = epoch(BatchSource([bad], CONFIG), 0)
    assert alone[0].shape[0] == 1 and alone[1].numpy().tolist() == [0]
