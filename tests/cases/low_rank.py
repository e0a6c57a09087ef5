"""Few long rows: their products, and systems with what they span."""

import numpy as np

import oracle
from cases.case import Case


def _rows(rng, n, dtype):
    """As many rows as `n` asks for, longer than they are many, and as many vectors as half of them."""
    length = 2 * n + 70
    return {"rows": rng.standard_normal((n, length)).astype(dtype)}


def _products(rng, n, dtype):
    given = _rows(rng, n, dtype)
    vectors = rng.standard_normal((given["rows"].shape[1], n // 2 + 1)).astype(dtype)
    return {**given, "vectors": vectors}


def _solve(rng, n, dtype):
    k = n // 3
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0][:k]
    return {
        "basis": basis.astype(dtype),
        "values": rng.random(k).astype(dtype),
        "grads": rng.standard_normal((2, n)).astype(dtype),
    }


def _system(rng, n, dtype):
    jacobian = rng.standard_normal((n, 3 * n + 5)).astype(dtype)
    return {
        "jacobian": jacobian,
        "rhs": rng.standard_normal(n).astype(dtype),
        "previous": rng.standard_normal(jacobian.shape[1]).astype(dtype),
    }


CASES = [
    Case("gram", _rows, lambda on, **given: on.gram(**given), oracle.gram, "rows", wrong_shape=(9,)),
    Case(
        "gram_products",
        _products,
        lambda on, **given: on.gram_products(**given)[1],
        lambda rows, vectors: np.float64(rows) @ np.float64(vectors),
        "rows",
    ),
    Case(
        "gram_products, squares",
        _products,
        lambda on, **given: on.gram_products(**given)[0],
        lambda rows, vectors: oracle.gram(rows),
        "rows",
        emulated_sizes=(1, 33),
    ),
    Case(
        "low_rank_solve",
        _solve,
        lambda on, **given: on.low_rank_solve(**given, damping=0.1),
        lambda **given: oracle.low_rank_solve(**given, damping=0.1),
        "basis",
        optional=("out",),
    ),
    Case(
        "sample_space_solve",
        _system,
        lambda on, **given: on.sample_space_solve(**given, damping=0.5, momentum=0.8).solution,
        lambda **given: oracle.sample_space_solve(**given, damping=0.5, momentum=0.8),
        "jacobian",
    ),
]
