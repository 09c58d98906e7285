"""Training throughput beside stock Keras and PyTorch: same sizes, same batches, in turn in one run; medians and ratios.

All do the same: forward, CTC, backward, clipping, AdamW; ours also with Muon. Each is used as its documentation shows,
with true lengths. Ours and PyTorch run in float32 and, where the hardware has it, with their products in bfloat16.
PyTorch is optional: pip install torch (a CPU build).
"""

import argparse
import importlib.util
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from crnn_asr.config import ModelConfig
from crnn_asr.console import OK, positive_float, positive_int, run
from crnn_asr.corpus.manifest import read_manifest
from crnn_asr.native import load_tensorflow
from crnn_asr.presets import PRESETS

Batch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # features, lengths, labels, label lengths
Step = Callable[..., float]  # one training step on the arrays of a batch, which returns its loss
SYMBOLS_A_SECOND = 12
BATCHES = 8  # of a manifest, from its shortest utterances to its longest
LEARNING_RATE, WEIGHT_DECAY, CLIP_NORM = 1e-3, 1e-2, 1.0


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="an4", help="sizes (default: an4)")
    parser.add_argument("--lstm-layers", type=positive_int, metavar="N", help="instead of the preset's")
    parser.add_argument("--lstm-units", type=positive_int, metavar="N", help="instead of the preset's")
    parser.add_argument("--batch", type=positive_int, default=16, help="utterances in a step (default: 16)")
    parser.add_argument("--seconds", type=positive_float, default=8.0, help="length of each (default: 8)")
    parser.add_argument(
        "--manifest", type=Path, metavar="M.jsonl", help=f"lengths of its utterances, {BATCHES} batches (default: off)"
    )
    parser.add_argument("--rounds", type=positive_int, default=5, help="turns of each contender (default: 5)")
    parser.add_argument(
        "--steps", type=positive_int, default=4, help="times each batch is trained on in a turn (default: 4)"
    )
    return parser.parse_args(argv)


def sizes(args: argparse.Namespace) -> tuple[ModelConfig, float]:
    """The preset's network with the sizes that were asked for, and its hop in ms."""
    config, features = PRESETS[args.preset].model, PRESETS[args.preset].features
    layers, units = args.lstm_layers or config.lstm_layers, args.lstm_units or config.lstm_units
    return replace(config, lstm_layers=layers, lstm_units=units), features.hop_ms


def make_batch(config: ModelConfig, hop_ms: float, seconds: np.ndarray, symbols: np.ndarray) -> Batch:
    """Random features (B, T, F) and labels (B, U) of given lengths (B,)."""
    rng = np.random.default_rng(0)
    lengths = np.round(seconds * 1000 / hop_ms).astype(np.int32)
    features = rng.standard_normal((len(lengths), lengths.max(), config.num_mels)).astype(np.float32)
    labels = rng.integers(0, config.num_symbols - 1, (len(lengths), symbols.max())).astype(np.int32)
    return features, lengths, labels, np.minimum(symbols, config.output_length(lengths) // 2).astype(np.int32)


def make_batches(config: ModelConfig, hop_ms: float, args: argparse.Namespace) -> list[Batch]:
    """One batch of one length, or batches of a manifest's lengths."""
    if not args.manifest:
        seconds = np.full(args.batch, args.seconds)
        return [make_batch(config, hop_ms, seconds, np.round(seconds * SYMBOLS_A_SECOND).astype(int))]
    utterances = sorted(read_manifest(args.manifest)[0], key=lambda utterance: utterance.duration_s)
    starts = np.linspace(0, max(0, len(utterances) - args.batch), BATCHES).astype(int)
    groups = [utterances[start : start + args.batch] for start in starts]
    return [
        make_batch(config, hop_ms, np.array([u.duration_s for u in group]), np.array([len(u.text) for u in group]))
        for group in groups
    ]


def ours(config: ModelConfig, precision: str, optimizer: str) -> Step:
    import tensorflow as tf

    from crnn_asr.config import TrainingConfig
    from crnn_asr.training.model import CRNN
    from crnn_asr.training.optimizers import make_optimizer
    from crnn_asr.training.step import make_train_step

    tf.config.experimental.enable_op_determinism()
    tf.keras.utils.set_random_seed(0)
    model = CRNN(config, precision)
    training = TrainingConfig(clip_norm=CLIP_NORM, precision=precision, optimizer=optimizer)
    step = make_train_step(model, make_optimizer(training, model), training)
    return lambda *batch: float(step(*batch, tf.constant([0, 0]), LEARNING_RATE)[0][0])


def stock_keras(config: ModelConfig) -> Step:
    """Keras' own layers and `tf.nn.ctc_loss` with the dense labels that its documentation shows."""
    import keras
    import tensorflow as tf

    from crnn_asr.training.keras_file import stock_model

    model = stock_model(config)
    optimizer = keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM)
    optimizer.build(model.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(features: Any, lengths: Any, labels: Any, label_lengths: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model([features, lengths], training=True)
            losses = tf.nn.ctc_loss(
                labels,
                logits,
                label_lengths,
                config.output_length(lengths),
                logits_time_major=False,
                blank_index=config.num_symbols - 1,
            )
            loss = tf.reduce_mean(losses)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss

    return lambda *batch: float(step(*(tf.constant(array) for array in batch)))


def pytorch(config: ModelConfig, precision: str) -> Step:
    import torch
    from torch import nn
    from torch_net import TorchNet

    torch.manual_seed(0)
    net, loss_function = TorchNet(config), nn.CTCLoss(blank=config.num_symbols - 1)
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def step(*batch: np.ndarray) -> float:
        features, lengths, labels, label_lengths = (torch.from_numpy(array) for array in batch)
        logit_lengths = config.output_length(lengths)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = net(features, logit_lengths if len(set(logit_lengths.tolist())) > 1 else None)
        log_probs = logits.float().log_softmax(-1).transpose(0, 1)
        loss = loss_function(log_probs, labels, logit_lengths, label_lengths)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        optimizer.step()
        return float(loss.detach())

    return step


CONTENDERS: dict[str, tuple[Callable[..., Step], tuple[str, ...]]] = {
    "ours, bfloat16": (ours, ("bfloat16", "adamw")),
    "ours, float32": (ours, ("float32", "adamw")),
    "ours, bfloat16, Muon": (ours, ("bfloat16", "muon")),
    "ours, float32, Muon": (ours, ("float32", "muon")),
    "stock Keras": (stock_keras, ()),
    "PyTorch": (pytorch, ("float32",)),
    "PyTorch, bfloat16": (pytorch, ("bfloat16",)),
}


def worker(name: str, config: ModelConfig, batches: list[Batch], steps: int, pipe: Connection) -> None:
    """A contender in a process of its own, so that thread pools do not meet: warm up, then a turn for each message."""
    make, arguments = CONTENDERS[name]
    if make is not pytorch:
        load_tensorflow()
    step = make(config, *arguments)
    for batch in 2 * batches:
        step(*batch)
    pipe.send("ready")
    while pipe.recv():
        start = time.perf_counter()
        for _ in range(steps):
            for batch in batches:
                step(*batch)
        pipe.send((time.perf_counter() - start) / steps)


def measure(
    names: Sequence[str], config: ModelConfig, batches: list[Batch], rounds: int, steps: int
) -> dict[str, float]:
    """Seconds that each contender takes for all batches: the median of its turns."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name in names:
        pipes[name], theirs = context.Pipe()
        context.Process(target=worker, args=(name, config, batches, steps, theirs), daemon=True).start()
        pipes[name].recv()
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            times[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    return {name: statistics.median(values) for name, values in times.items()}


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    config, hop_ms = sizes(args)
    batches = make_batches(config, hop_ms, args)
    load_tensorflow()
    from crnn_asr.training.precision import fastest_precision

    has_torch, has_bfloat16 = importlib.util.find_spec("torch"), fastest_precision() == "bfloat16"
    names = [
        name for name in CONTENDERS if (has_torch or "PyTorch" not in name) and (has_bfloat16 or "bfloat16" not in name)
    ]
    seconds = measure(names, config, batches, args.rounds, args.steps)
    audio = sum(int(lengths.sum()) for _, lengths, *_ in batches) * hop_ms / 1000
    lengths_of = f"the lengths of {args.manifest}" if args.manifest else f"{args.seconds:g} s"
    print(f"{config.lstm_layers} × BiLSTM-{config.lstm_units}, batches of {args.batch} × {lengths_of}, training step:")
    print(f"{'':20}{'ms':>8}{'audio-s/s':>12}{'ours is':>10}")
    best = min(value for name, value in seconds.items() if name in ("ours, bfloat16", "ours, float32"))
    for name, value in seconds.items():
        print(f"{name:20}{1e3 * value / len(batches):8.0f}{audio / value:12.0f}{value / best:9.2f}×")
    if not has_bfloat16:
        print("this CPU would only imitate bfloat16, many times slower; those lines are left out")
    if not has_torch:
        print("PyTorch is not installed; pip install torch to have it in the table")
    return OK


if __name__ == "__main__":
    run(main)
