"""Synthetic speech: pitch and length measured, the layout read back by the LibriSpeech importer, damage refused."""

import hashlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.corpus import synthesize as module
from crnn_asr.corpus.grammar_parser import parse_grammar
from crnn_asr.corpus.librispeech import find_subsets, read_subset
from crnn_asr.corpus.speech import Delivery, Speaker, Voice
from crnn_asr.corpus.synthesize import recording_conditions, synthesize
from crnn_asr.corpus.voices import DEV, ENGLISH_ACCENTS, TEST, TRAIN, voices
from crnn_asr.errors import DataError

GRAMMAR = parse_grammar("<utterance> = go (left | right) <digit>{2,3}; <digit> = one | two | three | four | five;")
SENTENCE = "climb to flight level one four zero"
PLAIN = Delivery()
COUNTS = {TRAIN: 43, DEV: 3, TEST: 14}


def say(voice: str, text: str = SENTENCE, delivery: Delivery = PLAIN) -> np.ndarray:
    with Speaker(Voice(*voice.split("+"))) as speaker:
        assert speaker.sample_rate_hz == 22_050
        return speaker.say(text, delivery)


def pitch_hz(samples: np.ndarray) -> float:
    """The median over voiced frames of the lag, 2.5 to 16 ms, at which the autocorrelation is highest."""
    lags = slice(22_050 // 400, 22_050 // 60)
    pitches = []
    for frame in np.lib.stride_tricks.sliding_window_view(samples, 1_024)[::512]:
        spectrum = np.fft.rfft(frame - frame.mean(), 2_048)
        correlation = np.fft.irfft(np.abs(spectrum) ** 2)
        if correlation[lags].max() > 0.4 * correlation[0] > 1:
            pitches.append(22_050 / (lags.start + np.argmax(correlation[lags])))
    return float(np.median(pitches))


def checksums(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def read_all(root: Path, subset: str) -> list[np.ndarray]:
    return [
        soundfile.read(path, dtype="float32")[0] for path in sorted((root / "LibriSpeech" / subset).rglob("*.flac"))
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic")
    synthesize(GRAMMAR, out, COUNTS, seed=3, jobs=2)
    return out


def test_speech_is_as_long_and_as_high_as_asked():
    plain = say("en-us+m3")
    assert 1.5 < len(plain) / 22_050 < 4 and 0.1 < np.abs(plain).max() <= 1
    slow, fast = (say("en-us+m3", delivery=Delivery(rate_wpm=rate)) for rate in (120, 240))
    assert len(slow) / len(fast) == pytest.approx(2, rel=0.2)
    low, high = (pitch_hz(say("en-us+m3", delivery=Delivery(pitch=pitch))) for pitch in (20, 80))
    assert 60 < low < 0.8 * high
    assert pitch_hz(say("en-us+f2")) > 1.4 * pitch_hz(plain)


def test_a_speaker_does_not_depend_on_what_others_said_before():
    before = say("en-us+f3")
    with Speaker(Voice("en", "m7"), seed=9) as other:
        other.say("something else")
        assert np.array_equal(say("en-us+f3"), before)
    assert not np.array_equal(say("en-us+f1")[: len(before)], before[: len(say("en-us+f1"))])


@pytest.mark.parametrize(
    ("voice", "message"),
    [(Voice("en-gb", "m1"), "no language 'en-gb'; it has .*en-gb-scotland"), (Voice("en", "m99"), "no variant 'm99'")],
)
def test_a_voice_that_does_not_exist_is_said_so(voice: Voice, message: str):
    with pytest.raises(DataError, match=message):
        Speaker(voice)


def test_silence_is_refused():
    with Speaker(Voice("en", "m1")) as speaker, pytest.raises(DataError, match="cannot say ''"):
        speaker.say("")


def test_without_espeak_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(DataError, match="pip install espeakng-loader"):
        Speaker(Voice("en", "m1"))


def test_voices_exist_and_no_variant_is_in_two_subsets():
    by_subset = {subset: voices(subset) for subset in (TRAIN, DEV, TEST)}
    assert len(by_subset[TRAIN]) >= 16
    variants = [{voice.variant for voice in found} for found in by_subset.values()]
    assert sum(map(len, variants)) == len(set().union(*variants))
    for found in by_subset.values():
        assert {voice.language for voice in found} == set(ENGLISH_ACCENTS)
        assert len(set(found)) == len(found)
        for voice in found:
            Speaker(voice).close()


def test_one_language_gives_each_variant_once():
    assert [voice.language for voice in voices(DEV, ["az"])] == ["az"] * 4


def test_the_librispeech_importer_reads_every_utterance(corpus: Path):
    subsets = find_subsets(corpus)
    assert set(subsets) == set(COUNTS)
    for name, folder in subsets.items():
        found = list(read_subset(folder, name))
        assert len(found) == COUNTS[name]
        for recording in found:
            info = soundfile.info(recording.source)
            assert (info.format, info.subtype, info.samplerate, info.channels) == ("FLAC", "PCM_16", 16_000, 1)
            assert 1 < info.duration < 6
            assert re.fullmatch(r"GO (LEFT|RIGHT)( (ONE|TWO|THREE|FOUR|FIVE)){2,3}", recording.text)
            assert re.fullmatch(rf"{recording.speaker}-1-\d{{4}}", recording.id)


def test_the_table_of_speakers_has_their_minutes(corpus: Path):
    table = (corpus / "LibriSpeech" / "SPEAKERS.TXT").read_text().splitlines()
    assert table[0].startswith(";ID")
    rows = [[cell.strip() for cell in line.split("|")] for line in table[1:]]
    assert len(rows) == 43 + 3 + 12  # the test set has two speakers with two utterances
    for speaker, sex, subset, minutes, name in rows:
        seconds = sum(soundfile.info(p).duration for p in (corpus / "LibriSpeech" / subset / speaker).rglob("*.flac"))
        assert float(minutes) == pytest.approx(seconds / 60, abs=0.006)
        assert sex in "FM" and name.startswith("espeak-ng en")
    assert {row[4] for row in rows if row[2] == TRAIN}.isdisjoint(row[4] for row in rows if row[2] == TEST)


def test_the_number_of_jobs_changes_nothing_and_the_seed_everything(corpus: Path, tmp_path: Path):
    synthesize(GRAMMAR, tmp_path / "one", COUNTS, seed=3, jobs=1)
    assert checksums(tmp_path / "one") == checksums(corpus)
    synthesize(GRAMMAR, tmp_path / "other", {TRAIN: 3}, seed=4)
    other, first = checksums(tmp_path / "other"), checksums(corpus)
    sounds = [name for name in other if name.endswith(".flac")]
    assert len(sounds) == 3 and all(other[name] != first[name] for name in sounds)


def test_known_sentences_are_counted(tmp_path: Path):
    only = parse_grammar("<utterance> = stop;")
    subsets = synthesize(only, tmp_path, {TRAIN: 2, DEV: 0, TEST: 3})
    assert [(subset.name, subset.num_utterances, subset.num_known) for subset in subsets] == [
        (TRAIN, 2, 0),
        (TEST, 3, 3),
    ]
    assert subsets[0].duration_s == pytest.approx(sum(map(len, read_all(tmp_path, TRAIN))) / 16_000)


def test_rooms_and_noise_are_heard(tmp_path: Path):
    sounds = {}
    for name, conditions in {
        "clean": recording_conditions(0, 0),
        "noisy": recording_conditions(0, 1),
        "room": recording_conditions(1, 0),
    }.items():
        synthesize(GRAMMAR, tmp_path / name, {TEST: 3}, conditions=conditions)
        sounds[name] = read_all(tmp_path / name, TEST)
    for clean, noisy, room in zip(*sounds.values()):
        assert not clean[:800].any() and np.count_nonzero(noisy[:800]) > 700, "silence before the speech"
        last_clean, last_room = (np.flatnonzero(samples)[-1] for samples in (clean, room))
        assert 800 < last_room - last_clean < 16_000 // 2, "a room rings on after the speech"
        assert 0.05 < np.abs(clean).max() <= 0.99


def test_other_languages_keep_their_letters(tmp_path: Path):
    grammar = parse_grammar("<utterance> = dörd iyirmi qırx;")
    synthesize(grammar, tmp_path, {TEST: 1}, languages=["az"])
    text = next(tmp_path.rglob("*.trans.txt")).read_text(encoding="utf-8")
    assert text.split(" ", 1)[1] == "DÖRD İYİRMİ QIRX\n"


def test_a_corpus_is_not_written_over(tmp_path: Path):
    synthesize(GRAMMAR, tmp_path, {TEST: 1})
    before = checksums(tmp_path)
    with pytest.raises(DataError, match="--force"):
        synthesize(GRAMMAR, tmp_path, {TEST: 2})
    assert checksums(tmp_path) == before
    synthesize(GRAMMAR, tmp_path, {TEST: 2}, force=True)
    assert len(read_all(tmp_path, TEST)) == 2


def test_another_corpus_is_left_alone_even_when_forced(tmp_path: Path):
    foreign = tmp_path / "LibriSpeech" / "train-clean-100" / "a.flac"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("precious")
    with pytest.raises(DataError, match="holds another corpus \\(train-clean-100\\)"):
        synthesize(GRAMMAR, tmp_path, {TEST: 1}, force=True)
    assert foreign.read_text() == "precious"


def test_a_failure_leaves_nothing(tmp_path: Path):
    with pytest.raises(DataError, match="no language 'xx'"):
        synthesize(GRAMMAR, tmp_path / "out", {TEST: 1}, languages=["xx"])
    assert not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("counts", [{TRAIN: 0, DEV: 0, TEST: 0}, {TRAIN: -1, TEST: 3}])
def test_counts_must_ask_for_something(tmp_path: Path, counts: dict[str, int]):
    with pytest.raises(DataError, match="expected a language and counts"):
        synthesize(GRAMMAR, tmp_path, counts)


def test_clipping_is_avoided():
    loud = np.array([0.0, -2.0, 1.0], np.float32)
    assert np.allclose(module._limit(loud), [0, -0.98, 0.49])
    assert np.array_equal(module._limit(loud / 4), loud / 4)


def test_the_script_reports_what_it_made(script, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    grammar = tmp_path / "mine.txt"
    grammar.write_text("<utterance> = turn (left | right);")
    arguments = ["--grammar", str(grammar), "--out", str(tmp_path), "--train", "2", "--dev", "0", "--test", "1"]
    assert script("synthesize").main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and "train-synthetic: 2 utterances, 2 voices" in lines[0]
    assert {path.name for path in (tmp_path / "LibriSpeech").iterdir()} == {TRAIN, TEST, "SPEAKERS.TXT"}
