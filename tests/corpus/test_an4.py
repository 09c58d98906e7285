"""AN4: the official lists, the split by speakers, and every gap between lists and recordings named."""

from pathlib import Path

import pytest

from crnn_asr.corpus.an4 import read_an4
from crnn_asr.corpus.manifest import Problem
from crnn_asr.corpus.recording import Recording
from crnn_asr.errors import DataError


def read(source: Path, audio_format: str = "wav") -> dict[str, tuple[list[Recording], list[Problem]]]:
    """What can be converted of each split, and what cannot."""
    return {
        name: (
            [item for item in found if isinstance(item, Recording)],
            [item for item in found if isinstance(item, Problem)],
        )
        for name, found in read_an4(source, audio_format).items()
    }


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_recordings_are_paired_with_their_words(an4: Path) -> None:
    splits = read(an4, "flac")
    assert list(splits) == ["train", "dev"]
    assert [problems for _, problems in splits.values()] == [[], []]
    items = sorted((item for items, _ in splits.values() for item in items), key=lambda item: item.source)
    assert len(items) == 30
    for item in items:
        _, speaker, _ = item.id.split("-")
        assert item.source == f"{an4}/wav/an4_clstk/{speaker}/{item.id}.sph"
        assert item.target == f"wav/an4_clstk/{speaker}/{item.id}.flac"
        assert item.speaker == speaker
    assert [item.text for item in splits["train"][0][:3]] == ["WORD 0", "WORD 1", "WORD 2"]


def test_dev_is_every_ninth_speaker_from_the_fifth_on(an4: Path) -> None:
    splits = read(an4)
    speakers = {name: {item.speaker for item in items} for name, (items, _) in splits.items()}
    everybody = sorted(speakers["train"] | speakers["dev"])
    assert len(everybody) == 15
    assert speakers["dev"] == {everybody[4], everybody[13]}
    assert not speakers["train"] & speakers["dev"]


def test_a_missing_recording_does_not_move_the_split(an4: Path) -> None:
    before = {item.speaker for item in read(an4)["dev"][0]}
    for path in (an4 / "wav" / "an4_clstk" / "fspa").iterdir():
        path.unlink()
    splits = read(an4)
    assert {item.speaker for item in splits["dev"][0]} == before
    assert [problem.where for problem in splits["train"][1]] == [
        f"{an4}/wav/an4_clstk/fspa/{kind}-fspa-b.sph" for kind in ("an1", "cen2")
    ]


def test_the_test_set_is_taken_where_it_is_there(an4: Path, write_an4_set) -> None:
    fileids = ["an4test_clstk/fcaw/an406-fcaw-b", "an4test_clstk/mmxg/cen8-mmxg-b"]
    write_an4_set(an4, "an4_test", fileids)
    items, problems = read(an4)["test"]
    assert problems == []
    assert [(item.speaker, item.text) for item in items] == [("fcaw", "WORD 0"), ("mmxg", "WORD 1")]


def test_every_gap_is_named_and_the_rest_is_kept(an4: Path, write_tone) -> None:
    etc, wav = an4 / "etc", an4 / "wav" / "an4_clstk"
    texts, fileids = etc / "an4_train.transcription", etc / "an4_train.fileids"
    (wav / "fspa" / "an1-fspa-b.sph").unlink()
    edit(texts, "WORD 3 (cen2-mspb-b)", "WORD 3 cen2-mspb-b")
    edit(texts, "<s> WORD 4 </s> (an1-fspc-b)", "<s> </s> (an1-fspc-b)")
    texts.write_text(texts.read_text() + "WORD (an1-mspb-b)\nWORD (an9-nobody-b)\n")
    fileids.write_text(fileids.read_text() + "an4_clstk/fspa/cen2-fspa-b\n../../etc/passwd\n/etc/passwd\nalone\n\n")
    write_tone(wav / "mspd" / "an7-mspd-b.sph", format="NIST")
    splits = read(an4)
    problems = [str(problem) for _, problems in splits.values() for problem in problems]
    assert sorted(problems) == sorted(
        [
            f"{wav}/fspa/an1-fspa-b.sph: listed, but there is no such recording",
            f"{wav}/mspb/cen2-mspb-b.sph: has no transcript",
            f"{wav}/fspc/an1-fspc-b.sph: has no transcript",
            f"{wav}/mspd/an7-mspd-b.sph: is not listed in the fileids",
            f"{texts}:4: expected WORDS (id), got 'WORD 3 cen2-mspb-b'",
            f"{texts}:5: expected WORDS (id), got '<s> </s> (an1-fspc-b)'",
            f"{texts}:31: an1-mspb-b stands twice, the first line counts",
            f"{texts}:32: an9-nobody-b is not listed in an4_train.fileids",
            f"{fileids}:31: cen2-fspa-b stands twice, the first line counts",
            f"{fileids}:32: expected folder/speaker/id below wav, got '../../etc/passwd'",
            f"{fileids}:33: expected folder/speaker/id below wav, got '/etc/passwd'",
            f"{fileids}:34: expected folder/speaker/id below wav, got 'alone'",
        ]
    )
    assert sum(len(items) for items, _ in splits.values()) == 27


def test_the_folder_above_is_understood(an4: Path, tmp_path: Path) -> None:
    an4.rename(tmp_path / "an4")
    assert len(read(tmp_path)["train"][0]) == 26


def test_recordings_are_found_whatever_their_suffix(an4: Path) -> None:
    for path in sorted((an4 / "wav").rglob("*.sph")):
        path.rename(path.with_suffix(".wav"))
    splits = read(an4)
    assert sum(len(items) for items, _ in splits.values()) == 30


@pytest.mark.parametrize("folder", ["", "missing"])
def test_another_folder_is_refused(folder: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected the AN4 corpus with a file etc/an4_train\.fileids"):
        read_an4(tmp_path / folder)


def test_lists_that_are_no_text_are_refused(an4: Path) -> None:
    (an4 / "etc" / "an4_train.transcription").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"an4_train\.transcription: expected a text file in UTF-8"):
        read(an4)


@pytest.mark.realdata
def test_the_real_lists_give_the_dev_set_that_others_use(shared_data: Path) -> None:
    splits = read(shared_data / "an4")
    assert [len(items) for items, _ in splits.values()] == [848, 100]
    assert [problems for _, problems in splits.values()] == [[], []]
    dev_speakers = {item.speaker for item in splits["dev"][0]}
    assert sorted(speaker[0] for speaker in dev_speakers) == ["f"] * 2 + ["m"] * 6
    assert not dev_speakers & {item.speaker for item in splits["train"][0]}
    assert sum(len(item.text.split()) for items, _ in splits.values() for item in items) == 5442
