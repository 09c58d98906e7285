"""The model file: a network, and behind it a description of features, alphabet and shapes. No name says anything.

Behind a `.tflite` flatbuffer the description is the one member of a zip: the interpreter reads from the front and
ignores what follows, `zipfile` reads from the back. In an `.onnx` it is an entry of the metadata. The last 64 bytes of
either are the SHA-256 of all others: the comment of the zip, the last entry of the metadata.
"""

import hashlib
import io
import json
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import FeatureConfig, ModelConfig, TextConfig
from crnn_asr.errors import ModelError
from crnn_asr.files import replacing
from crnn_asr.inference import onnx_entry
from crnn_asr.language.tuning import Tuning
from crnn_asr.strict_json import from_dict, to_dict

FORMAT, FORMAT_VERSION, MEMBER = "crnn_asr", 2, "crnn_asr.json"
USUAL: dict[str, Any] = {"tunings": [], "log_probs": False}  # what need not stand in a description
USUAL_FEATURES: dict[str, Any] = {"shrinkage_frames": 0.0}  # nor in its part about features
DIGEST_BYTES = 64  # in hexadecimal
_MAX_DESCRIPTION_BYTES = 4_000_000
_EPOCH = (1980, 1, 1, 0, 0, 0)  # one date for all, so that equal models are equal files


@dataclass(frozen=True)
class Encoding:
    """How the network's input or output holds numbers: as they are, or as INT8 q for scale · (q − zero_point)."""

    type: str = "float32"  # or int8
    scale: float = 1.0
    zero_point: int = 0

    def __post_init__(self) -> None:
        if self.type not in ("float32", "int8"):
            raise ModelError(f"input and output must be float32 or int8, got {self.type!r}")
        if not (0 < self.scale < math.inf and -128 <= self.zero_point <= 127):
            raise ModelError(
                f"expected a positive scale and a zero point from -128 to 127, got {self.scale} and {self.zero_point}"
            )

    def encode(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Numbers in this form; what is out of reach becomes the nearest that is not."""
        if self.type == "float32":
            return values.astype(np.float32, copy=False)
        steps: NDArray[np.float32] = np.rint(values / np.float32(self.scale)) + np.float32(self.zero_point)
        return np.clip(steps, -128, 127).astype(np.int8)

    def decode(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Numbers from this form."""
        if self.type == "float32":
            return values
        numbers: NDArray[np.float32] = np.float32(self.scale) * (
            values.astype(np.float32) - np.float32(self.zero_point)
        )
        return numbers


@dataclass(frozen=True)
class Metadata:
    """What a model file says of itself. `training` is the run's summary, as it was written."""

    scheme: str  # int8, integer, dynamic, float16, float32, onnx or onnx-int8
    features: FeatureConfig
    model: ModelConfig
    text: TextConfig
    alphabet: tuple[str, ...]  # without the blank
    training: dict[str, Any]
    input: Encoding = Encoding()
    output: Encoding = Encoding()
    tunings: tuple[Tuning, ...] = ()  # one a language model, the last found last
    log_probs: bool = False  # whether the output is log-probabilities, by log-softmax in the network, or logits

    def __post_init__(self) -> None:
        if self.model.num_mels != self.features.num_mels:
            raise ModelError(f"features have {self.features.num_mels} mel bins, the model takes {self.model.num_mels}")
        if self.model.num_symbols != len(self.alphabet) + 1:
            raise ModelError(
                f"the model has {self.model.num_symbols} outputs; expected {len(self.alphabet) + 1}, "
                f"for {len(self.alphabet)} symbols and the blank"
            )


def is_onnx(network: bytes) -> bool:
    """Whether it is an ONNX model, or else a `.tflite`."""
    return network.startswith(onnx_entry.FIRST_BYTE) and network[4:8] != b"TFL3"


def write(path: Path, network: bytes, metadata: Metadata) -> None:
    """Write a model file whole or not at all."""
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **to_dict(metadata),
        "network_bytes": len(network),
    }
    for part, usual in ((description, USUAL), (description["features"], USUAL_FEATURES)):
        for name in usual:
            if part[name] == usual[name]:
                del part[name]  # so that a usual model is the same file as before there were others
    text = json.dumps(description, ensure_ascii=False, indent=1)
    data = (_in_metadata if is_onnx(network) else _zipped)(network, text)[:-DIGEST_BYTES]
    with replacing(path) as partial:
        partial.write_bytes(data + _digest(data))


def _zipped(flatbuffer: bytes, text: str) -> bytes:
    buffer = io.BytesIO()
    buffer.write(flatbuffer)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(MEMBER, _EPOCH), text)
        archive.comment = bytes(DIGEST_BYTES)
    return buffer.getvalue()


def _in_metadata(model: bytes, text: str) -> bytes:
    return onnx_entry.append(onnx_entry.append(model, MEMBER, text), "crnn_asr.sha256", "0" * DIGEST_BYTES)


def read(path: Path) -> tuple[bytes, Metadata]:
    """The network, as it was given to `write`, and what it is.

    Raises:
        ModelError: a foreign or damaged file, one of an unknown version, or a folder.
        OSError: the file cannot be opened.
    """
    if path.is_dir():
        raise ModelError(
            f"{path}: expected a model file, got a folder; name one in it, such as {path / 'model.int8.tflite'}, which "
            "quantize.py makes"
        )
    data = path.read_bytes()
    try:
        return _parse(data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _parse(data: bytes) -> tuple[bytes, Metadata]:
    values = _description(data)
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ModelError(f"expected a description of format {FORMAT!r}, got another; make a model with quantize.py")
    version = values.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise ModelError(
            f"expected format version {FORMAT_VERSION}, got {version!r}; make it anew, or use the release that wrote it"
        )
    if data[-DIGEST_BYTES:] != _digest(data[:-DIGEST_BYTES]):
        raise ModelError("the file is damaged (its SHA-256 differs); copy it again or make it anew")
    num_bytes = values.pop("network_bytes", None)
    if not isinstance(num_bytes, int) or not 0 < num_bytes < len(data):
        raise ModelError(f"description: network_bytes: expected a number of bytes in front of it, got {num_bytes!r}")
    if isinstance(features := values.get("features"), dict):
        values["features"] = USUAL_FEATURES | features
    return data[:num_bytes], from_dict(Metadata, USUAL | values, "description")


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _description(data: bytes) -> Any:
    """The JSON behind the network."""
    try:
        if is_onnx(data):
            return json.loads(onnx_entry.find(data, MEMBER))
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            text = archive.read(MEMBER) if archive.getinfo(MEMBER).file_size <= _MAX_DESCRIPTION_BYTES else b""
        return json.loads(text)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"expected a model file that quantize.py wrote, got {_guess(data)}") from error
    except (ValueError, RecursionError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"its description is damaged ({error}); copy the file again or make it anew") from error


def _guess(data: bytes) -> str:
    if data[4:8] == b"TFL3":
        return "a .tflite without our description of features and alphabet: it is not ours, or cut short"
    if is_onnx(data):
        return "an .onnx without our description of features and alphabet: it is not ours, or cut short"
    return "something else" if data else "an empty file"
