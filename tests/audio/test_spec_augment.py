"""SpecAugment: every zero belongs to a mask of an allowed size, and drawn sizes fill the range."""

import itertools

import numpy as np
import pytest

from crnn_asr.audio.spec_augment import spec_augment
from crnn_asr.config import SpecAugmentConfig

ONE_OF_EACH = SpecAugmentConfig(num_frequency_masks=1, num_time_masks=1)


def runs(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of True."""
    return [len(list(group)) for value, group in itertools.groupby(mask) if value]


@pytest.mark.parametrize("num_frames", [1, 3, 20, 100, 1_000])
def test_masks_are_bands_of_allowed_size(num_frames: int, rng: np.random.Generator) -> None:
    features = np.ones((num_frames, 80), np.float32)
    sizes = []
    for _ in range(400):
        masked = spec_augment(features, ONE_OF_EACH, rng)
        assert masked.dtype == np.float32
        hidden = masked == 0
        frames, bins = hidden.all(axis=1), hidden.all(axis=0)
        np.testing.assert_array_equal(hidden, frames[:, None] | bins[None, :])
        assert len(runs(frames)) <= 1
        assert len(runs(bins)) <= 1
        sizes.append((frames.sum(), bins.sum()))
    assert np.min(sizes, axis=0).tolist() == [0, 0]
    assert np.max(sizes, axis=0).tolist() == [min(40, int(0.15 * num_frames)), 20]
    assert features.all()


def test_masks_reach_both_edges(rng: np.random.Generator) -> None:
    features = np.ones((50, 8), np.float32)
    config = SpecAugmentConfig(1, 2, 1, 3)
    seen = np.zeros_like(features)
    for _ in range(500):
        seen += spec_augment(features, config, rng) == 0
    assert (seen[:, :] > 0).all()


def test_off_is_the_same_and_the_seed_decides(rng: np.random.Generator) -> None:
    features = rng.standard_normal((200, 80)).astype(np.float32)
    np.testing.assert_array_equal(spec_augment(features, SpecAugmentConfig(0, 0, 0, 0), rng), features)
    first, second, other = (
        spec_augment(features, SpecAugmentConfig(), np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_fewer_bins_than_the_largest_mask(rng: np.random.Generator) -> None:
    for _ in range(50):
        assert spec_augment(np.ones((5, 4), np.float32), SpecAugmentConfig(), rng).shape == (5, 4)


def test_scaling_changes_the_sizes_of_masks() -> None:
    scaled = SpecAugmentConfig(max_frequency_bins=20, max_time_frames=50).scaled(0.3)
    assert (scaled.max_frequency_bins, scaled.max_time_frames) == (6, 15)
    assert scaled.num_time_masks == SpecAugmentConfig().num_time_masks
