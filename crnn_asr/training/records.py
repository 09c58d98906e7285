"""Features on the disk: TFRecord shards with an index, so that training reads them instead of audio.

    FOLDER/index.json               format version, feature settings, number of shards; written last
    FOLDER/shard-00000.tfrecord     a `tf.train.Example` an utterance
    FOLDER/shard-00000.json         where each one begins, its checksum, and what could not be read

A shard's index tells where an utterance lies, so that batches may be drawn in any order and begin anywhere.
"""

import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import FeatureConfig
from crnn_asr.corpus.manifest import Problem, Utterance, read_manifest
from crnn_asr.errors import DataError, ModelError
from crnn_asr.files import replacing, write_text
from crnn_asr.strict_json import from_dict, to_dict

FORMAT_VERSION = 1
STORED = np.dtype("<f2")  # normalised features are within ±√T, and half precision is far below what noise does to them
_HEADER_BYTES, _FOOTER_BYTES = 12, 4  # around each record of a TFRecord file: its length and two checksums
_AGAIN = "run scripts/make_records.py again"


@dataclass(frozen=True, slots=True)
class Record(Utterance):
    """An utterance whose features are stored. `offset` and `num_bytes` are those of the `Example` in the shard."""

    shard: Path = Path()
    offset: int = 0
    num_bytes: int = 0
    crc32: int = 0

    def read_features(self) -> NDArray[np.float32]:
        """The features (T, F).

        Raises:
            DataError: not the bytes that were written.
            OSError: the shard cannot be read.
        """
        from tensorflow.train import Example

        with self.shard.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.num_bytes)
        if zlib.crc32(data) != self.crc32:
            raise DataError(f"{self.shard}: the checksum of {self.id} is wrong; delete this shard and {_AGAIN}")
        values = Example.FromString(data).features.feature
        features = np.frombuffer(values["features"].bytes_list.value[0], STORED)
        return features.reshape(-1, values["num_mels"].int64_list.value[0]).astype(np.float32)


def read_utterances(source: Path, features: FeatureConfig) -> tuple[list[Utterance], list[Problem]]:
    """The utterances of a manifest, or of a records folder, and what of it is bad.

    Raises:
        DataError: a manifest without a good line; records that are unfinished, damaged or of other feature settings.
        OSError: it cannot be opened.
    """
    if not source.is_dir():
        return read_manifest(source)
    num_shards = read_index(source, features)
    records: list[Utterance] = []
    problems: list[Problem] = []
    for number in range(num_shards):
        shard = shard_path(source, number)
        entry = read_shard(shard)
        if entry is None:
            raise DataError(f"{shard}: expected a shard as its index describes it, got a damaged one; {_AGAIN}")
        for values in entry["records"]:
            values["audio_path"] = source / values["audio_path"]
            records.append(Record(shard=shard, **values))
        problems += [Problem(**problem) for problem in entry["problems"]]
    return records, problems


def read_index(folder: Path, features: FeatureConfig) -> int:
    """The number of shards of finished records, which must be of these feature settings."""
    path = folder / "index.json"
    if not path.is_file():
        raise DataError(f"{folder}: expected records with an index.json, found none; to make or finish them, {_AGAIN}")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        version, num_shards = index["format_version"], int(index["num_shards"])
        found = from_dict(FeatureConfig, index["features"]) if version == FORMAT_VERSION else None
    except (ValueError, TypeError, KeyError, ModelError) as error:
        raise DataError(f"{path}: expected an index of records ({error}); delete it and {_AGAIN}") from error
    if found is None:
        raise DataError(f"{folder}: expected records of format {FORMAT_VERSION}, got {version}; delete it and {_AGAIN}")
    if found != features:
        wanted, given = asdict(features), asdict(found)
        changed = [name for name in wanted if given[name] != wanted[name]]
        differences = ", ".join(f"{name} {given[name]}, not {wanted[name]}" for name in changed)
        raise DataError(
            f"{folder}: records of other feature settings ({differences}); make them in another folder, "
            "by make_records.py with the --preset that is trained"
        )
    return num_shards


def write_index(folder: Path, features: FeatureConfig, num_shards: int) -> None:
    index = {"format_version": FORMAT_VERSION, "num_shards": num_shards, "features": to_dict(features)}
    write_text(folder / "index.json", json.dumps(index, indent=2) + "\n")


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.tfrecord"


def read_shard(shard: Path) -> dict[str, Any] | None:
    """What the index of a shard says; None where either file is missing or not whole."""
    try:
        entry = json.loads(shard.with_suffix(".json").read_text(encoding="utf-8"))
        good = shard.stat().st_size == entry["shard_bytes"] and {"made_of", "records", "problems"} <= set(entry)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return entry if good else None


def write_shard(
    shard: Path, made_of: str, results: Iterable[tuple[Utterance, NDArray[np.floating[Any]] | str]]
) -> list[Problem]:
    """Write a shard and then its index, each whole or not at all.

    Args:
        shard: its path.
        made_of: what tells this input from any other.
        results: utterances, each with its features (T, F), or the reason why there are none.

    Returns:
        What could not be read; the index holds it too.
    """
    import tensorflow as tf

    records: list[dict[str, Any]] = []
    problems: list[Problem] = []
    position = 0
    with replacing(shard) as partial, tf.io.TFRecordWriter(str(partial)) as writer:
        for utterance, features in results:
            if isinstance(features, str):
                problems.append(Problem(utterance.id, features))
                continue
            data = _encode(utterance, features)
            writer.write(data)
            place = {"offset": position + _HEADER_BYTES, "num_bytes": len(data), "crc32": zlib.crc32(data)}
            audio = Path(os.path.relpath(utterance.audio_path.resolve(), shard.parent.resolve())).as_posix()
            records.append({**asdict(utterance), "audio_path": audio, **place})
            position += _HEADER_BYTES + len(data) + _FOOTER_BYTES
    entry = {
        "made_of": made_of,
        "shard_bytes": position,
        "records": records,
        "problems": [asdict(problem) for problem in problems],
    }
    write_text(shard.with_suffix(".json"), json.dumps(entry, ensure_ascii=False) + "\n")
    return problems


def _encode(utterance: Utterance, features: NDArray[np.floating[Any]]) -> bytes:
    """An `Example` that says by itself what it holds, for other readers of TFRecord files."""
    from tensorflow.train import BytesList, Example, Feature, Features, FloatList, Int64List

    texts = {"id": utterance.id, "text": utterance.text, "speaker": utterance.speaker}
    values = {name: Feature(bytes_list=BytesList(value=[text.encode()])) for name, text in texts.items()}
    values["features"] = Feature(bytes_list=BytesList(value=[features.astype(STORED).tobytes()]))
    values["num_mels"] = Feature(int64_list=Int64List(value=[features.shape[1]]))
    values["duration_s"] = Feature(float_list=FloatList(value=[utterance.duration_s]))
    data: bytes = Example(features=Features(feature=values)).SerializeToString(deterministic=True)
    return data
