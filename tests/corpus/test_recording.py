"""What importers find: which file is the recording, and recordings kept in a file."""

import io
from pathlib import Path

from crnn_asr.corpus.manifest import Problem
from crnn_asr.corpus.recording import Recording, audio_by_stem, store, stored


def test_recordings_come_back_from_a_file_as_they_were() -> None:
    recordings = [
        Recording("a b/ü\udcff.wav", "c/1.wav", 'line\nbreak, "quote", \u2028', "s", "1"),
        Recording("x", "y", "", "", ""),
    ]
    problems = [Problem("x:1", "reason"), Problem("x:2", "reason")]
    file = io.StringIO()
    assert store(iter([problems[0], recordings[0], problems[1], recordings[1]]), file) == (2, problems)
    assert list(stored(file)) == list(stored(file)) == recordings
    assert file.getvalue().isascii()


def test_of_several_files_with_one_stem_the_recording_is_taken(tmp_path: Path) -> None:
    for name in ("a.TextGrid", "a.flac", "a.txt", "a.wav", "b", "b.x", ".c.flac", "d.txt"):
        (tmp_path / name).touch()
    assert {stem: path.name for stem, path in audio_by_stem(tmp_path).items()} == {"a": "a.flac", "b": "b"}
