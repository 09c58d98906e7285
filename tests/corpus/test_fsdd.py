"""The Free Spoken Digit Dataset: words of digits, one speaker left out, odd files named."""

from pathlib import Path

import pytest

from crnn_asr.corpus.fsdd import read_fsdd
from crnn_asr.corpus.manifest import Problem, read_manifest
from crnn_asr.corpus.recording import Recording
from crnn_asr.errors import DataError

SPEAKERS = ("george", "jackson", "theo")


@pytest.fixture
def fsdd(tmp_path: Path, write_tone) -> Path:
    """Three speakers say 7 and 0 twice each."""
    for speaker in SPEAKERS:
        for name in (f"{digit}_{speaker}_{number}" for digit in (7, 0) for number in (0, 11)):
            write_tone(tmp_path / "fsdd" / "recordings" / f"{name}.wav", rate_hz=8_000)
    return tmp_path / "fsdd"


@pytest.mark.parametrize(("leave_out", "left_out"), [(None, "theo"), ("george", "george")])
def test_one_speaker_is_test_alone(fsdd: Path, leave_out: str | None, left_out: str) -> None:
    splits = read_fsdd(fsdd, "flac", leave_out)
    speakers = {name: {item.speaker for item in found} for name, found in splits.items()}
    assert speakers == {"train": set(SPEAKERS) - {left_out}, "test": {left_out}}
    assert [len(found) for found in splits.values()] == [8, 4]
    for found in splits.values():
        for item in found:
            digit, speaker, _ = item.id.split("_")
            assert item.text == {"7": "seven", "0": "zero"}[digit] and item.speaker == speaker
            assert item.source == f"{fsdd}/recordings/{item.id}.wav"
            assert item.target == f"wav/{speaker}/{item.id}.flac"


def test_the_folder_of_recordings_is_understood_and_odd_files_are_named(fsdd: Path, write_tone) -> None:
    for name in ("x_theo_1", "7_theo", "77_theo_1"):
        write_tone(fsdd / "recordings" / f"{name}.wav")
    found = read_fsdd(fsdd / "recordings")["train"]
    problems = [item for item in found if isinstance(item, Problem)]
    assert [Path(problem.where).stem for problem in problems] == ["77_theo_1", "7_theo", "x_theo_1"]
    assert "digit_speaker_number" in problems[0].reason and len(found) == 8 + 3


def test_other_folders_and_speakers_are_refused(fsdd: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="speakers george, jackson, theo, got nobody"):
        read_fsdd(fsdd, leave_out="nobody")
    with pytest.raises(DataError, match=r"named like 7_jackson_32\.wav, got those of 0"):
        read_fsdd(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_fsdd(tmp_path / "missing")


def test_the_command_writes_both_manifests(fsdd: Path, tmp_path: Path, script, capsys) -> None:
    main, out = script("convert_fsdd").main, tmp_path / "out"
    assert main([str(fsdd), "--out", str(out), "--jobs", "1", "--leave-out", "jackson"]) == 0
    assert f"{out}/test.jsonl: 4 utterances, 0.00 h (4 converted now), 0 problems" in capsys.readouterr().out
    utterances, problems = read_manifest(out / "train.jsonl")
    assert problems == [] and {item.speaker for item in utterances} == {"george", "theo"}
    (fsdd / "recordings" / "odd.wav").write_bytes(b"")
    assert main([str(fsdd), "--out", str(out), "--jobs", "1", "--leave-out", "jackson"]) == 1
    assert "odd.wav: is not named digit_speaker_number" in capsys.readouterr().err


@pytest.mark.realdata
def test_the_real_recordings(shared_data: Path) -> None:
    splits = read_fsdd(shared_data / "fsdd", leave_out="george")
    assert all(isinstance(item, Recording) for found in splits.values() for item in found)
    assert {name: len(found) for name, found in splits.items()} == {"train": 2_000, "test": 500}
    assert len({item.text for item in splits["test"]}) == 10
