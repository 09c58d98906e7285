"""The README.md of a run: what it is trained on, how, how well it does so far, how to use it, and what not to."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crnn_asr.config import RunConfig
from crnn_asr.corpus.manifest import Utterance, total_hours
from crnn_asr.training.curves import Row, best_of

_OPTIMIZERS = {"adamw": "AdamW", "muon": "Muon"}
MARK = "<!-- train.py writes this file again after every epoch; delete this line to keep your own version of it -->"


@dataclass(frozen=True)
class Facts:
    """What a run's configuration does not say: its data, parameters, and `environment.json`."""

    train: Sequence[Utterance]
    pool: Sequence[Utterance]
    dev: Sequence[Utterance]
    left_out: int
    parameters: int
    environment: Mapping[str, Any]


def is_own(path: Path) -> bool:
    """Whether the file is not there, or is one that was written here and that nobody claimed by deleting the mark."""
    return not path.is_file() or path.read_text(encoding="utf-8", errors="replace").startswith(MARK)


def model_card(root: Path, config: RunConfig, facts: Facts, rows: Sequence[Row], is_over: bool) -> str:
    """The card as Markdown, from the lines of `metrics.jsonl` so far."""
    name = root.resolve().name
    done = f"{len(rows)} of {config.training.epochs} epochs are done"
    parts = [
        f"{MARK}\n# {name}: a speech recognizer, preset {config.preset}",
        f"Training is over: {done}." if is_over else f"{done}; training goes on, or can with --resume.",
        _results(root, rows, config.training.keep),
        _data(config, facts),
        _recipe(config, facts),
        _use(root),
        _limits(config, facts, rows),
    ]
    return "\n\n".join(parts) + "\n"


_CHOSEN = {
    "best": "Dev chose the best epoch, so\nexpect somewhat more errors on other recordings of the same kind:",
    "last": "Dev chose none of the epochs;\non other recordings there may be more errors or fewer:",
}


def _results(root: Path, rows: Sequence[Row], keep: str) -> str:
    if not rows:
        return "## Results\n\nNone yet: the first epoch is not over."
    columns = {"best": best_of(rows)} if keep == "best" else {}
    columns["last"] = rows[-1]
    names = {"dev_wer": ("dev WER", " %"), "dev_cer": ("dev CER", " %"), "dev_loss": ("dev loss", "")}
    names["train_loss"] = ("training loss", "")
    table = [
        ["", *(f"epoch {row['epoch']}, the {which}" for which, row in columns.items())],
        ["---"] * (1 + len(columns)),
    ]
    table += [[name, *(f"{row[key]:.2f}{unit}" for row in columns.values())] for key, (name, unit) in names.items()]
    minutes = sum(row["seconds"] for row in rows) / 60
    return "\n".join(
        [
            "## Results\n",
            *(f"| {' | '.join(cells)} |" for cells in table),
            f"\nGreedy decoding, float weights; losses are CTC's, in nats an utterance. {_CHOSEN[keep]}",
            f"`python scripts/evaluate.py {shlex.quote(str(root))} TEST.jsonl` tells how many.",
            f"{minutes:.1f} minutes of training steps. What was heard in each dev utterance is in `predictions.csv`.",
            "\n![curves by epoch](summary.png)",
        ]
    )


def _data(config: RunConfig, facts: Facts) -> str:
    sets = (
        ("train", facts.train, config.train_manifests),
        ("pool", facts.pool, config.pool_manifests),
        ("dev", facts.dev, filter(None, [config.dev_manifest])),
    )
    rows = [
        f"| {name} | {len(found)} | {total_hours(found):.2f} | "
        f"{', '.join(map(_place, sources)) or 'held out of the training data'} |"
        for name, found, sources in sets
        if found
    ]
    part = "\nAn epoch hears all of train and as many utterances of the pool, others in each.\n" if facts.pool else ""
    return "\n".join(
        [
            "## Data\n",
            "| | utterances | hours | from |",
            "|---|---|---|---|",
            *rows,
            part,
            f"{facts.left_out} utterances were left out at the start; `skipped.jsonl` names them all, with reasons.",
        ]
    )


def _recipe(config: RunConfig, facts: Facts) -> str:
    training, model, environment = config.training, config.model, facts.environment
    network = f"{len(model.conv_filters)} convolutions, {model.lstm_layers} × BiLSTM-{model.lstm_units}, CTC"
    optimizer = f"{_OPTIMIZERS[training.optimizer]}, at most {training.learning_rate:g}, {training.schedule}"
    batch = training.accumulate_batches * training.batch_frames * config.features.hop_ms / 1000
    rows = {
        "network": f"{network}; {facts.parameters:,} parameters",
        "features": f"log-mel, {config.features.num_mels} bins, {config.features.sample_rate_hz / 1000:g} kHz",
        "optimizer": f"{optimizer}, seed {training.seed}",
        "step": f"at most {batch:g} s of padded audio, {training.precision}",
        "waveform augmentation": "on" if _augments(config) else "off",
        "trained on": f"{environment['platform']}, TensorFlow {environment['packages']['tensorflow']}",
        "commit": environment["git_commit"] or "unknown",
    }
    if config.transfer.model:
        rows["started from"] = f"{_place(config.transfer.model)}, the first {config.transfer.freeze} layers frozen"
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    commands = [f"    python {shlex.join(session['command'])}" for session in environment["sessions"]]
    end = "\nEvery setting is in `config.json`, all versions are in `environment.json`. Its commands, one a session:\n"
    return "\n".join(["## Recipe\n", "| | |", "|---|---|", *lines, end, *commands])


def _use(root: Path) -> str:
    run = shlex.quote(str(root))
    return "\n".join(
        [
            "## Use\n",
            f"    python scripts/quantize.py {run}",
            f"    python scripts/infer_tflite.py recording.wav --model {run}/model.int8.tflite",
        ]
    )


def _limits(config: RunConfig, facts: Facts, rows: Sequence[Row]) -> str:
    hours = total_hours(facts.train)
    symbols = "".join(config.alphabet).strip()
    longest = config.training.max_duration_s
    lines = [
        f"- Other speech than that of its {hours:.2f} hours: other words, speakers, rooms, microphones.",
        f"- Other languages than its own ({config.text.language}). It writes `{symbols}` and spaces, nothing else.",
        f"- Recordings much longer than {longest:g} s, which it never met in training.",
        "- Anything where an error hurts someone, or that nobody reads again.",
    ]
    if rows and (wer := best_of(rows)["dev_wer"]) >= 50:
        lines.insert(0, f"- Anything, yet: {wer:.0f} % of the words of dev are wrong.")
    return "\n".join(["## Not for\n", *lines])


def _augments(config: RunConfig) -> bool:
    probabilities = vars(config.augment).items()
    return any(value for name, value in probabilities if name.endswith("_probability"))


def _place(path: str) -> str:
    """The end of a path, which says enough and tells nobody how this machine is arranged."""
    return "/".join(Path(path).parts[-2:])
