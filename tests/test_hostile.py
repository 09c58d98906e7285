"""Two hundred broken recordings, fifty broken manifests: no crash, no hang, what is good is used, all else is named."""

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hostile import mutated_manifests, mutated_recordings

from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio
from crnn_asr.checking.check import check
from crnn_asr.config import FeatureConfig
from crnn_asr.corpus.manifest import Utterance, read_manifest, write_manifest
from crnn_asr.errors import DataError
from crnn_asr.presets import PRESETS

NUM_RECORDINGS, NUM_MANIFESTS = 200, 50


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, bool]]:
    """Files, and whether each is certainly unusable."""
    folder, found = tmp_path_factory.mktemp("hostile"), []
    for number, (data, is_bad) in enumerate(mutated_recordings(NUM_RECORDINGS, seed=17)):
        found.append((folder / f"{number}.wav", is_bad))
        found[-1][0].write_bytes(data)
    return found


@pytest.fixture(scope="module")
def good_rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder, rng = tmp_path_factory.mktemp("good"), np.random.default_rng(2)
    rows = []
    for number in range(6):
        soundfile.write(folder / f"{number}.wav", 0.1 * rng.standard_normal(8_000 + 160 * number), 16_000)
        duration = 0.5 + 0.01 * number
        row = {"audio_filepath": str(folder / f"{number}.wav"), "duration": duration, "text": "gənc a"}
        rows.append({**row, "speaker": f"s{number}", "id": str(number)})
    return rows


def test_reading_gives_usable_sound_or_a_sentence(recordings):
    outcomes = {True: 0, False: 0}
    for path, is_bad in recordings:
        try:
            samples = read_audio(path)
        except ValueError as error:
            assert str(error).startswith(str(path)) and len(str(error)) < 500
            outcomes[False] += 1
            continue
        outcomes[True] += 1
        assert not is_bad, path
        assert samples.dtype == np.float32 and samples.ndim == 1 and np.isfinite(samples).all()
        if FeatureConfig().num_frames(len(samples)):
            assert np.isfinite(compute_features(samples, FeatureConfig())).all()
    assert outcomes[False] > 100 and outcomes[True] > 15, "both kinds are tried"


def test_a_check_names_each_that_cannot_be_read_and_uses_the_rest(recordings, tmp_path):
    utterances = [Utterance(path, 0.5, "a", "s", path.stem) for path, _ in recordings]
    write_manifest(tmp_path / "m.jsonl", utterances)
    found = check([tmp_path / "m.jsonl"], 2)
    assert len(found.items) == NUM_RECORDINGS
    for item, (path, is_bad), findings in zip(found.items, recordings, found.findings):
        unreadable = "unreadable" in {finding.kind for finding in findings}
        assert item.utterance.audio_path.resolve() == path.resolve()
        assert unreadable == isinstance(item.measured, str) and (unreadable or not is_bad)
        try:
            read_audio(path)
        except ValueError:
            assert unreadable, "what training cannot read is a fault"


def test_every_good_line_of_a_broken_manifest_is_read_and_every_bad_one_named(good_rows, tmp_path):
    for number, (data, bad, num_good) in enumerate(mutated_manifests(good_rows, NUM_MANIFESTS, seed=3)):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(data)
        utterances, problems = read_manifest(path)
        assert len(utterances) == num_good, data
        assert {int(problem.where.rsplit(":", 1)[1]) for problem in problems} == bad, data
        assert all(len(problem.reason) < 600 and problem.reason.isprintable() for problem in problems)


def test_broken_manifests_are_checked_and_cleaned(good_rows, tmp_path, script, monkeypatch):
    monkeypatch.setattr("crnn_asr.checking.check.map_in_processes", lambda function, items, *_: map(function, items))
    monkeypatch.setattr("crnn_asr.checking.picture.draw_pictures", lambda *_: {})  # slow, and tested elsewhere
    main = script("check_data").main
    for number, (data, bad, _) in enumerate(mutated_manifests(good_rows, NUM_MANIFESTS, seed=4)):
        path, out = tmp_path / f"{number}.jsonl", tmp_path / f"out{number}"
        path.write_bytes(data)
        assert main([str(path), "--out", str(out)]) == 1
        left_out = [json.loads(line) for line in (out / f"{number}.left-out.jsonl").read_text().splitlines()]
        rows = [json.loads(line) for line in (out / f"{number}.clean.jsonl").read_text().splitlines()]
        assert bad <= {row["line"] for row in left_out} and all(row["reasons"] for row in left_out)
        assert len(rows) + len(left_out) == len(good_rows) + len(bad)
        assert {row["id"] for row in rows} <= {row["id"] for row in good_rows}


def test_training_is_prepared_from_them(good_rows, tmp_path):
    from crnn_asr.training.setup import prepare

    rows = [*good_rows, {**good_rows[0], "audio_filepath": "x" * 5_000, "id": "long"}]
    for number, (data, bad, _) in enumerate(mutated_manifests(rows, 10, seed=5)):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(data)
        config = replace(PRESETS["tiny"], train_manifests=(str(path),), dev_manifest=str(path))
        setup = prepare(config, "auto")
        assert len(setup.train.examples) == len(good_rows) and not setup.skipped
        assert len(setup.failed) == 2 * (len(bad) + 1), "named for training and for dev"
        with pytest.raises(DataError, match="leave out --strict"):
            prepare(config, "auto", strict=True)
