"""The two converters as commands: what they print, write and return."""

import hashlib
import json
import shutil
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.corpus import download
from crnn_asr.corpus.manifest import read_manifest


@pytest.fixture
def convert_librispeech(script):
    return script("convert_librispeech").main


@pytest.fixture
def convert_an4(script):
    return script("convert_an4").main


def errors(text: str) -> list[str]:
    """The lines of stderr that are no progress bar."""
    return [line for line in text.replace("\r", "\n").split("\n") if line.startswith(("error:", "note:"))]


def test_an4_becomes_train_dev_and_test(convert_an4, an4: Path, write_an4_set, tmp_path: Path, capsys) -> None:
    write_an4_set(an4, "an4_test", ["an4test_clstk/fcaw/an406-fcaw-b"])
    out = tmp_path / "out"
    assert convert_an4([str(an4), "--out", str(out), "--jobs", "1"]) == 0
    captured = capsys.readouterr()
    assert errors(captured.err) == []
    assert captured.out.splitlines() == [
        f"{out}/train.jsonl: 26 utterances, 0.00 h (26 converted now), 0 problems",
        f"{out}/dev.jsonl: 4 utterances, 0.00 h (4 converted now), 0 problems",
        f"{out}/test.jsonl: 1 utterances, 0.00 h (1 converted now), 0 problems",
    ]
    utterances, problems = read_manifest(out / "dev.jsonl")
    assert problems == []
    for utterance in utterances:
        source = an4 / "wav" / "an4_clstk" / utterance.speaker / f"{utterance.id}.sph"
        expected, _ = soundfile.read(source, dtype="int16")
        values, rate_hz = soundfile.read(utterance.audio_path, dtype="int16")
        assert rate_hz == 16_000
        np.testing.assert_array_equal(values, expected)


def test_a_gap_in_an4_is_named_and_fails_the_command(convert_an4, an4: Path, tmp_path: Path, capsys) -> None:
    missing = an4 / "wav" / "an4_clstk" / "fspa" / "an1-fspa-b.sph"
    missing.unlink()
    out = tmp_path / "out"
    assert convert_an4([str(an4), "--out", str(out), "--jobs", "1", "--format", "flac"]) == 1
    captured = capsys.readouterr()
    assert errors(captured.err) == [f"error: {missing}: listed, but there is no such recording"]
    assert "train.jsonl: 25 utterances, 0.00 h (25 converted now), 1 problems" in captured.out
    report = json.loads((out / "train.report.json").read_text())
    assert report["problems"] == [{"where": str(missing), "reason": "listed, but there is no such recording"}]
    assert {path.suffix for path in (out / "wav").rglob("*.*")} == {".flac"}


def test_librispeech_is_converted_once(convert_librispeech, librispeech: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    arguments = ["--source", str(librispeech), "--out", str(out), "--jobs", "2"]
    assert convert_librispeech(arguments) == 0
    assert capsys.readouterr().out == f"{out}/dev-clean.jsonl: 8 utterances, 0.00 h (8 converted now), 0 problems\n"
    manifest = (out / "dev-clean.jsonl").read_bytes()
    first = json.loads(manifest.split(b"\n")[0])
    assert first == {
        "audio_filepath": "dev-clean/174/168/174-168-0000.wav",
        "duration": 0.2,
        "text": "WORDS OF 174 168 0000",
        "speaker": "174",
        "id": "174-168-0000",
    }
    assert convert_librispeech(arguments) == 0
    assert "(0 converted now)" in capsys.readouterr().out
    assert (out / "dev-clean.jsonl").read_bytes() == manifest


def test_every_damage_is_named_and_the_rest_is_done(
    convert_librispeech, librispeech: Path, tmp_path: Path, capsys
) -> None:
    shutil.copytree(librispeech / "dev-clean", librispeech / "test-clean")
    folder, out = librispeech / "dev-clean" / "84" / "121", tmp_path / "out"
    corrupt, lost = folder / "84-121-0000.flac", folder / "84-121-0001.flac"
    corrupt.write_bytes(corrupt.read_bytes()[:100] + b"\0" * 300)
    lost.unlink()
    assert convert_librispeech(["--source", str(librispeech), "--out", str(out), "--jobs", "1"]) == 1
    captured = capsys.readouterr()
    found = errors(captured.err)
    assert found[0] == f"error: {folder}/84-121.trans.txt:2: there is no recording 84-121-0001 beside this transcript"
    assert found[1].startswith(f"error: {corrupt}: damaged FLAC file")
    assert len(found) == 2
    assert "dev-clean.jsonl: 6 utterances, 0.00 h (6 converted now), 2 problems" in captured.out
    assert "test-clean.jsonl: 8 utterances, 0.00 h (8 converted now), 0 problems" in captured.out
    problems = json.loads((out / "dev-clean.report.json").read_text())["problems"]
    assert [f"error: {problem['where']}: {problem['reason']}" for problem in problems] == found


def test_only_the_subsets_asked_for(convert_librispeech, librispeech: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(librispeech / "dev-clean", librispeech / "mine")
    out = tmp_path / "out"
    arguments = ["--source", str(librispeech), "--out", str(out), "--jobs", "1", "--subsets", "absent", "mine"]
    assert convert_librispeech(arguments) == 1
    captured = capsys.readouterr()
    assert errors(captured.err) == [
        f"error: {librispeech}: expected a subset absent, found dev-clean, mine; --download may fetch it"
    ]
    assert sorted(path.name for path in out.glob("*.jsonl")) == ["mine.jsonl"]


def test_with_nothing_to_convert_the_command_says_what_to_run(
    convert_librispeech, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert convert_librispeech([]) == 1
    (message,) = errors(capsys.readouterr().err)
    assert message.startswith("error: data/raw/LibriSpeech: expected LibriSpeech")
    assert "scripts/convert_librispeech.py --download dev-clean" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["--jobs", "0"], ["--format", "mp3"], ["--download", "train"], ["--subsets"], ["extra"]]
)
def test_wrong_usage_is_2(convert_librispeech, arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        convert_librispeech(arguments)
    assert caught.value.code == 2


@pytest.fixture
def mirror(librispeech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A plain static server, as most mirrors are, without ranges; it has dev-clean only."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with tarfile.open(folder / "dev-clean.tar.gz", "w:gz") as tar:
        tar.add(librispeech, "LibriSpeech")
    md5 = hashlib.md5((folder / "dev-clean.tar.gz").read_bytes()).hexdigest()
    monkeypatch.setitem(download.MD5, "dev-clean", md5)
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_download_and_conversion_in_one_command(convert_librispeech, mirror: str, tmp_path: Path, capsys) -> None:
    source, out = tmp_path / "data" / "raw" / "LibriSpeech", tmp_path / "data" / "librispeech"
    arguments = ["--source", str(source), "--out", str(out), "--jobs", "1", "--mirror", mirror]
    assert convert_librispeech([*arguments, "--download", "test-clean", "dev-clean"]) == 1
    captured = capsys.readouterr()
    assert errors(captured.err) == [f"error: {mirror}/test-clean.tar.gz: the server answers 404 File not found"]
    assert captured.out == f"{out}/dev-clean.jsonl: 8 utterances, 0.00 h (8 converted now), 0 problems\n"
    assert convert_librispeech([*arguments, "--download", "dev-clean"]) == 0
    captured = capsys.readouterr()
    assert errors(captured.err) == [f"note: {source}/dev-clean is there already, not downloaded again"]
    assert "(0 converted now)" in captured.out


def test_no_network_is_one_sentence(convert_librispeech, tmp_path: Path, capsys) -> None:
    source = str(tmp_path / "raw")
    assert convert_librispeech(["--source", source, "--download", "dev-clean", "--mirror", "http://127.0.0.1:1"]) == 1
    (message,) = errors(capsys.readouterr().err)
    assert message.startswith("error: http://127.0.0.1:1/dev-clean.tar.gz: no connection (")


def test_a_download_into_a_subset_is_refused(convert_librispeech, librispeech: Path) -> None:
    with pytest.raises(ValueError, match="dev-clean is a subset itself; give the folder above it"):
        convert_librispeech(["--source", str(librispeech / "dev-clean"), "--download", "test-clean"])


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("corpus", "subset", "num_utterances", "hours", "num_speakers"),
    [("LibriSpeech", "train-clean-100", 367, 1.173, 3), ("LibriSpeech-mp3", "dev-clean", 535, 1.08, 8)],
)
def test_all_real_librispeech_recordings_convert(
    corpus: str,
    subset: str,
    num_utterances: int,
    hours: float,
    num_speakers: int,
    convert_librispeech,
    shared_data: Path,
    tmp_path: Path,
    capfd,
) -> None:
    arguments = ["--source", str(shared_data / corpus), "--out", str(tmp_path)]
    assert convert_librispeech(arguments) == 0
    captured = capfd.readouterr()
    assert f"{num_utterances} utterances" in captured.out
    assert all(
        "%|" in line or "0file" in line or not line.strip() for line in captured.err.replace("\r", "\n").split("\n")
    )
    utterances, problems = read_manifest(tmp_path / f"{subset}.jsonl")
    assert (len(utterances), problems) == (num_utterances, [])
    assert len({utterance.speaker for utterance in utterances}) == num_speakers
    assert sum(utterance.duration_s for utterance in utterances) / 3600 == pytest.approx(hours, abs=0.01)
    for utterance in utterances[::50]:
        found = list((shared_data / corpus).rglob(f"{utterance.id}.*"))
        expected, _ = soundfile.read(found[0], dtype="int16")
        values, rate_hz = soundfile.read(utterance.audio_path, dtype="int16")
        assert (rate_hz, len(values)) == (16_000, len(expected))
        assert np.abs(values.astype(int) - expected).max() <= 1
    assert convert_librispeech(arguments) == 0
    assert "(0 converted now)" in capfd.readouterr().out


@pytest.mark.realdata
def test_all_real_an4_recordings_convert(convert_an4, shared_data: Path, tmp_path: Path, capsys) -> None:
    assert convert_an4([str(shared_data / "an4"), "--out", str(tmp_path)]) == 0
    utterances = [item for name in ("train", "dev") for item in read_manifest(tmp_path / f"{name}.jsonl")[0]]
    assert len(utterances) == 948
    assert sum(item.duration_s for item in utterances) / 3600 == pytest.approx(0.707, abs=0.001)
    for item in utterances[::100]:
        source = shared_data / "an4" / "wav" / "an4_clstk" / item.speaker / f"{item.id}.sph"
        np.testing.assert_array_equal(
            soundfile.read(item.audio_path, dtype="int16")[0], soundfile.read(source, dtype="int16")[0]
        )
