"""One recording under every augmentation, to be heard and seen."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn_asr.audio.augment import Augmenter
from crnn_asr.audio.read import Samples
from crnn_asr.config import AugmentConfig, Range

_PROBABILITIES = [field.name for field in dataclasses.fields(AugmentConfig) if field.name.endswith("_probability")]


@dataclass(frozen=True)
class Take:
    """One version of the recording, and what was done to it."""

    name: str
    effects: tuple[str, ...]
    samples: Samples


def make_takes(
    samples: Samples, sample_rate_hz: int, noise_files: Sequence[Path], room_files: Sequence[Path], seed: int
) -> list[Take]:
    """The original, each technique alone at a strength that is clearly heard, and all together at any strength."""
    rng = np.random.default_rng(seed)
    takes = [Take("original", (), samples)]

    def add(name: str, config: AugmentConfig, rooms: Sequence[Path] = ()) -> None:
        augmenter = Augmenter(config, sample_rate_hz, noise_files, rooms)
        drawn = augmenter.draw(len(samples), rng)
        takes.append(Take(name, tuple(map(str, drawn)), augmenter.apply(samples, drawn)))

    config = _audible(AugmentConfig(), rng)
    for probability in _PROBABILITIES:
        name = probability.removesuffix("_probability")
        if noise_files or name != "noise_file":
            add(name, _only(config, probability))
    if room_files:
        add("room_file", _only(config, "reverb_probability"), room_files)
    add("everything", AugmentConfig(**dict.fromkeys(_PROBABILITIES, 1.0)), room_files)  # type: ignore[arg-type]
    return takes


def _only(config: AugmentConfig, probability: str) -> AugmentConfig:
    """The config with one technique always and the others never."""
    values: dict[str, float] = {**dict.fromkeys(_PROBABILITIES, 0.0), probability: 1.0}
    return dataclasses.replace(config, **values)  # type: ignore[arg-type]


def _audible(config: AugmentConfig, rng: np.random.Generator) -> AugmentConfig:
    """The config with each range cut to the third of it that is heard best."""

    def low(bounds: Range) -> Range:
        return bounds[0], bounds[0] + (bounds[1] - bounds[0]) / 3

    def high(bounds: Range) -> Range:
        return bounds[1] - (bounds[1] - bounds[0]) / 3, bounds[1]

    def either(bounds: Range) -> Range:
        return low(bounds) if rng.random() < 0.5 else high(bounds)

    return dataclasses.replace(
        config,
        noise_snr_db=low(config.noise_snr_db),
        noise_file_snr_db=low(config.noise_file_snr_db),
        noise_file_speed=either(config.noise_file_speed),
        reverb_recorded_speed=either(config.reverb_recorded_speed),
        reverb_decay_s=high(config.reverb_decay_s),
        stretch_rate=either(config.stretch_rate),
        speed_rate=either(config.speed_rate),
        trim_db=low(config.trim_db),
        band_stop_octaves=high(config.band_stop_octaves),
        gain_db=low(config.gain_db),
    )
