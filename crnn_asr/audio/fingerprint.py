"""Whether two recordings are the same sound, whatever their lossless format, gain, offset and polarity."""

from dataclasses import dataclass

import numpy as np

from crnn_asr.audio.read import Samples

_POINTS = 128  # of a recording that are compared
_TOLERANCE = 0.02  # of the peak; rounding to 16 bits moves a point of anything louder than -54 dB less


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What stays of a recording when it is amplified, turned around, shifted and rounded.

    Attributes:
        num_samples: its length.
        loudest: the places of the loudest sample in each half.
        points: samples at equal distances, relative to the loudest, as bytes of half-precision numbers.
    """

    num_samples: int
    loudest: tuple[int, int]
    points: bytes

    def places(self) -> list[tuple[int, int, int]]:
        """Two recordings that are the same have at least one of two places in common; few others have."""
        return [(self.num_samples, half, place) for half, place in enumerate(self.loudest)]

    def is_same(self, other: "Fingerprint") -> bool:
        """Whether the points of both, which have a place in common, are the same but for their sign."""
        one, two = (np.frombuffer(item.points, np.float16).astype(np.float32) for item in (self, other))
        return bool(min(np.abs(one - two).max(), np.abs(one + two).max()) <= _TOLERANCE)


def fingerprint(samples: Samples) -> Fingerprint:
    """Of samples (N,), N ≥ 1."""
    centered = samples - np.float32(samples.mean(dtype=np.float64))
    magnitudes, half = np.abs(centered), len(samples) // 2
    loudest = (int(magnitudes[: max(1, half)].argmax()), half + int(magnitudes[half:].argmax()))
    points = centered[np.linspace(0, len(samples) - 1, _POINTS).astype(np.int64)]
    return Fingerprint(
        len(samples), loudest, (points / max(float(magnitudes.max()), 1e-30)).astype(np.float16).tobytes()
    )
