"""What safety costs: training steps with guards, bookkeeping and checkpoints beside the bare compiled step.

All three take the same batches in turn in one process, and their time on the processor (all threads) counts, so that
other work on the machine is not measured. `--preset an4` is the size that docs/safety.md speaks of.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crnn_asr.config import RunConfig
from crnn_asr.console import OK, positive_float, positive_int, run
from crnn_asr.native import load_tensorflow, single_threaded_blas
from crnn_asr.presets import PRESETS

SYMBOLS_A_SECOND = 12


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny", help="sizes (default: tiny)")
    parser.add_argument("--batch", type=positive_int, default=8, help="utterances in a step (default: 8)")
    parser.add_argument("--seconds", type=positive_float, default=3.0, help="length of each (default: 3)")
    parser.add_argument("--steps", type=positive_int, default=20, help="in a turn (default: 20)")
    parser.add_argument("--rounds", type=positive_int, default=5, help="turns of each (default: 5)")
    parser.add_argument(
        "--data",
        nargs=2,
        type=Path,
        metavar=("TRAIN", "DEV"),
        help="manifests, to time their checksums and to train on for a while (default: off)",
    )
    parser.add_argument("--for", dest="length_s", type=positive_float, default=40.0, help="seconds of it (default: 40)")
    return parser.parse_args(argv)


def random_batch(config: RunConfig, rows: int, seconds: float) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    frames, symbols = round(seconds * 1000 / config.features.hop_ms), round(seconds * SYMBOLS_A_SECOND)
    symbols = min(symbols, config.model.output_length(frames) // 2)
    features = rng.standard_normal((rows, frames, config.features.num_mels)).astype(np.float32)
    labels = rng.integers(0, config.model.num_symbols - 1, (rows, symbols)).astype(np.int32)
    return features, np.full(rows, frames, np.int32), labels, np.full(rows, symbols, np.int32)


def processor_ms(function: Callable[[], object], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        function()
    return 1e3 * (time.process_time() - start) / times


def make_steps(config: RunConfig, batch: tuple[np.ndarray, ...]) -> tuple[Any, Callable[[], None], Callable[[], None]]:
    """A learner, its bare step, and its step as the loop takes it, with all that is decided and counted about it."""
    import tensorflow as tf

    from crnn_asr.training.guards import judge
    from crnn_asr.training.learner import Learner
    from crnn_asr.training.replicas import Replicas
    from crnn_asr.training.state import Progress
    from crnn_asr.training.step import run_step

    tf.config.experimental.enable_op_determinism()
    tf.keras.utils.set_random_seed(0)
    learner, progress = Learner(config, Replicas(tf.distribute.get_strategy())), Progress()
    tensors = [tf.constant(array) for array in batch]

    def bare() -> None:
        totals, norm = run_step(learner.train_step, [tensors], [tf.constant([0, 0])], 1e-4)
        totals.numpy(), norm.numpy()

    def guarded() -> None:
        done = learner.step([tensors], progress.step, 1e-4, progress.batch_limit)
        judge(progress.health, done.loss, done.frames, done.norm)
        np.isfinite(batch[0].sum())  # of the features, where they are loaded
        progress.step += 1

    return learner, bare, guarded


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    single_threaded_blas()
    load_tensorflow()
    from crnn_asr.training.checkpoint import save_checkpoint
    from crnn_asr.training.guards import GOOD_EVERY_STEPS
    from crnn_asr.training.state import Progress

    preset = PRESETS[args.preset]
    config = replace(preset, training=replace(preset.training, precision="float32"))
    learner, bare, guarded = make_steps(config, random_batch(config, args.batch, args.seconds))
    for _ in range(3):
        bare(), guarded()
    turns: dict[str, list[float]] = {"bare": [], "guarded": [], "save": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.npz"

        def save() -> None:
            save_checkpoint(path, learner.variables, Progress(), config.training.keep_checkpoints)

        wall = time.perf_counter()
        save()
        wall = time.perf_counter() - wall
        for _ in range(args.rounds):
            turns["bare"].append(processor_ms(bare, args.steps))
            turns["guarded"].append(processor_ms(guarded, args.steps))
            turns["save"].append(processor_ms(save, 3))
        size = path.stat().st_size
    step, save_ms = statistics.median(turns["bare"]), statistics.median(turns["save"])
    ratio = statistics.median(guarded / bare for guarded, bare in zip(turns["guarded"], turns["bare"]))
    every_ms = 1e3 * config.training.checkpoint_every_s
    print(f"{args.preset}, {args.batch} × {args.seconds:g} s, processor time, median of {args.rounds} turns:")
    print(f"  a step {step:.1f} ms; with guards {100 * (ratio - 1):+.2f} %")
    print(f"  a checkpoint of {size / 1e6:.1f} MB {save_ms:.0f} ms ({1e3 * wall:.0f} ms by the clock, the first)")
    print(f"  one every {config.training.checkpoint_every_s:g} s: {100 * save_ms / every_ms:.2f} %")
    print(f"  a state to return to every {GOOD_EVERY_STEPS} steps: {100 * save_ms / (GOOD_EVERY_STEPS * step):.2f} %")
    if args.data:
        train, dev = map(str, args.data)
        watch_run(replace(preset, train_manifests=(train,), dev_manifest=dev), args.length_s)
    return OK


@dataclass
class Stopwatch:
    """Sums up what calls of a function take, by the processor and by the clock."""

    function: Callable[..., Any]
    calls: int = 0
    processor_s: float = 0.0
    clock_s: float = 0.0

    def __call__(self, *arguments: Any) -> Any:
        processor, clock = time.process_time(), time.perf_counter()
        result = self.function(*arguments)
        self.processor_s += time.process_time() - processor
        self.clock_s += time.perf_counter() - clock
        self.calls += 1
        return result


def watch_run(config: RunConfig, length_s: float) -> None:
    """Train for a while as train.py does; print the share of it that goes into checkpoints, verdicts and monitoring."""
    from crnn_asr.training import loop
    from crnn_asr.training.events import EpochDone
    from crnn_asr.training.fingerprint import data_checksums
    from crnn_asr.training.recorder import Recorder
    from crnn_asr.training.run import RunDirectory
    from crnn_asr.training.setup import prepare

    setup = prepare(config, "auto")
    checksums = Stopwatch(data_checksums)
    utterances = [example.utterance for source in (setup.train, setup.dev) for example in source.examples]
    count = len(checksums(setup.config, utterances))
    seconds = f"{checksums.clock_s:.2f} s by the clock, {checksums.processor_s:.2f} s of processor"
    print(f"  checksums of {count} files: {seconds}")
    loop.save_checkpoint = saves = Stopwatch(loop.save_checkpoint)  # type: ignore[assignment]
    loop.judge = verdicts = Stopwatch(loop.judge)  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory(Path(folder))
        directory.write_environment()
        trainer = loop.Trainer(directory, setup.config, setup.train, setup.dev)
        recorder = Recorder(directory, setup, trainer.model.count_params(), trainer.dev.step)
        recorder._epoch = watching = Stopwatch(recorder._epoch)  # type: ignore[method-assign]
        processor, clock = time.process_time(), time.perf_counter()
        for event in recorder(trainer.events()):
            if isinstance(event, EpochDone) and time.perf_counter() - clock > length_s:
                break
        processor, clock = time.process_time() - processor, time.perf_counter() - clock
    print(f"  in {clock:.0f} s of training, {trainer.progress.epoch} epochs and {trainer.progress.step} steps:")
    together = [0.0, 0.0]
    for name, watch in (("checkpoints", saves), ("verdicts", verdicts), ("epochs described", watching)):
        shares = 100 * watch.processor_s / processor, 100 * watch.clock_s / clock
        together = [total + part for total, part in zip(together, shares)]
        print(f"    {watch.calls} {name}: {shares[0]:.2f} % of the processor's time, {shares[1]:.2f} % of the clock's")
    print(f"    together: {together[0]:.2f} % of the processor's time, {together[1]:.2f} % of the clock's")


if __name__ == "__main__":
    run(main)
