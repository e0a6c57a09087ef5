"""Damping, preconditioning, finiteness, and the identities that tie the kernels into K-FAC."""

import ml_dtypes
import numpy as np
import pytest

import curvblas as cb

import oracle
from cases import spd

ROW_DTYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16]


class TestFactoredDamping:
    def test_the_product_is_the_damping_and_the_ratio_is_pi(self, backend, rng):
        A, G = spd(rng, 7, np.float32), spd(rng, 3, np.float32)

        damping_A, damping_G = backend.factored_damping(A, G, 0.01)

        assert np.isclose(damping_A * damping_G, 0.01)
        assert np.isclose(np.sqrt(damping_A / damping_G), oracle.pi(A, G))

    def test_it_overdamps_by_a_positive_semidefinite_residual(self, backend, rng):
        A, G, damping = spd(rng, 4, np.float64), spd(rng, 3, np.float64), 0.3

        damping_A, damping_G = backend.factored_damping(A, G, damping)
        factored = np.kron(G + damping_G * np.eye(3), A + damping_A * np.eye(4))
        residual = factored - np.kron(G, A) - damping * np.eye(12)

        assert np.linalg.eigvalsh(residual).min() > -1e-14

    def test_scale_may_move_between_the_factors(self, backend, rng):
        A, G = spd(rng, 4, np.float64), spd(rng, 3, np.float64)

        damping_A, damping_G = backend.factored_damping([A, 100 * A], [G, G / 100], 0.1)

        assert np.allclose(damping_A * [1, 0.01], damping_A[0])
        assert np.allclose(damping_G * [1, 100], damping_G[0])

    @pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
    def test_pi_is_one_where_a_trace_is_of_no_use(self, backend, bad):
        damping_A, damping_G = backend.factored_damping(np.diag([bad, bad]), np.eye(3), 0.04)

        assert damping_A == damping_G == 0.2

    def test_a_bad_entry_of_a_damping_array_is_nan_in_its_pair(self, backend):
        damping_A, damping_G = backend.factored_damping([np.eye(2)] * 3, [np.eye(3)] * 3, np.array([0.04, -1, np.nan]))

        assert np.array_equal(np.isnan(damping_A), [False, True, True])
        assert np.array_equal(np.isnan(damping_G), [False, True, True])

    def test_pairs_must_match(self):
        with pytest.raises(
            ValueError, match=r"G must have the leading axes of A with shape \(2, 3, 3\), got \(4, 3, 3\)"
        ):
            cb.factored_damping(np.zeros((2, 3, 3)), np.zeros((4, 3, 3)), 0.1)


class TestPrecondition:
    @pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 50), (193, 7), (400, 150)])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_rectangles(self, backend, rng, m, n, dtype):
        V, A, G = (rng.standard_normal(shape).astype(dtype) for shape in [(m, n), (n, n), (m, m)])

        P = backend.precondition(V, A, G)

        assert oracle.relative_error(P, oracle.precondition(V, A, G)) < oracle.tolerance(dtype)

    @pytest.mark.parametrize(("m", "n"), [(0, 3), (3, 0), (0, 0)])
    def test_empty_gradients(self, backend, m, n):
        assert backend.precondition(np.zeros((m, n)), np.eye(n), np.eye(m)).shape == (m, n)

    def test_is_the_kronecker_product(self, backend, rng):
        V, A, G = rng.standard_normal((3, 4)), spd(rng, 4, np.float64), spd(rng, 3, np.float64)

        assert np.allclose(backend.precondition(V, A, G).ravel(), np.kron(G, A) @ V.ravel())


class TestAllFinite:
    @pytest.mark.parametrize("dtype", ROW_DTYPES)
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_finds_one_bad_element_anywhere(self, backend, dtype, bad):
        x = np.zeros(9001, dtype)

        for k in (0, 1, 4095, 4096, 9000):
            x[k] = bad
            assert not backend.all_finite(x)
            assert not backend.all_finite([np.ones(3, dtype), x[::-1], x])
            x[k] = 0
        assert backend.all_finite(x)

    def test_large_numbers_and_denormals_are_finite(self, backend):
        assert backend.all_finite(
            [np.array([np.finfo(d).max, np.finfo(d).tiny / 2, -0.0], d) for d in (np.float16, np.float32, np.float64)]
        )

    def test_any_shape_and_stride(self, backend):
        x = np.zeros((4, 5, 6))
        x[1, 2, 3] = np.nan

        assert not backend.all_finite(x.transpose(2, 0, 1))
        assert not backend.all_finite(x[::-1, 1:, ::3])
        assert backend.all_finite(x[::-1, 1:, ::2])
        assert backend.all_finite(x[:0])
        assert backend.all_finite(np.array(1.0))
        assert not backend.all_finite(np.array(np.nan))
        assert backend.all_finite([])


class TestKfacIdentities:
    def step(self, on, grads, a, g, damping):
        """One K-FAC direction through the public functions."""
        A = on.update_factors([np.zeros((x.shape[1],) * 2) for x in a], a, decay=0.0)
        G = on.update_factors([np.zeros((x.shape[1],) * 2) for x in g], g, decay=0.0)
        damping_A, damping_G = on.factored_damping(A, G, damping)
        A_inv, G_inv = on.damped_inverse(A, damping_A), on.damped_inverse(G, damping_G)
        assert A_inv.ok.all()
        assert G_inv.ok.all()
        return on.precondition(grads, A_inv.inverse, G_inv.inverse)

    def test_one_case_has_an_exact_kronecker_block(self, backend, rng):
        """Methods: with N = 1 the empirical Fisher block is gg^T (x) aa^T."""
        a, g = rng.standard_normal((1, 4)), rng.standard_normal((1, 3))
        A = backend.update_factors(np.zeros((4, 4)), a, decay=0.0)
        G = backend.update_factors(np.zeros((3, 3)), g, decay=0.0)
        per_case_gradient = np.outer(g, a).ravel()

        assert np.allclose(np.kron(G, A), np.outer(per_case_gradient, per_case_gradient))

    def test_deep_linear_networks_have_exact_ggn_blocks(self, backend, rng):
        """Squared error, s = W2 W1 x: the block of W1 is (W2^T W2) (x) E[x x^T]."""
        x, W1, W2 = rng.standard_normal((20, 4)), rng.standard_normal((3, 4)), rng.standard_normal((2, 3))
        jacobians = np.stack([np.kron(W2, row) for row in x])  # d s / d W1, row-major
        ggn = np.einsum("nop,noq->pq", jacobians, jacobians) / 20

        A = backend.update_factors(np.zeros((4, 4)), x, decay=0.0)
        G = backend.update_factors(np.zeros((3, 3)), W2, decay=0.0, scale=1.0)

        assert W1.shape == (3, 4)
        assert np.allclose(np.kron(G, A), ggn)

    def test_step_solves_the_factored_system(self, backend, rng):
        grads = [rng.standard_normal((3, 5)), rng.standard_normal((40, 70))]
        a = [rng.standard_normal((64, 5)), rng.standard_normal((64, 70))]
        g = [rng.standard_normal((64, 3)), rng.standard_normal((64, 40))]

        P = self.step(backend, grads, a, g, damping=0.1)

        for V, D, x, y in zip(grads, P, a, g, strict=True):
            A, G = x.T @ x / 64, y.T @ y / 64
            damping_A, damping_G = oracle.factored_damping(A, G, 0.1)
            assert np.allclose((G + damping_G * np.eye(len(G))) @ D @ (A + damping_A * np.eye(len(A))), V)

    @pytest.mark.parametrize("damping", [0.0, 0.1])
    def test_undamped_kfac_is_invariant_to_affine_maps_of_activations(self, backend, rng, damping):
        """Luk and Grosse 2018: with a' = a Om, s' = Phi s the step is Phi D Om^-T; damping breaks it."""
        N, p, q = 50, 4, 3
        a = np.c_[rng.standard_normal((N, p)), np.ones(N)]
        g = rng.standard_normal((N, q))
        Om = np.eye(p + 1) + 0.3 * rng.standard_normal((p + 1, p + 1))
        Om[:, -1] = np.eye(p + 1)[:, -1]
        Phi = np.eye(q) + 0.3 * rng.standard_normal((q, q))
        V = g.T @ a / N
        a2, g2 = a @ Om, g @ np.linalg.inv(Phi)
        V2 = g2.T @ a2 / N

        (step,) = self.step(backend, [V], [a], [g], damping)
        (mapped,) = self.step(backend, [V2], [a2], [g2], damping)

        same = np.allclose(mapped, Phi @ step @ np.linalg.inv(Om).T, rtol=1e-9)
        assert same == (damping == 0)

    def test_a_dead_layer_gets_a_zero_step(self, backend, rng):
        """A = 0: pi = 1, the zero factor is inverted as sqrt(damping) I, and V = 0 stays 0."""
        (step,) = self.step(backend, [np.zeros((3, 4))], [np.zeros((8, 4))], [rng.standard_normal((8, 3))], 0.01)

        assert np.array_equal(step, np.zeros((3, 4)))
