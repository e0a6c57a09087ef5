"""Limited-memory SR1 where numbers are at their ends: pairs that depend on each other, scales, rounding, overflow."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import lsr1

X = np.eye(3)


class TestPairs:
    @pytest.mark.parametrize("e", [0, 1e-14, 1e-12, 1e-8])
    def test_whose_curvature_is_that_of_gamma_lose_nothing(self, backend, e):
        """s.(y - gamma s) is about 0 for the newest pair; Minv is well conditioned."""
        H = np.zeros((4, 4))
        H[:3, :3] = [[1, 0, 1], [0, 1, 1], [1, 1, e]]
        S, g = np.eye(4)[:3], np.array([1.0, 2, 3, 0.5])

        assert np.allclose(backend.lsr1_matvec(S, S @ H, g, gamma=0.0), H @ g, rtol=0, atol=1e-14)

    def test_of_a_saddle_along_its_axes(self, backend):
        """f = x y: D + L + L^T has a diagonal of zeros."""
        S, Y = np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])

        found = backend.lsr1_step(S, Y, np.array([1.0, 0.5]), 1.0, gamma=0.0)

        assert lsr1.errors(S, Y, 0.0, np.array([1.0, 0.5]), 1.0, found)["residual"] < 1e-14

    @pytest.mark.parametrize(("n", "rank", "m"), [(3, 3, 6), (5, 5, 9), (40, 3, 10), (10, 10, 64), (20, 20, 40)])
    def test_more_than_the_rank_of_a_quadratic(self, cpu, rng, n, rank, m):
        factors = rng.standard_normal((60, n, rank)) / np.sqrt(n)
        H = (factors * np.where(np.arange(rank) % 3, 1.0, -1.0)) @ factors.transpose(0, 2, 1) + 0.7 * np.eye(n)
        S, g = rng.standard_normal((60, m, n)), rng.standard_normal((60, n))
        S[:30, -2] = S[:30, -1] + 1e-2 * S[:30, -2]

        found = cpu.lsr1_step(S, S @ H, g, 0.3, gamma=0.7)

        assert (found.status == Status.OK).all()
        shifted = H + found.multiplier[:, None, None] * np.eye(n)
        residual = np.linalg.norm((shifted @ found.step[..., None])[..., 0] + g, axis=1)
        assert residual.max() < 1e-5 * np.linalg.norm(g, axis=1).min()
        assert np.median(residual) < 1e-10

    @pytest.mark.parametrize("condition", [1e3, 1e7, 1e10])
    def test_of_an_ill_conditioned_matrix_keep_its_negative_curvature(self, backend, condition):
        H, S = np.diag([condition, -1.0]), np.array([[1.0, 1.0], [1.0, -0.5]])

        found = backend.lsr1_step(S, S @ H, np.array([1.0, 1e-3]), 1.0, gamma=1.0)

        assert found.case == 1
        assert np.isclose(found.predicted_reduction, 0.501, atol=1e-3)
        assert np.isclose(backend.lsr1_matvec(S, S @ H, np.array([0.0, 1.0]), gamma=1.0)[1], -1, rtol=1e-5)

    def test_of_orders_of_magnitude(self, backend):
        """A lowest eigenvalue of 1e-14 of the largest is not zero, and gamma is exact."""
        S, Y = X[:2], np.array([[1e14, 0, 0], [0, 1, 0]])

        found = backend.lsr1_step(S, Y, np.array([0.0, 1, 1]), 1e3)

        assert found.case == 0
        assert np.allclose(found.step, [0, -1, -1 / 0.9])
        assert np.isclose(found.predicted_reduction, 0.5 + 0.5 / 0.9)


class TestGamma:
    @pytest.mark.parametrize("S", [[[1.0, 0.3], [0.7, 1.1]], [[1.0, 0.3], [0.2, 1.7]]])
    def test_is_not_decided_by_rounding(self, backend, S):
        S = np.c_[np.array(S), np.zeros(2)]

        found = backend.lsr1_step(S, S @ np.diag([1.0, 0, 0]), np.array([0.0, 0, 1]), 100.0)

        assert np.allclose(found.step, [0, 0, -1 / 1.1])

    def test_may_be_beyond_the_root_of_the_largest_number(self, backend):
        S, Y = np.array([[1e-60, 0, 0]]), np.array([[-2e120, 0, 0]])

        assert np.allclose(backend.lsr1_matvec(S, Y, S[0], gamma=1e180), [-2e120, 0, 0], rtol=1e-14)

    def test_of_which_the_answer_is_rounding_is_reported(self, backend):
        found = backend.lsr1_step(np.ones((1, 1)), np.ones((1, 1)), np.ones(1), 1e9, gamma=1e17)

        assert found.status == Status.INACCURATE
        assert np.isnan(found.step).all()


class TestRange:
    def test_rows_that_do_not_fit_are_reported(self, backend):
        S = np.array([[3e38, 0, 0]], np.float32)

        found = backend.lsr1_step(S, S, np.array([1, 0, 0], np.float32), 1.0, gamma=-1.0)

        assert found.status == Status.NOT_FINITE
        assert np.isnan(found.step).all()

    @pytest.mark.parametrize(("radius", "status"), [(1e-30, Status.OK), (1e-44, Status.INACCURATE)])
    def test_steps_that_vanish_in_their_dtype_are_reported(self, backend, radius, status):
        S = X[:1].astype(np.float32)

        found = backend.lsr1_step(S, 2 * S, np.ones(3, np.float32), radius, gamma=1.0)

        assert found.status == status
        assert status != Status.OK or np.isclose(np.linalg.norm(found.step / np.float32(radius)), 1, rtol=1e-6)

    def test_reductions_of_tiny_gradients_are_finite(self, backend):
        found = backend.lsr1_step(X[:1], -2 * X[:1], np.full(3, 1e-170), 1.0, gamma=1.0)

        assert np.isclose(found.predicted_reduction, 1.0)

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_hard_steps_go_downhill_where_there_is_a_hill(self, backend, sign):
        found = backend.lsr1_step(X[:1], -X[:1], np.array([sign * 1e-13, 1, 0]), 1e12, gamma=1.0)

        assert found.case == 2
        assert np.isclose(found.step[0], -sign * 1e12)


class TestMatvec:
    def test_masks_and_repeated_pairs(self, backend, rng):
        S, Y, gamma, g, _ = lsr1.problem(rng, "indefinite")
        mask = np.array([1.0, 0, 1, 1, 0])

        alone = backend.lsr1_matvec(S[mask == 1], Y[mask == 1], g, gamma=gamma)
        again = backend.lsr1_matvec(np.concatenate([S[2:3], S]), np.concatenate([Y[2:3], Y]), g, gamma=gamma)

        assert np.allclose(backend.lsr1_matvec(S, Y, g, gamma=gamma, mask=mask), alone, rtol=1e-12)
        assert np.allclose(again, backend.lsr1_matvec(S, Y, g, gamma=gamma), rtol=1e-7, atol=1e-9)

    def test_a_bad_pair_spoils_its_own_model_only(self, backend, rng):
        S, Y, g = rng.standard_normal((3, 4, 7)), rng.standard_normal((3, 4, 7)), rng.standard_normal((3, 7))
        expected = backend.lsr1_matvec(S, Y, g, gamma=0.3)
        S[1, 2, 3] = np.nan

        found = backend.lsr1_matvec(S, Y, g, gamma=0.3)

        assert np.isnan(found[1]).all()
        assert np.array_equal(found[::2], expected[::2])


class TestEviction:
    def test_never_leaves_a_memory_without_a_model(self, backend):
        method, e = cb.LSR1(3, memory=1, gamma=1.0), np.eye(3)

        assert lsr1.on(backend, method, "update", e[0], 3 * e[0])
        assert not lsr1.on(backend, method, "update", e[0], e[0] + e[1])  # no matrix has it alone
        assert lsr1.on(backend, method, "step", np.ones(3), 1.0).status == Status.OK
        assert lsr1.on(backend, method, "update", e[1], 5 * e[1])
        assert np.array_equal(lsr1.on(backend, method, "matvec", np.ones(3)), [1, 5, 1])

    def test_keeps_all_secant_equations_that_it_can(self, cpu, rng):
        H = rng.standard_normal((6, 6))
        H = H + H.T
        method, kept = cb.LSR1(6, memory=3), []
        for s in rng.standard_normal((40, 6)):
            if method.update(s, H @ s):
                kept = [*kept, s][-3:]
            assert all(np.allclose(method.matvec(k), H @ k, rtol=1e-6, atol=1e-6) for k in kept)
