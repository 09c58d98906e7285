"""The network as an ONNX model, from a dictionary of weights alone: the graph of `crnn_asr.export.graph`.

Needs the package `onnx`, and no TensorFlow. In float, the operations are those of opset 13 of the year 2020, which old
runtimes and tools read; ONNX Runtime puts the layer norm together again.

INT8 is for ONNX Runtime alone, by two operations of its own that quantize their input as it comes. The weights are
rounded with one scale for each output; convolutions, a hundredth of all weights, stay float, because integer ones are
slow there. On x86 without VNNI its kernels sum the products of two neighbouring rows in 16 bits, which saturate. The
scales leave no sum that can, so a file gives the same on every CPU.
"""

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import ModelConfig
from crnn_asr.errors import ModelError
from crnn_asr.export.fold import EPSILON, folded_convolution

Array = NDArray[Any]
Weights = dict[str, NDArray[np.float32]]

INPUT = "features"
OPSET, IR_VERSION = 13, 7
OWN_OPERATIONS = "com.microsoft"  # domain of those that ONNX Runtime adds to the standard's
NEIGHBOURS = 128  # what the sizes of two neighbouring INT8 weights may add up to
GATES = (0, 3, 1, 2)  # i, o, f, g, ONNX's order, in Keras' order i, f, g, o


def installed() -> bool:
    """Whether ONNX models can be made and run here."""
    return all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))


def build(weights: Weights, config: ModelConfig, int8: bool = False, log_probs: bool = False) -> bytes:
    """An ONNX model from `features` (1, T, F) to `logits` (1, T', V), with T' = `config.output_length(T)`.

    Args:
        weights: by the names in `crnn_asr.export.graph`.
        int8: round the weights, and the inputs of dense layers and LSTMs as they come.
        log_probs: add log-softmax; the output's name is `log_probs` then.

    Raises:
        ModelError: the package `onnx` is not installed.
    """
    graph = _Graph()
    dense, lstm = (_dense_int8, _lstm_int8) if int8 else (_dense, _lstm)
    x = graph.add("Unsqueeze", [INPUT, graph.constant(np.array([1]), "channel_axis")], "image")
    for i, strides in enumerate(config.conv_strides):
        x = _convolution(graph, x, *folded_convolution(weights, i), strides, f"conv{i}")
    x = graph.add("Transpose", [x], "frames", perm=(2, 0, 1, 3))  # (1, C, T', F') to (T', 1, C, F')
    bins, channels = config.conv_bins, config.conv_filters[-1]
    x = graph.reshape(x, channels * bins, "frames.flat")
    kernel = weights["projection.kernel"].reshape(bins, channels, -1)  # Keras' frames are (F', C)
    x = dense(graph, x, kernel.swapaxes(0, 1).reshape(channels * bins, -1), weights["projection.bias"], "projection")
    x = graph.add("Relu", [x], "projection.relu")
    for i in range(config.lstm_layers):
        kernel, recurrent, bias = (weights[f"lstm{i}.{part}"] for part in ("kernel", "recurrent", "bias"))
        kernels, biases = np.stack(np.split(kernel, 2, 1)), np.stack(np.split(bias, 2))
        x = lstm(graph, x, *map(_reorder, (kernels, recurrent, biases)), f"lstm{i}")
        x = graph.reshape(x, 2 * config.lstm_units, f"lstm{i}.flat")
        x = _layer_norm(graph, x, weights[f"norm{i}.gamma"], weights[f"norm{i}.beta"], f"norm{i}")
    x = dense(graph, x, weights["output.kernel"], weights["output.bias"], "output")
    x = graph.add("Transpose", [x], "logits", perm=(1, 0, 2))
    if log_probs:
        x = graph.add("LogSoftmax", [x], "log_probs", axis=-1)
    return graph.model(config, x)


class _Graph:
    """Nodes and constants as they come. What adds one returns the name of its output."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise ModelError(
                "the schemes onnx and onnx-int8 need the package onnx; pip install -r requirements-onnx.txt"
            ) from error
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, array: Array, name: str) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def rounded(self, array: Array, name: str) -> tuple[str, str, str]:
        """INT8 values, scales and zero points of a matrix (…, In, Out), or of several, each output by itself.

        Inputs are 0 to 255 there, and 16 bits hold 255 · 128: so much two neighbours may have together, each rounded.
        """
        sizes = np.abs(array)
        both = sizes[..., 0::2, :].copy()
        both[..., : array.shape[-2] // 2, :] += sizes[..., 1::2, :]
        scale = both.max(-2) / np.float32(NEIGHBOURS - 1)
        scale[scale == 0] = 1
        values = np.round(array / scale[..., None, :]).astype(np.int8)
        parts = {"": values, ".scale": scale, ".zero": np.zeros(scale.shape, np.int8)}
        values_name, scale_name, zero_name = (self.constant(part, name + end) for end, part in parts.items())
        return values_name, scale_name, zero_name

    def add(self, operation: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(operation, inputs, [output], output, **attributes))
        return output

    def reshape(self, x: str, width: int, output: str) -> str:
        """To (T, 1, width)."""
        return self.add("Reshape", [x, self.constant(np.array([-1, 1, width]), f"{output}.shape")], output)

    def model(self, config: ModelConfig, output: str) -> bytes:
        helper, float32 = self.onnx.helper, self.onnx.TensorProto.FLOAT
        features = helper.make_tensor_value_info(INPUT, float32, (1, "frames", config.num_mels))
        logits = helper.make_tensor_value_info(output, float32, (1, "logit_frames", config.num_symbols))
        network = helper.make_graph(self.nodes, "crnn", [features], [logits], self.constants)
        versions = {"": OPSET}
        if any(node.domain for node in self.nodes):
            versions[OWN_OPERATIONS] = 1
        opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
        model = helper.make_model(network, opset_imports=opsets, ir_version=IR_VERSION, producer_name="crnn_asr")
        self.onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString()
        return data


def _convolution(graph: _Graph, x: str, kernel: Array, bias: Array, strides: tuple[int, int], name: str) -> str:
    """x (1, C, T, F) → (1, C', T', F'), with ReLU."""
    inputs = [x, graph.constant(kernel.transpose(3, 2, 0, 1), f"{name}.kernel"), graph.constant(bias, f"{name}.bias")]
    x = graph.add("Conv", inputs, name, kernel_shape=(3, 3), strides=strides, pads=(1, 1, 1, 1))
    return graph.add("Relu", [x], f"{name}.relu")


def _dense(graph: _Graph, x: str, kernel: Array, bias: Array, name: str) -> str:
    product = graph.add("MatMul", [x, graph.constant(kernel, f"{name}.kernel")], f"{name}.product")
    return graph.add("Add", [product, graph.constant(bias, f"{name}.bias")], name)


def _dense_int8(graph: _Graph, x: str, kernel: Array, bias: Array, name: str) -> str:
    inputs = [x, *graph.rounded(kernel, f"{name}.kernel"), graph.constant(bias, f"{name}.bias")]
    return graph.add("DynamicQuantizeMatMul", inputs, name, domain=OWN_OPERATIONS)


def _reorder(array: Array) -> Array:
    """Of (…, 4u), the gates from Keras' order to ONNX's."""
    gates = np.split(array, 4, -1)
    return np.concatenate([gates[gate] for gate in GATES], -1)


def _lstm(graph: _Graph, x: str, kernels: Array, recurrent: Array, biases: Array, name: str) -> str:
    """x (T, 1, In) → (T, 2, 1, u).

    Args:
        kernels, recurrent, biases: (2, In, 4u), (2, u, 4u), (2, 4u), forward and backward, gates in ONNX's order.
    """
    matrices = {"kernel": kernels, "recurrent": recurrent}
    inputs = [x, *(graph.constant(array.transpose(0, 2, 1), f"{name}.{part}") for part, array in matrices.items())]
    inputs.append(_both_biases(graph, biases, name))
    return graph.add("LSTM", inputs, name, direction="bidirectional", hidden_size=recurrent.shape[1])


def _lstm_int8(graph: _Graph, x: str, kernels: Array, recurrent: Array, biases: Array, name: str) -> str:
    kernel, *kernel_scales = graph.rounded(kernels, f"{name}.kernel")
    matrix, *matrix_scales = graph.rounded(recurrent, f"{name}.recurrent")
    left_out = [""] * 4  # lengths, first states, peepholes
    inputs = [x, kernel, matrix, _both_biases(graph, biases, name), *left_out, *kernel_scales, *matrix_scales]
    attributes = {"direction": "bidirectional", "hidden_size": recurrent.shape[1]}
    return graph.add("DynamicQuantizeLSTM", inputs, name, domain=OWN_OPERATIONS, **attributes)


def _both_biases(graph: _Graph, biases: Array, name: str) -> str:
    """(2, 8u): ONNX adds one bias to the input's product and one to the state's; ours has the first alone."""
    return graph.constant(np.concatenate([biases, np.zeros_like(biases)], 1), f"{name}.bias")


def _layer_norm(graph: _Graph, x: str, gamma: Array, beta: Array, name: str) -> str:
    two, epsilon = (np.array(value, np.float32) for value in (2, EPSILON))
    centered = graph.add("Sub", [x, graph.add("ReduceMean", [x], f"{name}.mean", axes=[-1])], f"{name}.centered")
    squares = graph.add("Pow", [centered, graph.constant(two, f"{name}.two")], f"{name}.squares")
    variance = graph.add("ReduceMean", [squares], f"{name}.variance", axes=[-1])
    safe = graph.add("Add", [variance, graph.constant(epsilon, f"{name}.epsilon")], f"{name}.safe")
    normal = graph.add("Div", [centered, graph.add("Sqrt", [safe], f"{name}.deviation")], f"{name}.normal")
    scaled = graph.add("Mul", [normal, graph.constant(gamma, f"{name}.gamma")], f"{name}.scaled")
    return graph.add("Add", [scaled, graph.constant(beta, f"{name}.beta")], name)
