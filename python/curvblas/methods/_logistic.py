"""The logistic function and its derivative, without cancellation or overflow."""

import numpy as np


def logistic(t: np.ndarray) -> np.ndarray:
    """Return ``1 / (1 + exp(-t))``, to the last digits in both tails."""
    e = np.exp(-np.abs(t))
    return np.asarray(np.where(t >= 0, 1, e) / (1 + e))


def logistic_variance(t: np.ndarray) -> np.ndarray:
    """Return ``p (1 - p)`` for the logistic function p: the derivative, without the cancellation of 1 - p."""
    e = np.exp(-np.abs(t))
    return np.asarray(e / np.square(1 + e))
