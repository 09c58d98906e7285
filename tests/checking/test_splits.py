"""Train, dev and test: nothing in common, the right shares of every length, the same for the same seed."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from crnn_asr.checking.splits import Placed, divide, require_apart
from crnn_asr.corpus.manifest import read_manifest
from crnn_asr.errors import DataError

SHARES = (80, 10, 10)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two manifests of 1200 utterances of 40 speakers with 300 texts; a file is a number, as no sound is needed."""
    rng = np.random.default_rng(1)
    (tmp_path / "audio").mkdir()
    rows = []
    for number in range(1_200):
        (tmp_path / "audio" / f"{number}.wav").write_text(str(number))
        duration = float(np.exp(rng.normal(1, 0.6)))
        speaker, text = f"s{int(40 * rng.beta(1, 2))}", f"text {rng.integers(300)}"
        rows.append({"audio_filepath": f"audio/{number}.wav", "duration": duration, "text": text, "speaker": speaker})
    for name, part in (("a", rows[:700]), ("b", rows[700:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return tmp_path


def parts(corpus: Path, by: str, **options) -> dict[str, list[Placed]]:
    arguments = {"shares": SHARES, "seed": 0, **options}
    division = divide([corpus / "a.jsonl", corpus / "b.jsonl"], by, **arguments)
    assert not division.problems
    return {name: list(members) for name, members in division.splits.items()}


@pytest.mark.parametrize(
    ("by", "kept"),
    [("speaker", lambda item: item.speaker), ("text", lambda item: item.text), ("random", lambda item: item.id)],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_is_in_two_splits_and_everything_in_one(by, kept, seed, corpus):
    splits = parts(corpus, by, seed=seed)
    values = {name: {kept(item.utterance) for item in members} for name, members in splits.items()}
    assert values["train"].isdisjoint(values["dev"] | values["test"]) and values["dev"].isdisjoint(values["test"])
    ids = [item.utterance.id for members in splits.values() for item in members]
    assert sorted(ids, key=int) == [str(number) for number in range(1_200)]


@pytest.mark.parametrize(("by", "tolerance"), [("speaker", 0.02), ("text", 0.005), ("random", 0.003)])
@pytest.mark.parametrize("shares", [(80, 10, 10), (50, 25, 25), (9, 1, 0)])
def test_hours_are_as_asked(by, tolerance, shares, corpus):
    splits = parts(corpus, by, shares=shares)
    seconds = {name: sum(item.utterance.duration_s for item in members) for name, members in splits.items()}
    for name, share in zip(("train", "dev", "test"), shares):
        assert seconds.get(name, 0) / sum(seconds.values()) == pytest.approx(share / sum(shares), abs=tolerance)


@pytest.mark.parametrize("by", ["speaker", "text", "random"])
def test_splits_have_short_and_long_utterances_alike(by, corpus):
    splits = parts(corpus, by)
    whole = np.quantile([item.utterance.duration_s for members in splits.values() for item in members], (0.25, 0.75))
    for members in splits.values():
        own = np.quantile([item.utterance.duration_s for item in members], (0.25, 0.75))
        np.testing.assert_allclose(own, whole, rtol=0.15)


def test_the_seed_decides(corpus):
    one, same, other = (parts(corpus, "speaker", seed=seed) for seed in (4, 4, 5))
    assert one == same and one["test"] != other["test"]


def test_the_same_recording_is_never_in_two(corpus):
    """A ring: each text of a line is the first of a pair and the second of another, joined by the recordings."""
    for number in range(0, 1_200, 2):
        (corpus / "audio" / f"{number}.wav").write_text(f"twin {number // 4}")
    home = {}
    for name, members in parts(corpus, "random").items():
        for item in members:
            content = item.utterance.audio_path.read_text()
            assert home.setdefault(content, name) == name
    assert Counter(home.values())["train"] > 600


def test_everything_joined_is_too_few(corpus):
    for path in (corpus / "audio").iterdir():
        path.write_text("one and the same")
    with pytest.raises(DataError, match=r"expected at least 3 different recordings, one for each split, got 1$"):
        parts(corpus, "random")


def test_the_check_sees_a_leak(corpus):
    splits = {name: tuple(members) for name, members in parts(corpus, "speaker").items()}
    require_apart(splits)
    with pytest.raises(DataError, match=r"has the recording .* in common with train"):
        require_apart({**splits, "test": (*splits["test"], splits["train"][0])})


def test_manifests_without_a_line_are_named(corpus):
    (corpus / "empty.jsonl").write_text("\n")
    division = divide([corpus / "a.jsonl", corpus / "empty.jsonl"], "text", SHARES, 0)
    assert [problem.where for problem in division.problems] == [str(corpus / "empty.jsonl")]
    with pytest.raises(
        DataError, match=r"not one utterance can be placed; .*empty\.jsonl: expected an utterance a line"
    ):
        divide([corpus / "empty.jsonl"], "text", SHARES, 0)


@pytest.mark.parametrize("num_speakers", [1, 2, 3, 4])
def test_few_speakers(num_speakers, tmp_path):
    rows = []
    for number in range(40):
        (tmp_path / f"{number}.wav").write_text(str(number))
        speaker = f"s{number % num_speakers}"
        rows.append({"audio_filepath": f"{number}.wav", "duration": 1.0, "text": f"t{number}", "speaker": speaker})
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if num_speakers < 3:
        with pytest.raises(
            DataError, match=f"3 different speakers, .* got {num_speakers}; divide by text or at random"
        ):
            divide([tmp_path / "m.jsonl"], "speaker", SHARES, 0)
    else:
        assert all(divide([tmp_path / "m.jsonl"], "speaker", SHARES, 0).splits.values())
    assert len(divide([tmp_path / "m.jsonl"], "text", SHARES, 0).splits["dev"]) == 4


def test_what_cannot_be_placed_is_named_and_the_rest_divided(corpus, script, capsys):
    lines = (corpus / "a.jsonl").read_text().splitlines()
    lines[0] = "{bad"
    lines[1] = json.dumps({**json.loads(lines[1]), "speaker": ""})
    lines[2] = json.dumps({**json.loads(lines[2]), "audio_filepath": "gone.wav"})
    lines[3] = json.dumps({**json.loads(lines[3]), "note": "keep me"})
    (corpus / "a.jsonl").write_text("\n".join(lines))
    assert script("split").main([str(corpus / "a.jsonl"), "--out", str(corpus / "out" / "deep")]) == 1
    captured = capsys.readouterr()
    for number, reason in ((1, "expected a JSON object"), (2, 'expected a "speaker"'), (3, "no audio file at ")):
        assert f"error: {corpus / 'a.jsonl'}:{number}: {reason}" in captured.err
    assert captured.err.count("error: ") == 3
    read = [item for name in ("train", "dev", "test") for item in read_manifest(corpus / f"out/deep/{name}.jsonl")[0]]
    assert len(read) == 697 and all(item.audio_path.is_file() for item in read)
    text = "".join((corpus / f"out/deep/{name}.jsonl").read_text() for name in ("train", "dev", "test"))
    assert text.count("keep me") == 1


def test_the_command(corpus, script, capsys, monkeypatch):
    main, out = script("split").main, corpus / "out"
    arguments = [str(corpus / "a.jsonl"), str(corpus / "b.jsonl"), "--out", str(out)]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "train.jsonl: " in told and "checked: no speaker and no recording is in two of them" in told
    before = (out / "test.jsonl").read_bytes()
    assert main(arguments) == 2 and "--force" in capsys.readouterr().err
    assert (out / "test.jsonl").read_bytes() == before
    assert main([*arguments, "--force", "--seed", "1", "--shares", "9", "1", "0"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["dev.jsonl", "train.jsonl"], (
        "no test of other shares is left"
    )
    assert main([str(out / "train.jsonl"), "--out", str(out), "--force"]) == 2
    assert "would be written over" in capsys.readouterr().err
    assert main([*arguments, "--shares", "0", "0", "0"]) == 2
    monkeypatch.chdir(corpus)
    assert main(["a.jsonl", "--out", os.path.relpath(out), "--force"]) == 0, "relative paths"
    assert all(item.audio_path.is_file() for item in read_manifest(out / "test.jsonl")[0])


def test_a_share_that_is_missed_is_told(tmp_path, script, capsys):
    rows = []
    for number, speaker in enumerate("aaaabbbbcccc"):
        (tmp_path / f"{number}.wav").write_text(str(number))
        rows.append({"audio_filepath": f"{number}.wav", "duration": 1.0, "text": "t", "speaker": speaker})
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert script("split").main([str(tmp_path / "m.jsonl"), "--out", str(tmp_path / "out")]) == 0
    assert "note: dev should have 10.0%; what must stay together is too large" in capsys.readouterr().err
