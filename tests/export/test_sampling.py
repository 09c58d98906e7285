"""Which utterances calibrate, and which must not."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from crnn_asr.audio.features import compute_features
from crnn_asr.config import FeatureConfig, RunConfig
from crnn_asr.corpus.manifest import Utterance, read_manifest
from crnn_asr.errors import DataError
from crnn_asr.export.sampling import choose, level_db, read_features, spread
from crnn_asr.export.sets import read_sets, without_dev
from crnn_asr.strict_json import load_config


@pytest.fixture
def corpus(tmp_path) -> list[Utterance]:
    """16 utterances: 4 lengths, each at 4 levels, −10 to −40 dB."""
    utterances = []
    for length in range(1, 5):
        for level in (-20, -40, -10, -30):
            path = tmp_path / f"{length}{level}.wav"
            sine = np.sin(np.arange(1_600 * length) * np.pi / 8)  # a power of −3 dB
            soundfile.write(path, 10 ** ((level + 3.0103) / 20) * sine, 16_000, subtype="FLOAT")
            utterances.append(Utterance(path, 0.1 * length, "", id=path.stem))
    return utterances


def test_lengths_and_levels_are_both_spread_and_order_does_not_matter(corpus, rng):
    chosen, problems = choose(corpus, 4, 16_000)
    assert not problems
    assert [utterance.id for utterance in chosen] == ["1-30", "1-10", "3-30", "3-10"]
    shuffled = [corpus[number] for number in rng.permutation(len(corpus))]
    assert choose(shuffled, 4, 16_000)[0] == chosen


def test_all_are_taken_where_there_are_few(corpus):
    for wanted in (16, 100):
        assert sorted(one.id for one in choose(corpus, wanted, 16_000)[0]) == sorted(one.id for one in corpus)
    for wanted in range(1, 16):
        chosen = choose(corpus, wanted, 16_000)[0]
        assert len(chosen) == len(set(chosen)) == wanted


def test_spread_and_level_by_hand(rng):
    assert spread(range(10), 2) == [2, 7]
    assert spread(range(3), 5) == [0, 1, 2]
    assert level_db(np.full(100, 0.1, np.float32)) == pytest.approx(-20, abs=1e-4)
    assert level_db(np.zeros(100, np.float32)) == -120


def test_what_cannot_be_read_is_named(corpus, tmp_path):
    missing = Utterance(tmp_path / "none.wav", 0.45, "", id="none")
    chosen, problems = choose([*corpus, missing], 17, 16_000)
    assert len(chosen) == 16 and [problem.where for problem in problems] == ["none"]
    moves = []
    features, problems = read_features(
        [corpus[0], missing, corpus[1]], FeatureConfig(), lambda *move: moves.append(move)
    )
    assert len(features) == 2 and moves == [(1, 3), (2, 3), (3, 3)]
    assert [problem.where for problem in problems] == ["none"] and "No such file" in problems[0].reason
    with pytest.raises(DataError, match="not one calibration utterance"):
        read_features([missing], FeatureConfig(), lambda *_: None)
    with pytest.raises(DataError, match="not one calibration utterance"):
        choose([missing], 3, 16_000)


def test_features_come_from_the_one_front_end(melodies):
    (utterance, *_), _ = read_manifest(melodies / "dev.jsonl")
    samples, _ = soundfile.read(utterance.audio_path, dtype="float32")
    features, _ = read_features([utterance], FeatureConfig(), lambda *_: None)
    np.testing.assert_array_equal(features[0], compute_features(samples, FeatureConfig()))


def test_dev_never_calibrates_under_whatever_name(corpus, tmp_path):
    dev = replace(corpus[0], text="yes")
    link, copy = tmp_path / "link.wav", tmp_path / "copy.wav"
    link.symlink_to(dev.audio_path)
    shutil.copy(dev.audio_path, copy)
    others, left_out = without_dev(
        [
            replace(dev, id="same-file", text="no"),
            replace(dev, id="same-file-by-a-link", audio_path=link),
            replace(dev, id="same-content", audio_path=copy),
            replace(dev, audio_path=corpus[1].audio_path),
            replace(dev, audio_path=corpus[2].audio_path, text="another one that happens to be called so"),
            corpus[3],
            replace(corpus[4], audio_path=tmp_path / "gone.wav"),
        ],
        [dev, replace(corpus[5], audio_path=tmp_path / "gone.too.wav")],
    )
    assert [one.audio_path for one in others] == [corpus[2].audio_path, corpus[3].audio_path, tmp_path / "gone.wav"]
    assert [problem.where for problem in left_out] == ["same-file", "same-file-by-a-link", "same-content", dev.id]
    assert "a copy of a recording in dev" in left_out[2].reason and "id and transcript" in left_out[3].reason


def test_the_sets_are_those_of_the_run_or_those_named(melodies, melody_run, tmp_path):
    config = load_config(RunConfig, melody_run / "config.json")
    sets = read_sets(config)
    assert (len(sets.calibration), len(sets.dev), sets.problems, sets.left_out) == (24, 10, (), ())
    train, dev = melodies / "train.jsonl", melodies / "dev.jsonl"
    half = tmp_path / "half.jsonl"
    rows = [json.loads(line) for line in [*dev.read_text().splitlines(), *train.read_text().splitlines()[:7]]]
    for row in rows:
        row["audio_filepath"] = str(melodies / row["audio_filepath"])
    half.write_text("\n".join(map(json.dumps, rows)))
    mixed = read_sets(config, calibration=half)
    assert (len(mixed.calibration), len(mixed.left_out)) == (7, 10)
    with pytest.raises(DataError, match=r"not in dev, got 10 that all are.*dev00\.wav is in dev; name other"):
        read_sets(config, calibration=dev)
    gone = replace(config, train_manifests=("gone.jsonl",))
    assert len(read_sets(gone, calibration=train, dev=dev).dev) == 10
    with pytest.raises(FileNotFoundError):
        read_sets(gone)
    held_out = read_sets(replace(config, dev_manifest=""))
    assert len(held_out.calibration) + len(held_out.dev) == 24
    assert not {u.speaker for u in held_out.calibration} & {u.speaker for u in held_out.dev}
