"""SpecAugment (Park et al. 2019): bands of mel bins and stretches of frames are hidden from the network."""

import numpy as np
from numpy.typing import NDArray

from crnn_asr.config import SpecAugmentConfig


def spec_augment(
    features: NDArray[np.float32], config: SpecAugmentConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Set masks in normalised features (T, F) to 0, their mean; the argument itself stays as it is.

    A mask's size is drawn from 0 to its maximum, then its place. A mask of time never covers more than
    `max_time_share` of the utterance.
    """
    masked = features.copy()
    num_frames, num_mels = features.shape
    max_bins = min(config.max_frequency_bins, num_mels)
    max_frames = min(config.max_time_frames, int(config.max_time_share * num_frames))
    for _ in range(config.num_frequency_masks):
        masked[:, _mask(num_mels, max_bins, rng)] = 0
    for _ in range(config.num_time_masks):
        masked[_mask(num_frames, max_frames, rng)] = 0
    return masked


def _mask(length: int, max_size: int, rng: np.random.Generator) -> slice:
    size = int(rng.integers(max_size + 1))
    start = int(rng.integers(length - size + 1))
    return slice(start, start + size)
