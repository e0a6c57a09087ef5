"""Splitting damping between any number of factors."""

import numpy as np
import pytest

import curvblas as cb

import oracle
from cases import spd


class TestManyFactors:
    @pytest.mark.parametrize(
        "sizes", [(5,), (5, 3), (2, 3, 4), (1, 4), (4, 1, 3), (1, 1, 3), (1, 1), (2, 2, 1, 3, 2, 1, 2, 2)]
    )
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_agree_with_the_formula(self, backend, rng, sizes, dtype):
        factors = tuple(spd(rng, n, dtype) for n in sizes)

        dampings = backend.factored_dampings(factors, 0.03)

        assert np.allclose(dampings, oracle.factored_dampings(factors, 0.03), rtol=1e-12)

    def test_the_dampings_of_large_factors_multiply_to_the_damping(self, backend, rng):
        dampings = backend.factored_dampings(tuple(spd(rng, n, np.float64) for n in (2, 3, 4)), 0.03)

        assert np.isclose(np.prod(dampings), 0.03)

    def test_two_factors_are_those_of_factored_damping(self, backend, rng):
        A, G = [spd(rng, n, np.float32) for n in (4, 9)], [spd(rng, n, np.float32) for n in (3, 5)]

        many, pair = backend.factored_dampings((A, G), 0.03), backend.factored_damping(A, G, 0.03)

        assert all(np.array_equal(x, y) for x, y in zip(many, pair, strict=True))

    def test_beside_a_number_damping_is_exact(self, backend, rng):
        f, A = np.array([[0.25]]), spd(rng, 5, np.float64)

        none, own = backend.factored_dampings((f, A), 0.1)

        assert none == 0
        assert np.allclose(np.kron(f, A + own * np.eye(5)), np.kron(f, A) + 0.1 * np.eye(5))

    def test_factored_damping_damps_numbers_as_well(self, backend):
        damping_A, damping_G = backend.factored_damping(np.array([[4.0]]), np.eye(3), 0.25)

        assert (damping_A, damping_G) == (1.0, 0.25)

    @pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
    @pytest.mark.parametrize("sizes", [(2, 3, 4), (1, 3, 4), (3, 1, 4)])
    def test_all_get_the_same_where_a_trace_is_of_no_use(self, backend, bad, sizes):
        factors = [np.eye(n) for n in sizes]
        factors[0] = np.diag(np.full(sizes[0], bad))

        assert np.allclose(backend.factored_dampings(tuple(factors), 0.008), 0.2)

    def test_stacks_lists_and_a_bad_entry_of_an_array(self, backend, rng):
        A, B, C = (np.stack([spd(rng, n, np.float64) for _ in range(3)]) for n in (2, 3, 4))
        damping = np.array([0.1, -1, np.nan])

        stacked = backend.factored_dampings((A, B, C), damping)
        ragged = backend.factored_dampings([list(A), list(B), list(C)], damping)

        assert all(np.array_equal(x, y, equal_nan=True) for x, y in zip(stacked, ragged, strict=True))
        assert all(np.array_equal(np.isnan(x), [False, True, True]) for x in stacked)
        assert all(x.dtype == np.float64 for x in stacked)
        assert np.allclose([x[0] for x in stacked], oracle.factored_dampings((A[0], B[0], C[0]), 0.1))

    def test_empty_groups_and_factors(self, backend):
        assert [x.shape for x in backend.factored_dampings(([], []), 0.1)] == [(0,), (0,)]
        assert np.allclose(backend.factored_dampings((np.zeros((0, 0)), np.eye(2)), 0.04), 0.2)

    def test_extreme_scales(self, backend):
        factors = (np.eye(2) * 1e300, np.eye(3) * 1e-300, np.eye(2) * 1e200)

        assert np.allclose(backend.factored_dampings(factors, 1e-9), oracle.factored_dampings(factors, 1e-9))


class TestArguments:
    @pytest.mark.parametrize(
        ("factors", "error", "message"),
        [
            (np.eye(2), TypeError, "factors must be a tuple or list of arguments, .* got numpy.ndarray"),
            ((), ValueError, "factors must hold 1 to 8 factors of each product, got 0"),
            ((np.eye(2),) * 9, ValueError, "factors must hold 1 to 8 factors of each product, got 9"),
            ((np.eye(2), np.ones((2, 3))), ValueError, r"factors\[1\] must have shape \(..., n, n\), got \(2, 3\)"),
            ((np.eye(2), [np.eye(2)]), TypeError, r"factors\[1\] must be one array like factors\[0\], got list"),
            ((np.eye(2), np.eye(2, dtype="f")), TypeError, r"factors\[1\] must be float64 like factors\[0\]"),
        ],
    )
    def test_wrong_factors_are_named(self, factors, error, message):
        with pytest.raises(error, match=f"factored_dampings: {message}"):
            cb.factored_dampings(factors, 0.1)
