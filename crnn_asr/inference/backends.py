"""The two runtimes for model files, LiteRT and ONNX Runtime: an open network from features to logits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.errors import ModelError
from crnn_asr.inference.model_file import is_onnx
from crnn_asr.native import without_native_lines


def open_network(network: bytes, num_threads: int) -> "LiteRT | OnnxRuntime":
    """Open the bytes that `model_file.read` gives in the runtime that they are for.

    Raises:
        ModelError: they do not run there, or the runtime is not installed.
    """
    return OnnxRuntime(network, num_threads) if is_onnx(network) else LiteRT(network, num_threads)


class LiteRT:
    """An interpreter with its tensors. `widths` and `types` are those of input and output."""

    def __init__(self, flatbuffer: bytes, num_threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter  # a tenth of a second, only where it is used

        try:
            with without_native_lines(b"INFO: "):  # "Created TensorFlow Lite XNNPACK delegate for CPU."
                self._interpreter: Any = Interpreter(model_content=flatbuffer, num_threads=num_threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"the LiteRT interpreter does not run this model ({error}); make it anew") from error
        (inputs, *_), (outputs, *_) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input, self._output = inputs["index"], outputs["index"]
        self.widths = (int(inputs["shape"][-1]), int(outputs["shape"][-1]))
        self.types = tuple(np.dtype(tensor["dtype"]).name for tensor in (inputs, outputs))
        self._num_frames = self._most_frames = 0  # that the tensors are made for; that were run

    def _make_tensors(self, num_frames: int) -> None:
        self._num_frames = num_frames
        self._interpreter.resize_tensor_input(self._input, (1, num_frames, self.widths[0]))
        self._interpreter.allocate_tensors()

    def logits(self, features: NDArray[Any]) -> NDArray[Any]:
        """Logits (T', V) of features (T, F), both of the network's types.

        Raises:
            ModelError: what comes is not finite, twice. Once, of finite weights and features, was seen in one run of a
                thousand and in none of 330,000 after it (docs/log.md); where from was not found.
        """
        logits = self._run(features)
        if not np.isfinite(logits).all():
            self._make_tensors(len(features) + 1)
            logits = self._run(features)
        if not np.isfinite(logits).all():
            raise ModelError(
                "expected finite numbers of the network, got others twice; are the model's weights finite?"
            )
        return logits

    def _run(self, features: NDArray[Any]) -> NDArray[Any]:
        if len(features) != self._num_frames:
            self._make_tensors(len(features))
        self._interpreter.reset_all_variables()  # where an LSTM is one operation, it goes on from the last call's state
        self._interpreter.set_tensor(self._input, features[None])
        self._interpreter.invoke()
        logits: NDArray[Any] = self._interpreter.get_tensor(self._output)[0]
        if len(features) > self._most_frames:
            # A run that is longer than all before makes XNNPACK's common buffer larger for loops, and the next of the
            # same length may still read the old one (docs/log.md). Tensors made for another length forget it.
            self._most_frames = len(features)
            self._make_tensors(len(features) + 1)
        return logits


class OnnxRuntime:
    """A session on the CPU. `widths` and `types` are those of input and output."""

    types = ("float32", "float32")

    def __init__(self, model: bytes, num_threads: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError("an .onnx file needs ONNX Runtime; pip install -r requirements-onnx.txt") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 4  # fatal: what else it has to say is in the exception
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no base of their own
            raise ModelError(f"ONNX Runtime does not run this model ({error}); make it anew") from error
        (inputs, *_), (outputs, *_) = self._session.get_inputs(), self._session.get_outputs()
        self._input, self._output = inputs.name, outputs.name
        self.widths = (inputs.shape[-1], outputs.shape[-1])

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (T', V) of features (T, F)."""
        logits: NDArray[np.float32] = self._session.run([self._output], {self._input: features[None]})[0][0]
        return logits
