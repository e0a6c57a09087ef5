"""Lagged factors: limits, layouts, errors; and the two solves of recurrent K-FAC that they are made for."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curvblas as cb

import oracle
from cases import spd

ROW_DTYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16]


class TestUpdateLaggedFactors:
    @pytest.mark.parametrize("symmetric", [False, True])
    @pytest.mark.parametrize("bias", [False, True])
    @pytest.mark.parametrize("lag", [0, 1, 3, 4, 5, 10**12])
    @pytest.mark.parametrize("n", [1, 2, 33, 130])
    def test_lags_bias_and_symmetry(self, backend, rng, n, lag, bias, symmetric):
        rows, C = rng.standard_normal((3, 5, n)), rng.standard_normal((n + bias, n + bias))
        options = {"lag": lag, "bias": bias, "symmetric": symmetric, "decay": 0.7}
        expected = oracle.update_lagged_factors(C, rows, **options)

        backend.update_lagged_factors(C, rows, **options)

        assert oracle.relative_error(C, expected) < 1e-13
        assert np.array_equal(C, C.T) or not symmetric

    @pytest.mark.parametrize("symmetric", [False, True])
    @pytest.mark.parametrize(("n", "N", "T"), [(257, 40, 30), (513, 4, 9), (700, 3, 3)])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_sizes_that_are_cut_into_tiles_and_ranges(self, cpu, rng, n, N, T, symmetric, dtype):
        rows, C = rng.standard_normal((N, T, n)).astype(dtype), rng.standard_normal((n, n)).astype(dtype)
        expected = oracle.update_lagged_factors(C, rows, symmetric=symmetric)

        cpu.update_lagged_factors(C, rows, symmetric=symmetric)

        assert oracle.relative_error(C, expected) < oracle.tolerance(dtype)

    def test_lag_zero_is_a_factor_divided_by_the_positions(self, backend, rng):
        rows = rng.standard_normal((4, 6, 40))

        lagged = backend.update_lagged_factors(np.zeros((40, 40)), rows, lag=0, symmetric=True, decay=0.0)
        factor = backend.update_factors(np.zeros((40, 40)), rows, decay=0.0)

        assert np.allclose(6 * lagged, factor)

    def test_the_matrix_of_all_lags_is_positive_semidefinite(self, backend, rng):
        """Because every lag is divided by N T, although it has fewer terms."""
        T, n = 4, 3
        rows = rng.standard_normal((2, T, n)) + 1.0
        C = [backend.update_lagged_factors(np.zeros((n, n)), rows, lag=k, decay=0.0) for k in range(T)]

        toeplitz = np.block([[C[i - j] if i >= j else C[j - i].T for j in range(T)] for i in range(T)])

        assert np.linalg.eigvalsh(toeplitz).min() > -1e-14

    @pytest.mark.parametrize("row_dtype", ROW_DTYPES)
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("layout", ["C", "F", "time first", "reversed"])
    def test_converts_rows_of_any_dtype_and_layout(self, backend, rng, row_dtype, dtype, layout):
        rows = rng.standard_normal((3, 6, 68)).astype(row_dtype)
        rows = {
            "C": rows,
            "F": np.asfortranarray(rows),
            "time first": rows.swapaxes(0, 1).copy().swapaxes(0, 1),
            "reversed": rows[::-1, ::-1, ::-1],
        }[layout]
        C = rng.standard_normal((68, 68)).astype(dtype)
        expected = oracle.update_lagged_factors(C, rows)

        backend.update_lagged_factors(C, rows)

        assert oracle.relative_error(C, expected) < oracle.tolerance(dtype)

    @pytest.mark.parametrize("symmetric", [False, True])
    def test_a_row_without_partner_is_not_read(self, backend, rng, symmetric):
        rows = rng.standard_normal((3, 5, 4))
        spoiled = rows.copy()
        spoiled[:, 2] = np.nan  # with lag 3 of 5, the pairs are (3, 0) and (4, 1)
        options = {"lag": 3, "symmetric": symmetric}

        C = backend.update_lagged_factors(np.eye(4), rows, **options)

        assert np.array_equal(C, backend.update_lagged_factors(np.eye(4), spoiled, **options))

    def test_a_ragged_group_with_everything_per_matrix(self, backend, rng):
        sizes, shapes, bias = [3, 40, 1, 90], [(7, 2), (0, 4), (1, 1), (5, 700)], [True, False, True, False]
        rows = [rng.standard_normal((*shape, n)).astype(np.float16) for shape, n in zip(shapes, sizes, strict=True)]
        C = [rng.standard_normal((n + b, n + b)).astype(np.float32) for n, b in zip(sizes, bias, strict=True)]
        decay, scale = np.array([0.0, 0.25, 0.5, 1.0]), [0.1, 0.2, 0.3, 0.0004]
        expected = [
            oracle.update_lagged_factors(C[k], rows[k], decay=decay[k], scale=scale[k], bias=bias[k]) for k in range(4)
        ]

        result = backend.update_lagged_factors(C, rows, decay=decay, scale=scale, bias=bias)

        assert result is C
        assert max(map(oracle.relative_error, C, expected)) < oracle.tolerance(np.float32)

    def test_stacks_of_any_leading_axes_and_strides(self, backend, rng):
        rows = rng.standard_normal((3, 2, 9, 5, 4)).swapaxes(0, 1)
        C = np.zeros((3, 2, 4, 4)).swapaxes(0, 1).swapaxes(2, 3)

        backend.update_lagged_factors(C, rows, lag=2, decay=np.linspace(0, 1, 6).reshape(2, 3), scale=1.0)

        assert np.allclose(C, np.einsum("abnti,abntj->abij", rows[:, :, :, 2:], rows[:, :, :, :-2]))

    def test_symmetric_reads_only_the_lower_triangle(self, backend, rng):
        C, rows = spd(rng, 70, np.float64), rng.standard_normal((3, 4, 70))
        spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)

        backend.update_lagged_factors([C, spoiled], [rows, rows], symmetric=True)

        assert np.array_equal(C, spoiled)

    def test_decay_zero_does_not_read_the_old_factor(self, backend, rng):
        rows = rng.standard_normal((5, 3, 4))

        C = backend.update_lagged_factors(np.full((4, 4), np.nan), rows, decay=0.0)

        assert np.allclose(C, oracle.update_lagged_factors(np.zeros((4, 4)), rows, decay=0.0))

    @pytest.mark.parametrize("shape", [(0, 3, 5), (3, 0, 5), (3, 1, 5)])
    def test_no_pairs_only_decay(self, backend, rng, shape):
        C = rng.standard_normal((5, 5))

        assert np.array_equal(backend.update_lagged_factors(C.copy(), np.zeros(shape), decay=0.5), 0.5 * C)

    def test_copy_returns_new_factors(self, backend, rng):
        C, rows = rng.standard_normal((40, 40)), rng.standard_normal((2, 3, 40))
        C.setflags(write=False)

        updated = backend.update_lagged_factors([C], [rows], copy=True)

        assert np.array_equal(updated[0], backend.update_lagged_factors(C.copy(), rows))

    def test_a_bad_entry_of_a_parameter_array_makes_its_matrix_nan(self, backend, rng):
        C, rows = np.zeros((3, 2, 2)), rng.standard_normal((3, 5, 4, 2))

        backend.update_lagged_factors(C, rows, decay=np.array([0.5, 1.5, np.nan]))

        assert np.isfinite(C[0]).all()
        assert np.isnan(C[1:]).all()

    @given(
        d=st.integers(0, 30),
        N=st.integers(0, 9),
        T=st.integers(0, 9),
        lag=st.integers(0, 9),
        flags=st.tuples(st.booleans(), st.booleans()),
        seed=st.integers(0, 99),
    )
    def test_any_shape(self, d, N, T, lag, flags, seed):
        rng = np.random.default_rng(seed)
        bias, symmetric = flags
        rows, C = rng.standard_normal((N, T, d)), spd(rng, d + bias, np.float64)
        expected = oracle.update_lagged_factors(C, rows, lag=lag, bias=bias, symmetric=symmetric)

        cb.update_lagged_factors(C, rows, lag=lag, bias=bias, symmetric=symmetric)

        assert np.allclose(C, expected, rtol=1e-12, atol=1e-13)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"lag": -1}, ValueError, "lag must be an integer >= 0 that fits 64 bits, got -1"),
            ({"lag": 10**30}, ValueError, "lag must be an integer >= 0 that fits 64 bits, got 1000"),
            ({"lag": 1.0}, TypeError, "lag must be an integer >= 0, got float"),
            ({"lag": True}, TypeError, "lag must be an integer >= 0, got bool"),
            ({"lag": [1]}, TypeError, "lag must be an integer >= 0, got list"),
            ({"symmetric": 1}, TypeError, "symmetric must be True or False, got int"),
            ({"rows": np.ones((5, 3))}, ValueError, r"rows must have shape \(N, T, 3\) for factors of shape \(3, 3\)"),
            ({"rows": np.ones((5, 2, 4))}, ValueError, r"rows must have shape \(N, T, 3\) for"),
            ({"bias": True}, ValueError, r"rows must have shape \(N, T, 2\) .* with bias=True, got \(5, 2, 3\)"),
            ({"decay": -0.1}, ValueError, r"decay must be a number in \[0, 1\], got -0.1"),
        ],
    )
    def test_bad_options_are_named_and_nothing_is_written(self, options, error, message):
        C = np.eye(3)

        with pytest.raises(error, match=f"update_lagged_factors: {message}"):
            cb.update_lagged_factors(C, **{"rows": np.ones((5, 2, 3)), **options})

        assert np.array_equal(C, np.eye(3))

    def test_a_numpy_integer_is_a_lag(self, rng):
        rows = rng.standard_normal((2, 5, 3))

        C = cb.update_lagged_factors(np.zeros((3, 3)), rows, lag=np.int32(2))

        assert np.array_equal(C, cb.update_lagged_factors(np.zeros((3, 3)), rows, lag=2))


def process(rng, n, T, *, symmetric):
    """Return the covariances E[x_{t + d} x_t^T], d < T, of a stationary process x_{t + 1} = R x_t + noise.

    R is symmetric where the process is decorrelated, or anything; its eigenvalues have both signs.
    """
    C0 = spd(rng, n, np.float64)
    root = oracle.power(C0, 0.5)
    K = rng.standard_normal((n, n))
    K = (K + K.T) / 2 if symmetric else K
    R = root @ (0.8 * K / np.linalg.norm(K, 2)) @ np.linalg.inv(root)
    return [np.linalg.matrix_power(R, d) @ C0 for d in range(T)]


def sequences(lags):
    """Return N = T n sequences (N, T, n) whose mean over N has exactly these covariances at all times."""
    T, n = len(lags), len(lags[0])
    joint = np.block([[lags[i - j] if i >= j else lags[j - i].T for j in range(T)] for i in range(T)])
    return np.sqrt(T * n) * np.linalg.cholesky(joint).T.reshape(T * n, T, n)


def dense(lags_A, lags_G):
    """Return sum over |d| < T of (T - |d|) G_d (x) A_d."""
    T = len(lags_A)
    F = T * np.kron(lags_G[0], lags_A[0])
    for d in range(1, T):
        block = np.kron(lags_G[d], lags_A[d])
        F += (T - d) * (block + block.T)
    return F


def measured(backend, lags, *, symmetric=False):
    """Return the factors of lag 0 and 1 by our kernels, each divided by the number of its own terms, as the model's."""
    rows, T = sequences(lags), len(lags)
    zeros = np.zeros_like(lags[0])
    C0 = backend.update_lagged_factors(zeros.copy(), rows, lag=0, decay=0.0)
    C1 = backend.update_lagged_factors(zeros.copy(), rows, lag=1, symmetric=symmetric, decay=0.0)
    return C0, C1 * T / (T - 1)


class TestRecurrentKfac:
    """Martens, Ba and Johnson 2018: the model of the paper, its statistics by our kernels, its solves by the oracle."""

    @pytest.mark.parametrize("symmetric", [False, True])
    def test_the_factors_are_the_covariances_of_the_process(self, backend, rng, symmetric):
        lags = process(rng, 4, 6, symmetric=symmetric)

        C0, C1 = measured(backend, lags, symmetric=symmetric)

        assert np.allclose(C0, lags[0])
        assert np.allclose(C1, lags[1])

    def test_symmetric_transitions_are_solved_exactly(self, backend, rng):
        """Option 1, with transitions whose eigenvalues have both signs."""
        T, V = 7, rng.standard_normal((3, 4))
        lags_A, lags_G = process(rng, 4, T, symmetric=True), process(rng, 3, T, symmetric=True)
        A, G = measured(backend, lags_A, symmetric=True), measured(backend, lags_G, symmetric=True)

        step = oracle.recurrent_step_symmetric(V, *A, *G, T)

        assert np.linalg.eigvals(np.linalg.solve(lags_A[0], lags_A[1])).real.min() < 0
        assert np.allclose(dense(lags_A, lags_G) @ step.ravel(), V.ravel())

    def test_any_transition_is_solved_in_the_limit_of_long_sequences(self, backend, rng):
        """Option 2: the error falls as 1 / T."""
        V, errors = rng.standard_normal((2, 3)), []
        seed = rng.integers(1000)
        for T in (20, 40, 80):
            same = np.random.default_rng(seed)
            lags_A, lags_G = process(same, 3, T, symmetric=False), process(same, 2, T, symmetric=False)
            A, G = measured(backend, lags_A), measured(backend, lags_G)
            step = oracle.recurrent_step_infinite(V, *A, *G, T)
            errors.append(oracle.relative_error(step.ravel(), np.linalg.solve(dense(lags_A, lags_G), V.ravel())))

        assert errors[2] < 0.05
        assert np.allclose(np.divide(errors[:2], errors[1:]), 2, rtol=0.1)

    def test_independent_steps_leave_only_the_factors_of_lag_zero(self, rng):
        T, V = 5, rng.standard_normal((2, 3))
        A0, G0, zero_A, zero_G = spd(rng, 3, np.float64), spd(rng, 2, np.float64), np.zeros((3, 3)), np.zeros((2, 2))
        expected = np.linalg.inv(G0) @ V @ np.linalg.inv(A0) / T

        assert np.allclose(oracle.recurrent_step_symmetric(V, A0, zero_A, G0, zero_G, T), expected)
        assert np.allclose(oracle.recurrent_step_infinite(V, A0, zero_A, G0, zero_G, T), expected)
