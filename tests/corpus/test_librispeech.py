"""LibriSpeech trees: which subsets there are, and every gap between transcripts and recordings named."""

import shutil
from pathlib import Path

import pytest

from crnn_asr.corpus.librispeech import corpus_root, find_subsets, read_subset
from crnn_asr.corpus.manifest import Problem
from crnn_asr.corpus.recording import Recording


def read(folder: Path, audio_format: str = "wav") -> tuple[list[Recording], list[Problem]]:
    found = list(read_subset(folder, "dev", audio_format))
    return [item for item in found if isinstance(item, Recording)], [
        item for item in found if isinstance(item, Problem)
    ]


def test_recordings_are_paired_with_their_words(librispeech: Path) -> None:
    items, problems = read(librispeech / "dev-clean", "flac")
    assert problems == []
    assert [item.id for item in items] == [
        f"{chapter}-000{number}" for chapter in ("174-168", "174-50", "84-121", "84-122") for number in range(2)
    ]
    first = items[0]
    assert first.source == f"{librispeech}/dev-clean/174/168/174-168-0000.flac"
    assert first.target == "dev/174/168/174-168-0000.flac"
    assert (first.text, first.speaker) == ("WORDS OF 174 168 0000", "174")


@pytest.mark.parametrize("levels", [0, 1, -1])
def test_the_corpus_the_folder_above_and_one_subset_are_understood(levels: int, librispeech: Path) -> None:
    source = {0: librispeech, 1: librispeech.parent, -1: librispeech / "dev-clean"}[levels]
    assert find_subsets(source) == {"dev-clean": librispeech / "dev-clean"}


def test_subsets_are_sorted_and_other_folders_left_out(librispeech: Path) -> None:
    shutil.copytree(librispeech / "dev-clean", librispeech / "a-subset-of-mine")
    (librispeech / "notes").mkdir()
    (librispeech / "SPEAKERS.TXT").touch()
    assert list(find_subsets(librispeech)) == ["a-subset-of-mine", "dev-clean"]


def test_nothing_there_is_nothing_found(tmp_path: Path) -> None:
    assert find_subsets(tmp_path / "missing") == find_subsets(tmp_path) == {}
    assert corpus_root(tmp_path) == tmp_path


@pytest.mark.parametrize("suffix", [".wav", ".MP3", ".audio", ""])
def test_recordings_are_found_by_id_whatever_the_suffix(suffix: str, librispeech: Path) -> None:
    for path in librispeech.rglob("*.flac"):
        path.rename(path.with_suffix(suffix))
    items, problems = read(librispeech / "dev-clean")
    assert (len(items), problems) == (8, [])


def test_files_beside_the_recordings_do_no_harm(librispeech: Path) -> None:
    folder = librispeech / "dev-clean" / "84" / "121"
    names = ("84-121-0000.TextGrid", "84-121-0000.normalized.txt", "84-121.lab", ".DS_Store", "Thumbs.db", "._84.flac")
    for name in names:
        (folder / name).touch()
    (librispeech / "dev-clean" / "84" / "notes.txt").touch()
    items, problems = read(librispeech / "dev-clean")
    assert (len(items), problems) == (8, [])
    assert {Path(item.source).suffix for item in items} == {".flac"}


def test_every_gap_is_named_and_the_rest_is_kept(librispeech: Path, write_tone) -> None:
    subset = librispeech / "dev-clean"
    (subset / "84" / "121" / "84-121-0001.flac").unlink()
    transcript = subset / "84" / "121" / "84-121.trans.txt"
    transcript.write_text(transcript.read_text() + "\n84-121-0000 AGAIN\n84-121-0002\nnonsense line\n../../x UP\n")
    orphan = write_tone(subset / "84" / "122" / "84-122-0007.flac").rename(subset / "84" / "122" / "84-122-0007")
    stranger = write_tone(subset / "84" / "122" / "stranger.wav")
    (subset / "174" / "50" / "174-50.trans.txt").write_bytes(b"174-50-0000 \xff\xfe\n")
    silent = write_tone(subset / "174" / "999" / "174-999-0000.flac")
    items, problems = read(subset)
    assert [item.id for item in items] == ["174-168-0000", "174-168-0001", "84-121-0000", "84-122-0000", "84-122-0001"]
    assert items[2].text == "WORDS OF 84 121 0000"
    unread = problems.pop(0)
    assert unread.where == f"{subset}/174/50/174-50.trans.txt"
    assert "expected transcripts in UTF-8" in unread.reason
    assert [str(problem) for problem in problems] == [
        f"{subset}/174/50/174-50-0000.flac: has no transcript",
        f"{subset}/174/50/174-50-0001.flac: has no transcript",
        f"{silent}: has no transcript",
        f"{transcript}:4: 84-121-0000 stands twice, the first line counts",
        f"{transcript}:5: expected an id, a space and words, got '84-121-0002'",
        f"{transcript}:2: there is no recording 84-121-0001 beside this transcript",
        f"{transcript}:6: there is no recording nonsense beside this transcript",
        f"{transcript}:7: there is no recording ../../x beside this transcript",
        f"{orphan}: has no transcript",
        f"{stranger}: has no transcript",
    ]


def test_windows_line_ends_and_byte_order_marks_are_no_part_of_the_words(librispeech: Path) -> None:
    for path in librispeech.rglob("*.trans.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    items, problems = read(librispeech / "dev-clean")
    assert (len(items), problems) == (8, [])
    assert items[0].text == "WORDS OF 174 168 0000"
