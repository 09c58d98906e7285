"""Data that changes during a run or before it is resumed or repeated."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from fault_runner import RunDirectory, arrays, make_trainer

from crnn_asr.errors import DataError
from crnn_asr.training.events import StepDone


@pytest.fixture
def corpus(tone_corpus, tmp_path) -> Path:
    """One that may be changed."""
    return Path(shutil.copytree(tone_corpus, tmp_path / "corpus"))


def test_repeated_from_its_own_configuration_to_the_bit_and_a_changed_file_is_named(corpus, tmp_path, script, capsys):
    main = script("train").main
    first = make_trainer(tmp_path / "first", corpus)
    list(first.events())
    second, third = tmp_path / "second", tmp_path / "third"
    assert main(["--from-run", str(first.run.root), "--out", str(second)]) == 0
    for found, wanted in zip(arrays(second), arrays(first.run.root), strict=True):
        np.testing.assert_array_equal(found, wanted)
    audio = corpus / "train" / "train-05.wav"
    data = bytearray(audio.read_bytes())
    data[5_000] ^= 1
    audio.write_bytes(data)
    (corpus / "dev.jsonl").write_text((corpus / "dev.jsonl").read_text() + "\n")
    for options in (["--out", str(second), "--resume"], ["--from-run", str(second), "--out", str(third)]):
        with pytest.raises(DataError, match=r"changed .*dev\.jsonl and .*train-05\.wav; .*--changed-data"):
            main(options)
    assert not RunDirectory(third).exists()
    assert main(["--out", str(second), "--resume", "--changed-data"]) == 0
    capsys.readouterr()
    for wrong, words in (
        (["--changed-data", "--out", str(third)], "--changed-data is for"),
        (["--from-run", str(second), "--resume", "--out", str(third)], "give one of them"),
        (["--from-run", str(second), "--epochs", "9", "--out", str(third)], "--from-run does as"),
        (["--from-run", str(second), "--out", str(second)], "holds a run"),
    ):
        assert main(wrong) == 2
        assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_manifest_that_is_edited_during_the_run(corpus, tmp_path, script, tally):
    """It was read at the start: this run goes on as it began, and is not resumed as if nothing were."""
    whole = make_trainer(tmp_path / "whole", corpus)
    list(whole.events())
    root, manifest = tmp_path / "run", corpus / "train.jsonl"
    assert script("train").main(["--from-run", str(tmp_path / "whole"), "--out", str(root)]) == 0
    shutil.rmtree(root / "checkpoints")
    trainer = make_trainer(tmp_path / "edited", corpus)
    lines = manifest.read_text().splitlines(keepends=True)
    for event in trainer.events():
        if isinstance(event, StepDone) and trainer.progress.step == 3:
            manifest.write_text("".join(lines[5:]))
    for found, wanted in zip(arrays(tmp_path / "edited"), arrays(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(DataError, match=r"train\.jsonl"):
        script("train").main(["--out", str(root), "--resume"])
    manifest.write_text("".join(lines))
    assert script("train").main(["--out", str(root), "--resume"]) == 0
    for found, wanted in zip(arrays(root), arrays(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(found, wanted)
    tally("manifest edited during the run", 1, 0, 0)
