"""Identities of spectra."""

import numpy as np

from curvblas.methods import spectrum

from identities import largest
from oracle.methods_spectrum import moment, symmetric


def _jacobian(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((12, 40)) * np.geomspace(1, 30, 12)[:, None]


def quadrature_of_fisher_is_gram_spectrum() -> float:
    """Lanczos quadrature of J^T J / N, run to its end == eigenvalues of J J^T / N, padded with zeros."""
    rng = np.random.default_rng(12)
    J = _jacobian(rng)
    expected = np.sort(np.append(np.linalg.eigvalsh(J @ J.T / 12), np.zeros(28)))
    found = spectrum.quadrature(J, 40, steps=40, seed=1)
    nonzero = found.nodes[found.nodes > 1e-8 * expected[-1]]
    errors = [np.abs(nonzero - expected[28:]).max(), np.abs(spectrum.gram_spectrum(J) - expected).max()]
    return largest(*errors) / float(expected[-1])


def moments_are_exact() -> float:
    """Gauss quadrature of m steps == q^T H^k q for all k < 2 m."""
    rng = np.random.default_rng(9)
    H, start = symmetric(rng, rng.uniform(-1, 2, 30)), rng.standard_normal(30)
    run = spectrum.lanczos(lambda v: H @ v, start, 6)
    expected = [moment(H, start, k) for k in range(12)]
    found = [run.weights @ run.values**k for k in range(12)]
    return float(np.max(np.abs(np.subtract(found, expected)) / np.abs(expected)))


def residuals_are_true() -> float:
    """Bounds beta_m |u_m| of all Ritz pairs == the norms |H x - value x|."""
    rng = np.random.default_rng(10)
    H = symmetric(rng, rng.standard_normal(50))
    run = spectrum.lanczos(lambda v: H @ v, rng.standard_normal(50), 20)
    true = np.linalg.norm(run.vectors @ H - run.values[:, None] * run.vectors, axis=1)
    return float(np.abs(true - run.residuals).max() / np.linalg.norm(H, 2))


IDENTITIES = [
    (quadrature_of_fisher_is_gram_spectrum, 1e-14),
    (moments_are_exact, 1e-14),
    (residuals_are_true, 1e-15),
]
