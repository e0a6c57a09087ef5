"""Newton-Schulz orthogonalisation: the polynomial on the singular values, and what is no ordinary matrix."""

import numpy as np
import pytest

import curvblas as cb

import oracle

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 3), (33, 65), (64, 64), (100, 40), (200, 210)])
@DTYPES
def test_the_polynomial_is_applied_to_the_singular_values(backend, rng, shape, dtype):
    B = rng.standard_normal(shape).astype(dtype)

    X = backend.newton_schulz(B)

    # Values of the polynomial at small arguments grow by 3.4 a step, and with them what they were rounded by.
    assert oracle.relative_error(X, oracle.newton_schulz(B)) < oracle.tolerance(dtype, 100)
    assert np.linalg.svd(np.float64(X), compute_uv=False).max() < 1.21


@DTYPES
def test_classical_coefficients_converge_to_the_polar_factor(backend, rng, dtype):
    B = rng.standard_normal((12, 30)).astype(dtype)
    U, _, Vt = np.linalg.svd(np.float64(B), full_matrices=False)

    X = backend.newton_schulz(B, steps=20, coefficients=(1.5, -0.5, 0.0))

    assert oracle.relative_error(X, U @ Vt) < oracle.tolerance(dtype, 10)


@pytest.mark.parametrize("shape", [(520, 530), (600, 512)])
@DTYPES
def test_large_matrices_have_the_same_bits_for_any_number_of_threads(cpu, rng, shape, dtype):
    B = rng.standard_normal(shape).astype(dtype)
    results = []

    for threads in (1, 2, 3, 7):
        cb.set_num_threads(threads)
        results.append(cpu.newton_schulz(B, steps=3))

    assert oracle.relative_error(results[0], oracle.newton_schulz(B, steps=3)) < oracle.tolerance(dtype, 100)
    assert all(np.array_equal(results[0], other) for other in results[1:])
    assert np.array_equal(cpu.newton_schulz([B, B[:3]], steps=3)[0], results[0])


@DTYPES
def test_no_steps_only_normalise(backend, rng, dtype):
    B = rng.standard_normal((5, 8)).astype(dtype)

    assert np.allclose(backend.newton_schulz(B, steps=0), B / np.linalg.norm(B))


@DTYPES
def test_zeros_give_zeros_and_what_is_not_finite_gives_nan_alone(backend, rng, dtype):
    good = rng.standard_normal((6, 4)).astype(dtype)
    nan, inf = good.copy(), good.copy()
    nan[5, 0], inf[0, 3] = np.nan, -np.inf

    X = backend.newton_schulz([good, nan, np.zeros((6, 4), dtype), inf, good, np.zeros((0, 3), dtype)])

    assert np.array_equal(X[0], X[4])
    assert np.isfinite(X[0]).all()
    assert np.isnan(X[1]).all()
    assert np.isnan(X[3]).all()
    assert not X[2].any()
    assert X[5].shape == (0, 3)


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e30), (np.float64, 1e30), (np.float64, 1e300)])
def test_large_numbers_do_not_overflow(backend, rng, dtype, size):
    B = rng.standard_normal((9, 20)).astype(dtype)

    assert oracle.relative_error(backend.newton_schulz(B * dtype(size)), oracle.newton_schulz(B)) < 1e-4


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e-41), (np.float64, 1e-310)])
def test_tiny_numbers_are_not_taken_for_directions(backend, dtype, size):
    X = backend.newton_schulz(np.eye(3, dtype=dtype) * dtype(size))

    assert np.isfinite(X).all()
    assert np.abs(X).max() < 1e-20


def test_rank_one_keeps_its_direction(backend):
    u, v = np.arange(1.0, 6.0), np.ones(9)

    X = backend.newton_schulz(np.outer(u, v), steps=20, coefficients=(1.5, -0.5, 0.0))

    assert np.allclose(X, np.outer(u, v) / (np.linalg.norm(u) * np.linalg.norm(v)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": -1}, ValueError, "steps must be an integer >= 0 .*, got -1"),
        ({"steps": 2.0}, TypeError, "steps must be an integer >= 0, got float"),
        ({"coefficients": (1.0, 2.0)}, ValueError, "coefficients must be three numbers, got 2"),
        ({"coefficients": 3.0}, TypeError, "coefficients must be three numbers, got float"),
        ({"coefficients": (1, 2, np.nan)}, ValueError, r"coefficients\[2\] must be a finite number, got nan"),
        ({"matrices": np.ones(3)}, ValueError, r"matrices must have shape \(..., m, n\), got \(3,\)"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=f"newton_schulz: {message}"):
        cb.newton_schulz(**{"matrices": np.eye(3), **options})
