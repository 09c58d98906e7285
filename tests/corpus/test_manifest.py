"""Manifests: a line an utterance, good lines in, bad lines named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from crnn_asr.corpus.manifest import Problem, Utterance, copy_lines, read_manifest, write_manifest
from crnn_asr.errors import DataError

GOOD = '{"audio_filepath": "a.wav", "duration": 1.5, "text": "one"}'


def test_what_is_written_is_read(tmp_path: Path) -> None:
    utterances = [
        Utterance(tmp_path / "wav" / "a.wav", 1.25, "ONE", "19", "19-1"),
        Utterance(tmp_path / "wav" / "gənc işıq.wav", 0.0001, "gənc işıq", "", "x"),
        Utterance(tmp_path.parent / "elsewhere.wav", 3600.0, "", "s", "y"),
        Utterance(tmp_path / "b.wav", 1.0, 'quotes " \\ and \u2028 a \x85 line \r\n break', "s", "z"),
    ]
    write_manifest(tmp_path / "m.jsonl", utterances)
    read, problems = read_manifest(tmp_path / "m.jsonl")
    assert problems == []
    assert [replace(item, audio_path=item.audio_path.resolve()) for item in read] == utterances


def test_a_line_is_the_nemo_convention_with_paths_relative_to_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "corpus" / "train.jsonl"
    write_manifest(path, [Utterance(tmp_path / "wav" / "a.wav", 1.23456, "ONE", "19", "19-1")])
    assert json.loads(path.read_text()) == {
        "audio_filepath": "../wav/a.wav",
        "duration": 1.2346,
        "text": "ONE",
        "speaker": "19",
        "id": "19-1",
    }


def test_a_corpus_can_be_moved_with_its_manifest(tmp_path: Path) -> None:
    write_manifest(tmp_path / "old" / "m.jsonl", [Utterance(tmp_path / "old" / "a.wav", 1.0, "one")])
    (tmp_path / "old").rename(tmp_path / "new")
    utterances, _ = read_manifest(tmp_path / "new" / "m.jsonl")
    assert utterances[0].audio_path == tmp_path / "new" / "a.wav"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"audio_filepath": "/data/a.wav", "duration": 2, "text": ""}\n')
    utterances, _ = read_manifest(tmp_path / "m.jsonl")
    assert utterances == [Utterance(Path("/data/a.wav"), 2.0, "", "", "a")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not JSON", "expected a JSON object, got 'not JSON'"),
        ("[1, 2]", "expected a JSON object"),
        ("null", "expected a JSON object"),
        ("[" * 100_000, "expected a JSON object"),
        ('{"duration": ' + "1" * 5000 + "}", "expected a JSON object"),
        (GOOD[:-2], "expected a JSON object"),
        ('{"duration": 1.0, "text": "one"}', 'expected "audio_filepath" with a path, got None'),
        ('{"audio_filepath": "", "duration": 1.0, "text": "one"}', 'expected "audio_filepath"'),
        ('{"audio_filepath": "a\\u0000.wav", "duration": 1.0, "text": "one"}', 'expected "audio_filepath"'),
        ('{"audio_filepath": 3, "duration": 1.0, "text": "one"}', 'expected "audio_filepath"'),
        ('{"audio_filepath": "a.wav", "duration": 1.0}', 'expected "text"'),
        (GOOD[:-1] + ', "text": "two"}', "expected a JSON object, got"),
        (GOOD[:-1] + ', "speaker": ["x"]}', 'expected "speaker" with a name'),
        (GOOD[:-1] + ', "id": false}', 'expected "id" with a name'),
        (GOOD.replace("one", "o\\ud800"), "expected Unicode text"),
        ('{"audio_filepath": "a.wav", "duration": 1.0, "text": null}', 'expected "text"'),
        (
            '{"audio_filepath": "a.wav", "text": "one"}',
            'expected "duration" in seconds above 0, at most a million, got None',
        ),
        *(
            (f'{{"audio_filepath": "a.wav", "duration": {value}, "text": "one"}}', 'expected "duration"')
            for value in ("0", "-1", "NaN", "Infinity", '"1.0"', "true", "1e300", "1" + "0" * 400)
        ),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_the_rest_is_read(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n{GOOD}\n")
    utterances, problems = read_manifest(path)
    assert [utterance.text for utterance in utterances] == ["one", "one"]
    assert [problem.where for problem in problems] == [f"{path}:3"]
    assert problems[0].reason.startswith(reason)
    assert len(problems[0].reason) < 600


def test_a_line_that_is_not_text_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\n".join([GOOD.encode(), GOOD.encode().replace(b"one", b"caf\xe9"), GOOD.encode()]))
    utterances, problems = read_manifest(path)
    assert len(utterances) == 2
    assert [problem.where for problem in problems] == [f"{path}:2"]
    assert problems[0].reason.startswith("expected text in UTF-8, got other bytes, b'\\xe9' at byte")


def test_copied_lines_keep_what_other_programs_wrote(tmp_path: Path) -> None:
    folder, target = tmp_path / "corpus", tmp_path / "clean" / "m.jsonl"
    folder.mkdir()
    lines = [GOOD, "not JSON", GOOD[:-1] + ', "lang": "az", "offset": 0}', GOOD]
    (folder / "m.jsonl").write_text("\n".join(lines))
    copy_lines([(folder / "m.jsonl", {3})], target)
    copied = {"audio_filepath": "../corpus/a.wav", "duration": 1.5, "text": "one", "lang": "az", "offset": 0}
    assert [json.loads(line) for line in target.read_text().splitlines()] == [copied]
    (utterance,), _ = read_manifest(target)
    assert utterance.audio_path.resolve() == folder / "a.wav"


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_windows_files_are_read(ending: str, mark: str, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes((mark + GOOD + "\r\n" + GOOD + ending).encode())
    assert len(read_manifest(path)[0]) == 2


def test_speaker_and_id_may_be_numbers_null_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text("\n".join(GOOD[:-1] + rest for rest in (', "speaker": 0, "id": 7}', ', "speaker": null}', "}")))
    utterances, _ = read_manifest(path)
    assert [(utterance.speaker, utterance.id) for utterance in utterances] == [("0", "7"), ("", "a"), ("", "a")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b"\n\n", "got an empty file"),
        (b"x\ny\n", "got 2 bad lines, the first: .*m.jsonl:1: expected a JSON object"),
        (b"RIFF\xff\xfe\x00", "is it an audio file"),
    ],
)
def test_a_file_without_a_good_line_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_missing_manifest_or_a_folder_is_an_error_of_the_operating_system(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No such file|directory"):
        read_manifest(tmp_path / name)


def test_writing_that_fails_keeps_the_old_manifest(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [Utterance(tmp_path / "a.wav", 1.0, "one")])
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_manifest(path, [Utterance(tmp_path / "a.wav", 1.0, "\ud800")])
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["m.jsonl"]


def test_a_problem_reads_as_a_line() -> None:
    assert str(Problem("m.jsonl:3", "no audio")) == "m.jsonl:3: no audio"
