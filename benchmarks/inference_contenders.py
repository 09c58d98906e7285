"""How each contender of `inference_speed.py` is made from the same weights: a function of features (T, F)."""

import importlib.util
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import ModelConfig
from crnn_asr.export.convert import ONNX_SCHEMES, SCHEMES, convert, file_name
from crnn_asr.inference.backends import OnnxRuntime, open_network
from crnn_asr.native import load_tensorflow, without_native_lines

Array = NDArray[np.float32]
Weights = dict[str, Array]
Model = Callable[[Array], Array]  # features (T, F) → logits (T', V)
Maker = Callable[[Path, Weights, ModelConfig, int], Model]  # of a folder, weights, sizes, threads


def prepare(folder: Path, config: ModelConfig, inputs: Sequence[Array], names: Sequence[str]) -> int:
    """Write what contenders start from: random weights, inputs, the logits of the first, and those files of ours.

    Returns:
        The number of parameters.
    """
    load_tensorflow()
    from crnn_asr.export.calibrate import measure_ranges
    from crnn_asr.export.graph import inference
    from crnn_asr.export.modes import Float
    from crnn_asr.training.model import CRNN

    rng = np.random.default_rng(0)
    weights = {name: _random(name, array.shape, rng) for name, array in CRNN(config).export_weights().items()}
    np.savez(folder / "weights.npz", **weights)
    np.savez(folder / "inputs.npz", *inputs)
    np.save(folder / "logits.npy", inference(weights, config, Float())(inputs[0][None])[0])
    schemes = [name for name in names if name in (*SCHEMES, *ONNX_SCHEMES)]
    ranges = measure_ranges(weights, config, inputs)
    for scheme, network in convert(weights, config, ranges, schemes, inputs).items():
        (folder / file_name(scheme)).write_bytes(network)
    return sum(array.size for array in weights.values())


def _random(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Weights that give activations of the size that trained ones do."""
    if name.endswith(("kernel", "recurrent")):
        inputs = np.prod(shape[-2:-1] if name.endswith("recurrent") else shape[:-1])
        return (1.2 / np.sqrt(inputs) * rng.standard_normal(shape)).astype(np.float32)
    low, high = (0.5, 1.5) if name.endswith(("gamma", "variance")) else (-0.3, 0.3)
    return rng.uniform(low, high, shape).astype(np.float32)


def ours(scheme: str, folder: Path, weights: Weights, config: ModelConfig, threads: int) -> Model:
    """A file that quantize.py would write, in the runtime it is for."""
    return open_network((folder / file_name(scheme)).read_bytes(), threads).logits


def plain_integer(folder: Path, weights: Weights, config: ModelConfig, threads: int) -> Model:
    """The fused LSTM as one writes it down, and the converter's own calibration on the inputs as they are."""
    load_tensorflow()
    import tensorflow as tf

    from crnn_asr.export import fused
    from crnn_asr.export.fold import EPSILON
    from crnn_asr.export.graph import compiled, save
    from crnn_asr.export.modes import Float

    def network(features: Any) -> Any:
        x = features[..., None]
        for i, strides in enumerate(config.conv_strides):
            x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
            x = tf.nn.conv2d(x, weights[f"conv{i}.kernel"], strides, "VALID")
            mean, variance, beta, gamma = (weights[f"conv{i}.{part}"] for part in ("mean", "variance", "beta", "gamma"))
            x = tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON))
        x = tf.reshape(x, (-1, config.conv_bins * config.conv_filters[-1]))
        x = tf.nn.relu(tf.matmul(x, weights["projection.kernel"]) + weights["projection.bias"])
        for i in range(config.lstm_layers):
            parts = (weights[f"lstm{i}.{part}"] for part in ("kernel", "recurrent", "bias"))
            x = fused.bilstm(x, *parts, Float(), f"lstm{i}")
            mean, variance = tf.nn.moments(x, -1, keepdims=True)
            beta, gamma = weights[f"norm{i}.beta"], weights[f"norm{i}.gamma"]
            x = tf.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON)
        return (tf.matmul(x, weights["output.kernel"]) + weights["output.bias"])[None]

    with tempfile.TemporaryDirectory() as scratch:
        save(compiled(network, config), Path(scratch))
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        inputs = list(np.load(folder / "inputs.npz").values())
        converter.representative_dataset = lambda: ([values[None]] for values in inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        with redirect_stdout(io.StringIO()), without_native_lines(b"INFO: ", b"fully_quantize"):
            flatbuffer = converter.convert()
    return open_network(flatbuffer, threads).logits


def plain_keras(dynamic: bool, folder: Path, weights: Weights, config: ModelConfig, threads: int) -> Model:
    """Stock Keras layers for one utterance at a time, straight through the converter: the LSTMs become loops."""
    load_tensorflow()
    import keras
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    from crnn_asr.training.keras_file import assign, stock_model

    model = stock_model(config)
    assign(model, config, weights)
    features = keras.Input(batch_shape=(1, None, config.num_mels))
    lengths = keras.Input(batch_shape=(1,), dtype="int32")
    single = keras.Model([features, lengths], model([features, lengths]))
    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    if dynamic:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with redirect_stdout(io.StringIO()), without_native_lines(b"INFO: "):
        interpreter = Interpreter(model_content=converter.convert(), num_threads=threads)
        interpreter.allocate_tensors()
    inputs = {len(tensor["shape"]): tensor["index"] for tensor in interpreter.get_input_details()}
    output = interpreter.get_output_details()[0]["index"]
    frames = 0

    def logits(features: Array) -> Array:
        nonlocal frames
        if len(features) != frames:
            frames = len(features)
            interpreter.resize_tensor_input(inputs[3], (1, *features.shape))
            interpreter.allocate_tensors()
        interpreter.set_tensor(inputs[3], features[None])
        interpreter.set_tensor(inputs[1], np.array([frames], np.int32))
        interpreter.invoke()
        return interpreter.get_tensor(output)[0]  # type: ignore[no-any-return]

    return logits


def _torch_net(weights: Weights, config: ModelConfig) -> Any:
    from torch_net import TorchNet, assign

    net = TorchNet(config).eval()
    assign(net, weights)
    return net


def pytorch(dynamic: bool, folder: Path, weights: Weights, config: ModelConfig, threads: int) -> Model:
    import torch

    torch.set_num_threads(threads)
    net = _torch_net(weights, config)
    if dynamic:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its successor is another package
            net = torch.ao.quantization.quantize_dynamic(net, {torch.nn.LSTM, torch.nn.Linear}, dtype=torch.qint8)

    def logits(features: Array) -> Array:
        with torch.inference_mode():
            return net(torch.from_numpy(features[None]))[0].numpy()  # type: ignore[no-any-return]

    return logits


def onnx_runtime(dynamic: bool, folder: Path, weights: Weights, config: ModelConfig, threads: int) -> Model:
    """PyTorch's network by PyTorch's exporter; dynamic is ONNX Runtime's quantizer with its defaults."""
    import torch

    buffer, names = io.BytesIO(), {"input_names": ["features"], "output_names": ["logits"]}
    axes = {"features": {1: "frames"}, "logits": {1: "logit_frames"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the exporter's age and on batches other than 1
        example = (torch.zeros(1, 100, config.num_mels),)
        torch.onnx.export(_torch_net(weights, config), example, buffer, dynamo=False, dynamic_axes=axes, **names)
    model = buffer.getvalue()
    if dynamic:
        import onnx
        from onnxruntime.quantization import quantize_dynamic

        logging.disable(logging.WARNING)  # "Please consider to run pre-processing", which changes nothing here
        with tempfile.TemporaryDirectory() as scratch:
            quantize_dynamic(onnx.load_from_string(model), Path(scratch) / "model.onnx")
            model = (Path(scratch) / "model.onnx").read_bytes()
    return OnnxRuntime(model, threads).logits


CONTENDERS: dict[str, Maker] = {
    **{scheme: partial(ours, scheme) for scheme in (*SCHEMES, *ONNX_SCHEMES)},
    "plain-integer": plain_integer,
    "keras-float": partial(plain_keras, False),
    "keras-dynamic": partial(plain_keras, True),
    "ort-float": partial(onnx_runtime, False),
    "ort-dynamic": partial(onnx_runtime, True),
    "torch-float": partial(pytorch, False),
    "torch-dynamic": partial(pytorch, True),
}


def missing_packages(name: str) -> list[str]:
    """What a contender needs beyond requirements.txt and is not installed."""
    needed = {"onnx": ("onnx", "onnxruntime"), "ort": ("torch", "onnx", "onnxruntime"), "torch": ("torch",)}
    return [package for package in needed.get(name.split("-")[0], ()) if not importlib.util.find_spec(package)]
