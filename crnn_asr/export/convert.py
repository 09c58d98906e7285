"""From weights to networks by scheme.

Flatbuffers are made in a process of their own: where the converter crashes, it takes only that one with it. The process
that asks for them needs no TensorFlow.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import ModelConfig
from crnn_asr.errors import ModelError
from crnn_asr.export import onnx_file
from crnn_asr.strict_json import from_dict, to_dict

SCHEMES = ("int8", "integer", "dynamic", "float16", "float32")
ONNX_SCHEMES = ("onnx", "onnx-int8")
INT8_IO_SCHEMES = ("int8", "integer")  # whose input and output can be INT8 too
_TIMEOUT_S = 1_800


def convert(
    weights: dict[str, NDArray[np.float32]],
    config: ModelConfig,
    ranges: dict[str, tuple[float, float]],
    schemes: Sequence[str],
    features: Sequence[NDArray[np.float32]] = (),
    io: str = "float32",
    log_probs: bool = False,
) -> dict[str, bytes]:
    """Networks by scheme: flatbuffers and ONNX models.

    Args:
        ranges: from `measure_ranges`; only int8 looks at them.
        schemes: of `SCHEMES` and `ONNX_SCHEMES`.
        features: of calibration utterances, (T, F); only integer looks at them, and needs at least one.
        io: type of input and output, float32 or int8; int8 only for `INT8_IO_SCHEMES`, the others stay float32.
        log_probs: whether networks end in log-softmax, and not in logits.

    Raises:
        ModelError: the process that is started for flatbuffers crashed, failed or hung; `onnx` is not installed.
    """
    made = {
        scheme: onnx_file.build(weights, config, scheme == "onnx-int8", log_probs)
        for scheme in schemes
        if scheme in ONNX_SCHEMES
    }
    others = [scheme for scheme in schemes if scheme not in made]
    if others:
        order = {"config": to_dict(config), "ranges": ranges, "schemes": others, "io": io, "log_probs": log_probs}
        made |= _flatbuffers(weights, order, features if "integer" in others else ())
    return {scheme: made[scheme] for scheme in schemes}


def file_name(scheme: str, *marks: str) -> str:
    """`model.<scheme>.tflite`, `model.onnx` or `model.int8.onnx`; marks stand before the ending."""
    parts = {"onnx": ("onnx",), "onnx-int8": ("int8", "onnx")}.get(scheme, (scheme, "tflite"))
    return ".".join(("model", *parts[:-1], *marks, parts[-1]))


def _flatbuffers(
    weights: dict[str, NDArray[np.float32]], order: dict[str, Any], features: Sequence[NDArray[np.float32]]
) -> dict[str, bytes]:
    """Flatbuffers by scheme, from a Python process that is started for them."""
    with tempfile.TemporaryDirectory(prefix="crnn_asr_") as folder:
        job = Path(folder)
        np.savez(job / "weights.npz", **weights)
        np.savez(job / "features.npz", *features)
        (job / "job.json").write_text(json.dumps(order), encoding="utf-8")
        _run([sys.executable, "-m", "crnn_asr.export.convert", folder], job, order["schemes"])
        return {scheme: (job / f"{scheme}.tflite").read_bytes() for scheme in order["schemes"]}


def _run(command: Sequence[str], job: Path, schemes: Sequence[str]) -> None:
    """Run the converter; if it fails, say at which scheme and how, with the end of what it said."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
    }
    try:
        process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"the TensorFlow Lite converter did not end within {_TIMEOUT_S} s; nothing is written"
        ) from error
    if not process.returncode:
        return
    code = process.returncode - 128 if process.returncode > 128 else -process.returncode  # as shells report signals
    how = f"crashed ({signal.Signals(code).name})" if code in set(signal.Signals) else f"failed with exit code {-code}"
    scheme = next((scheme for scheme in schemes if not (job / f"{scheme}.tflite").exists()), "")
    last_words = "\n".join(process.stderr.strip().splitlines()[-5:])
    raise ModelError(
        f"the TensorFlow Lite converter {how} at {scheme}; nothing is written. Its last words:\n{last_words}"
    )


def main(folder: Path) -> None:
    """The process: read the job, write `<scheme>.tflite` for each scheme."""
    from crnn_asr.export import fused, graph, modes

    order = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    config = from_dict(ModelConfig, order["config"])
    weights = dict(np.load(folder / "weights.npz"))
    with np.load(folder / "features.npz") as file:
        features = [file[name] for name in file.files]
    io, log_probs = order["io"], order["log_probs"]
    for scheme in order["schemes"]:
        if scheme == "integer":
            arguments = (fused.fold_norms(weights, config), config, modes.Float(), fused.bilstm)
        else:
            arguments = (weights, config, modes.for_scheme(scheme, order["ranges"], io))
        graph.save(graph.inference(*arguments, log_probs=log_probs), folder / scheme)
        samples = fused.representative(features) if scheme == "integer" else ()
        (folder / f"{scheme}.tflite").write_bytes(_flatbuffer(folder / scheme, scheme, samples, io))


def _flatbuffer(
    saved_model: Path, scheme: str, samples: Sequence[NDArray[np.float32]] = (), io: str = "float32"
) -> bytes:
    import tensorflow as tf

    from crnn_asr.export import fused

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if scheme != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if scheme == "integer":
        converter.representative_dataset = lambda: ([values[None]] for values in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if io == "int8" and scheme in INT8_IO_SCHEMES:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_enable_dynamic_update_slice = True  # else writing to an array copies it in three parts
    flatbuffer: bytes = converter.convert()
    return fused.with_one_scale(flatbuffer) if scheme == "integer" else flatbuffer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
