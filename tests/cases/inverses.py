"""Rows of what is solved: dampings, inverses, roots, triangular systems, eigenbases."""

import numpy as np

import oracle
from cases.case import Case, spd


def _separated(rng, n, dtype):
    # Eigenvalues 1, 2, ..., n: far enough apart for the vectors to be known, too.
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return {"factors": ((Q * np.arange(1.0, n + 1)) @ Q.T).astype(dtype)}


def _triangular(rng, n, dtype):
    L = np.linalg.cholesky(spd(rng, n, np.float64)).astype(dtype) + np.triu(np.ones((n, n), dtype), 1)
    return {"factors": L, "rhs": rng.standard_normal((n, 1 + n % 5 + 30 * (n > 60))).astype(dtype)}


def _inverse_free(rng, n, dtype):
    q = n + 2
    return {
        "K": np.eye(n, dtype=dtype) + spd(rng, n, dtype) / 4,
        "C": np.eye(q, dtype=dtype) + spd(rng, q, dtype) / 4,
        "A": spd(rng, n, dtype),
        "G": spd(rng, q, dtype),
        "K_momentum": spd(rng, n, dtype),
        "C_momentum": spd(rng, q, dtype),
    }


def _warm_inverse(rng, n, dtype):
    C = spd(rng, n, dtype)
    earlier = oracle.damped_inverse((1.01 * C.astype(np.float64)).astype(dtype), 0.1)
    return {"factors": C, "warm_start": earlier.astype(dtype)}


def _update_inverse_free(on, **given):
    return on.update_inverse_free(**given, damping=0.1, step=0.1)[0]


CASES = [
    Case(
        "factored_damping",
        lambda rng, n, dtype: {"A": spd(rng, n, dtype), "G": spd(rng, n + 1, dtype)},
        lambda on, A, G: on.factored_damping(A, G, 0.01)[0],
        lambda A, G: oracle.factored_damping(A, G, 0.01)[0],
        "A",
    ),
    Case(
        "factored_dampings",
        lambda rng, n, dtype: {f"factors[{k}]": spd(rng, n + k, dtype) for k in range(3)},
        lambda on, **given: on.factored_dampings(tuple(given.values()), 0.01)[-1],
        lambda **given: oracle.factored_dampings(tuple(given.values()), 0.01)[-1],
        "factors[0]",
    ),
    Case(
        "damped_inverse",
        lambda rng, n, dtype: {"factors": spd(rng, n, dtype)},
        lambda on, factors, **options: on.damped_inverse(factors, 0.1, **options).inverse,
        lambda factors: oracle.damped_inverse(factors, 0.1),
        "factors",
        optional=("out",),
    ),
    Case(
        "damped_inverse, newton",
        _warm_inverse,
        lambda on, **given: on.damped_inverse(**given, damping=0.1, method="newton").inverse,
        lambda factors, warm_start: oracle.damped_inverse(factors, 0.1),
        "factors",
        optional=("out",),
        emulated_sizes=(1, 2, 33, 70),
    ),
    Case(
        "damped_cholesky",
        lambda rng, n, dtype: {"factors": spd(rng, n, dtype)},
        lambda on, factors, **options: on.damped_cholesky(factors, 0.1, **options).factor,
        lambda factors: oracle.damped_cholesky(factors, 0.1),
        "factors",
        optional=("out",),
    ),
    Case(
        "triangular_solve",
        _triangular,
        lambda on, **given: on.triangular_solve(**given),
        oracle.triangular_solve,
        "factors",
        optional=("out",),
    ),
    Case(
        "triangular_solve, transposed",
        _triangular,
        lambda on, **given: on.triangular_solve(**given, transpose=True),
        lambda **given: oracle.triangular_solve(**given, transpose=True),
        "factors",
        optional=("out",),
    ),
    Case(
        "cholesky_solve",
        _triangular,
        lambda on, **given: on.cholesky_solve(**given),
        oracle.cholesky_solve,
        "factors",
        optional=("out",),
    ),
    Case(
        "inverse_root",
        lambda rng, n, dtype: {"factors": spd(rng, n, dtype)},
        lambda on, factors: on.inverse_root(factors, 4, 0.1).root,
        lambda factors: oracle.inverse_root(factors, 4, 0.1),
        "factors",
    ),
    Case(
        "inverse_root, newton",
        lambda rng, n, dtype: {"factors": spd(rng, n, dtype)},
        lambda on, factors: on.inverse_root(factors, 3, 0.1, method="newton").root,
        lambda factors: oracle.inverse_root(factors, 3, 0.1),
        "factors",
        emulated_sizes=(1, 2, 33, 70),
    ),
    Case(
        "eigenbasis",
        _separated,
        lambda on, factors: on.eigenbasis(factors).vectors,
        lambda factors: oracle.eigenbasis(factors)[1],
        "factors",
        emulated_sizes=(1, 2, 7, 31, 33, 65, 130),
    ),
    Case(
        "update_inverse_free",
        _inverse_free,
        _update_inverse_free,
        lambda **given: oracle.update_inverse_free(**given, damping=0.1, step=0.1)[0],
        "K",
        ("K", "C", "K_momentum", "C_momentum"),
    ),
]
