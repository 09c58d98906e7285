"""What describes a run: read back by TensorFlow, csv and json, during the run, after a resume, and when it fails."""

import csv
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from crnn_asr.config import ModelConfig, TrainingConfig
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import save_config
from crnn_asr.text.metrics import score
from crnn_asr.training import recorder as recorder_module
from crnn_asr.training.events import EpochDone, Event, StepDone
from crnn_asr.training.loop import Trainer
from crnn_asr.training.model_card import MARK, model_card
from crnn_asr.training.recorder import Recorder
from crnn_asr.training.run import RunDirectory
from crnn_asr.training.setup import prepare
from crnn_asr.training.tensorboard import ALIGNMENT, PREDICTIONS, tag_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
MODEL = ModelConfig(conv_filters=(4, 4), projection_units=16, lstm_layers=1, lstm_units=12)
TRAINING = TrainingConfig(epochs=3, batch_frames=700, warmup_steps=4, learning_rate=1e-2, precision="float32")


def recorder_of(root: Path, corpus: Path, trainer: bool = True, **arguments: object) -> tuple[Trainer | None, Recorder]:
    """A run and what watches it; without a trainer, a network that hears noise."""
    config = replace(
        PRESETS["tiny"],
        model=MODEL,
        training=TRAINING,
        train_manifests=(str(corpus / "train.jsonl"),),
        dev_manifest=str(corpus / "dev.jsonl"),
    )
    setup, run = prepare(config, "auto"), RunDirectory(root)
    root.mkdir(exist_ok=True)
    save_config(setup.config, run.config)
    run.write_environment()
    if not trainer:
        return None, Recorder(run, setup, 1_000, hear_noise, **arguments)
    learner = Trainer(run, setup.config, setup.train, setup.dev)
    return learner, Recorder(run, setup, learner.model.count_params(), learner.dev.step, **arguments)


def hear_noise(features: np.ndarray, lengths: np.ndarray, *_: object) -> tuple[tf.Tensor, tf.Tensor, None]:
    frames = -(-lengths // 4)
    logits = np.random.default_rng(0).normal(size=(len(features), frames.max(), 5)).astype(np.float32)
    return tf.constant(logits), tf.constant(frames), None


def told(run: RunDirectory, epochs: int) -> Iterator[EpochDone]:
    """Events of a run that gets better from epoch to epoch."""
    keys = ("train_loss", "dev_loss", "dev_wer", "dev_cer", "learning_rate", "seconds")
    for epoch in range(1, epochs + 1):
        row = {"epoch": epoch, "step": 7 * epoch, **dict.fromkeys(keys, 30.0 / epoch)}
        run.write_metrics([*run.read_metrics(), row])
        yield EpochDone(row, True, [("dev-00", "a b", "a")])


def go_on(root: Path, corpus: Path, until: Callable[[Event], bool]) -> Trainer:
    """Resume a run and leave it, as a kill does, at the first event that is wanted."""
    trainer, recorder = recorder_of(root, corpus, clock=lambda: 0.0)  # so that drawing takes no time
    assert trainer is not None
    trainer.resume()
    for event in recorder(trainer.events()):
        if until(event):
            break
    return trainer


def summaries(root: Path) -> dict[int, dict[str, tf.compat.v1.Summary.Value]]:
    """By epoch, what each tag has; no epoch has a tag twice, in whatever file."""
    found: dict[int, dict[str, tf.compat.v1.Summary.Value]] = {}
    for path in sorted((root / "tensorboard").iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.tag not in found.setdefault(event.step, {})
                found[event.step][value.tag] = value
    return found


def scalars(root: Path) -> dict[int, dict[str, float]]:
    found = summaries(root)
    return {
        epoch: {tag: value.simple_value for tag, value in values.items() if value.HasField("simple_value")}
        for epoch, values in found.items()
    }


def history(root: Path) -> list[dict[str, str]]:
    with (root / "history.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_told_alike(root: Path) -> None:
    """history.csv and TensorBoard have what metrics.jsonl has, no epoch more and none less."""
    rows = RunDirectory(root).read_metrics()
    assert [{key: str(value) for key, value in row.items()} for row in rows] == history(root)
    found = scalars(root)
    assert sorted(found) == [row["epoch"] for row in rows]
    for row in rows:
        wanted = {tag_of(key): value for key, value in row.items() if key not in ("epoch", "step")}
        assert found[row["epoch"]] == pytest.approx(wanted, rel=1e-6)


@pytest.fixture(scope="module")
def states() -> list[str]:
    """What the card of `whole` says of its state: at each epoch's first step and end, and afterwards."""
    return []


@pytest.fixture(scope="module")
def whole(tone_corpus, tmp_path_factory, states) -> Path:
    root = tmp_path_factory.mktemp("recorded") / "run"

    def note_state(event: Event | None) -> bool:
        if not isinstance(event, StepDone) or event.batch == 1:
            states.append((root / "README.md").read_text(encoding="utf-8").splitlines()[3])
        return False

    go_on(root, tone_corpus, note_state)
    note_state(None)
    return root


def test_every_file_tells_the_same(whole):
    check_told_alike(whole)
    assert len(history(whole)) == 3
    for name in ("curves.png", "summary.png"):
        assert (whole / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_every_key_is_documented_and_every_documented_key_is_written(whole):
    table = DOCUMENT.read_text(encoding="utf-8").split("## metrics.jsonl")[1].split("##")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \|.*\| (?:`(\S+)`|x axis) \|$", table, re.MULTILINE))
    written = {key for row in RunDirectory(whole).read_metrics() for key in row}
    assert set(documented) == written
    for key, tag in documented.items():
        assert tag == ("" if key in ("epoch", "step") else tag_of(key))


def test_the_same_utterances_are_shown_each_epoch_and_one_as_a_picture(whole, tone_corpus):
    spoken = {Path(row["audio_filepath"]).stem: row["text"] for row in manifest(tone_corpus / "dev.jsonl")}
    shown = []
    for epoch, values in summaries(whole).items():
        assert values[PREDICTIONS].metadata.plugin_data.plugin_name == "text"
        _, _, *lines = tf.make_ndarray(values[PREDICTIONS].tensor).item().decode().splitlines()
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        assert all(spoken[name] == said for name, said, *_ in cells)
        shown.append([name for name, *_ in cells])
        image = values[ALIGNMENT].image
        assert tf.io.decode_png(image.encoded_image_string).shape == (image.height, image.width, 4), epoch
    assert shown == [["dev-00", "dev-01", "dev-02", "dev-03", "dev-05"]] * 3


def manifest(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_predictions_are_those_of_the_best_epoch(whole):
    with (whole / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scores = score([row["reference"] for row in rows], [row["hypothesis"] for row in rows])
    best = json.loads((whole / "summary.json").read_text())
    assert scores.words.percent == best["dev_wer"] and scores.characters.percent == best["dev_cer"]
    assert sum(int(row["errors"]) for row in rows) == scores.words.errors and len(rows) == 6


@pytest.mark.parametrize("lost", ["TensorBoard's files", "the last checkpoint"])
def test_a_killed_and_resumed_run_tells_each_epoch_once(tone_corpus, tmp_path, whole, lost):
    """Killed in epoch 3 and robbed of its files for TensorBoard, or of all checkpoints since epoch 1."""
    root, earlier = tmp_path / "run", []

    def in_epoch_3(event: Event) -> bool:
        if isinstance(event, StepDone) and event.epoch == 2 and not earlier:
            earlier.append((root / "checkpoints" / "last.npz").read_bytes())
        return isinstance(event, StepDone) and event.epoch == 3 and event.batch == 2

    def check_at_the_first_step(event: Event) -> bool:
        if isinstance(event, StepDone) and event.batch == 1:
            check_told_alike(root)
        return False

    go_on(root, tone_corpus, in_epoch_3)
    assert len(history(root)) == 2
    if lost == "the last checkpoint":
        (root / "checkpoints" / "last.npz").write_bytes(earlier[0])
    else:
        shutil.rmtree(root / "tensorboard")
    go_on(root, tone_corpus, check_at_the_first_step)
    check_told_alike(root)
    timing = {"seconds", "audio_seconds_per_second", "wait_share", "resident_mib"}
    for one, other in zip(history(root), history(whole), strict=True):
        assert {k: v for k, v in one.items() if k not in timing} == {k: v for k, v in other.items() if k not in timing}
    assert len(json.loads((root / "environment.json").read_text())["sessions"]) == 2


def test_the_card_is_there_from_the_first_step_on_and_grows(whole, states, tone_corpus):
    *during, last = states
    wanted = "{} of 3 epochs are done; training goes on, or can with --resume."
    assert during == [wanted.format(epochs) for epochs in (0, 1, 1, 2, 2, 3)]
    assert last == "Training is over: 3 of 3 epochs are done."
    text, summary = (whole / "README.md").read_text(encoding="utf-8"), json.loads((whole / "summary.json").read_text())
    assert f"| dev WER | {summary['dev_wer']:.2f} % |" in text and f"{summary['parameters']:,} parameters" in text
    assert f"| train | 24 | {summary['train_hours']:.2f} | {tone_corpus.name}/train.jsonl |" in text
    assert str(tone_corpus) not in text


def test_a_card_of_a_run_that_keeps_its_last_epoch(tone_corpus, tmp_path):
    _, recorder = recorder_of(tmp_path / "run", tone_corpus, trainer=False)
    rows = [event.metrics for event in told(recorder.run, 3)]
    last = replace(recorder.config, training=replace(TRAINING, keep="last"))
    for config, head in (
        (recorder.config, "| epoch 3, the best | epoch 3, the last |"),
        (last, "| epoch 3, the last |"),
    ):
        text = model_card(tmp_path / "run", config, recorder.facts, rows, True)
        assert f"\n|  {head}\n" in text and ("chose the best" in text) == (config is not last)


def test_a_card_that_somebody_wrote_is_kept(tone_corpus, tmp_path, capsys):
    root = tmp_path / "run"
    root.mkdir()
    (root / "README.md").write_text("# mine\n")
    _, recorder = recorder_of(root, tone_corpus, trainer=False)
    assert len(list(recorder(told(recorder.run, 2)))) == 2
    assert (root / "README.md").read_text() == "# mine\n" and "README.md" in capsys.readouterr().err
    recorder.run.clear()
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["README.md"]
    (root / "README.md").write_text(f"{MARK}\n# run\n")
    recorder.run.clear()
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_what_cannot_be_described_is_trained_all_the_same(tone_corpus, tmp_path, capsys, monkeypatch):
    """A file where a folder should be, and pictures that fail: each is said once, and all else is written."""

    def fail(*_: object) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr(recorder_module, "draw_curves", fail)
    root = tmp_path / "run"
    root.mkdir()
    (root / "tensorboard").write_text("in the way")
    _, recorder = recorder_of(root, tone_corpus, trainer=False)
    assert len(list(recorder(told(recorder.run, 3)))) == 3
    assert len(history(root)) == 3 and "Training is over: 3 of" in (root / "README.md").read_text(encoding="utf-8")
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and "no font" in errors[0] and "tensorboard" in errors[1]


def test_pictures_take_a_hundredth_of_the_time(tone_corpus, tmp_path, monkeypatch):
    """An epoch of 30 s, pictures of 2 s: 200 s pass before they are drawn again, and at the end they are."""
    now, drawn = [0.0], []
    _, recorder = recorder_of(tmp_path / "run", tone_corpus, trainer=False, clock=lambda: now[0])

    def draw(rows: list[dict]) -> None:
        drawn.append(len(rows))
        now[0] += 2.0

    monkeypatch.setattr(recorder, "_draw", draw)
    for _ in recorder(told(recorder.run, 12)):
        now[0] += 30.0
    assert drawn == [1, 8, 12]
    assert [epoch for epoch, values in summaries(tmp_path / "run").items() if ALIGNMENT in values] == [1, 8, 12]


def test_the_shown_utterance_has_the_logits_that_it_has_among_the_others(tone_corpus, tmp_path, monkeypatch):
    pictures = []
    monkeypatch.setattr(recorder_module, "draw_alignment", lambda *arguments: pictures.append(arguments))
    trainer, recorder = recorder_of(tmp_path / "run", tone_corpus)
    next(event for event in recorder(trainer.events()) if isinstance(event, EpochDone))
    ((features, logits, reference, _),) = pictures
    example = recorder.dev.examples[recorder.shown]
    planned = next(batch for batch in trainer.dev.plan.batches if recorder.shown in batch.indices)
    batch, examples = recorder.dev.load(trainer.dev.plan, planned)
    row = examples.index(example)
    values, lengths, _ = trainer.dev.step(*batch)
    assert len(examples) > 1 and reference == example.text
    np.testing.assert_array_equal(features, batch[0][row, : batch[1][row]])
    np.testing.assert_allclose(logits, values[row, : lengths[row]], atol=1e-4)
