"""The model file: a network, and behind it a description of features, alphabet and shapes. No name says anything.

Behind a `.tflite` flatbuffer the description is the one member of a zip: the interpreter reads from the front and
ignores what follows, `zipfile` reads from the back. In an `.onnx` it is the last entry of the metadata.
"""

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crnn_asr.config import FeatureConfig, ModelConfig, TextConfig, from_dict, to_dict
from crnn_asr.errors import ModelError
from crnn_asr.files import replacing
from crnn_asr.inference import onnx_entry

FORMAT, FORMAT_VERSION, MEMBER = "crnn_asr", 1, "crnn_asr.json"
_MAX_DESCRIPTION_BYTES = 4_000_000
_EPOCH = (1980, 1, 1, 0, 0, 0)  # one date for all, so that equal models are equal files


@dataclass(frozen=True)
class Metadata:
    """What a model file says of itself. `training` is the run's summary, as it was written."""

    scheme: str  # int8, dynamic, float16, float32, onnx or onnx-int8
    features: FeatureConfig
    model: ModelConfig
    text: TextConfig
    alphabet: tuple[str, ...]  # without the blank
    training: dict[str, Any]

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
    kind = _kind(network)
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **to_dict(metadata),
        f"{kind}_bytes": len(network),
        f"{kind}_sha256": hashlib.sha256(network).hexdigest(),
    }
    text = json.dumps(description, ensure_ascii=False, indent=1)
    with replacing(path) as partial:
        if is_onnx(network):
            partial.write_bytes(onnx_entry.append(network, MEMBER, text))
        else:
            partial.write_bytes(network)
            with zipfile.ZipFile(partial, "a", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(zipfile.ZipInfo(MEMBER, _EPOCH), text)


def read(path: Path) -> tuple[bytes, Metadata]:
    """The network, as it was given to `write`, and what it is.

    Raises:
        ModelError: a foreign or damaged file, or one of an unknown version.
        OSError: the file cannot be opened.
    """
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
        raise ModelError(f"expected format version {FORMAT_VERSION}, got {version!r}; use the release that wrote it")
    kind = _kind(data)
    num_bytes, digest = values.pop(f"{kind}_bytes", None), values.pop(f"{kind}_sha256", None)
    network = data[:num_bytes] if isinstance(num_bytes, int) else b""
    if hashlib.sha256(network).hexdigest() != digest:
        raise ModelError("the weights are damaged (their SHA-256 differs); copy the file again or make it anew")
    return network, from_dict(Metadata, values, "description")


def _kind(data: bytes) -> str:
    return "onnx" if is_onnx(data) else "flatbuffer"


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
