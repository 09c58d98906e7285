"""Transcripts as the model writes them: one Unicode form, one case, single spaces, no punctuation but apostrophes."""

import unicodedata

from crnn_asr.config import TextConfig

# Azerbaijani and Turkish have i/İ and ı/I as two letters, where Python's own casing follows English.
_DOTLESS_LOWER = str.maketrans({"I": "ı", "İ": "i"})
_DOTLESS_UPPER = str.maketrans({"ı": "I", "i": "İ"})
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'"})


def normalize(text: str, config: TextConfig) -> str:
    """One line of text as symbols: NFC, the configured case, punctuation as space, apostrophes only beside letters.

    Example:
        >>> normalize("Don\u2019t  STOP, now!", TextConfig())
        "don't stop now"
    """
    text = _change_case(unicodedata.normalize("NFC", text), config)
    text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    text = "".join(" " if _is_punctuation(character) else character for character in text)
    words = (word if any(map(str.isalnum, word)) else "" for word in text.split())
    return " ".join(word for word in words if word)


def _change_case(text: str, config: TextConfig) -> str:
    dotless = config.language in ("az", "tr")
    if config.casing == "lower":
        return (text.translate(_DOTLESS_LOWER) if dotless else text).lower()
    if config.casing == "upper":
        return (text.translate(_DOTLESS_UPPER) if dotless else text).upper()
    return text


def _is_punctuation(character: str) -> bool:
    return character != "'" and unicodedata.category(character)[0] in "PSZC"
