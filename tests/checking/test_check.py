"""Every fault and remark on small corpora made of tones, and thirty planted ones in real speech."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from planted import plant

from crnn_asr.checking.check import Check, check
from crnn_asr.corpus.manifest import Utterance, write_manifest
from crnn_asr.errors import DataError

RATE_HZ = 16_000
WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")


def voice(text: str, rng: np.random.Generator) -> np.ndarray:
    """A letter is 60 ms of harmonics at a pitch of its own, a word ends in silence, and there is a little noise."""
    parts = [np.zeros(2_000)]
    for character in text:
        times_s = np.arange(960) / RATE_HZ
        pitch_hz = rng.uniform(110, 220)
        wave = sum(np.sin(2 * np.pi * k * pitch_hz * times_s) / k for k in range(1, 9))
        parts.append(np.zeros(960) if character == " " else 0.1 * wave)
    parts.append(np.zeros(2_000))
    sound = np.concatenate(parts)
    return sound + 1e-4 * rng.standard_normal(len(sound))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty utterances of ten speakers: recordings in the folder `wav` and `rows.json`, the lines of a manifest."""
    root, rng, rows = tmp_path_factory.mktemp("template"), np.random.default_rng(5), []
    (root / "wav").mkdir()
    for number in range(80):
        text = " ".join(rng.choice(WORDS, rng.integers(2, 6)))
        samples = voice(text, rng)
        soundfile.write(root / "wav" / f"{number}.wav", samples, RATE_HZ)
        row = {"audio_filepath": f"wav/{number}.wav", "duration": len(samples) / RATE_HZ, "text": text}
        rows.append({**row, "speaker": f"s{number % 10}"})
    (root / "rows.json").write_text(json.dumps(rows))
    return root


@pytest.fixture
def corpus(template: Path, tmp_path: Path) -> list[dict]:
    """The rows, and a copy of the recordings to damage."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return json.loads((tmp_path / "rows.json").read_text())


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Check]:
    """Write rows as manifests and check them, in this process."""

    def run(*splits: list[dict], **options: str) -> Check:
        paths = [tmp_path / f"split{number}.jsonl" for number in range(len(splits))]
        for path, rows in zip(paths, splits):
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        monkeypatch.setattr("crnn_asr.checking.check.map_in_processes", lambda call, items, *_: map(call, items))
        return check(paths, 1, **options)

    return run


def kinds(found: Check) -> dict[int, set[str]]:
    """By line."""
    pairs = zip(found.items, found.findings)
    return {item.line: {finding.kind for finding in findings} for item, findings in pairs if findings}


def change(path: Path, function: Callable[[np.ndarray], np.ndarray], rate_hz: int = RATE_HZ) -> None:
    samples, _ = soundfile.read(path)
    soundfile.write(path, function(samples), rate_hz)


def test_nothing_is_found_in_a_good_corpus(corpus, look):
    found = look(corpus)
    assert kinds(found) == {} and found.remarks == [] and found.counts == {}
    assert found.good_lines == [set(range(1, 81))] and found.num_faulty == 0


@pytest.mark.parametrize(
    ("function", "kind", "is_fault"),
    [
        (lambda x: 0 * x, "silent", True),
        (lambda x: 3e-4 * x, "silent", True),
        (lambda x: 0.015 * x, "quiet", False),
        (lambda x: np.random.default_rng(0).normal(0, 0.01, len(x)), "no speech", True),
        (lambda x: x + np.random.default_rng(0).normal(0, x.std(), len(x)), "noisy", False),
        (lambda x: np.clip(9 * x, -1, 1), "clipped", True),
        (lambda x: np.where(np.arange(len(x)) // 200 == 12, np.clip(9 * x, -0.5, 0.5), x), "clipped", False),
        (lambda x: x + 0.03, "offset", False),
        (lambda x: x[: len(x) // 2], "wrong duration", True),
        (lambda x: np.where(np.arange(len(x)) == 9, np.nan, x), "unreadable", True),
    ],
)
def test_a_damaged_recording(function, kind, is_fault, corpus, look, tmp_path):
    samples, _ = soundfile.read(tmp_path / "wav" / "6.wav")
    soundfile.write(tmp_path / "wav" / "6.wav", function(samples), RATE_HZ, subtype="FLOAT")
    found = look(corpus)
    assert set(kinds(found)) == {7} and kind in kinds(found)[7]
    assert {each.is_fault for each in found.findings[6] if each.kind == kind} == {is_fault}
    assert (7 not in found.good_lines[0]) == is_fault


@pytest.mark.parametrize(
    ("text", "kind", "is_fault"),
    [
        ("", "empty text", True),
        (" -- ?", "empty text", True),
        ("{}\x00", "broken text", True),
        ("{}\ufffd", "broken text", True),
        ("{} 2", "unknown symbols", True),
        ("{} café", "unknown symbols", True),
        ("{} а", "unknown symbols", True),  # Cyrillic
        ("{}, {}"[:3], "unusual symbols", False),
        ("a", "text does not fit", True),
        ("{} " * 20, "text does not fit", True),
    ],
)
def test_a_damaged_transcript(text, kind, is_fault, corpus, look):
    row = max(corpus, key=lambda row: row["duration"])
    row["text"] = text.replace("{}", row["text"])
    found, line = look(corpus), corpus.index(row) + 1
    assert set(kinds(found)) == {line} and kind in kinds(found)[line]
    assert {each.is_fault for each in found.findings[line - 1] if each.kind == kind} == {is_fault}


def test_a_rare_letter_and_another_case_are_no_fault(corpus, look):
    corpus[3]["text"] = corpus[3]["text"].replace("a", "z")
    corpus[4]["text"] = corpus[4]["text"].upper()
    corpus[5]["text"] = corpus[5]["text"][:-1] + "'s"
    found = look(corpus)
    assert kinds(found) == {5: {"unusual symbols"}} and not found.num_faulty


def test_an_unusual_length_and_an_unusual_rate(corpus, look, tmp_path):
    long = voice(" ".join(WORDS * 6), np.random.default_rng(1))
    soundfile.write(tmp_path / "wav" / "2.wav", long, RATE_HZ)
    corpus[2].update(duration=len(long) / RATE_HZ, text=" ".join(WORDS * 6))
    change(tmp_path / "wav" / "5.wav", lambda x: x, 22_050)
    corpus[5]["duration"] *= RATE_HZ / 22_050
    found = look(corpus)
    assert kinds(found) == {3: {"unusual duration"}, 6: {"other rate"}} and not found.num_faulty
    assert found.remarks == ["Recordings have different sample rates: 79 at 16000 Hz, 1 at 22050 Hz."]


def test_a_rate_below_the_front_end_is_said_once(corpus, look, tmp_path):
    for row in corpus:
        change(tmp_path / row["audio_filepath"], lambda x: x[::2], 8_000)
    found = look(corpus)
    assert kinds(found) == {} and len(found.remarks) == 1
    assert found.remarks[0].startswith("80 of 80 recordings have less than the 16000 Hz of the front end")


def test_the_same_recording_with_other_words_makes_both_faulty(corpus, look, tmp_path):
    samples, _ = soundfile.read(tmp_path / "wav" / "1.wav")
    soundfile.write(tmp_path / "wav" / "copy.flac", -0.5 * samples, RATE_HZ)
    corpus.append({**corpus[1], "audio_filepath": "wav/copy.flac", "text": corpus[1]["text"][::-1]})
    assert kinds(look(corpus)) == {2: {"same audio, other text"}, 81: {"same audio, other text"}}
    corpus[-1]["text"] = corpus[1]["text"].upper() + "!"
    found = look(corpus)
    assert "same audio" in kinds(found)[81] and 2 not in kinds(found) and not found.num_faulty


@pytest.mark.parametrize(
    ("may_share", "expected"),
    [("nothing", {"shared audio", "shared speaker"}), ("speakers", {"shared audio"}), ("everything", set())],
)
def test_splits_share_nothing_that_they_may_not(may_share, expected, corpus, look):
    train = [row for row in corpus if row["speaker"] != "s9"]
    test = [row for row in corpus if row["speaker"] == "s9"]
    test.append({**train.pop(0), "speaker": "s9"})  # a speaker under two names would be met by the recording alone
    train.append({**test[0], "speaker": "s9"})
    found = look(train, test, may_share=may_share)
    places = {(item.manifest, item.line): each for item, each in zip(found.items, found.findings) if each}
    assert {finding.kind for each in places.values() for finding in each} == expected
    assert set(places) <= {(0, len(train))}, "the one that does not belong there"


def test_a_speaker_stays_where_most_of_its_utterances_are(corpus, look):
    train, test = corpus[:70], corpus[70:]  # one of each speaker is in test
    found = look(train, test)
    assert found.good_lines == [set(range(1, 71)), set()]
    half = [row for row in corpus if row["speaker"] == "s0"]
    equal = look(half[:4] + corpus[1:9], half[4:])
    assert len(equal.good_lines[0]) == 8 and len(equal.good_lines[1]) == 4, "of equals, the last"


def test_unreadable_recordings_and_bad_lines_stop_nothing(corpus, look, tmp_path):
    (tmp_path / "wav" / "0.wav").write_bytes(b"")
    (tmp_path / "wav" / "1.wav").unlink()
    corpus[2]["audio_filepath"] = "x" * 5_000
    corpus[3]["audio_filepath"] = "wav"
    corpus[4]["duration"] = -1
    found = look(corpus)
    assert {line for line, each in kinds(found).items() if each == {"unreadable"}} == {1, 2, 3, 4}
    assert [line.line for line in found.bad_lines] == [5] and found.num_faulty == 5
    assert found.good_lines == [set(range(6, 81))]
    assert found.counts == {("unreadable", True): 4, ("bad line", True): 1}


def test_few_utterances_are_judged_by_themselves_alone(corpus, look):
    few = [*corpus[:20], {**corpus[20], "text": "É 2 " + corpus[20]["text"]}]
    assert kinds(look(few)) == {}


def test_nothing_to_check_is_a_sentence(look, tmp_path):
    with pytest.raises(DataError, match=r"split0\.jsonl: expected an utterance a line, got an empty file"):
        look([])
    (tmp_path / "bad.jsonl").write_text("x\n")
    with pytest.raises(
        DataError, match=r"not one line can be used; of 1 bad ones the first: .*bad\.jsonl:1: expected a JSON object"
    ):
        check([tmp_path / "bad.jsonl"], 1)


def test_an_empty_manifest_among_others_is_named(corpus, look):
    found = look(corpus[:5], [])
    assert len(found.items) == 5 and [str(line.problem).endswith("an empty file") for line in found.bad_lines] == [True]


def test_progress_and_processes(corpus, tmp_path):
    write_manifest(tmp_path / "m.jsonl", [Utterance(tmp_path / "wav" / f"{n}.wav", 1.0, "alpha") for n in range(40)])
    calls: list[tuple[int, int]] = []
    found = check([tmp_path / "m.jsonl"], 2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(n, 40) for n in range(1, 41)]
    assert [item.line for item in found.items] == list(range(1, 41))


@pytest.mark.realdata
def test_thirty_planted_faults_in_real_speech_are_found(shared_data, script, tmp_path):
    """AN4 as it is, then with thirty of its utterances damaged: all named as what they are, few others named."""
    assert script("convert_an4").main([str(shared_data / "an4"), "--out", str(tmp_path / "an4")]) == 0
    manifests = [tmp_path / "an4" / f"{name}.jsonl" for name in ("train", "dev")]
    clean = check(manifests, 2)
    assert len(clean.items) == 948 and not kinds(clean), "not one false alarm"
    planted = plant(tmp_path / "an4", seed=11)
    assert len(planted) == 30
    found = check(manifests, 2)
    named = {
        (manifests[item.manifest].stem, item.line): {finding.kind for finding in findings}
        for item, findings in zip(found.items, found.findings)
        if findings
    }
    assert [fault for fault in planted if fault.kind not in named.pop(fault.where, ())] == []
    assert len(named) == 2, "the two whose recordings stand elsewhere too, with other words"
    shutil.rmtree(tmp_path / "an4")
