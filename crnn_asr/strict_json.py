"""Dataclasses as JSON and back, strictly: a key too many, one too few and a value of another type are errors.

A field that came later says by `before` what files mean that lack it.
"""

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from crnn_asr.errors import ModelError, require
from crnn_asr.files import write_text

Config = TypeVar("Config")
_BEFORE = "before"


def before(value: Any) -> dict[str, Any]:
    """Metadata of a dataclass field that files of older versions lack: the value that does what those did."""
    return {_BEFORE: value}


def to_dict(config: Any) -> dict[str, Any]:
    """A config dataclass as plain JSON types."""
    return typing.cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(config))))


def from_dict(cls: type[Config], values: Any, where: str = "config") -> Config:
    """The config that `to_dict` was given, by this version or one before it.

    Raises:
        ModelError: an unknown or missing key, or a value of another type; the message names the key.
    """
    require(isinstance(values, dict), f"{where}: expected an object, got {type(values).__name__}")
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(typing.cast(Any, cls))
    older = {item.name: item.metadata[_BEFORE] for item in fields if _BEFORE in item.metadata}
    values = json.loads(json.dumps(older)) | values
    unknown, missing = sorted(set(values) - set(hints)), sorted(set(hints) - set(values))
    require(not unknown, f"{where}: unknown key {', '.join(unknown)}; it was written by another version")
    require(not missing, f"{where}: missing key {', '.join(missing)}; it was written by another version")
    return cls(**{name: _from_json(hint, values[name], f"{where}.{name}") for name, hint in hints.items()})


def _from_json(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is dict:  # any JSON object, as it is
        hint = dict
    if isinstance(hint, types.GenericAlias):  # tuple[x, ...] or tuple[x, y]
        kinds = typing.get_args(hint)
        require(isinstance(value, list), f"{where}: expected a list, got {value!r}")
        if kinds[-1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        require(len(kinds) == len(value), f"{where}: expected {len(kinds)} values, got {value!r}")
        return tuple(_from_json(kind, item, where) for kind, item in zip(kinds, value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        require(abs(value) < 2**63, f"{where}: expected a number of ordinary size, got {str(value)[:20]}…")
        return float(value)
    require(type(value) is hint, f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def save_config(config: Any, path: Path) -> None:
    write_text(path, json.dumps(to_dict(config), indent=2, ensure_ascii=False) + "\n")


def load_config(cls: type[Config], path: Path) -> Config:
    """Read a config file; every error names the file."""
    try:
        return from_dict(cls, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ModelError(f"{path} is not a JSON configuration: {error}") from error
