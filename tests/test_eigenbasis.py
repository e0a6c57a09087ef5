"""Eigenbases: accuracy at all sizes and scales, spectra that hurt, every status, warm starts."""

import dataclasses

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status
from eigenproblems import assert_is_eigenbasis, errors, symmetric, with_spectrum

import oracle
from cases import spd

DTYPES = [np.float32, np.float64]
# Both sides of where the methods of the CPU (32) and of the device (64) change.
SIZES = [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100]


def one(basis, k):
    """The k-th of a group."""
    return cb.Eigenbasis(*(getattr(basis, f.name)[k] for f in dataclasses.fields(basis)))


class TestEigenbasis:
    @pytest.mark.parametrize("n", SIZES)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_is_an_eigenbasis(self, backend, rng, n, dtype):
        for C in (symmetric(rng, n, dtype), spd(rng, n, dtype)):
            basis = backend.eigenbasis(C)

            assert_is_eigenbasis(C, basis)
            expected = np.linalg.eigvalsh(oracle.symmetric(C))
            assert np.allclose(basis.values, expected, rtol=0, atol=20 * np.finfo(dtype).eps * np.linalg.norm(C))
            assert basis.values.dtype == basis.vectors.dtype == dtype

    @pytest.mark.parametrize("n", [2, 20, 40, 70])
    def test_reads_only_the_lower_triangle(self, backend, rng, n):
        C = symmetric(rng, n, np.float64)
        spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)

        expected, basis = backend.eigenbasis(C), backend.eigenbasis(spoiled)

        assert np.array_equal(basis.vectors, expected.vectors)
        assert np.array_equal(basis.values, expected.values)

    @pytest.mark.parametrize("n", [5, 8, 33, 80])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_statuses_of_bad_matrices_and_untouched_neighbours(self, backend, rng, dtype, n):
        good = symmetric(rng, n, dtype)
        nan, inf, ones, huge = good.copy(), good.copy(), np.ones_like(good), good.copy()
        nan[n - 1, 0], inf[1, 1] = np.nan, -np.inf
        huge[...] = np.finfo(dtype).max  # an eigenvalue n times as large does not fit
        expected = backend.eigenbasis(good)

        result = backend.eigenbasis([good, nan, good, inf, ones, good, 0 * good, -ones, huge, good])

        assert result.status.tolist() == [0, 3, 0, 3, 0, 0, 0, 0, Status.INACCURATE, 0]
        assert result.ok.tolist() == [s == 0 for s in result.status.tolist()]
        for k in (0, 2, 5, 9):
            assert np.array_equal(result.vectors[k], expected.vectors)
            assert np.array_equal(result.values[k], expected.values)
        for k in (1, 3, 8):
            assert np.isnan(result.vectors[k]).all()
            assert np.isnan(result.values[k]).all()
        assert np.isnan(result.residual[[1, 3]]).all()
        assert_is_eigenbasis(ones, one(result, 4))
        assert_is_eigenbasis(-ones, one(result, 7))

    @pytest.mark.parametrize("n", [1, 6, 40, 70])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_zero_and_diagonal_matrices_are_exact(self, backend, rng, n, dtype):
        diagonal = rng.permutation(np.arange(n)).astype(dtype)

        zero, basis = backend.eigenbasis([np.zeros((n, n), dtype), np.diag(diagonal)]), None
        basis = one(zero, 1)

        assert zero.residual[0] == 0
        assert not zero.values[0].any()
        assert errors(np.zeros((n, n), dtype), one(zero, 0)) == (0, 0)
        assert basis.values.tolist() == sorted(diagonal)
        assert np.array_equal(basis.vectors, np.eye(n, dtype=dtype)[:, np.argsort(diagonal)])

    @pytest.mark.parametrize("n", [3, 17, 40, 70])
    @pytest.mark.parametrize(
        ("dtype", "exponent"),
        [(np.float64, e) for e in (-1000, -500, 500, 1000)] + [(np.float32, -110), (np.float32, 100)],
    )
    def test_a_power_of_two_changes_no_bit_of_the_vectors(self, backend, rng, dtype, exponent, n):
        C = symmetric(rng, n, dtype)

        expected, basis = backend.eigenbasis(C), backend.eigenbasis(np.ldexp(C, exponent))

        assert np.array_equal(basis.vectors, expected.vectors)
        assert np.array_equal(basis.values, np.ldexp(expected.values, exponent))

    @pytest.mark.parametrize("n", [2, 9, 40, 70])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_denormal_matrices(self, backend, rng, dtype, n):
        tiny = np.finfo(dtype).smallest_subnormal
        coarse = (rng.integers(-500, 500, (n, n)) * np.float64(tiny)).astype(dtype)
        C = np.tril(coarse) + np.tril(coarse, -1).T

        basis = backend.eigenbasis(C)

        # The vectors are as good as ever; the values are rounded to the multiples of the smallest number.
        scaled = np.float64(C) * 2.0**140 if dtype == np.float32 else np.ldexp(C, 1040)
        back = np.ldexp(np.float64(basis.values), 140 if dtype == np.float32 else 1040)
        assert basis.ok
        assert np.abs(back - np.linalg.eigvalsh(scaled)).max() <= 1e-3 * np.linalg.norm(scaled)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_spectra_that_hurt(self, backend, rng, dtype):
        n = 32
        wilkinson = np.diag(np.abs(np.arange(-10.0, 11.0))) + np.diag(np.ones(20), 1) + np.diag(np.ones(20), -1)
        graded = np.diag(10.0 ** -np.arange(0, 12.0)) + np.diag(0.1 * 10.0 ** -np.arange(1, 12.0), -1)
        matrices = [
            wilkinson,
            graded,
            graded[::-1, ::-1].T,
            with_spectrum(rng, np.ones(n)),
            with_spectrum(rng, 1 + 1e-9 * rng.random(n)),
            with_spectrum(rng, np.r_[np.zeros(n - 1), 1]),
            with_spectrum(rng, np.r_[np.ones(n - 1), 1e-12]),
            with_spectrum(rng, np.logspace(0, -12, n)),
            with_spectrum(rng, np.repeat([1.0, -1.0, 2.0, 0.0], n // 4)),
            with_spectrum(rng, np.r_[np.ones(40), np.linspace(0, 1e-5, 60)]),
            np.diag(2 * np.ones(n)) - np.diag(np.ones(n - 1), 1) - np.diag(np.ones(n - 1), -1),
            np.outer(np.arange(1.0, 51.0), np.arange(1.0, 51.0)),
            np.eye(50)[::-1].copy(),
        ]
        matrices = [C.astype(dtype) for C in matrices]

        result = backend.eigenbasis(matrices)

        for k, C in enumerate(matrices):
            assert_is_eigenbasis(C, one(result, k))
            expected = np.linalg.eigvalsh(oracle.symmetric(C))
            assert np.abs(result.values[k] - expected).max() <= 20 * np.finfo(dtype).eps * np.linalg.norm(C)

    def test_many_random_small_matrices_agree_with_lapack(self, cpu):
        """10^5 over three levels, others on each."""
        rng = np.random.default_rng(list(cpu.name.encode()))
        for n, count in ((2, 13_000), (3, 10_000), (5, 7_000), (8, 2_700), (13, 1_300), (32, 200)):
            X = rng.standard_normal((count, n, n)) * np.exp(rng.uniform(-9, 9, (count, n, 1)))
            C = X + np.swapaxes(X, 1, 2)

            basis = cpu.eigenbasis(C)

            size = np.linalg.norm(C, axis=(1, 2))
            V = basis.vectors
            assert basis.ok.all()
            assert (np.abs(basis.values - np.linalg.eigvalsh(C)).max(1) <= 1e-14 * size).all()
            assert (np.linalg.norm(C @ V - V * basis.values[:, None], axis=(1, 2)) <= 1e-14 * n**0.5 * size).all()
            assert np.abs(np.swapaxes(V, 1, 2) @ V - np.eye(n)).max() < 1e-14

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_a_matrix_has_the_same_bits_anywhere_in_a_stack(self, backend, rng, dtype):
        C = np.stack([symmetric(rng, 6, dtype) for _ in range(37)])
        C[11, 2, 0], C[20] = np.nan, 0

        whole, reversed_ = backend.eigenbasis(C), backend.eigenbasis(C[::-1].copy())

        for f in dataclasses.fields(whole):
            assert np.array_equal(getattr(whole, f.name), getattr(reversed_, f.name)[::-1], equal_nan=True)
        for k in (0, 10, 11, 12, 36):
            alone = backend.eigenbasis(C[k])
            assert np.array_equal(alone.vectors, whole.vectors[k], equal_nan=True)
            assert np.array_equal(alone.values, whole.values[k], equal_nan=True)
            assert np.array_equal(alone.residual, whole.residual[k], equal_nan=True)

    def test_forms_of_results(self, backend):
        stacked, ragged, single = (
            backend.eigenbasis(np.ones((2, 3, 4, 4))),
            backend.eigenbasis([np.eye(2), np.eye(0), np.eye(3)]),
            backend.eigenbasis(np.eye(4)),
        )

        assert stacked.values.shape == (2, 3, 4)
        assert stacked.vectors.shape == (2, 3, 4, 4)
        assert stacked.status.shape == stacked.residual.shape == (2, 3)
        assert [v.shape for v in ragged.values] == [(2,), (0,), (3,)]
        assert ragged.status.shape == (3,)
        assert single.values.shape == (4,)
        assert single.status.shape == single.ok.shape == ()

    def test_the_result_is_frozen_and_not_an_array(self):
        basis = cb.eigenbasis(np.eye(2))

        with pytest.raises(AttributeError):
            basis.status = 0
        for one_or_list in (lambda x: x, lambda x: [x]):
            with pytest.raises(TypeError, match=r"A_inv must be .* got Eigenbasis: pass its \.vectors"):
                cb.precondition(one_or_list(np.eye(2)), basis, one_or_list(np.eye(2)))


class TestWarmStart:
    @pytest.mark.parametrize("n", [1, 5, 32, 40, 64, 70])
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("change", [0.0, 1e-5, 1e-2, 1.0])
    def test_is_as_accurate_as_a_cold_one(self, backend, rng, dtype, n, change):
        C = spd(rng, n, dtype)
        near = (C + change * spd(rng, n, dtype)).astype(dtype)

        basis = backend.eigenbasis(near, warm_start=backend.eigenbasis(C))

        assert_is_eigenbasis(near, basis)

    @pytest.mark.parametrize("n", [6, 40, 70])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_a_bad_start_does_no_harm(self, backend, rng, dtype, n):
        C = symmetric(rng, n, dtype)
        V = backend.eigenbasis(C).vectors
        nan, inf = V.copy(), V.copy()
        nan[2, 1], inf[0, 0] = np.nan, np.inf
        doubled = V.copy()
        doubled[:, 1] = V[:, 0]
        starts = [nan, inf, doubled, 2 * V, 0 * V, V * 1e30, V + dtype(0.01), symmetric(rng, n, dtype), V[:, ::-1], -V]

        result = backend.eigenbasis([C] * len(starts), warm_start=starts)

        for k in range(len(starts)):
            assert_is_eigenbasis(C, one(result, k))

    @pytest.mark.parametrize("n", [5, 40])
    def test_a_bad_matrix_is_not_mended_by_a_good_start(self, backend, n):
        C = np.eye(n)
        C[1, 0] = np.inf

        basis = backend.eigenbasis(C, warm_start=np.eye(n))

        assert basis.status == Status.NOT_FINITE
        assert np.isnan(basis.vectors).all()

    @pytest.mark.parametrize(
        ("warm_start", "error", "message"),
        [
            (np.zeros((2, 2)), ValueError, r"warm_start must have shape \(3, 3\) like factors, got \(2, 2\)"),
            (np.zeros((3, 3), np.float32), TypeError, "warm_start must be float64 like factors, got float32"),
            ([np.zeros((3, 3))], TypeError, "warm_start must be one array like factors, got list"),
            (1.0, TypeError, "warm_start must be"),
        ],
    )
    def test_bad_arguments_are_named(self, warm_start, error, message):
        with pytest.raises(error, match=f"eigenbasis: {message}"):
            cb.eigenbasis(np.eye(3), warm_start=warm_start)
