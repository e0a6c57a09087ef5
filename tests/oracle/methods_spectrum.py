"""Matrices with known spectra, and moments by dense products."""

import numpy as np


def symmetric(rng, values):
    """Return a dense matrix with these eigenvalues."""
    basis, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    return basis * values @ basis.T


def moment(H, start, k):
    """Return ``q^T H^k q`` of the normalised start vector."""
    q = start / np.linalg.norm(start)
    return q @ np.linalg.matrix_power(H, k) @ q


def density(values, grid, width):
    """Return the mean of Gaussians at all eigenvalues."""
    bells = np.exp(-((grid[:, None] - values) ** 2) / (2 * width**2)) / np.sqrt(2 * np.pi * width**2)
    return bells.mean(axis=1)
