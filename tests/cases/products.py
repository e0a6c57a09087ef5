"""Rows of gradients: what is multiplied to them, or solved for them."""

import numpy as np

import curvblas as cb

import oracle
from cases.case import Case, spd


def _precondition(rng, n, dtype):
    m = n + 2
    return {
        "grads": rng.standard_normal((m, n)).astype(dtype),
        "A_inv": rng.standard_normal((n, n)).astype(dtype),
        "G_inv": rng.standard_normal((m, m)).astype(dtype),
    }


def _precondition_eigen(rng, n, dtype):
    given = _precondition(rng, n, dtype)
    S = 0.1 + rng.random(given["grads"].shape).astype(dtype)
    return {"grads": given["grads"], "A_basis": given["A_inv"], "G_basis": given["G_inv"], "second_moments": S}


def _precondition_by_values(rng, n, dtype):
    given = _precondition(rng, n, dtype)
    return {
        "grads": given["grads"],
        "A_basis": given["A_inv"],
        "G_basis": given["G_inv"],
        "A_basis.values": rng.random(n).astype(dtype),
        "G_basis.values": rng.random(n + 2).astype(dtype),
    }


def _by_values(on, grads, A_basis, G_basis, **values):
    bases = [
        cb.Eigenbasis(values[f"{side}_basis.values"], vectors, None, None)
        for side, vectors in (("A", A_basis), ("G", G_basis))
    ]
    out = {"out": values["out"]} if "out" in values else {}
    return on.precondition_eigen(grads, *bases, damping=0.1, **out)


def _oracle_by_values(grads, A_basis, G_basis, **values):
    S = np.outer(np.float64(values["G_basis.values"]), np.float64(values["A_basis.values"]))
    return oracle.precondition_eigen(grads, A_basis, G_basis, 0.1, S)


def _kron_sum(rng, n, dtype):
    m = n + 2
    given = {name: spd(rng, size, dtype) for name, size in {"A": n, "B": m, "C": n, "D": m}.items()}
    return {**given, "Z": rng.standard_normal((m, n)).astype(dtype)}


CASES = [
    Case(
        "precondition",
        _precondition,
        lambda on, **given: on.precondition(**given),
        oracle.precondition,
        "grads",
        optional=("out",),
    ),
    Case(
        "precondition_with_inner",
        _precondition,
        lambda on, **given: on.precondition_with_inner(**given).product,
        oracle.precondition,
        "grads",
        optional=("out",),
    ),
    Case(
        "precondition_eigen",
        _precondition_eigen,
        lambda on, **given: on.precondition_eigen(**given, damping=0.1),
        lambda grads, A_basis, G_basis, second_moments: oracle.precondition_eigen(
            grads, A_basis, G_basis, 0.1, second_moments
        ),
        "grads",
        optional=("out",),
    ),
    Case(
        "precondition_eigen, eigenvalues",
        _precondition_by_values,
        _by_values,
        _oracle_by_values,
        "grads",
        optional=("out",),
    ),
    Case(
        "kron_sum_solve",
        _kron_sum,
        lambda on, **given: on.kron_sum_solve(**given, sign=1).solution,
        lambda **given: oracle.kron_sum_solve(**given, sign=1),
        "Z",
        optional=("out",),
        sizes=(1, 2, 7, 31, 33, 65, 130),
        emulated_sizes=(1, 2, 7, 33, 70),
    ),
    Case(
        "newton_schulz",
        lambda rng, n, dtype: {"matrices": rng.standard_normal((n, n // 2 + 4)).astype(dtype)},
        lambda on, **given: on.newton_schulz(**given, steps=2),
        lambda **given: oracle.newton_schulz(**given, steps=2),
        "matrices",
        wrong_shape=(9,),
    ),
]
