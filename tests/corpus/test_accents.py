"""Accents: what espeak-ng makes of the spellings, by its own phonemes; the file's faults by line."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.corpus.accents import read_accents, respell
from crnn_asr.corpus.grammar_parser import parse_grammar
from crnn_asr.corpus.speech import Speaker, Voice
from crnn_asr.corpus.synthesize import synthesize
from crnn_asr.corpus.voices import TEST, TRAIN
from crnn_asr.errors import DataError

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "accents" / "digits.txt"
DIGITS = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
GRAMMAR = parse_grammar("<utterance> = six | three;")


def ipa(text: str, language: str) -> str:
    """How espeak-ng's voice for a language reads a text, in the International Phonetic Alphabet."""
    with Speaker(Voice(language, "m1")) as speaker:
        to_phonemes = speaker._library.espeak_TextToPhonemes
        to_phonemes.restype = ctypes.c_char_p
        rest = ctypes.c_char_p(text.encode())
        return to_phonemes(ctypes.byref(rest), 1, 2).decode()


def test_each_language_says_each_digit():
    accents = read_accents(SHIPPED)
    assert len(accents) == 10
    for language, spellings in accents.items():
        assert set(spellings) == DIGITS
        sounds = {word: ipa(spelling, language) for word, spelling in spellings.items()}
        assert "i" in sounds["three"] and "f" in sounds["four"] and "u" in sounds["two"], (language, sounds)
        assert sounds["six"].lstrip("ˈ")[0] in "sɕ" and "k" in sounds["six"], (language, sounds)
        assert len(set(sounds.values())) == 10, (language, sounds)
        assert max(map(len, sounds.values())) < 10, f"{language} spells letters out: {sounds}"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_with_remarks_and_capitals(tmp_path: Path):
    path = write(tmp_path / "a.txt", "# mine\nfr Six sixe  # as in French\n\nde six siks\nfr three srie\n")
    assert read_accents(path) == {"fr": {"six": "sixe", "three": "srie"}, "de": {"six": "siks"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fr six sixe\nfr six\n", r"a.txt:2: expected LANGUAGE WORD SPELLING, got 'fr six'"),
        ("fr six sixe\nde six a\nfr SIX siks\n", r"a.txt:3: fr spells 'SIX' a second time"),
        ("# nothing\n", "got none"),
    ],
)
def test_faults_are_named_by_line(tmp_path: Path, text: str, message: str):
    with pytest.raises(DataError, match=message):
        read_accents(write(tmp_path / "a.txt", text))


def test_what_is_not_a_text_is_said_so(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"fr six \xff\xfe\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_accents(tmp_path / "a.txt")


def test_words_are_found_in_any_case_and_none_is_passed_over():
    spellings = {"six": "sixe", "three": "srie"}
    assert respell("SIX three six", spellings, "fr") == "sixe srie sixe"
    with pytest.raises(DataError, match="spelling of 'nine' for the voices of fr, got none; add a line 'fr nine SPELL"):
        respell("six nine", spellings, "fr")


def test_transcripts_keep_the_words_and_the_sound_is_that_of_the_spelling(tmp_path: Path):
    as_spelled = parse_grammar("<utterance> = siks | tiri;")
    synthesize(as_spelled, tmp_path / "spelled", {TRAIN: 6}, languages=["tr", "en"])
    accents = {"tr": {"six": "siks", "three": "tiri"}}
    synthesize(GRAMMAR, tmp_path / "accented", {TRAIN: 6}, languages=["tr", "en"], accents=accents)
    texts = {
        name: {path.parts[-3]: path.read_text().split()[1] for path in (tmp_path / name).rglob("*.trans.txt")}
        for name in ("spelled", "accented")
    }
    assert set(texts["accented"].values()) == {"SIX", "THREE"}, "English capitals, not Turkish ones: SİX"
    for speaker, text in texts["accented"].items():
        spelled, accented = (
            soundfile.read(next((tmp_path / name).rglob(f"{speaker}-1-0000.flac")))[0] for name in texts
        )
        turkish = int(speaker) % 2 == 1  # the voices take turns
        assert np.array_equal(spelled, accented) == turkish
        assert (
            texts["spelled"][speaker]
            == {"SIX": "SİKS" if turkish else "SIKS", "THREE": "TİRİ" if turkish else "TIRI"}[text]
        )


def test_accents_of_no_language_that_speaks_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="one of the languages en, got those of tr"):
        synthesize(GRAMMAR, tmp_path, {TEST: 1}, languages=["en"], accents={"tr": {"six": "siks"}})


def test_the_script_speaks_with_the_languages_of_the_file(script, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    grammar = write(tmp_path / "grammar.txt", "<utterance> = six | three;")
    accents = write(tmp_path / "accents.txt", "fr six sixe\nfr three srie\nel six σιξ\nel three θρι\n")
    arguments = ["--grammar", str(grammar), "--accents", str(accents), "--out", str(tmp_path), "--jobs", "1"]
    assert script("synthesize").main([*arguments, "--train", "4", "--dev", "0", "--test", "0"]) == 0
    names = [line.split()[-1] for line in (tmp_path / "LibriSpeech" / "SPEAKERS.TXT").read_text().splitlines()[1:]]
    assert [name.split("+")[0] for name in names] == ["fr", "el", "fr", "el"]
    assert "4 utterances, 4 voices" in capsys.readouterr().out
