"""Inverse p-th roots: accuracy, the certificate, every status, what is promised never to happen."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle
from cases import spd

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
METHODS = pytest.mark.parametrize("method", ["eigh", "newton"])


def with_spectrum(rng, values, dtype):
    """Return a symmetric matrix with these eigenvalues."""
    Q = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
    return oracle.symmetric((Q * values) @ Q.T).astype(dtype)


@METHODS
@DTYPES
@pytest.mark.parametrize(("n", "p"), [(0, 2), (1, 1), (2, 3), (5, 4), (16, 1), (33, 2), (64, 4), (70, 7)])
def test_roots_and_residuals(backend, rng, method, dtype, n, p):
    C = spd(rng, n, dtype)

    result = backend.inverse_root(C, p, 0.05, method=method)

    assert result.status == Status.OK
    assert result.ok
    assert np.array_equal(result.root, result.root.T)
    if n:
        assert oracle.relative_error(result.root, oracle.inverse_root(C, p, 0.05)) < oracle.tolerance(dtype, 10)
        assert oracle.root_residual(C, p, 0.05, result.root) < 4 * float(result.residual) + oracle.tolerance(dtype)


@METHODS
@DTYPES
@pytest.mark.parametrize("p", [8, 12])
@pytest.mark.parametrize("n", [2, 40, 70])
def test_larger_orders(cpu, rng, method, dtype, n, p):
    C = spd(rng, n, dtype)

    result = cpu.inverse_root(C, p, 0.05, method=method)

    assert result.status == Status.OK
    assert oracle.relative_error(result.root, oracle.inverse_root(C, p, 0.05)) < oracle.tolerance(dtype, 10)
    # The residual grows by p in X^p.
    assert oracle.root_residual(C, p, 0.05, result.root) < 4 * float(result.residual) + oracle.tolerance(dtype, p)


@METHODS
@pytest.mark.parametrize("n", [128, 300, 520])
def test_larger_matrices(cpu, rng, method, n):
    C = spd(rng, n, np.float32)

    result = cpu.inverse_root([C, C[:40, :40]], 4, [0.05, 0.1], method=method)

    assert result.ok.all()
    assert oracle.relative_error(result.root[0], oracle.inverse_root(C, 4, 0.05)) < oracle.tolerance(np.float32, 10)


@METHODS
@DTYPES
@pytest.mark.parametrize("n", [5, 70])
def test_statuses_of_bad_matrices_and_untouched_neighbours(backend, rng, method, dtype, n):
    good = spd(rng, n, dtype)
    nan, inf, zero, negative = good.copy(), good.copy(), np.zeros_like(good), -good
    nan[n - 1, 0], inf[1, 1] = np.nan, -np.inf
    expected = backend.inverse_root(good, 4, 0.1, method=method)

    result = backend.inverse_root(
        [good, nan, good, inf, good, zero, negative, good, zero],
        4,
        np.array([0.1, 0.1, 0.1, 0.1, -0.1, 0.0, 0.0, 0.1, 16.0]),
        method=method,
    )

    assert result.status.tolist() == [0, 3, 0, 3, 5, 2, 2, 0, 0]
    for k in (0, 2, 7):
        assert np.array_equal(result.root[k], expected.root)
    for k in (1, 3, 4, 5, 6):
        assert np.isnan(result.root[k]).all()
        assert np.isnan(result.residual[k])
    assert np.allclose(result.root[8], np.eye(n) / 2)


@METHODS
@DTYPES
@pytest.mark.parametrize(("n", "p"), [(8, 2), (70, 4)])
def test_never_ok_with_a_large_residual(backend, rng, method, dtype, n, p):
    exponents = (1, 3, 5, 6, 7, 8, 10, 12, 15, 18) if backend.name.startswith("cpu") else (3, 6, 8, 12, 18)
    for exponent in exponents:
        C = with_spectrum(rng, np.logspace(0, -exponent, n), dtype)

        result = backend.inverse_root(C, p, 0.0, method=method)

        condition = np.linalg.cond(oracle.symmetric(C))
        bound = min(1e-2, oracle.tolerance(dtype, condition))
        assert not result.ok or oracle.root_residual(C, p, 0.0, result.root) <= bound
        assert result.ok or exponent > (4 if dtype is np.float32 else 9)


@METHODS
@pytest.mark.parametrize("n", [8, 70])
def test_float64_finds_what_float32_does_not_know(backend, rng, method, n):
    C = with_spectrum(rng, np.logspace(0, -12, n), np.float32)

    result = backend.inverse_root(C, 4, 1e-4, method=method)

    # Condition 1e4: float32 eigenvalues near 1e-4 are wrong in their third digit.
    assert result.ok
    assert oracle.relative_error(result.root, oracle.inverse_root(C, 4, 1e-4)) < 1e-5


@METHODS
@DTYPES
@pytest.mark.parametrize("n", [3, 40])
def test_rank_one_without_damping_has_no_root_and_with_it_has_one(backend, method, dtype, n):
    C = np.outer(np.arange(1.0, n + 1), np.arange(1.0, n + 1)).astype(dtype)

    bare, damped = backend.inverse_root([C, C], 2, [0.0, 1.0], method=method).status

    assert bare in (Status.NOT_POSITIVE_DEFINITE, Status.NO_CONVERGENCE, Status.INACCURATE)
    assert damped in (Status.OK, Status.INACCURATE)
    assert damped == Status.OK or dtype is np.float32


@METHODS
@pytest.mark.parametrize("n", [3, 70])
@pytest.mark.parametrize(
    ("dtype", "size"),
    [(np.float64, 1e-310), (np.float64, 1e-290), (np.float64, 1e300), (np.float32, 1e-40), (np.float32, 1e30)],
)
def test_extreme_scales(backend, rng, method, dtype, size, n):
    C = (spd(rng, n, np.float64) * size).astype(dtype)

    result = backend.inverse_root(C, 4, 0.0, method=method)

    assert result.status == Status.OK
    assert oracle.root_residual(C, 4, 0.0, result.root) < 1e-2


@METHODS
def test_a_root_that_does_not_fit_the_dtype_is_inaccurate(backend, method):
    result = backend.inverse_root(np.diag([1e-41, 1e-42]).astype(np.float32), 1, 0.0, method=method)

    assert result.status == Status.INACCURATE
    assert np.isnan(result.root).all()


@METHODS
@DTYPES
def test_has_the_same_bits_for_any_number_of_threads(cpu, rng, method, dtype):
    C = [spd(rng, n, dtype) for n in (513, 1, 64, 200, 33)]
    C.append(with_spectrum(rng, np.logspace(0, -7, 50), dtype))
    results = []

    for threads in (1, 2, 7):
        cb.set_num_threads(threads)
        results.append(cpu.inverse_root(C, 2, 1e-3, method=method))

    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0].root, other.root, strict=True))
        assert np.array_equal(results[0].residual, other.residual)


def test_the_inverse_root_of_order_one_is_the_damped_inverse(backend, rng):
    C = spd(rng, 20, np.float64)

    assert np.allclose(backend.inverse_root(C, 1, 0.1).root, backend.damped_inverse(C, 0.1).inverse)


def test_reads_only_the_lower_triangle(backend, rng):
    C = spd(rng, 20, np.float64)
    spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)

    for method in ("eigh", "newton"):
        clean, other = (backend.inverse_root(x, 2, 0.1, method=method).root for x in (C, spoiled))
        assert np.array_equal(clean, other)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"p": 0}, ValueError, r"p must be in 1 \.\.\. 1024, got 0"),
        ({"p": 2.0}, TypeError, "p must be an integer >= 1, got float"),
        ({"p": 2000}, ValueError, r"p must be in 1 \.\.\. 1024, got 2000"),
        ({"damping": -0.1}, ValueError, "damping must be a finite number >= 0, got -0.1"),
        ({"method": "svd"}, ValueError, 'method must be "eigh" or "newton", got "svd"'),
        ({"method": None}, TypeError, "method must be a str, got NoneType"),
        ({"factors": np.ones((2, 3))}, ValueError, r"factors must have shape \(..., n, n\), got \(2, 3\)"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=f"inverse_root: {message}"):
        cb.inverse_root(**{"factors": np.eye(3), "p": 2, "damping": 0.1, **options})
