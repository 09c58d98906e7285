"""Long recordings: the network hears windows of them, whose logits are joined where nothing is said.

The graph's loops take time and memory that grow faster than the recording from some minutes on, and it was trained on
seconds.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from crnn_asr.audio.features import LONG_S

Array = NDArray[np.float32]

WINDOW_S, OVERLAP_S = 30.0, 4.0


def logits_in_windows(network: Callable[[Array], Array], features: Array, reduction: int, frame_s: float) -> Array:
    """Logits (T', V) of features (T, F).

    Args:
        network: the same of any length.
        reduction: feature frames for each logit frame.
        frame_s: seconds for each logit frame.
    """
    if len(features) <= LONG_S / frame_s * reduction:
        return network(features)
    window, step = (round(seconds / frame_s) for seconds in (WINDOW_S, WINDOW_S - OVERLAP_S))
    parts: list[Array] = []
    for start in range(0, -(-len(features) // reduction) - (window - step), step):
        logits = network(features[start * reduction : (start + window) * reduction])
        if parts:
            seam = _seam(parts[-1][step - window :], logits[: window - step])
            parts[-1] = parts[-1][: step - window + seam]
            logits = logits[seam:]
        parts.append(logits)
    return np.concatenate(parts)


def _seam(before: Array, after: Array) -> int:
    """Where in the overlap (T', V) to go over: within the longest run of frames that both hear as blank.

    Each window is surest a second and more away from its ends, so the outer quarters of the overlap are left out. Where
    somebody speaks all the time, it is the frame that both are surest of.
    """
    margin = len(before) // 4
    inner = slice(margin, len(before) - margin)
    blank = np.minimum(*(log_softmax(logits[inner], -1)[:, -1] for logits in (before, after)))
    bounds = np.flatnonzero(np.diff(blank > np.log(0.5), prepend=False, append=False)).reshape(-1, 2)
    if not len(bounds):
        return margin + int(blank.argmax())
    start, end = bounds[np.diff(bounds)[:, 0].argmax()]
    return margin + int(start + end) // 2
