"""The network in NumPy, as the definition reads: one frame after the other, nothing folded, nothing shared."""

import numpy as np

from crnn_asr.config import ModelConfig

Weights = dict[str, np.ndarray]


def random_architecture(rng: np.random.Generator) -> ModelConfig:
    """Sizes of any kind, drawn by their logarithm, so that small ones are as many as large ones.

    Layers of a few units are left out: their norms make signs of what goes in, and of rounding errors.
    """

    def size(low: int, high: int) -> int:
        return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))

    layers = size(1, 4)
    return ModelConfig(
        num_mels=size(4, 128),
        conv_filters=tuple(size(2, 48) for _ in range(layers)),
        conv_strides=tuple((int(time), int(frequency)) for time, frequency in rng.integers(1, 4, (layers, 2))),
        projection_units=size(4, 200),
        lstm_layers=size(1, 4),
        lstm_units=size(8, 160),
        num_symbols=size(2, 200),
    )


def random_weights(config: ModelConfig, rng: np.random.Generator) -> Weights:
    """Weights that give activations of the size that trained ones do."""

    def normal(*shape: int, inputs: int, gain: float = 1.2) -> np.ndarray:
        return (gain / np.sqrt(inputs) * rng.standard_normal(shape)).astype(np.float32)

    def uniform(low: float, high: float, size: int) -> np.ndarray:
        return rng.uniform(low, high, size).astype(np.float32)

    weights, channels, u = {}, 1, config.lstm_units
    for i, filters in enumerate(config.conv_filters):
        weights[f"conv{i}.kernel"] = normal(3, 3, channels, filters, inputs=9 * channels)
        for name, low, high in (("gamma", 0.5, 1.5), ("beta", -0.3, 0.3), ("mean", -0.3, 0.3), ("variance", 0.5, 1.5)):
            weights[f"conv{i}.{name}"] = uniform(low, high, filters)
        channels = filters
    width = config.conv_bins * channels
    weights["projection.kernel"] = normal(width, config.projection_units, inputs=width)
    weights["projection.bias"] = uniform(-0.3, 0.3, config.projection_units)
    width = config.projection_units
    for i in range(config.lstm_layers):
        weights[f"lstm{i}.kernel"] = normal(width, 8 * u, inputs=width)
        weights[f"lstm{i}.recurrent"] = normal(2, u, 4 * u, inputs=u)
        weights[f"lstm{i}.bias"] = uniform(-0.3, 1.0, 8 * u)
        weights[f"norm{i}.gamma"], weights[f"norm{i}.beta"] = uniform(0.5, 1.5, 2 * u), uniform(-0.3, 0.3, 2 * u)
        width = 2 * u
    weights["output.kernel"] = normal(width, config.num_symbols, inputs=width, gain=3.0)
    weights["output.bias"] = uniform(-0.3, 0.3, config.num_symbols)
    return weights


def calm(weights: Weights) -> Weights:
    """The same with a recurrence that forgets, as trained ones do; else it makes noise of a rounding error."""
    return {name: 0.5 * array if name.endswith("recurrent") else array for name, array in weights.items()}


def reference_logits(features: np.ndarray, weights: Weights, config: ModelConfig) -> np.ndarray:
    """Logits (T', V) of features (T, F), computed in float64."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = features.astype(np.float64)[:, :, None]
    for i, (time_stride, frequency_stride) in enumerate(config.conv_strides):
        x = np.pad(x, [(1, 1), (1, 1), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (0, 1))[::time_stride, ::frequency_stride]
        x = np.einsum("tfcxy,xyco->tfo", windows, w[f"conv{i}.kernel"])
        x = (x - w[f"conv{i}.mean"]) / np.sqrt(w[f"conv{i}.variance"] + 1e-3)
        x = np.maximum(x * w[f"conv{i}.gamma"] + w[f"conv{i}.beta"], 0)
    x = np.maximum(x.reshape(len(x), -1) @ w["projection.kernel"] + w["projection.bias"], 0)
    for i in range(config.lstm_layers):
        kernels, biases = np.split(w[f"lstm{i}.kernel"], 2, 1), np.split(w[f"lstm{i}.bias"], 2)
        forward, backward = w[f"lstm{i}.recurrent"]
        x = np.concatenate(
            [_lstm(x, kernels[0], forward, biases[0]), _lstm(x[::-1], kernels[1], backward, biases[1])[::-1]], 1
        )
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3)
        x = x * w[f"norm{i}.gamma"] + w[f"norm{i}.beta"]
    return x @ w["output.kernel"] + w["output.bias"]


def _lstm(x: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    h = c = np.zeros(len(recurrent))
    states = []
    for frame in x:
        i, f, g, o = np.split(frame @ kernel + h @ recurrent + bias, 4)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
