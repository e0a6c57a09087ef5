"""What must never happen to any solver, whatever the numbers: a hang, an exception that nobody asked for, a neighbour
that changes, a status that promises more than is true."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from curvblas import Status

import oracle
from cases import spd

LARGEST_RESIDUAL = 1e-2  # what status 0 or 1 promises


def shifted(C, damping):
    """C + damping I in float64."""
    return oracle.symmetric(C) + damping * np.eye(len(C))


def inverse_residual(C, damping, result):
    """||(C + (damping + jitter) I) X - I||_F."""
    M = shifted(C, damping + float(result.jitter))
    return np.linalg.norm(M @ np.float64(result.inverse) - np.eye(len(C))), bound(C.dtype, M)


def bound(dtype, M):
    """50 eps cond of ||I||_F."""
    return oracle.tolerance(dtype, np.linalg.cond(M)) * np.sqrt(len(M))


def factor_residual(C, damping, result):
    """||L L^T - (C + (damping + jitter) I)||_F over the largest entry; stable whatever the condition."""
    M = shifted(C, damping + float(result.jitter))
    size = np.abs(M).max()
    L = np.float64(result.factor) / np.sqrt(size)
    rounding = np.finfo(C.dtype).smallest_subnormal / np.sqrt(size)  # of L
    return np.linalg.norm(L @ L.T - M / size), oracle.tolerance(C.dtype) * np.linalg.norm(M / size) + len(C) * rounding


def basis_residual(C, _damping, result):
    """||C V - V diag(values)||_F over the largest entry, or ||V^T V - I||_F; stable whatever the condition."""
    subnormal = np.float64(np.finfo(C.dtype).smallest_subnormal)
    size = max(np.abs(C.astype(np.float64)).max(), subnormal)
    M, values, V = oracle.symmetric(C) / size, np.float64(result.values) / size, np.float64(result.vectors)
    error = max(
        np.linalg.norm(M @ V - V * values) / max(np.linalg.norm(M), 1), np.linalg.norm(V.T @ V - np.eye(len(M)))
    )
    return error, (oracle.tolerance(C.dtype) + subnormal / size) * np.sqrt(len(M))


def root_residual(p):
    """||X^p (C + damping I) - I||_F."""

    def residual(C, damping, result):
        M = product = shifted(C, damping)
        for _ in range(p):  # X^p alone may overflow
            product = np.float64(result.root) @ product
        return np.linalg.norm(product - np.eye(len(C))), bound(C.dtype, M)

    return residual


def earlier_inverses(factors, damping):
    """The inverse of what each matrix is, nearly; whatever it is."""

    def inverse(C):
        M = 1.001 * shifted(np.nan_to_num(C.astype(np.float64), posinf=1.0), damping)
        X = np.linalg.inv(M) if np.linalg.matrix_rank(M) == len(M) else np.eye(len(M))
        with np.errstate(over="ignore"):
            return X.astype(C.dtype)

    if isinstance(factors, list):
        return [inverse(C) if C.size else C for C in factors]
    if not factors.size:
        return factors
    matrices = [inverse(C) for C in factors.reshape(-1, *factors.shape[-2:])]
    return np.array(matrices, factors.dtype).reshape(factors.shape)


class Solver(NamedTuple):
    """A solver: how it is called, the arrays that are NaN where it failed, and the true residual with its bound."""

    call: Callable[..., Any]
    answers: tuple[str, ...]
    residual: Callable[..., tuple[float, float]]


SOLVERS = {
    "damped_cholesky": Solver(lambda on, C, damping: on.damped_cholesky(C, damping), ("factor",), factor_residual),
    "eigenbasis": Solver(lambda on, C, _damping: on.eigenbasis(C), ("values", "vectors"), basis_residual),
    "inverse_root": Solver(lambda on, C, damping: on.inverse_root(C, 4, damping), ("root",), root_residual(4)),
    "inverse_root, newton": Solver(
        lambda on, C, damping: on.inverse_root(C, 2, damping, method="newton"), ("root",), root_residual(2)
    ),
    "damped_inverse": Solver(lambda on, C, damping: on.damped_inverse(C, damping), ("inverse",), inverse_residual),
    "damped_inverse, newton": Solver(
        lambda on, C, damping: on.damped_inverse(C, damping, method="newton", warm_start=earlier_inverses(C, damping)),
        ("inverse",),
        inverse_residual,
    ),
}
FINITE = ("zeros", "rank one", "negative definite", "cond 1e12", "denormal", "1e30")


def faults(rng, n, dtype):
    """Matrices of which a solver may think what it likes, by name."""
    good, Q = spd(rng, n, np.float64), np.linalg.qr(rng.standard_normal((n, n)))[0]
    v = 1 + rng.random(n)
    nan, inf = good.copy(), good.copy()
    nan[n - 1, 0], inf[n - 1, n - 1] = np.nan, np.inf
    matrices = {
        "nan": nan,
        "inf": inf,
        "zeros": np.zeros((n, n)),
        "rank one": np.outer(v, v),
        "negative definite": -good,
        "cond 1e12": (Q * np.logspace(0, -12, n)) @ Q.T,
        "denormal": good * np.float64(np.finfo(dtype).smallest_subnormal) * 1e3,
        "1e30": good * 1e30,
    }
    return {name: C.astype(dtype) for name, C in matrices.items()}


def of(result, k):
    """The part of a result that belongs to matrix k."""
    return type(result)(**{name: getattr(result, name)[k] for name in result.__slots__})


def same(a, b):
    """Whether two results have the same bits."""
    return all(np.asarray(getattr(a, name)).tobytes() == np.asarray(getattr(b, name)).tobytes() for name in a.__slots__)


def skip_if_slow(backend, n, sizes):
    """Leave out sizes that take an emulated device minutes, and no other path than the others."""
    if n in sizes and not backend.name.startswith("cpu"):
        pytest.skip(f"n = {n} is left to the other backends")


@pytest.fixture(params=SOLVERS)
def solver(request):
    """Return each solver in turn."""
    return SOLVERS[request.param]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
class TestFaults:
    @pytest.mark.parametrize("damping", [0.0, 1e-3])
    @pytest.mark.parametrize("n", [1, 2, 5, 33, 80])
    def test_status_0_and_1_never_promise_more_than_is_true(self, backend, rng, solver, dtype, n, damping):
        skip_if_slow(backend, n, {2, 33})
        matrices = faults(rng, n, dtype)

        result = solver.call(backend, list(matrices.values()), damping)

        for k, (name, C) in enumerate(matrices.items()):
            each = of(result, k)
            answers = [np.asarray(getattr(each, answer)) for answer in solver.answers]
            assert int(each.status) in list(Status)
            assert (each.status == Status.NOT_FINITE) == (name not in FINITE)
            if each.status not in (Status.OK, Status.JITTERED, Status.INACCURATE):
                assert all(np.isnan(answer).all() for answer in answers), name
            elif each.status != Status.INACCURATE:
                residual, sound = solver.residual(C, damping, each)
                assert all(np.isfinite(answer).all() for answer in answers), name
                assert residual <= min(LARGEST_RESIDUAL, sound), name

    @pytest.mark.parametrize("n", [1, 5, 33, 80])
    def test_neighbours_keep_their_bits(self, backend, rng, solver, dtype, n):
        skip_if_slow(backend, n, {33, 80})
        good, others = spd(rng, n, dtype), list(faults(rng, n, dtype).values())
        alone = solver.call(backend, good, 0.1)
        group = [C for fault in others for C in (good, fault)]

        listed = solver.call(backend, group, 0.1)
        stacked = solver.call(backend, np.stack(group).reshape(2, len(others), n, n), 0.1)

        assert alone.status == Status.OK
        for k in range(0, len(group), 2):
            assert same(of(listed, k), alone)
            assert same(of(stacked, divmod(k, len(others))), alone)

    @pytest.mark.parametrize("n", [5, 80])
    def test_inputs_are_never_modified(self, backend, rng, solver, dtype, n):
        matrices = list(faults(rng, n, dtype).values())
        before = [C.tobytes() for C in matrices]

        solver.call(backend, matrices, 0.0)

        assert [C.tobytes() for C in matrices] == before

    def test_nothing_is_an_ordinary_input(self, backend, solver, dtype):
        empty = solver.call(backend, np.zeros((0, 5, 5), dtype), 0.1)
        sizeless = solver.call(backend, np.zeros((3, 0, 0), dtype), 0.1)

        assert solver.call(backend, [np.zeros((0, 0), dtype)], 0.1).status.tolist() == [Status.OK]
        assert empty.status.shape == (0,)
        assert [getattr(empty, answer).shape[0] for answer in solver.answers] == [0] * len(solver.answers)
        assert sizeless.status.tolist() == [Status.OK] * 3


class TestAgainstLapack:
    """Random matrices, most of them small; conditions up to about 1e6. 10^5 over three levels, others on each."""

    LARGEST, MATRICES_OF_ONE = 70, 6_900

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_stacks_of_random_matrices(self, cpu, dtype):
        rng = np.random.default_rng(list(cpu.name.encode()))
        counts = {n: self.MATRICES_OF_ONE // n for n in range(1, self.LARGEST + 1)}
        assert 3 * sum(counts.values()) >= 100_000 - 3 * self.LARGEST

        for n, count in counts.items():
            X = rng.standard_normal((count, n, n)) * 10.0 ** -(2 * rng.random((count, n, 1)))
            C = (X @ np.swapaxes(X, 1, 2)).astype(dtype)
            damping = 1e-4 * np.einsum("kii->k", C.astype(np.float64))
            M = np.tril(C.astype(np.float64)) + np.swapaxes(np.tril(C.astype(np.float64), -1), 1, 2)
            expected = np.linalg.inv(M + damping[:, None, None] * np.eye(n))

            result = cpu.damped_inverse(C, damping)

            size = np.linalg.norm(expected, axis=(1, 2))
            error = np.linalg.norm(result.inverse - expected, axis=(1, 2)) / size
            condition = (np.linalg.norm(M, axis=(1, 2)) + damping) * size
            assert (result.status == Status.OK).all()
            assert (error <= 50 * np.finfo(dtype).eps * condition).all()
            assert (result.residual <= LARGEST_RESIDUAL).all()
            assert np.array_equal(result.inverse, np.swapaxes(result.inverse, 1, 2))
