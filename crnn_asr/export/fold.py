"""Batch norm, folded into the convolution before it."""

import numpy as np
from numpy.typing import NDArray

EPSILON = 1e-3  # of batch norm and layer norm, as in training

Array = NDArray[np.float32]


def folded_convolution(weights: dict[str, Array], i: int) -> tuple[Array, Array]:
    """Kernel (3, 3, in, out) and bias (out,) of convolution i: (x·k − mean)·s + beta = x·(k·s) + (beta − mean·s)."""
    gamma, beta, mean, variance = (weights[f"conv{i}.{name}"] for name in ("gamma", "beta", "mean", "variance"))
    scale = gamma / np.sqrt(variance + EPSILON)
    return weights[f"conv{i}.kernel"] * scale, beta - mean * scale
