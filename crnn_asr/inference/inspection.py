"""What is inside a model file: its description, its operations, and the weights and the work of each layer."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from crnn_asr.config import FeatureConfig, ModelConfig
from crnn_asr.inference import model_file
from crnn_asr.inference.flatbuffer import Constant, Operation, operations
from crnn_asr.strict_json import to_dict

CONVOLUTION, DENSE, LSTM = "CONV_2D", "FULLY_CONNECTED", "UNIDIRECTIONAL_SEQUENCE_LSTM"
_ELEMENTWISE = ("ADD", "MUL")


@dataclass(frozen=True)
class Layer:
    """Stored values of a layer (what occurs twice is stored once), and its multiplications a second of sound."""

    name: str
    parameters: int
    num_bytes: int
    types: tuple[str, ...]
    macs_per_second: float


@dataclass(frozen=True)
class OperationKind:
    """Operations of one name and the same types, and how many there are."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    in_loop: bool
    count: int


@dataclass(frozen=True)
class Inspection:
    """What a file or a folder of ours holds; `operations` where there is a graph."""

    path: str
    kind: str
    num_bytes: int
    about: dict[str, Any]
    layers: tuple[Layer, ...]
    operations: tuple[OperationKind, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything, with the sums over all layers."""
        return {
            **asdict(self),
            "parameters": sum(layer.parameters for layer in self.layers),
            "macs_per_second": sum(layer.macs_per_second for layer in self.layers),
        }


def inspect_model_file(path: Path) -> Inspection:
    """Look into a `.tflite` that `scripts/quantize.py` wrote.

    Raises:
        ModelError: a foreign or damaged file, or one of an unknown version.
        OSError: it cannot be opened.
    """
    flatbuffer, metadata = model_file.read(path)
    about = {"format_version": model_file.FORMAT_VERSION, "network_bytes": len(flatbuffer), **to_dict(metadata)}
    found = operations(flatbuffer)
    kinds = Counter((op.name, op.inputs, op.outputs, op.in_loop) for op in found)
    stored = weights_by_layer(found, metadata.model)
    return Inspection(
        str(path),
        "model file",
        path.stat().st_size,
        about,
        layers(stored, macs_per_second(metadata.model, metadata.features)),
        tuple(OperationKind(*kind, count) for kind, count in kinds.most_common()),
    )


def weights_by_layer(found: Iterable[Operation], config: ModelConfig) -> dict[str, list[Constant]]:
    """The constants of all products and layer norms, each once, by the layer that reads it first.

    The converter keeps no names. But products run in the order of the network: convolutions, projection, LSTMs, output.
    An LSTM is a product for its input and products in a loop, or one operation a direction. Elementwise constants
    behind it are those of its layer norm, where scale and shift are not part of the next product.
    """
    found = list(found)
    lstms = [f"lstm{i}" for i in range(config.lstm_layers)]
    fused = any(op.name == LSTM for op in found)
    names = {
        CONVOLUTION: iter([f"conv{i}" for i in range(len(config.conv_filters))]),
        DENSE: iter(["projection", *([] if fused else lstms), "output"]),
        LSTM: iter([name for name in lstms for _ in range(2)]),
    }
    layer, taken = "", set()
    stored: dict[str, list[Constant]] = {}
    for op in found:
        target = layer
        if op.name in names:
            target = layer = layer if op.in_loop else next(names[op.name], "others")
        elif op.name in _ELEMENTWISE and not op.in_loop and layer in lstms:
            target = layer.replace("lstm", "norm")
        else:
            continue
        for constant in op.constants[1:]:
            if constant and constant.buffer not in taken and (op.name in names or constant.num_values > 1):
                taken.add(constant.buffer)
                stored.setdefault(target, []).append(constant)
    return stored


def macs_per_second(model: ModelConfig, features: FeatureConfig) -> dict[str, float]:
    """Multiplications (with an addition each) for a second of sound, by layer; gates and norms are not counted."""
    rate_hz = features.sample_rate_hz / features.hop_samples
    bins, channels, macs = model.num_mels, 1, {}
    for i, (filters, (time_stride, bin_stride)) in enumerate(zip(model.conv_filters, model.conv_strides)):
        rate_hz, bins = rate_hz / time_stride, -(-bins // bin_stride)
        macs[f"conv{i}"] = rate_hz * bins * filters * 9 * channels
        channels = filters
    width, units = bins * channels, model.lstm_units
    macs["projection"] = rate_hz * width * model.projection_units
    width = model.projection_units
    for i in range(model.lstm_layers):
        macs[f"lstm{i}"] = rate_hz * 8 * units * (width + units)
        width = 2 * units
    macs["output"] = rate_hz * width * model.num_symbols
    return macs


def layers(stored: dict[str, list[Constant]], macs: dict[str, float]) -> tuple[Layer, ...]:
    """A row for each layer, from its constants and its work."""
    return tuple(
        Layer(
            name,
            sum(constant.num_values for constant in constants),
            sum(constant.num_bytes for constant in constants),
            tuple(dict.fromkeys(constant.type for constant in constants)),
            macs.get(name, 0.0),
        )
        for name, constants in stored.items()
    )


def render(found: Inspection) -> str:
    """For the terminal."""
    lines = [f"{found.path}: {found.kind}, {found.num_bytes:,} bytes"]
    lines += [f"  {name:<15} {_plain(value)}" for name, value in found.about.items() if value not in ("", [], {})]
    if found.layers:
        lines += ["", *_layer_table(found.layers)]
    if found.operations:
        lines += ["", f"{sum(kind.count for kind in found.operations)} operations"]
        for kind in found.operations:
            where = " (in a loop)" if kind.in_loop else ""
            lines.append(f"{kind.count:>5} × {kind.name} {_types(kind.inputs)} → {_types(kind.outputs)}{where}")
    return "\n".join(lines)


def _layer_table(rows: Sequence[Layer]) -> list[str]:
    types = tuple(dict.fromkeys(kind for row in rows for kind in row.types))
    total = Layer(
        "all",
        sum(row.parameters for row in rows),
        sum(row.num_bytes for row in rows),
        types,
        sum(row.macs_per_second for row in rows),
    )
    lines = [f"{'layer':<12}{'parameters':>14}{'bytes':>14}{'MMAC/s of sound':>18}  types"]
    for row in (*rows, total):
        macs = f"{row.macs_per_second / 1e6:.2f}" if row.macs_per_second else ""
        lines.append(f"{row.name:<12}{row.parameters:>14,}{row.num_bytes:>14,}{macs:>18}  {', '.join(row.types)}")
    return lines


def _types(types: Iterable[str]) -> str:
    """A list of types, what repeats once: "INT8, INT32 × 4"."""
    runs = [(name, len(list(group))) for name, group in groupby(filter(None, types))]
    return ", ".join(f"{name} × {length}" if length > 1 else name for name, length in runs)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list) and value and all(isinstance(item, str) and len(item) == 1 for item in value):
        return f"{len(value)} symbols {''.join(value)!r}"
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return "; ".join(map(_plain, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
