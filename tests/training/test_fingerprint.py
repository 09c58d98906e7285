"""Every file that a run reads has a part in the checksums."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from crnn_asr.config import RunConfig
from crnn_asr.corpus.manifest import Utterance, read_manifest
from crnn_asr.errors import DataError
from crnn_asr.training import fingerprint
from crnn_asr.training.fingerprint import data_checksums, require_same, summary_of, to_text


@pytest.fixture
def data(tone_corpus, tmp_path) -> tuple[RunConfig, list[Utterance]]:
    noise = tmp_path / "noise"
    noise.mkdir()
    (noise / "hiss.wav").write_bytes(b"RIFF")
    train, dev = tone_corpus / "train.jsonl", tone_corpus / "dev.jsonl"
    config = RunConfig(train_manifests=(str(train),), dev_manifest=str(dev), noise_dir=str(noise))
    return config, read_manifest(train)[0] + read_manifest(dev)[0]


def test_they_are_those_of_the_files(data, tone_corpus, tmp_path):
    found = data_checksums(*data)
    files = [*tone_corpus.rglob("*.wav"), *tone_corpus.glob("*.jsonl"), tmp_path / "noise" / "hiss.wav"]
    assert found == {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_of_much_audio_the_size_and_both_ends_count(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "WHOLE_BYTES", 100)
    monkeypatch.setattr(fingerprint, "END_BYTES", 10)
    path, short = tmp_path / "a.wav", tmp_path / "b.wav"
    manifest = tmp_path / "m.jsonl"
    manifest.write_bytes(bytes(500))
    config = RunConfig(train_manifests=(str(manifest),))

    def checksums(content: bytes) -> dict[str, str]:
        path.write_bytes(content)
        short.write_bytes(content[:7])
        return data_checksums(config, [Utterance(item, 1.0, "", "", item.stem) for item in (path, short)])

    plain = checksums(bytes(200))
    for place, is_seen in ((0, True), (9, True), (10, False), (189, False), (190, True), (199, True)):
        changed = bytearray(200)
        changed[place] = 1
        assert (checksums(bytes(changed))[str(path)] != plain[str(path)]) == is_seen
    assert checksums(bytes(201))[str(path)] != plain[str(path)]
    assert plain[str(manifest)] == hashlib.sha256(bytes(500)).hexdigest()  # always whole


def test_what_changed_is_named(data, tmp_path):
    config, utterances = data
    found = data_checksums(config, utterances)
    written = tmp_path / "data.json"
    written.write_text(to_text(found))
    config = replace(config, data_sha256=summary_of(found))
    require_same(found, config, written)
    require_same(found, replace(config, data_sha256=""), Path("nowhere"))
    names = sorted(found)
    for changed, words in (
        ({names[0]: "x"}, f"started: {names[0]}; bring"),
        ({names[0]: "x", "new": "y"}, f"started: {names[0]} and new; bring"),
        (dict.fromkeys(names, "x"), f"started: {names[0]} and {len(names) - 1} more files; bring"),
    ):
        with pytest.raises(DataError) as error:
            require_same(found | changed, config, written)
        assert words in str(error.value)
    with pytest.raises(DataError, match=r"data\.json is gone"):
        require_same(found | {"new": "y"}, config, tmp_path / "nowhere")


def test_a_file_that_is_gone_has_no_checksum(tmp_path):
    gone = Utterance(tmp_path / "gone.wav", 1.0, "", "", "gone")
    assert data_checksums(RunConfig(), [gone]) == {str(gone.audio_path): ""}


def test_records_are_counted_by_their_indexes(tone_corpus, tmp_path, script):
    records = tmp_path / "records"
    made = [str(tone_corpus / "train.jsonl"), "--out", str(records), "--preset", "tiny", "--jobs", "1"]
    assert script("make_records").main(made) == 0
    from crnn_asr.training.records import read_utterances

    config = RunConfig(train_manifests=(str(records),))
    found = data_checksums(config, read_utterances(records, config.features)[0])
    assert {Path(name).name for name in found} == {"index.json", "shard-00000.json"}
