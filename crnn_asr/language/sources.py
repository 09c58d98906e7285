"""Words and sentences from files, normalized as transcripts are."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from crnn_asr.config import TextConfig
from crnn_asr.corpus.manifest import Problem, read_manifest
from crnn_asr.errors import DataError
from crnn_asr.text.normalize import normalize


def read_lexicon(path: Path, config: TextConfig) -> frozenset[str]:
    """The words of a text file, one a line.

    Raises:
        DataError: a line that is not one word, no word at all, or not a text; the message names the line.
        OSError: the file cannot be opened.
    """
    words = set()
    for number, line in enumerate(_lines(path), start=1):
        text = normalize(line, config)
        if " " in text or (line.strip() and not text):
            raise DataError(f"{path}:{number}: expected one word a line, got {line.strip()[:60]!r}")
        words.add(text)
    if not words - {""}:
        raise DataError(f"{path}: expected a word a line, got an empty file")
    return frozenset(words - {""})


def read_sentences(paths: Sequence[Path], config: TextConfig) -> tuple[list[str], list[Problem]]:
    """Sentences of JSONL manifests (files whose name ends in `.jsonl`) and of texts, one a line; empty ones left out.

    Returns:
        The sentences, and the bad lines of manifests.

    Raises:
        DataError: not one sentence in all, or a file that is not a text.
        OSError: a file cannot be opened.
    """
    sentences: list[str] = []
    problems: list[Problem] = []
    for path in paths:
        if path.suffix == ".jsonl":
            utterances, bad = read_manifest(path)
            problems += bad
            texts: Iterator[str] = (utterance.text for utterance in utterances)
        else:
            texts = _lines(path)
        sentences += filter(None, (normalize(text, config) for text in texts))
    if not sentences:
        raise DataError(f"expected sentences in {', '.join(map(str, paths))}, got none")
    return sentences, problems


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            yield from lines
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a text in UTF-8, got other bytes") from error
