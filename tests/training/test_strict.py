"""train.py --strict: the first fault is a sentence and an end, wherever it is met; without it, it is left out."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from crnn_asr.errors import DataError
from crnn_asr.presets import PRESETS
from crnn_asr.training.setup import prepare, strictly

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def manifest(tone_corpus, tmp_path) -> Path:
    """The tones' train, with absolute paths."""
    rows = [json.loads(line) for line in (tone_corpus / "train.jsonl").read_text().splitlines()]
    for row in rows:
        row["audio_filepath"] = str(tone_corpus / row["audio_filepath"])
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def damage(manifest: Path, **values: object) -> None:
    """The fourth line."""
    lines = manifest.read_text().splitlines()
    lines[3] = json.dumps({**json.loads(lines[3]), **values})
    manifest.write_text("\n".join(lines))


def config(manifest: Path, dev: Path):
    return replace(PRESETS["tiny"], train_manifests=(str(manifest),), dev_manifest=str(dev))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"duration": None}, r"train\.jsonl:4: expected \"duration\" in seconds"),
        ({"audio_filepath": "gone.wav"}, r"train-03: no audio file at "),
        ({"text": "é"}, r"train-03: symbols outside the alphabet: 'é'"),
        ({"text": ""}, r"train-03: empty transcript"),
        ({"duration": 99}, r"train-03: too long: 99\.00 s"),
    ],
)
def test_a_fault_of_the_manifest_stops_before_training(values, reason, manifest, tone_corpus):
    wanted = config(manifest, tone_corpus / "dev.jsonl")
    assert prepare(wanted, " abc", strict=True).failed == ()
    damage(manifest, **values)
    with pytest.raises(DataError, match=reason + r".*; correct it, or leave out --strict"):
        prepare(wanted, " abc", strict=True)
    setup = prepare(wanted, " abc")
    assert len(setup.failed) + len(setup.skipped) == 1 and len(setup.train.examples) == 23


@pytest.mark.parametrize("is_dev", [False, True])
def test_unusable_audio_stops_the_reading_of_its_batch(is_dev, manifest, tone_corpus, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_text("not audio")
    damage(manifest, audio_filepath=str(broken))
    train, dev = (tone_corpus / "train.jsonl", manifest) if is_dev else (manifest, tone_corpus / "dev.jsonl")
    setup = prepare(config(train, dev), " abc", strict=True)
    source = setup.dev if is_dev else setup.train
    plan = source.plan(0)
    with pytest.raises(DataError, match=r"train-03: .*broken\.wav: expected audio"), strictly(setup):
        for _ in source.dataset(plan):
            pass
    with pytest.raises(DataError, match="leave out --strict"), strictly(setup):
        for planned in plan.batches:
            source.load(plan, planned)
    lenient = prepare(config(train, dev), " abc")
    source = lenient.dev if is_dev else lenient.train
    assert sum(1 for _ in source.dataset(plan)) == len(plan.batches) and list(source.problems) == ["train-03"]


def test_other_errors_pass_as_they_are(manifest, tone_corpus):
    setup = prepare(config(manifest, tone_corpus / "dev.jsonl"), " abc", strict=True)
    with pytest.raises(DataError, match=r"^another$"), strictly(setup):
        raise DataError("another")


def test_the_command_ends_with_a_sentence(manifest, tone_corpus, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_text("not audio")
    damage(manifest, audio_filepath=str(broken))
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "--out", str(tmp_path / "run"), "--strict"]
    data = ["--train", str(manifest), "--dev", str(tone_corpus / "dev.jsonl"), "--preset", "tiny", "--epochs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([*command, *data], capture_output=True, text=True, env=environment, timeout=300)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode == 1 and len(errors) == 1, result.stderr
    assert errors[0].startswith(f"error: train-03: {broken}: expected audio") and "--strict" in errors[0]
    assert "Traceback" not in result.stderr
