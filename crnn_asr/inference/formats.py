"""Transcripts as text: plain, JSON, subtitles, tables."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from crnn_asr.inference.transcript import Transcript, Word

FORMATS = ("text", "json", "srt", "vtt", "tsv")
SUBTITLES = ("srt", "vtt")  # formats whose whole output is of one recording

MAX_CUE_CHARACTERS = 42  # a line of subtitles, by the usual guidelines
MAX_CUE_S = 6.0
MIN_PAUSE_S = 0.7  # a silence at least this long starts a new cue


def header(form: str) -> str:
    """What goes before the first recording."""
    return {"vtt": "WEBVTT\n", "tsv": "file\tstart_s\tend_s\ttext\n"}.get(form, "")


def render(transcript: Transcript, file: str, form: str, name_files: bool = False) -> str:
    """One recording's transcript, with a line end, to stand after `header`.

    text is the text, after the file's name and a tab where `name_files`. json is an object on one line, so that several
    recordings make JSON Lines. srt, vtt and tsv have a cue a block or line.
    """
    if form == "text":
        return (f"{file}\t" if name_files else "") + transcript.text + "\n"
    if form == "json":
        return json.dumps(_as_dict(transcript, file), ensure_ascii=False) + "\n"
    cues = group_cues(transcript.words)
    if form == "tsv":
        return "".join(f"{file}\t{cue.start_s:.3f}\t{cue.end_s:.3f}\t{cue.text}\n" for cue in cues)
    if form == "srt":
        return "\n".join(f"{i}\n{_span(cue, ',')}\n{cue.text}\n" for i, cue in enumerate(cues, start=1))
    return "".join(f"\n{_span(cue, '.')}\n{cue.text}\n" for cue in cues)


def group_cues(words: Sequence[Word]) -> list[Word]:
    """Subtitle cues: words joined until a pause, a full line or `MAX_CUE_S` divides them. A word is never split."""
    cues: list[Word] = []
    for word in words:
        if cues and _belongs(word, cues[-1]):
            cues[-1] = Word(f"{cues[-1].text} {word.text}", cues[-1].start_s, word.end_s)
        else:
            cues.append(word)
    return cues


def _belongs(word: Word, cue: Word) -> bool:
    return (
        word.start_s - cue.end_s < MIN_PAUSE_S
        and len(cue.text) + 1 + len(word.text) <= MAX_CUE_CHARACTERS
        and word.end_s - cue.start_s <= MAX_CUE_S
    )


def _as_dict(transcript: Transcript, file: str) -> dict[str, object]:
    return {
        "file": file,
        "text": transcript.text,
        "duration_s": round(transcript.duration_s, 3),
        "real_time_factor": round(transcript.real_time_factor, 6),
        "words": [
            {**asdict(word), "start_s": round(word.start_s, 3), "end_s": round(word.end_s, 3)}
            for word in transcript.words
        ],
    }


def _span(cue: Word, point: str) -> str:
    return f"{_clock(cue.start_s, point)} --> {_clock(cue.end_s, point)}"


def _clock(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
