"""Records: the same features as from audio, whole or refused, interrupted at any point and finished later."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.audio.augment import Augmenter
from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio
from crnn_asr.config import AugmentConfig, FeatureConfig
from crnn_asr.corpus.manifest import read_manifest
from crnn_asr.errors import DataError
from crnn_asr.presets import PRESETS
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.training import build_records as module
from crnn_asr.training.batches import BatchSource, select_examples
from crnn_asr.training.build_records import build_records
from crnn_asr.training.records import read_utterances
from crnn_asr.training.setup import prepare

ALPHABET = Alphabet((" ", "a", "b", "c"))
CONFIG = replace(PRESETS["tiny"], alphabet=ALPHABET.symbols)
CONFIG = replace(CONFIG, training=replace(CONFIG.training, batch_frames=500, max_batch_utterances=6))
FEATURES = CONFIG.features


@pytest.fixture(scope="module")
def utterances(tone_corpus):
    return read_manifest(tone_corpus / "train.jsonl")[0]


@pytest.fixture
def folder(utterances, tmp_path):
    build_records(utterances, tmp_path / "records", FEATURES, shard_utterances=10)
    return tmp_path / "records"


def source(folder, config=CONFIG) -> BatchSource:
    examples, skipped = select_examples(read_utterances(folder, config.features)[0], config, ALPHABET)
    assert not skipped
    return BatchSource(examples, config, Augmenter(config.without_waveform_augmentation().augment))


def epoch(source, number, **options):
    return source.dataset(source.plan(number), **options)


def assert_same(found, wanted):
    for left, right in zip(found, wanted, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_is_read_is_what_the_audio_gives(utterances, folder):
    records, problems = read_utterances(folder, FEATURES)
    assert not problems and len(records) == len(utterances)
    for record, utterance in zip(records, utterances):
        wanted = compute_features(read_audio(utterance.audio_path), FEATURES)
        found = record.read_features()
        assert found.dtype == np.float32 and found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=2**-11, atol=1e-7)  # half a unit of float16's last place
        assert (record.text, record.speaker, record.id) == (utterance.text, utterance.speaker, utterance.id)
        assert record.duration_s == pytest.approx(utterance.duration_s, abs=1e-4)
        assert record.audio_path.samefile(utterance.audio_path)


def test_tensorflow_reads_the_shards_too(utterances, folder):
    """Its own reader checks framing and checksums, and knows nothing of our index."""
    shards = sorted(map(str, folder.glob("*.tfrecord")))
    assert len(shards) == 3
    found = [tf.train.Example.FromString(data.numpy()) for data in tf.data.TFRecordDataset(shards)]
    assert [e.features.feature["id"].bytes_list.value[0].decode() for e in found] == [u.id for u in utterances]
    assert [e.features.feature["text"].bytes_list.value[0].decode() for e in found] == [u.text for u in utterances]


def test_batches_equal_those_from_audio_but_for_rounding(tone_corpus, folder):
    config = CONFIG.without_augmentation()
    examples, _ = select_examples(read_manifest(tone_corpus / "train.jsonl")[0], config, ALPHABET)
    from_audio = BatchSource(examples, config, Augmenter(config.augment))
    for found, wanted in zip(epoch(source(folder, config), 1), epoch(from_audio, 1), strict=True):
        np.testing.assert_allclose(found[0], wanted[0], rtol=2**-11, atol=1e-7)
        assert_same([found[1:]], [wanted[1:]])


def test_what_is_stored_is_not_played_faster_in_any_plan(folder):
    examples = source(folder).examples
    always = AugmentConfig(stretch_probability=1.0, speed_probability=1.0)
    records = BatchSource(examples, CONFIG, Augmenter(always))
    plan = records.plan(0)
    for planned in plan.batches:
        (_, lengths, *_), _ = records.load(plan, planned)
        assert lengths.tolist() == plan.num_frames[planned.indices].tolist()


def test_same_seed_same_batches_from_any_start(folder):
    whole = list(epoch(source(folder), 2))
    assert_same(epoch(source(folder), 2), whole)
    for start in range(len(whole)):
        assert_same(epoch(source(folder), 2, start=start, workers=1), whole[start:])
    masked = [(batch[0].numpy() == 0).mean() for batch in whole]
    plain = [(batch[0].numpy() == 0).mean() for batch in epoch(source(folder, CONFIG.without_augmentation()), 2)]
    assert np.mean(masked) > np.mean(plain) + 0.02, "SpecAugment is on"


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_change_nothing(utterances, folder, tmp_path, workers):
    build_records(utterances, tmp_path / "again", FEATURES, jobs=workers, shard_utterances=10)
    for shard in folder.glob("*.tfrecord"):
        assert (tmp_path / "again" / shard.name).read_bytes() == shard.read_bytes()


@pytest.mark.parametrize("stop_at", [0, 5, 10, 13, 23])
def test_an_interrupted_build_is_refused_and_then_finished(utterances, folder, tmp_path, monkeypatch, stop_at):
    out = tmp_path / "cut"

    def interrupted(function, items, jobs, crashed):
        yield from map(function, itertools.islice(items, stop_at))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "map_in_processes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build_records(utterances, out, FEATURES, shard_utterances=10)
    with pytest.raises(DataError, match=r"index\.json, found none"):
        read_utterances(out, FEATURES)
    (out / ".shard-00001.tfrecord.123.partial.tfrecord").write_text("of a killed run")
    built = build_records(utterances, out, FEATURES, shard_utterances=10)
    assert built.num_made == len(utterances) - stop_at // 10 * 10
    assert {path.name: path.read_bytes() for path in out.glob("*.tfrecord")} == {
        path.name: path.read_bytes() for path in folder.glob("*.tfrecord")
    }
    assert not list(out.glob(".*")), "nothing half written is left"


def test_only_what_changed_is_made_again(utterances, folder):
    assert build_records(utterances, folder, FEATURES, shard_utterances=10).num_made == 0
    changed = [*utterances[:12], replace(utterances[12], text="c"), *utterances[13:]]
    assert build_records(changed, folder, FEATURES, shard_utterances=10).num_made == 10
    assert read_utterances(folder, FEATURES)[0][12].text == "c"
    assert build_records(changed[:10], folder, FEATURES, shard_utterances=10).num_made == 0
    assert len(read_utterances(folder, FEATURES)[0]) == 10
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", "shard-00000.json", "shard-00000.tfrecord"]


def test_other_feature_settings_or_format_are_refused(utterances, folder):
    other = FeatureConfig(num_mels=64)
    for refuse in (lambda: read_utterances(folder, other), lambda: build_records(utterances, folder, other)):
        with pytest.raises(DataError, match=r"other feature settings \(num_mels 80, not 64\)"):
            refuse()
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, "format_version": 99}))
    with pytest.raises(DataError, match="format 1, got 99"):
        read_utterances(folder, FEATURES)
    (folder / "index.json").write_text("{")
    with pytest.raises(DataError, match="expected an index of records"):
        read_utterances(folder, FEATURES)


def test_a_flipped_bit_is_found_by_the_checksum(folder):
    shard = folder / "shard-00001.tfrecord"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    damaged = source(folder)
    list(epoch(damaged, 0))
    (problem,) = damaged.problems.values()
    assert "shard-00001.tfrecord" in problem.reason and "checksum" in problem.reason


def test_a_shard_that_was_cut_off_or_is_gone_is_refused_and_made_again(utterances, folder):
    shard = folder / "shard-00001.tfrecord"
    whole = shard.read_bytes()
    for damage in (lambda: shard.write_bytes(whole[:-1]), shard.unlink):
        damage()
        with pytest.raises(DataError, match=r"shard-00001\.tfrecord.*make_records"):
            read_utterances(folder, FEATURES)
        assert build_records(utterances, folder, FEATURES, shard_utterances=10).num_made == 10
        assert shard.read_bytes() == whole


def test_unreadable_audio_is_named_every_time_and_the_rest_is_done(tone_corpus, tmp_path, script, capsys):
    rows = [json.loads(line) for line in (tone_corpus / "train.jsonl").read_text().splitlines()]
    for row in rows:
        row["audio_filepath"] = str(tone_corpus / row["audio_filepath"])
    (tmp_path / "broken.wav").write_text("not audio")
    rows[2]["audio_filepath"], rows[4]["audio_filepath"] = "broken.wav", "gone.wav"
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    main = script("make_records").main
    out = tmp_path / "records"
    command = [str(manifest), "--out", str(out), "--preset", "tiny", "--jobs", "1"]
    for _ in range(2):
        assert main(command) == 1
        captured = capsys.readouterr()
        assert "broken.wav" in captured.err and "gone.wav" in captured.err
        assert "22 utterances" in captured.out and "2 problems" in captured.out
    config = replace(CONFIG, train_manifests=(str(out),), dev_manifest=str(tone_corpus / "dev.jsonl"), alphabet=())
    setup = prepare(config, "auto")
    assert len(setup.train.examples) == 22 and len(setup.failed) == 2
    for row in rows:
        row["audio_filepath"] = "gone.wav"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"not one of 24.*gone\.wav"):
        main(command)
    assert not (out / "index.json").exists()


def test_without_a_dev_manifest_some_records_are_held_out(folder):
    setup = prepare(replace(CONFIG, train_manifests=(str(folder),)), "auto")
    assert len(setup.train.examples) + len(setup.dev.examples) == 24 and len(setup.dev.examples)
    assert {e.utterance.speaker for e in setup.train.examples}.isdisjoint(
        {e.utterance.speaker for e in setup.dev.examples}
    )
