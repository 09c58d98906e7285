"""Training throughput beside stock Keras and PyTorch: same sizes, same batch, in turn in one run; medians and ratios.

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
from typing import Any

import numpy as np

from crnn_asr.config import PRESETS, ModelConfig
from crnn_asr.console import OK, positive_float, positive_int, run

Step = Callable[[], float]  # one training step, which returns its loss
FRAMES_A_SECOND, SYMBOLS_A_SECOND = 100, 12
LEARNING_RATE, WEIGHT_DECAY, CLIP_NORM = 1e-3, 1e-2, 1.0


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="an4", help="sizes (default: an4)")
    parser.add_argument("--lstm-layers", type=positive_int, metavar="N", help="instead of the preset's")
    parser.add_argument("--lstm-units", type=positive_int, metavar="N", help="instead of the preset's")
    parser.add_argument("--batch", type=positive_int, default=16, help="utterances in a step (default: 16)")
    parser.add_argument("--seconds", type=positive_float, default=8.0, help="length of each (default: 8)")
    parser.add_argument("--rounds", type=positive_int, default=5, help="turns of each contender (default: 5)")
    parser.add_argument("--steps", type=positive_int, default=4, help="steps in a turn (default: 4)")
    return parser.parse_args(argv)


def make_batch(
    config: ModelConfig, batch: int, seconds: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Random features (B, T, F) of one length, and labels (B, U), with their lengths."""
    rng = np.random.default_rng(0)
    frames, symbols = round(seconds * FRAMES_A_SECOND), round(seconds * SYMBOLS_A_SECOND)
    features = rng.standard_normal((batch, frames, config.num_mels)).astype(np.float32)
    labels = rng.integers(0, config.num_symbols - 1, (batch, symbols)).astype(np.int32)
    return features, np.full(batch, frames, np.int32), labels, np.full(batch, symbols, np.int32)


def ours(config: ModelConfig, batch: tuple[np.ndarray, ...]) -> Step:
    import tensorflow as tf

    from crnn_asr.config import TrainingConfig
    from crnn_asr.training.model import CRNN
    from crnn_asr.training.step import make_optimizer, make_train_step

    tf.config.experimental.enable_op_determinism()
    tf.keras.utils.set_random_seed(0)
    model = CRNN(config)
    step = make_train_step(model, make_optimizer(TrainingConfig(), model), CLIP_NORM)
    tensors = [tf.constant(array) for array in batch]
    return lambda: float(step(*tensors, tf.constant([0, 0]), LEARNING_RATE)[0][0])


def stock_keras(config: ModelConfig, batch: tuple[np.ndarray, ...]) -> Step:
    """Keras' own layers and `tf.nn.ctc_loss` with the dense labels that its documentation shows."""
    import keras
    import tensorflow as tf

    from crnn_asr.training.keras_file import stock_model

    model = stock_model(config)
    optimizer = keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM)
    optimizer.build(model.trainable_variables)
    features, lengths, labels, label_lengths = (tf.constant(array) for array in batch)

    @tf.function
    def step() -> Any:
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

    return lambda: float(step())


def pytorch(config: ModelConfig, batch: tuple[np.ndarray, ...]) -> Step:
    import torch
    from torch import nn
    from torch_net import TorchNet

    torch.manual_seed(0)
    net, loss_function = TorchNet(config), nn.CTCLoss(blank=config.num_symbols - 1)
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    features, lengths, labels, label_lengths = (torch.from_numpy(array) for array in batch)
    logit_lengths = config.output_length(lengths)

    def step() -> float:
        optimizer.zero_grad()
        log_probs = net(features).log_softmax(-1).transpose(0, 1)
        loss = loss_function(log_probs, labels, logit_lengths, label_lengths)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        optimizer.step()
        return float(loss.detach())

    return step


CONTENDERS = {"ours": ours, "stock Keras": stock_keras, "PyTorch": pytorch}


def worker(name: str, config: ModelConfig, batch: tuple[np.ndarray, ...], steps: int, pipe: Connection) -> None:
    """A contender in a process of its own, so that thread pools do not meet: warm up, then a turn for each message."""
    from crnn_asr.native import load_tensorflow

    if name != "PyTorch":
        load_tensorflow()
    step = CONTENDERS[name](config, batch)
    step(), step()
    pipe.send("ready")
    while pipe.recv():
        start = time.perf_counter()
        for _ in range(steps):
            step()
        pipe.send((time.perf_counter() - start) / steps)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    config = PRESETS[args.preset].model
    config = replace(
        config, lstm_layers=args.lstm_layers or config.lstm_layers, lstm_units=args.lstm_units or config.lstm_units
    )
    batch = make_batch(config, args.batch, args.seconds)
    names = [name for name in CONTENDERS if name != "PyTorch" or importlib.util.find_spec("torch")]
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name in names:
        pipes[name], theirs = context.Pipe()
        context.Process(target=worker, args=(name, config, batch, args.steps, theirs), daemon=True).start()
        pipes[name].recv()
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(args.rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            times[name].append(pipe.recv())
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"{config.lstm_layers} × BiLSTM-{config.lstm_units}, batch {args.batch} × {args.seconds:g} s, training step:")
    print(f"{'':14}{'ms':>8}{'audio-s/s':>12}{'ours is':>10}")
    for name in names:
        ratio = median[name] / median["ours"]
        print(f"{name:14}{1e3 * median[name]:8.0f}{args.batch * args.seconds / median[name]:12.0f}{ratio:9.2f}×")
    if "PyTorch" not in names:
        print("PyTorch is not installed; pip install torch to have it in the table")
    return OK


if __name__ == "__main__":
    run(main)
