"""Learning curves of runs that start from another model's weights, beside one that starts from nothing.

All have the same data, network and recipe, and are scored on --dev after each epoch. Nothing is chosen by that: the
table shows chosen epochs and the last, where the learning rate has come to zero. From the words of AN4 to digits, of a
speaker whom no run has heard:

    python scripts/convert_fsdd.py FOLDER
    python benchmarks/transfer.py models/mine --train data/fsdd/train.jsonl --dev data/fsdd/test.jsonl --freeze 3

Writes the runs and curves.png to --out; each call starts over.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crnn_asr.console import OK, non_negative_int, positive_int, run
from crnn_asr.files import replacing
from crnn_asr.native import load_tensorflow
from crnn_asr.training.run import RunDirectory
from crnn_asr.training.transfer import read_source

ROOT = Path(__file__).resolve().parents[1]
SHOWN_EPOCHS = (1, 2, 5, 10, 20)
Rows = list[dict[str, Any]]  # of metrics.jsonl, one an epoch


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("init", type=Path, metavar="MODEL", help="run directory or .keras file to start from")
    parser.add_argument("--train", type=Path, required=True, metavar="M.jsonl", help="manifest to train on")
    parser.add_argument("--dev", type=Path, required=True, metavar="M.jsonl", help="manifest to score on")
    parser.add_argument("--out", type=Path, default=Path("models/transfer"), help="folder (default: %(default)s)")
    parser.add_argument("--epochs", type=positive_int, default=20, help="of each run (default: %(default)s)")
    parser.add_argument(
        "--freeze",
        type=non_negative_int,
        nargs="*",
        default=[],
        metavar="N",
        help="a run more for each number, with so many layers frozen (default: none)",
    )
    return parser.parse_args(argv)


def commands(args: argparse.Namespace, preset: str) -> dict[str, list[str]]:
    """Arguments of train.py by the name of the run."""
    common = ["--train", str(args.train), "--dev", str(args.dev), "--epochs", str(args.epochs), "--fresh"]
    starts = {"from nothing": ["--preset", preset], "transferred": ["--init", str(args.init)]}
    starts |= {f"{n} layers frozen": ["--init", str(args.init), "--freeze", str(n)] for n in args.freeze}
    return {name: [*start, *common, "--out", str(folder(args, name))] for name, start in starts.items()}


def folder(args: argparse.Namespace, name: str) -> Path:
    path: Path = args.out / name.replace(" ", "_")
    return path


def table(runs: Mapping[str, Rows]) -> str:
    """Dev WER by epoch, as Markdown."""
    last = len(next(iter(runs.values())))
    epochs = [*(epoch for epoch in SHOWN_EPOCHS if epoch < last), last]
    lines = [["run", *(f"epoch {epoch}" for epoch in epochs), "seconds"], ["---", *["---:"] * (len(epochs) + 1)]]
    for name, rows in runs.items():
        rates = [f"{rows[epoch - 1]['dev_wer']:.1f} %" for epoch in epochs]
        lines.append([name, *rates, f"{sum(row['seconds'] for row in rows):.0f}"])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def draw(runs: Mapping[str, Rows], path: Path) -> None:
    """Dev WER and loss by epoch, a line for each run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    titles = {"dev_wer": "Words wrong on dev (%)", "dev_loss": "CTC loss on dev (nats per utterance)"}
    for axes, (key, title) in zip(figure.subplots(1, 2), titles.items()):
        for name, rows in runs.items():
            axes.plot([row["epoch"] for row in rows], [row[key] for row in rows], label=name, marker=".")
        axes.set(title=title, xlabel="epoch", ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    load_tensorflow()
    runs, code = {}, OK
    for name, arguments in commands(args, read_source(args.init).preset).items():
        print(f"{name}: train.py {' '.join(arguments)}", flush=True)
        code = max(code, subprocess.run([sys.executable, str(ROOT / "scripts" / "train.py"), *arguments]).returncode)
        runs[name] = RunDirectory(folder(args, name)).read_metrics()
    draw(runs, args.out / "curves.png")
    print(table(runs), end="")
    return code


if __name__ == "__main__":
    run(main)
