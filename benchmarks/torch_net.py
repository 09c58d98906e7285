"""The network in PyTorch, as one would write it there."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from crnn_asr.config import ModelConfig


class TorchNet(nn.Module):
    """Features (B, T, F) to logits (B, T', V)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = (1, *config.conv_filters)
        blocks: list[nn.Module] = []
        for i, strides in enumerate(config.conv_strides):
            convolution = nn.Conv2d(channels[i], channels[i + 1], 3, strides, padding=1, bias=False)
            blocks += [convolution, nn.BatchNorm2d(channels[i + 1], eps=1e-3), nn.ReLU()]
        self.conv = nn.Sequential(*blocks)
        self.projection = nn.Linear(config.conv_bins * channels[-1], config.projection_units)
        units, width = config.lstm_units, 2 * config.lstm_units
        inputs = [config.projection_units] + [width] * (config.lstm_layers - 1)
        self.lstms = nn.ModuleList(nn.LSTM(size, units, bidirectional=True, batch_first=True) for size in inputs)
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-3) for _ in inputs)
        self.dropout = nn.Dropout(config.dropout)
        self.logits = nn.Linear(width, config.num_symbols)

    def forward(self, x: Any, lengths: Any = None) -> Any:
        """`lengths` (B,) are those of the logits, where they differ: else the backward LSTM began in the padding."""
        x = self.conv(x[:, None]).permute(0, 2, 3, 1).flatten(2)
        x = torch.relu(self.projection(x))
        for lstm, norm in zip(self.lstms, self.norms):
            x = self.dropout(x)
            if lengths is None:
                x = norm(lstm(x)[0])
            else:
                packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
                x = norm(pad_packed_sequence(lstm(packed)[0], batch_first=True)[0])
        return self.logits(self.dropout(x))


def assign(net: TorchNet, weights: dict[str, np.ndarray]) -> None:
    """Copy weights by the names in `crnn_asr.export.graph`; gates have the same order in Keras and PyTorch."""
    arrays: dict[str, np.ndarray] = {}
    for i in range(len(net.conv) // 3):
        arrays[f"conv.{3 * i}.weight"] = weights[f"conv{i}.kernel"].transpose(3, 2, 0, 1)
        for theirs, ours in (
            ("weight", "gamma"),
            ("bias", "beta"),
            ("running_mean", "mean"),
            ("running_var", "variance"),
        ):
            arrays[f"conv.{3 * i + 1}.{theirs}"] = weights[f"conv{i}.{ours}"]
    for theirs, ours in (("projection", "projection"), ("logits", "output")):
        arrays[f"{theirs}.weight"], arrays[f"{theirs}.bias"] = weights[f"{ours}.kernel"].T, weights[f"{ours}.bias"]
    for i in range(len(net.lstms)):
        kernels, biases = (np.split(weights[f"lstm{i}.{name}"], 2, -1) for name in ("kernel", "bias"))
        for half, suffix in enumerate(("", "_reverse")):
            arrays[f"lstms.{i}.weight_ih_l0{suffix}"] = kernels[half].T
            arrays[f"lstms.{i}.weight_hh_l0{suffix}"] = weights[f"lstm{i}.recurrent"][half].T
            arrays[f"lstms.{i}.bias_ih_l0{suffix}"] = biases[half]
            arrays[f"lstms.{i}.bias_hh_l0{suffix}"] = np.zeros_like(biases[half])
        arrays[f"norms.{i}.weight"], arrays[f"norms.{i}.bias"] = weights[f"norm{i}.gamma"], weights[f"norm{i}.beta"]
    counts = {name: value for name, value in net.state_dict().items() if name.endswith("num_batches_tracked")}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    net.load_state_dict({**counts, **tensors})
