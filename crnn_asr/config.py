"""What a run is made of: frozen dataclasses that check themselves.

Shape legend, used everywhere: B batch, T frames, F mel bins, U label length, V alphabet size with blank.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from crnn_asr.errors import require
from crnn_asr.strict_json import before

Range = tuple[float, float]
OPTIMIZERS = ("adamw", "muon")


def _require_finite(config: Any) -> None:
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        numbers = value if isinstance(value, tuple) else (value,)
        good = all(math.isfinite(number) for number in numbers if isinstance(number, float))
        require(good, f"{item.name} must be finite, got {value}")


def _require_range(name: str, value: Range, low: float = float("-inf")) -> None:
    require(low <= value[0] <= value[1], f"{name} must be a range (low, high) with {low} <= low <= high, got {value}")


def _require_probability(name: str, value: float) -> None:
    require(0.0 <= value <= 1.0, f"{name} must be a probability from 0 to 1, got {value}")


@dataclass(frozen=True)
class FeatureConfig:
    """The log-mel front end, the same in training and in recognition."""

    sample_rate_hz: int = 16_000
    window_ms: float = 25.0
    hop_ms: float = 10.0
    fft_size: int = 512
    num_mels: int = 80
    low_hz: float = 20.0
    high_hz: float = 8_000.0
    log_floor: float = 1e-6  # added to the mel power before the logarithm, for samples in [-1, 1]
    shrinkage_frames: float = 0.0  # with which the mean of all bins counts in each bin's: see `normalize_features`

    def __post_init__(self) -> None:
        _require_finite(self)
        require(self.hop_samples >= 1, f"hop_ms must be at least one sample, got {self.hop_ms} ms")
        require(
            self.hop_samples <= self.window_samples <= self.fft_size,
            f"need hop <= window <= FFT, got {self.hop_samples}, {self.window_samples} and {self.fft_size} samples",
        )
        require(
            0 <= self.low_hz < self.high_hz <= self.sample_rate_hz / 2,
            f"mel bands must lie between 0 and {self.sample_rate_hz / 2} Hz, got {self.low_hz} to {self.high_hz}",
        )
        require(self.num_mels >= 1, f"num_mels must be at least 1, got {self.num_mels}")
        require(self.log_floor > 0, f"log_floor must be positive, got {self.log_floor}")
        require(self.shrinkage_frames >= 0, f"shrinkage_frames must not be negative, got {self.shrinkage_frames}")

    @property
    def window_samples(self) -> int:
        return round(self.sample_rate_hz * self.window_ms / 1000)

    @property
    def hop_samples(self) -> int:
        return round(self.sample_rate_hz * self.hop_ms / 1000)

    def at_rate(self, sample_rate_hz: int) -> "FeatureConfig":
        """The same at another rate: windows of the same milliseconds, mel bands up to half the rate."""
        window_samples = round(sample_rate_hz * self.window_ms / 1000)
        fft_size = max(self.fft_size, 2 ** (window_samples - 1).bit_length())
        return dataclasses.replace(self, sample_rate_hz=sample_rate_hz, high_hz=sample_rate_hz / 2, fft_size=fft_size)

    def num_frames(self, num_samples: Any) -> Any:
        """Frames of a recording, whole windows only, so 0 for less than one; an int or an array, the same kind back."""
        frames = 1 + (num_samples - self.window_samples) // self.hop_samples
        return frames * (frames > 0)


@dataclass(frozen=True)
class ModelConfig:
    """Conv2D blocks, a projection, a stack of BiLSTMs, one logit per symbol.

    `conv_strides` holds (time, frequency) of each 3×3 convolution; `num_symbols` counts the blank, which is the last.
    """

    num_mels: int = 80
    conv_filters: tuple[int, ...] = (32, 64)
    conv_strides: tuple[tuple[int, int], ...] = ((2, 2), (2, 2))
    projection_units: int = 256
    lstm_layers: int = 2
    lstm_units: int = 192
    dropout: float = 0.2
    num_symbols: int = 29

    def __post_init__(self) -> None:
        require(
            len(self.conv_filters) == len(self.conv_strides) >= 1,
            f"need one stride per convolution, got {len(self.conv_filters)} filters, {len(self.conv_strides)} strides",
        )
        sizes = (self.num_mels, *self.conv_filters, self.projection_units, self.lstm_layers, self.lstm_units)
        require(min(sizes) >= 1, f"every size must be at least 1, got {sizes}")
        strides = [stride for pair in self.conv_strides for stride in pair]
        require(all(stride in (1, 2, 3) for stride in strides), f"strides must be 1, 2 or 3, got {self.conv_strides}")
        require(0 <= self.dropout < 1, f"dropout must be from 0 to below 1, got {self.dropout}")
        require(self.num_symbols >= 2, f"need a symbol and a blank, got num_symbols={self.num_symbols}")

    @property
    def time_reduction(self) -> int:
        """Feature frames per logit frame."""
        reduction = 1
        for stride, _ in self.conv_strides:
            reduction *= stride
        return reduction

    @property
    def conv_bins(self) -> int:
        """Frequency bins after the last convolution."""
        bins = self.num_mels
        for _, stride in self.conv_strides:
            bins = -(-bins // stride)
        return bins

    @property
    def layers(self) -> tuple[str, ...]:
        """Names in the order of the data; norms belong to the layer before them. `TransferConfig.freeze` counts so."""
        convs, lstms = len(self.conv_filters), self.lstm_layers
        return (*(f"conv{i}" for i in range(convs)), "projection", *(f"lstm{i}" for i in range(lstms)), "output")

    def output_length(self, num_frames: Any) -> Any:
        """Logit frames for feature frames; an int, a NumPy array or an integer tensor, and the same kind back."""
        for stride, _ in self.conv_strides:
            num_frames = (num_frames + stride - 1) // stride
        return num_frames

    def frame_s(self, features: FeatureConfig) -> float:
        """Seconds of sound for each logit frame."""
        return self.time_reduction * features.hop_samples / features.sample_rate_hz


@dataclass(frozen=True)
class TextConfig:
    """How transcripts become symbols. `language` matters to casing only: `az` and `tr` have a dotless i."""

    casing: str = "lower"  # lower, upper or keep
    language: str = "en"

    def __post_init__(self) -> None:
        require(self.casing in ("lower", "upper", "keep"), f"casing must be lower, upper or keep, got {self.casing!r}")
        code = self.language.isalpha() and self.language.islower() and len(self.language) in (2, 3)
        require(code, f"language must be a lower-case code such as en or az, got {self.language!r}")


@dataclass(frozen=True)
class AugmentConfig:
    """Waveform augmentation: for each technique a probability (0 is off) and the range its strength is drawn from."""

    noise_probability: float = 0.15
    noise_snr_db: Range = (5.0, 30.0)
    noise_slope_db: Range = (-6.0, 0.0)  # an octave, of Gaussian noise: 0 is white, -3 pink, -6 brown
    noise_file_probability: float = 0.15  # has an effect only where noise files are given
    noise_file_snr_db: Range = (0.0, 25.0)
    noise_file_speed: Range = (0.7, 1.4)  # noise files are played at another speed, so that few become many
    reverb_probability: float = 0.15
    reverb_recorded_share: float = 0.5  # of rooms, where impulse responses are given; the others are synthetic
    # Impulse responses are played at another speed too: rooms of other sizes.
    reverb_recorded_speed: Range = field(default=(0.7, 1.4), metadata=before((1.0, 1.0)))
    reverb_decay_s: Range = (0.1, 0.6)  # of synthetic rooms, the time to fall by 60 dB
    reverb_direct_db: Range = (-6.0, 6.0)  # of synthetic rooms, direct sound over all the rest: far away to near
    reverb_onset_s: Range = (0.0, 0.03)  # of synthetic rooms, in which echoes grow: at once, or as through a door
    stretch_probability: float = 0.1
    stretch_rate: Range = (0.9, 1.1)  # 1.1 is faster, pitch kept
    speed_probability: float = 0.2
    speed_rate: Range = (0.9, 1.1)  # 1.1 is faster and higher
    trim_probability: float = 0.0
    trim_db: Range = (6.0, 30.0)  # what is softer than this below the loudest is cut off from both ends
    band_stop_probability: float = 0.15
    band_stop_octaves: Range = (0.1, 0.7)  # width of the band that is taken out
    gain_probability: float = 0.2
    gain_db: Range = (-10.0, 6.0)
    equalizer_probability: float = 0.0
    equalizer_octave_db: Range = (-6.0, 6.0)  # from one octave to the next: other microphones and lines

    def __post_init__(self) -> None:
        _require_finite(self)
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, tuple):
                lowest = {"_db": float("-inf"), "_onset_s": 0.0}
                ends = (low for end, low in lowest.items() if item.name.endswith(end))
                _require_range(item.name, value, next(ends, 0.01))
            else:
                _require_probability(item.name, value)

    def scaled(self, share: float) -> "AugmentConfig":
        """The same with a share of each probability."""
        names = [item.name for item in dataclasses.fields(self) if item.name.endswith("_probability")]
        changed: dict[str, Any] = {name: share * getattr(self, name) for name in names}
        return dataclasses.replace(self, **changed)


@dataclass(frozen=True)
class SpecAugmentConfig:
    """Masks on the features (Park et al. 2019): bands of mel bins and stretches of frames are set to the mean."""

    num_frequency_masks: int = 2
    max_frequency_bins: int = 20
    num_time_masks: int = 2
    max_time_frames: int = 40
    max_time_share: float = 0.15  # of the utterance, for each mask

    def __post_init__(self) -> None:
        counts = (self.num_frequency_masks, self.max_frequency_bins, self.num_time_masks, self.max_time_frames)
        require(min(counts) >= 0, f"counts of masks and their sizes must not be negative, got {counts}")
        _require_probability("max_time_share", self.max_time_share)

    def scaled(self, share: float) -> "SpecAugmentConfig":
        """The same with masks of a share of their sizes."""
        bins, frames = round(share * self.max_frequency_bins), round(share * self.max_time_frames)
        return dataclasses.replace(self, max_frequency_bins=bins, max_time_frames=frames)


@dataclass(frozen=True)
class TrainingConfig:
    """The loop. A step's size is a budget of padded feature frames, so that memory does not depend on lengths."""

    epochs: int = 60
    augment_ramp_share: float = 0.0  # of the epochs, in which augmentation grows from nothing to what it says
    batch_frames: int = 8_000  # 100 a second
    max_batch_utterances: int = 32
    accumulate_batches: int = 1  # batches a step; their gradients are summed as those of one large batch
    optimizer: str = field(default="adamw", metadata=before("adamw"))  # or muon: see `training.optimizers`
    learning_rate: float = 2e-3  # the peak
    warmup_steps: int = 200
    schedule: str = "cosine"  # cosine (to zero at the last step) or plateau (halved when dev WER stands still)
    plateau_patience: int = 3  # epochs
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    inner_loss_weight: float = 0.0  # of CTC behind each BiLSTM but the last (Lee & Watanabe 2021), as a share; 0 is off
    average_steps: int = 0  # over which weights are averaged (exponentially) for dev and for the model; 0 is off
    precision: str = "auto"  # of the large products: float32, bfloat16, or auto, which a run replaces by what is faster
    early_stopping_epochs: int = 0  # in a row, none of them the best so far, before the run ends; 0 is off
    keep: str = "best"  # whose weights are the model: best (of the epochs on dev, see `training.choice`) or last
    checkpoint_every_s: float = 60.0  # inside an epoch; one is always written at its end
    keep_checkpoints: int = 3  # the newest and those before it, for one may be damaged
    max_bad_steps: int = 20  # in a row whose loss or gradient is not finite, before the run goes back to a good state
    min_duration_s: float = 0.1
    max_duration_s: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        _require_finite(self)
        require(self.epochs >= 1, f"epochs must be at least 1, got {self.epochs}")
        require(self.batch_frames >= 1, f"batch_frames must be at least 1, got {self.batch_frames}")
        require(
            self.max_batch_utterances >= 1, f"max_batch_utterances must be at least 1, got {self.max_batch_utterances}"
        )
        require(self.accumulate_batches >= 1, f"accumulate_batches must be at least 1, got {self.accumulate_batches}")
        require(self.optimizer in OPTIMIZERS, f"optimizer must be {' or '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        require(self.learning_rate > 0, f"learning_rate must be positive, got {self.learning_rate}")
        require(self.schedule in ("cosine", "plateau"), f"schedule must be cosine or plateau, got {self.schedule!r}")
        require(
            self.precision in ("auto", "float32", "bfloat16"),
            f"precision must be auto, float32 or bfloat16, got {self.precision!r}",
        )
        require(self.keep in ("best", "last"), f"keep must be best or last, got {self.keep!r}")
        require(
            self.keep == "best" or (self.schedule == "cosine" and not self.early_stopping_epochs),
            "where the last epoch is kept, none is the best: schedule must be cosine and early stopping off, "
            f"got {self.schedule} and {self.early_stopping_epochs} epochs",
        )
        require(self.clip_norm > 0, f"clip_norm must be positive, got {self.clip_norm}")
        _require_probability("augment_ramp_share", self.augment_ramp_share)
        weight = self.inner_loss_weight
        require(0 <= weight < 1, f"inner_loss_weight must be from 0 to below 1, got {weight}")
        for name in (
            "warmup_steps",
            "average_steps",
            "weight_decay",
            "early_stopping_epochs",
            "checkpoint_every_s",
            "seed",
        ):
            require(getattr(self, name) >= 0, f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("plateau_patience", "keep_checkpoints", "max_bad_steps"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}")
        _require_range("duration", (self.min_duration_s, self.max_duration_s), 0.0)

    @property
    def ramp_epochs(self) -> float:
        """So many epochs have less augmentation than those after them."""
        return self.augment_ramp_share * self.epochs


@dataclass(frozen=True)
class TransferConfig:
    """Another model's weights to start from."""

    model: str = ""  # run directory or .keras file; empty is off
    sha256: str = ""  # of the file with the weights, filled in when the run starts
    freeze: int = 0  # so many of the first layers stay as they were there; 0 is off

    def __post_init__(self) -> None:
        good = self.freeze == 0 or (self.freeze > 0 and bool(self.model))
        require(good, f"freeze must be 0, or a number of layers of a model that is named, got {self.freeze}")


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run directory's `config.json` holds."""

    preset: str = "an4"
    features: FeatureConfig = field(default_factory=FeatureConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    text: TextConfig = field(default_factory=TextConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    spec_augment: SpecAugmentConfig = field(default_factory=SpecAugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    alphabet: tuple[str, ...] = ()  # symbols without the blank
    train_manifests: tuple[str, ...] = ()
    pool_manifests: tuple[str, ...] = field(default=(), metadata=before(()))  # an epoch takes a part of them
    dev_manifest: str = ""
    noise_dir: str = ""
    rooms_dir: str = ""
    data_sha256: str = ""  # of the checksums of all files that are read, which data.json lists; filled in at the start

    def __post_init__(self) -> None:
        names, freeze = self.model.layers[:-1], self.transfer.freeze
        good = freeze <= len(names)
        require(good, f"this network has {len(names)} layers that can be frozen ({', '.join(names)}), got {freeze}")

    def without_waveform_augmentation(self) -> "RunConfig":
        """The same run with every probability off; masks on the features stay."""
        return dataclasses.replace(self, augment=self.augment.scaled(0))

    def without_augmentation(self) -> "RunConfig":
        """The same run on the recordings as they are: every probability and every mask off."""
        no_masks = SpecAugmentConfig(num_frequency_masks=0, num_time_masks=0)
        return dataclasses.replace(self.without_waveform_augmentation(), spec_augment=no_masks)
