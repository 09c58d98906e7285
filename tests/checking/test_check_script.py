"""scripts/check_data.py as a person meets it: the files it leaves, what it says, its exit codes."""

import json
import os
import re
from pathlib import Path

import pytest
import soundfile

from crnn_asr.corpus.manifest import read_manifest


@pytest.fixture
def main(script, monkeypatch):
    monkeypatch.setattr("crnn_asr.checking.check.map_in_processes", lambda function, items, *_: map(function, items))
    return script("check_data").main


@pytest.fixture
def manifests(tone_corpus: Path, tmp_path: Path) -> list[Path]:
    """The tones' train and dev, with speakers of their own, a key of another program, and paths from elsewhere."""
    paths = []
    for name in ("train", "dev"):
        rows = [json.loads(line) for line in (tone_corpus / f"{name}.jsonl").read_text().splitlines()]
        for row in rows:
            audio = os.path.relpath(tone_corpus / row["audio_filepath"], tmp_path)
            row.update(audio_filepath=audio, speaker=f"{name}-{row['speaker']}", lang="xx")
        paths.append(tmp_path / f"{name}.jsonl")
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return paths


def damage(manifest: Path, number: int, **values: object) -> None:
    lines = manifest.read_text().splitlines()
    lines[number - 1] = json.dumps({**json.loads(lines[number - 1]), **values})
    manifest.write_text("\n".join(lines) + "\n")


def test_a_good_corpus_is_0_and_its_clean_manifests_are_the_whole(main, manifests, tmp_path, capsys):
    assert main([*map(str, manifests), "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "30 utterances, 0 left out" in captured.out and "error" not in captured.err
    for path in manifests:
        clean = tmp_path / "out" / f"{path.stem}.clean.jsonl"
        before, after = read_manifest(path)[0], read_manifest(clean)[0]
        assert [item.audio_path.resolve() for item in after] == [item.audio_path.resolve() for item in before]
        assert all(json.loads(line)["lang"] == "xx" for line in clean.read_text().splitlines())
        assert (tmp_path / "out" / f"{path.stem}.left-out.jsonl").read_text() == ""


def test_faults_are_named_left_out_and_1(main, manifests, tmp_path, capsys):
    damage(manifests[0], 3, audio_filepath="gone.wav")
    damage(manifests[0], 5, text="<b>&\x07", duration=77)
    damage(manifests[1], 2, duration=None)
    assert main([*map(str, manifests), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3
    assert errors[0].startswith(f"error: {manifests[1]}:2: expected ")
    assert errors[1].startswith(f"error: {manifests[0]}:3: ") and "unreadable: there is no such file" in errors[1]
    assert "broken text" in errors[2] and "wrong duration: the manifest says 77.00 s" in errors[2]
    left_out = [json.loads(line) for line in (tmp_path / "out" / "train.left-out.jsonl").read_text().splitlines()]
    assert [row["line"] for row in left_out] == [3, 5] and json.loads(left_out[0]["content"])["lang"] == "xx"
    assert left_out[0]["reasons"] == ["unreadable: there is no such file"] and len(left_out[1]["reasons"]) == 2
    assert len(read_manifest(tmp_path / "out" / "train.clean.jsonl")[0]) == 22
    assert len(read_manifest(tmp_path / "out" / "dev.clean.jsonl")[0]) == 5
    again = [str(tmp_path / "out" / f"{name}.clean.jsonl") for name in ("train", "dev")]
    assert main([*again, "--out", str(tmp_path / "again")]) == 0, "what is clean stays clean"


def test_remarks_alone_are_0(main, manifests, tmp_path, capsys):
    row = json.loads(manifests[0].read_text().splitlines()[0])
    samples, rate_hz = soundfile.read(tmp_path / row["audio_filepath"])
    soundfile.write(tmp_path / "quiet.wav", 0.005 * samples, rate_hz, subtype="FLOAT")
    damage(manifests[0], 1, audio_filepath="quiet.wav")
    assert main([str(manifests[0]), "--out", str(tmp_path / "out")]) == 0
    assert "1  quiet (a remark)" in capsys.readouterr().out
    assert len(read_manifest(tmp_path / "out" / "train.clean.jsonl")[0]) == 24


def test_the_page_is_whole_by_itself_and_its_json_has_everything(main, manifests, tmp_path):
    damage(manifests[0], 5, text="<b>&\x07")
    assert main([*map(str, manifests), "--out", str(tmp_path / "out")]) == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;b&gt;&amp;" in page and "<b>&" not in page and "\x07" not in page
    sources = re.findall(r'(?:src|href)="([^"]{1,40})', page)
    assert len(sources) == 4 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<script" not in page and "train.jsonl:5" in page and "broken text" in page
    for name in ("durations", "text_lengths", "snr", "symbols"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["utterances"], report["left_out"], len(report["items"])) == (30, 1, 30)
    assert report["items"][4]["findings"][0]["kind"] == "broken text"
    assert report["items"][0]["duration_s"] > 0 and report["items"][0]["sample_rate_hz"] == 16_000


def test_nothing_is_written_over(main, manifests, tmp_path, capsys):
    arguments = [str(manifests[0]), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert main(arguments) == 2 and "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    clean = tmp_path / "train.clean.jsonl"
    clean.write_bytes(manifests[0].read_bytes())
    assert main([str(clean), str(manifests[0]), "--out", str(tmp_path)]) == 2
    assert "would be written over; choose another --out" in capsys.readouterr().err


def test_two_manifests_of_one_name_have_two_clean_ones(main, manifests, tmp_path):
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "train.jsonl"
    rows = [json.loads(line) for line in manifests[1].read_text().splitlines()]
    for row in rows:
        row["audio_filepath"] = str((tmp_path / row["audio_filepath"]).resolve())
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main([str(manifests[0]), str(other), "--out", str(tmp_path / "out")]) == 0
    counts = [len(read_manifest(tmp_path / "out" / f"{name}.clean.jsonl")[0]) for name in ("train", "train-2")]
    assert counts == [24, 6]


def test_shared_speakers_are_faults_unless_they_may_be(main, tone_corpus, tmp_path):
    manifests = [str(tone_corpus / "train.jsonl"), str(tone_corpus / "dev.jsonl")]
    assert main([*manifests, "--out", str(tmp_path / "out")]) == 1
    assert (tmp_path / "out" / "dev.clean.jsonl").read_text() == ""
    assert main([*manifests, "--out", str(tmp_path / "may"), "--may-share", "speakers"]) == 0
