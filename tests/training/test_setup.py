"""What is made of manifests: alphabet, splits, and names for everything that is left out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from crnn_asr.config import TextConfig
from crnn_asr.corpus.manifest import Utterance
from crnn_asr.errors import DataError
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import save_config
from crnn_asr.text.alphabet import ENGLISH
from crnn_asr.training.setup import choose_alphabet, heard_before, hold_out, prepare


def utterances(speakers: list[str]) -> list[Utterance]:
    return [Utterance(Path(f"{n}.wav"), 1.0, "x", speaker, str(n)) for n, speaker in enumerate(speakers)]


def config(*manifests: Path, dev: Path | None = None):
    return replace(PRESETS["tiny"], train_manifests=tuple(map(str, manifests)), dev_manifest=str(dev) if dev else "")


@pytest.mark.parametrize("count", [5, 8, 40])
def test_held_out_speakers_are_not_trained_on(count):
    items = utterances([f"s{n % count}" for n in range(200)])
    train, dev = hold_out(items)
    assert {u.speaker for u in train}.isdisjoint({u.speaker for u in dev})
    assert len(train) + len(dev) == 200 and 0 < len(dev) < len(train)


def test_few_speakers_give_every_twentieth_utterance():
    train, dev = hold_out(utterances(["a", "b"] * 30))
    assert [u.id for u in dev] == ["0", "20", "40"] and len(train) == 57


def test_what_a_run_held_out_or_has_lost_it_did_not_hear(tone_corpus, tmp_path):
    setup = prepare(config(tone_corpus / "train.jsonl"), "auto")
    save_config(setup.config, tmp_path / "config.json")
    assert heard_before(tmp_path, setup.dev.examples) == 0
    assert heard_before(tmp_path, setup.train.examples) == len(setup.train.examples)
    save_config(replace(setup.config, train_manifests=("gone.jsonl",)), tmp_path / "config.json")
    assert heard_before(tmp_path, setup.train.examples) == 0


def test_alphabets():
    text = [Utterance(Path("x"), 1.0, "İstanbulda QIZ, ağac!")]
    azerbaijani = replace(PRESETS["tiny"], text=TextConfig(language="az"))
    assert choose_alphabet("auto", text, azerbaijani) == tuple(" abcdilnqstuzğı")
    assert choose_alphabet("english", text, azerbaijani) == ENGLISH
    assert choose_alphabet("xyz", text, azerbaijani) == ("x", "y", "z")
    with pytest.raises(DataError, match="twice"):
        choose_alphabet("xx", text, azerbaijani)


def test_faults_are_named_and_the_rest_is_kept(tone_corpus, tmp_path):
    lines = (tone_corpus / "train.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row["audio_filepath"] = str(tone_corpus / row["audio_filepath"])
    rows[3]["audio_filepath"] = "gone.wav"
    rows[5]["text"] = "a é"
    text = [json.dumps(row) for row in rows]
    text[7] = "{not json"
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("\n".join(text))
    setup = prepare(config(manifest, dev=tone_corpus / "dev.jsonl"), " abc")
    assert len(setup.train.examples) == len(rows) - 3
    assert [problem.where for problem in setup.failed] == [f"{manifest}:8", f"{manifest}: {rows[3]['id']}"]
    assert "é" in setup.skipped[0].reason
    assert setup.config.alphabet == (" ", "a", "b", "c") and setup.config.model.num_symbols == 5


def test_nothing_left_is_a_sentence(tone_corpus, tmp_path):
    with pytest.raises(DataError, match=r"not one training utterance.*outside the alphabet"):
        prepare(config(tone_corpus / "train.jsonl", dev=tone_corpus / "dev.jsonl"), "xyz")
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"audio_filepath": "gone.wav", "duration": 1, "text": "a"}')
    with pytest.raises(DataError, match=r"gone\.wav"):
        prepare(config(manifest, dev=tone_corpus / "dev.jsonl"), "auto")


def test_noise_folders(tone_corpus, tmp_path):
    wanted = config(tone_corpus / "train.jsonl", dev=tone_corpus / "dev.jsonl")
    with pytest.raises(OSError, match="nowhere"):
        prepare(replace(wanted, noise_dir=str(tmp_path / "nowhere")), "auto")
    with pytest.raises(DataError, match="found none"):
        prepare(replace(wanted, rooms_dir=str(tmp_path)), "auto")
