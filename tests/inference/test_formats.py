"""Transcripts as text, JSON, subtitles and tables."""

import json

from crnn_asr.inference.formats import group_cues, header, render
from crnn_asr.inference.transcript import Transcript, Word

WORDS = (Word("well", 0.2, 0.5), Word("done", 0.6, 1.0), Word("you", 3661.9996, 3662.5))
TRANSCRIPT = Transcript(WORDS, duration_s=3700.0, seconds=7.4)


def test_text():
    assert render(TRANSCRIPT, "a.wav", "text") == "well done you\n"
    assert render(TRANSCRIPT, "a.wav", "text", name_files=True) == "a.wav\twell done you\n"
    assert render(Transcript((), 1.0, 0.1), "a.wav", "text") == "\n"


def test_json_is_one_line_with_letters_as_they_are():
    line = render(Transcript((Word("gəl", 0.1, 0.25),), 2.0, 0.01), "səs.wav", "json")
    assert line.count("\n") == 1 and "gəl" in line
    assert json.loads(line) == {
        "file": "səs.wav",
        "text": "gəl",
        "duration_s": 2.0,
        "real_time_factor": 0.005,
        "words": [{"text": "gəl", "start_s": 0.1, "end_s": 0.25}],
    }


def test_subtitles():
    assert header("srt") + render(TRANSCRIPT, "a.wav", "srt") == (
        "1\n00:00:00,200 --> 00:00:01,000\nwell done\n\n2\n01:01:02,000 --> 01:01:02,500\nyou\n"
    )
    assert header("vtt") + render(TRANSCRIPT, "a.wav", "vtt") == (
        "WEBVTT\n\n00:00:00.200 --> 00:00:01.000\nwell done\n\n01:01:02.000 --> 01:01:02.500\nyou\n"
    )
    silent = Transcript((), 1.0, 0.1)
    assert render(silent, "a.wav", "srt") == "" and header("vtt") + render(silent, "a.wav", "vtt") == "WEBVTT\n"


def test_table():
    table = header("tsv") + render(TRANSCRIPT, "a.wav", "tsv")
    assert [line.split("\t") for line in table.splitlines()] == [
        ["file", "start_s", "end_s", "text"],
        ["a.wav", "0.200", "1.000", "well done"],
        ["a.wav", "3662.000", "3662.500", "you"],
    ]


def test_cues_are_divided_by_pauses_width_and_time():
    def words(count: int, length: int, every_s: float, lasting_s: float) -> list[Word]:
        return [Word("x" * length, every_s * k, every_s * k + lasting_s) for k in range(count)]

    assert [cue.text.count("x") for cue in group_cues(words(4, 1, 1.0, 0.2))] == [1, 1, 1, 1]
    assert [cue.text.count("x") for cue in group_cues(words(4, 1, 0.5, 0.2))] == [4]
    wide = group_cues(words(10, 9, 0.5, 0.3))
    assert [len(cue.text) for cue in wide] == [39, 39, 19]
    slow = group_cues(words(12, 1, 1.0, 0.9))
    assert all(cue.end_s - cue.start_s <= 6 for cue in slow) and len(slow) == 2
    assert group_cues([Word("y" * 100, 0, 9)]) == [Word("y" * 100, 0, 9)]
    assert group_cues([]) == []
