"""Accents of other languages: an English "three" as a voice for German says it when it reads "srie".

Voices for other languages know the sounds of theirs and no others, as many speakers do. Only the words have to be
spelled as that language would spell what it hears.
"""

from collections.abc import Mapping
from pathlib import Path

from crnn_asr.errors import DataError

Spellings = Mapping[str, str]  # how a language spells each word


def read_accents(path: Path) -> dict[str, dict[str, str]]:
    """Spellings by language, of a text with a line a word: LANGUAGE WORD SPELLING; # begins a remark.

    Raises:
        DataError: a line that is not three words, a word spelled twice in a language, no line at all, or not a text;
            the message names the line.
        OSError: the file cannot be read.
    """
    accents: dict[str, dict[str, str]] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a text in UTF-8, got other bytes") from error
    for number, line in enumerate(lines, start=1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        if len(fields) != 3:
            raise DataError(f"{path}:{number}: expected LANGUAGE WORD SPELLING, got {line.strip()[:60]!r}")
        language, word, spelling = fields
        own = accents.setdefault(language, {})
        if word.lower() in own:
            raise DataError(f"{path}:{number}: {language} spells {word!r} a second time; keep one of the two lines")
        own[word.lower()] = spelling
    if not accents:
        raise DataError(f"{path}: expected lines of LANGUAGE WORD SPELLING, got none")
    return accents


def respell(sentence: str, spellings: Spellings, language: str) -> str:
    """The sentence as the voice of a language is to read it, every word by its spelling.

    Raises:
        DataError: a word has no spelling.

    Example:
        >>> respell("three six", {"three": "sri", "six": "sixe"}, "fr")
        'sri sixe'
    """
    words = sentence.split()
    for word in words:
        if word.lower() not in spellings:
            raise DataError(
                f"expected a spelling of {word!r} for the voices of {language}, got none; "
                f"add a line '{language} {word} SPELLING' to the file of accents"
            )
    return " ".join(spellings[word.lower()] for word in words)
