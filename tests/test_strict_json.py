"""The strict way of configurations to JSON and back."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from crnn_asr.config import AugmentConfig, RunConfig, TrainingConfig
from crnn_asr.errors import ModelError
from crnn_asr.presets import PRESETS
from crnn_asr.strict_json import from_dict, load_config, save_config, to_dict


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json_and_agree_with_themselves(name: str, tmp_path: Path) -> None:
    run = dataclasses.replace(PRESETS[name], alphabet=tuple("abcə ışğ"), train_manifests=("a.jsonl", "ö.jsonl"))
    path = tmp_path / "config.json"
    save_config(run, path)
    assert load_config(RunConfig, path) == run
    assert "ə" in path.read_text(encoding="utf-8")
    assert (run.preset, run.model.num_mels) == (name, run.features.num_mels)


def test_an_integer_is_a_good_float_in_json() -> None:
    values = to_dict(TrainingConfig()) | {"clip_norm": 1}
    assert from_dict(TrainingConfig, values) == TrainingConfig()


def nested(path: str, value: Any) -> dict[str, Any]:
    values = to_dict(RunConfig())
    *folders, name = path.split(".")
    inner = values
    for folder in folders:
        inner = inner[folder]
    inner[name] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("training.epochs", 1.5, "config.training.epochs: expected int, got 1.5"),
        ("training.epochs", "60", "config.training.epochs: expected int"),
        ("training.epochs", True, "config.training.epochs: expected int, got True"),
        ("training.clip_norm", False, "config.training.clip_norm: expected float, got False"),
        ("training.clip_norm", None, "config.training.clip_norm: expected float, got None"),
        ("training.clip_norm", 10**400, "config.training.clip_norm: expected a number of ordinary size"),
        ("training.clip_norm", -1, "clip_norm must be positive"),
        ("text.casing", 3, "config.text.casing: expected str"),
        ("augment.gain_db", [1.0], "config.augment.gain_db: expected 2 values"),
        ("augment.gain_db", [1.0, 2.0, 3.0], "config.augment.gain_db: expected 2 values"),
        ("augment.gain_db", "12", "config.augment.gain_db: expected a list"),
        ("model.conv_strides", [[2, 2], [2]], "config.model.conv_strides: expected 2 values"),
        ("model.conv_filters", [32.0, 64.0], "config.model.conv_filters: expected int"),
        ("alphabet", "abc", "config.alphabet: expected a list"),
        ("alphabet", [1], "config.alphabet: expected str"),
        ("model", [], "config.model: expected an object, got list"),
        ("model.extra", 1, "config.model: unknown key extra"),
        ("extra", 1, "config: unknown key extra"),
    ],
)
def test_json_of_another_shape_is_refused_and_the_key_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        from_dict(RunConfig, nested(path, value))


def test_every_missing_key_is_named() -> None:
    for item in dataclasses.fields(RunConfig):
        if item.metadata:  # what came later
            continue
        values = to_dict(RunConfig())
        del values[item.name]
        with pytest.raises(ModelError, match=f"missing key {item.name}"):
            from_dict(RunConfig, values)


def test_a_config_from_before_a_field_does_what_it_did() -> None:
    """Rooms were not played at another speed once, nor was there a pool; a run of then is read, and goes on without."""
    values = to_dict(RunConfig())
    assert values["augment"].pop("reverb_recorded_speed") == [0.7, 1.4]
    assert from_dict(RunConfig, values).augment == AugmentConfig(reverb_recorded_speed=(1.0, 1.0))
    assert values.pop("pool_manifests") == []
    assert from_dict(RunConfig, values).pool_manifests == ()
    assert "reverb_recorded_speed" not in values["augment"]  # what was given is not changed


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"learning_rate": NaN}', b"null"])
def test_a_file_that_is_no_configuration_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"config\.json"):
        load_config(TrainingConfig, path)


def test_not_a_number_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(to_dict(TrainingConfig()) | {"weight_decay": math.nan}))
    with pytest.raises(ModelError, match="weight_decay must be finite"):
        load_config(TrainingConfig, path)


def test_a_missing_file_stays_an_error_of_the_operating_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_config(RunConfig, tmp_path / "config.json")
