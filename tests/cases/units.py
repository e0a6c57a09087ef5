"""Rows of the units' metrics."""

import numpy as np

import oracle
from cases.case import Case, spd


def _moments(rng, n, dtype, N=None):
    # Units in numbers on both sides of where the CPU changes its method.
    N, q = N or 3 + n % 5, 4 + n % 7
    return {
        "moments": np.stack([spd(rng, n, dtype) for _ in range(q)]),
        "rows": rng.standard_normal((N, n)).astype(dtype),
        "weights": rng.random((N, q)).astype(dtype),
    }


def _quasi_diagonal(rng, n, dtype, N=None):
    N, q, p = N or 3 + n % 5, n + 2, n + 1
    return {
        "first_moments": rng.standard_normal((q, p)).astype(dtype),
        "second_moments": rng.random((q, p)).astype(dtype),
        "rows": rng.standard_normal((N, n)).astype(dtype),
        "weights": rng.random((N, q)).astype(dtype),
    }


def _system(rng, n, dtype):
    N, q, p = 12, n + 2, n + 1
    rows = np.concatenate([rng.standard_normal((N, n)), np.ones((N, 1))], axis=1)
    weights = 0.1 + rng.random((N, q))
    return {
        "first_moments": (weights.T @ rows).astype(dtype),
        "second_moments": (weights.T @ rows**2).astype(dtype),
        "grads": rng.standard_normal((q, p)).astype(dtype),
    }


def _both(on, **given):
    """Return the two kinds of moments side by side."""
    first, second = on.accumulate_quasi_diagonal(**given)
    if not isinstance(first, list):
        return np.concatenate([first, second], axis=-1)
    return [np.concatenate(both, axis=-1) for both in zip(first, second, strict=True)]


CASES = [
    Case(
        "update_unit_moments",
        _moments,
        lambda on, **given: on.update_unit_moments(**given),
        oracle.update_unit_moments,
        "moments",
        "moments",
        emulated_sizes=(1, 2, 7, 33, 65),
    ),
    Case(
        "update_unit_moments, many rows",
        lambda rng, n, dtype: _moments(rng, n, dtype, N=6000),
        lambda on, **given: on.update_unit_moments(**given),
        oracle.update_unit_moments,
        "moments",
        "moments",
        emulated_sizes=(2, 33),
    ),
    Case(
        "accumulate_quasi_diagonal",
        _quasi_diagonal,
        _both,
        lambda **given: np.concatenate(oracle.accumulate_quasi_diagonal(**given), axis=-1),
        "first_moments",
        ("first_moments", "second_moments"),
    ),
    Case(
        "accumulate_quasi_diagonal, many rows",
        lambda rng, n, dtype: _quasi_diagonal(rng, n, dtype, N=4400),
        _both,
        lambda **given: np.concatenate(oracle.accumulate_quasi_diagonal(**given), axis=-1),
        "first_moments",
        ("first_moments", "second_moments"),
        emulated_sizes=(2, 33),
    ),
    Case(
        "solve_quasi_diagonal",
        _system,
        lambda on, **given: on.solve_quasi_diagonal(**given, damping=0.1).solution,
        lambda **given: oracle.solve_quasi_diagonal(**given, damping=0.1),
        "first_moments",
        optional=("out",),
    ),
]
