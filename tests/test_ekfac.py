"""Second moments in a Kronecker eigenbasis: what they are, orders of multiplication, layouts, limits, errors."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curvblas as cb

import oracle

ROW_DTYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16]


def bases(A_rows, G_rows, *, bias=False):
    """Return the eigenvectors of the K-FAC factors of these rows, and the factors."""
    A = A_rows.reshape(-1, A_rows.shape[-1])
    if bias:
        A = np.c_[A, np.ones(len(A))]
    G = G_rows.reshape(-1, G_rows.shape[-1])
    A, G = A.T @ A / len(A_rows), G.T @ G / len(G)
    return np.linalg.eigh(A)[1], np.linalg.eigh(G)[1], A, G


def problem(rng, q, p, N, T=None, *, bias=False, dtype=np.float64):
    inner = (N,) if T is None else (N, T)
    return (
        rng.random((q, p)).astype(dtype),
        rng.standard_normal((*inner, p - bias)).astype(dtype),
        rng.standard_normal((*inner, q)).astype(dtype),
        rng.standard_normal((p, p)).astype(dtype),
        rng.standard_normal((q, q)).astype(dtype),
    )


class TestWhatTheMomentsAre:
    @pytest.mark.parametrize("bias", [False, True])
    @pytest.mark.parametrize("T", [None, 3])
    def test_they_are_the_diagonal_of_the_fisher_matrix_in_the_basis(self, backend, rng, bias, T):
        _, A_rows, G_rows, _, _ = problem(rng, 3, 5, 20, T, bias=bias)
        Q_A, Q_G, _, _ = bases(A_rows, G_rows, bias=bias)
        grads = oracle.sample_gradients(A_rows, G_rows, bias=bias).reshape(20, -1)
        F, U = grads.T @ grads / 20, np.kron(Q_G, Q_A)

        S = backend.update_ekfac_moments(np.zeros((3, 5)), A_rows, G_rows, Q_A, Q_G, decay=0.0, bias=bias)

        assert np.allclose(S.ravel(), np.diag(U.T @ F @ U))
        assert np.isclose(S.sum(), np.trace(F))

    @pytest.mark.parametrize("T", [None, 4])
    def test_they_approximate_the_fisher_matrix_better_than_kfac(self, backend, rng, T):
        """George et al. 2018: optimal among all diagonals in the basis, of which K-FAC has one."""
        _, A_rows, G_rows, _, _ = problem(rng, 4, 5, 30, T)
        Q_A, Q_G, A, G = bases(A_rows, G_rows)
        grads = oracle.sample_gradients(A_rows, G_rows).reshape(30, -1)
        F, U = grads.T @ grads / 30, np.kron(Q_G, Q_A)

        S = backend.update_ekfac_moments(np.zeros((4, 5)), A_rows, G_rows, Q_A, Q_G, decay=0.0)

        ekfac = np.linalg.norm(F - (U * S.ravel()) @ U.T)
        assert ekfac < np.linalg.norm(F - np.kron(G, A))
        for _ in range(20):
            other = S * (1 + 0.1 * rng.standard_normal(S.shape))
            assert ekfac <= np.linalg.norm(F - (U * other.ravel()) @ U.T)

    def test_basis_vectors_are_columns(self, backend, rng):
        """The transposed bases, as in some public codes, give another diagonal, further from the Fisher matrix."""
        A_rows = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 3))
        G_rows = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 2))
        Q_A, Q_G, _, _ = bases(A_rows, G_rows)
        gradients = np.einsum("ni,nj->nij", G_rows, A_rows).reshape(40, -1)
        fisher = gradients.T @ gradients / 40

        def distance(S, basis_A, basis_G):
            U = np.kron(basis_G, basis_A)
            return np.linalg.norm(fisher - U * S.ravel() @ U.T)

        S = backend.update_ekfac_moments(np.zeros((2, 3)), A_rows, G_rows, Q_A, Q_G, decay=0.0)

        assert np.allclose(S, ((G_rows @ Q_G) ** 2).T @ (A_rows @ Q_A) ** 2 / 40)
        transposed = backend.update_ekfac_moments(np.zeros((2, 3)), A_rows, G_rows, Q_A.T, Q_G.T, decay=0.0)
        assert distance(S, Q_A, Q_G) < distance(transposed, Q_A.T, Q_G.T)


class TestUpdateEkfacMoments:
    @pytest.mark.parametrize("bias", [False, True])
    @pytest.mark.parametrize(
        ("q", "p", "N", "T"),
        [
            (1, 1, 1, None),
            (1, 2, 31, None),
            (2, 1, 33, 1),
            (33, 31, 65, None),
            (65, 33, 3, 2),
            (2, 65, 4, 31),
            (31, 33, 3, 65),
            (130, 65, 2, 3),
            (65, 130, 1, 257),
        ],
    )
    def test_sizes(self, backend, rng, q, p, N, T, bias):
        arguments = problem(rng, q, p, N, T, bias=bias)
        expected = oracle.update_ekfac_moments(*arguments, bias=bias)

        S = backend.update_ekfac_moments(*arguments, bias=bias)

        assert oracle.relative_error(S, expected) < 1e-13

    @pytest.mark.parametrize(
        ("q", "p", "N", "T"), [(257, 257, 700, None), (400, 9, 3000, None), (257, 130, 9, 20), (130, 257, 7, 500)]
    )
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_sizes_that_are_cut_into_tiles_and_ranges(self, cpu, rng, q, p, N, T, dtype):
        arguments = problem(rng, q, p, N, T, bias=True, dtype=dtype)
        expected = oracle.update_ekfac_moments(*arguments, bias=True)

        S = cpu.update_ekfac_moments(*arguments, bias=True)

        assert oracle.relative_error(S, expected) < oracle.tolerance(dtype)

    def test_more_cases_than_the_scratch_holds(self, cpu, rng):
        S, A_rows, G_rows, Q_A, Q_G = problem(rng, 2, 70, 70_000, dtype=np.float64)
        expected = 0.5 * S + 0.5 / 70_000 * ((G_rows @ Q_G) ** 2).T @ (A_rows @ Q_A) ** 2

        cpu.update_ekfac_moments(
            [S, S[:1, :1].copy()],
            [A_rows, A_rows[:, :1]],
            [G_rows, G_rows[:, :1]],
            [Q_A, Q_A[:1, :1]],
            [Q_G, Q_G[:1, :1]],
            decay=0.5,
        )

        assert oracle.relative_error(S, expected) < 1e-12

    @pytest.mark.parametrize("row_dtype", ROW_DTYPES)
    @pytest.mark.parametrize("T", [None, 2, 30])
    @pytest.mark.parametrize("layout", ["C", "F", "reversed"])
    def test_converts_rows_of_any_dtype_and_layout(self, backend, rng, row_dtype, T, layout):
        S, A_rows, G_rows, Q_A, Q_G = problem(rng, 9, 66, 5, T, dtype=np.float32)

        def laid_out(x):
            x = x.astype(row_dtype)
            return {"C": x, "F": np.asfortranarray(x), "reversed": x[::-1, ..., ::-1]}[layout]

        A_rows, G_rows = laid_out(A_rows), laid_out(G_rows)
        expected = oracle.update_ekfac_moments(S, A_rows, G_rows, Q_A, Q_G)

        backend.update_ekfac_moments(S, A_rows, G_rows, Q_A, Q_G)

        assert oracle.relative_error(S, expected) < oracle.tolerance(np.float32)

    def test_a_ragged_group_with_everything_per_matrix(self, backend, rng):
        shapes = [(3, 4, 7, None), (40, 30, 0, None), (1, 1, 1, 3), (20, 130, 6, 2), (8, 9, 4, 40)]
        bias = [True, False, True, False, True]
        groups = [
            list(x) for x in zip(*(problem(rng, *s, bias=b) for s, b in zip(shapes, bias, strict=True)), strict=True)
        ]
        decay, scale = np.array([0.0, 0.25, 0.5, 1.0, 0.9]), [0.1, 0.2, 0.3, 0.0004, -1.0]
        expected = [
            oracle.update_ekfac_moments(*x, decay=d, scale=s, bias=b)
            for *x, d, s, b in zip(*groups, decay, scale, bias, strict=True)
        ]

        result = backend.update_ekfac_moments(*groups, decay=decay, scale=scale, bias=bias)

        assert result is groups[0]
        assert max(map(oracle.relative_error, result, expected)) < 1e-13

    def test_stacks_of_any_leading_axes_and_strides(self, backend, rng):
        S, A_rows, G_rows, Q_A, Q_G = (
            np.stack([np.stack(x) for x in zip(*(problem(rng, 3, 4, 5, 2) for _ in range(3)), strict=True)][k])
            for k in range(5)
        )
        decay = np.linspace(0, 1, 3)
        expected = [
            oracle.update_ekfac_moments(*x, decay=d) for *x, d in zip(S, A_rows, G_rows, Q_A, Q_G, decay, strict=True)
        ]
        S, Q_G = np.ascontiguousarray(S.T).T, Q_G[::-1].copy()[::-1]

        backend.update_ekfac_moments(S, A_rows, G_rows, Q_A, Q_G, decay=decay)

        assert np.allclose(S, expected)

    def test_decay_zero_does_not_read_the_old_moments(self, backend, rng):
        S, *others = problem(rng, 3, 4, 5)

        result = backend.update_ekfac_moments(np.full((3, 4), np.nan), *others, decay=0.0)

        assert np.allclose(result, oracle.update_ekfac_moments(S, *others, decay=0.0))

    @pytest.mark.parametrize("inner", [(0,), (0, 3), (3, 0)])
    def test_no_cases_only_decay(self, backend, rng, inner):
        S = rng.random((3, 4))
        rows = np.zeros((*inner, 4)), np.zeros((*inner, 3))

        result = backend.update_ekfac_moments(S.copy(), *rows, np.eye(4), np.eye(3), decay=0.5)

        assert np.array_equal(result, 0.5 * S)

    def test_only_the_bias(self, backend, rng):
        """With p = 1 the rows of A have no elements of their own."""
        G_rows = rng.standard_normal((6, 3))

        S = backend.update_ekfac_moments(
            np.zeros((3, 1)), np.zeros((6, 0)), G_rows, np.ones((1, 1)), np.eye(3), decay=0.0, bias=True
        )

        assert np.allclose(S[:, 0], (G_rows**2).mean(axis=0))

    def test_copy_returns_new_moments(self, backend, rng):
        S, *others = problem(rng, 3, 4, 5)
        S.setflags(write=False)

        updated = backend.update_ekfac_moments([S], *([x] for x in others), copy=True)

        assert np.array_equal(updated[0], backend.update_ekfac_moments(S.copy(), *others))

    def test_a_bad_entry_of_a_parameter_array_makes_its_matrix_nan(self, backend, rng):
        S, *others = (np.stack([x] * 3) for x in problem(rng, 3, 4, 5))

        backend.update_ekfac_moments(S, *others, decay=np.array([0.5, 1.5, 0.5]), scale=np.array([1, 1, np.inf]))

        assert np.isfinite(S[0]).all()
        assert np.isnan(S[1:]).all()

    @given(
        q=st.integers(0, 20),
        p=st.integers(1, 20),
        N=st.integers(0, 20),
        T=st.integers(0, 12),
        bias=st.booleans(),
        seed=st.integers(0, 99),
    )
    def test_any_shape(self, q, p, N, T, bias, seed):
        arguments = problem(np.random.default_rng(seed), q, p, N, T, bias=bias)
        expected = oracle.update_ekfac_moments(*arguments, bias=bias)

        S = cb.update_ekfac_moments(*arguments, bias=bias)

        assert np.allclose(S, expected, rtol=1e-11, atol=1e-13)

    @pytest.mark.parametrize(
        ("changed", "error", "message"),
        [
            (
                {"G_rows": np.zeros((4, 2))},
                ValueError,
                r"G_rows must have shape \(N, q\) = \(5, 2\) for second_moments of shape \(2, 3\) and A_rows of shape"
                r" \(5, 3\), got \(4, 2\)",
            ),
            ({"G_rows": np.zeros((5, 1, 2))}, ValueError, r"G_rows must have shape \(N, q\) = \(5, 2\)"),
            ({"A_rows": np.zeros((5, 2))}, ValueError, r"A_rows must have shape \(N, 3\) or \(N, T, 3\)"),
            ({"A_basis": np.zeros((3, 2))}, ValueError, r"A_basis must have shape \(p, p\) = \(3, 3\) for"),
            ({"G_basis": np.zeros((3, 3))}, ValueError, r"G_basis must have shape \(q, q\) = \(2, 2\) for"),
            ({"G_basis": np.eye(2, dtype=np.float32)}, TypeError, "G_basis must be float64 like second_moments"),
            ({"second_moments": np.zeros(3)}, ValueError, r"second_moments must have shape \(..., q, p\), got \(3,\)"),
            ({"bias": True}, ValueError, r"A_rows must have shape \(N, 2\) .* with bias=True, got \(5, 3\)"),
            ({"decay": 1.5}, ValueError, r"decay must be a number in \[0, 1\], got 1.5"),
            ({"scale": float("nan")}, ValueError, "scale must be a finite number, got nan"),
            ({"copy": 1}, TypeError, "copy must be True or False, got int"),
        ],
    )
    def test_wrong_arguments_are_named_and_nothing_is_written(self, changed, error, message):
        arguments = {
            "second_moments": np.ones((2, 3)),
            "A_rows": np.ones((5, 3)),
            "G_rows": np.ones((5, 2)),
            "A_basis": np.eye(3),
            "G_basis": np.eye(2),
        }

        with pytest.raises(error, match=f"update_ekfac_moments: {message}"):
            cb.update_ekfac_moments(**{**arguments, **changed})

        assert np.array_equal(arguments["second_moments"], np.ones((2, 3)))

    def test_moments_must_not_share_memory_and_be_writable(self):
        S = np.eye(3)
        with pytest.raises(ValueError, match="A_basis"):
            cb.update_ekfac_moments(S, np.ones((5, 3)), np.ones((5, 3)), S, np.eye(3))

        S.setflags(write=False)
        with pytest.raises(ValueError, match="copy=True returns new moments instead"):
            cb.update_ekfac_moments(S, np.ones((5, 3)), np.ones((5, 3)), np.eye(3), np.eye(3))
