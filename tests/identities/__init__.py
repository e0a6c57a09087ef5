"""Identities between methods: one side equals the other, to the error that each function returns."""

import numpy as np


def largest(*errors: float) -> float:
    """Return the largest of errors; NaN if one is."""
    return float(np.max(errors))
