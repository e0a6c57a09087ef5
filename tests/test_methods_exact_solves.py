"""Solutions of exact natural gradients: explicit, in sample space, by conjugate gradients, online inverses."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status
from curvblas.methods import _conjugate_gradient, exact

from identities.exact import rows_of
from oracle import relative_error


class TestSolutions:
    @pytest.mark.parametrize("damping", [1e-8, 1e-5, 1e-2, 1.0, 1e2])
    @pytest.mark.parametrize("count", [5, 20, 60])
    def test_agree_as_far_as_the_condition_lets_them(self, rng, count, damping):
        R, e = rows_of(count, 20, rng), rng.standard_normal(count)
        F, least = R.T @ R, 0.09 if count >= 20 else 0.0
        limit = 50 * np.finfo(float).eps * (9 + damping) / (least + damping)

        found = [
            cb.sample_space_solve(R, e, damping).solution,
            exact.explicit_solve(F, R.T @ e, damping).solution,
            exact.woodbury_solve(R, R.T @ e, damping).solution,
            exact.conjugate_gradient(lambda v: F @ v, R.T @ e, damping=damping, rtol=1e-14).solution,
        ]

        expected = R.T @ np.linalg.solve(R @ R.T + damping * np.eye(count), e) if count <= 20 else None
        if expected is None:
            expected = np.linalg.solve(F + damping * np.eye(20), R.T @ e)
        # More rows than columns make R R^T singular; Woodbury's formula divides a difference by the damping.
        singular = 50 * np.finfo(float).eps * (9 + damping) / damping
        limits = [limit if count <= 20 else singular, limit, singular, limit + 1e-12]
        assert all(relative_error(x, expected) < most for x, most in zip(found, limits, strict=True))

    def test_of_a_stack_are_what_they_are_alone(self, rng):
        A, g = rng.standard_normal((3, 5, 5)), rng.standard_normal((3, 5))
        A = A @ np.swapaxes(A, 1, 2)
        A[1, 2, 0] = np.nan

        result = exact.explicit_solve(A, g, 0.1)

        assert result.status.tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]
        assert np.array_equal(result.solution[2], exact.explicit_solve(A[2], g[2], 0.1).solution)

    def test_by_woodbury_of_a_gradient_outside_the_rows_is_divided_by_the_damping(self, rng):
        R = np.eye(3)[:1]

        assert np.array_equal(exact.woodbury_solve(R, np.array([0.0, 2.0, 0.0]), 0.5).solution, [0, 4, 0])

    def test_that_float32_does_not_hold_are_none(self):
        tiny, one = np.float32([[1e-30]]), np.float32([1e10])

        found = [
            exact.explicit_solve(tiny, one, 1e-30),
            exact.woodbury_solve(tiny, one, 1e-30),
            exact.update_inverse(np.float32([[3e38]]), np.float32([0]), 0.5),
            exact.conjugate_gradient(lambda v: np.float32(1e-30) * v, one, max_iterations=1),
        ]

        assert [int(result.status) for result in found] == [Status.NOT_FINITE] * 4
        assert all(np.isnan(result.solution).all() for result in found)
        assert all(result.solution.dtype == np.float32 for result in found)


class TestConjugateGradient:
    def test_takes_a_step_for_each_eigenvalue(self, rng):
        values = np.repeat([1.0, 2.0, 5.0], 7)

        result = exact.conjugate_gradient(lambda v: values * v, rng.standard_normal(21), rtol=1e-13)

        assert (result.status, result.iterations) == (Status.OK, 3)

    def test_tells_the_change_of_the_model(self, rng):
        A, b, start = rows_of(9, 9, rng), rng.standard_normal(9), rng.standard_normal(9)
        A = A @ A.T

        result = exact.conjugate_gradient(lambda v: A @ v, b, start=start, max_iterations=4)

        x = result.solution
        assert np.isclose(result.change, x @ A @ x / 2 - b @ x, rtol=1e-12)
        assert np.isclose(result.residual, np.linalg.norm(b - A @ x) / np.linalg.norm(b), rtol=1e-10)

    def test_stops_by_the_rule_of_hessian_free_optimisation(self, rng):
        values, b, eps = np.geomspace(1e-2, 1, 300), rng.standard_normal(300), 5e-4
        phi, x, r = [0.0], np.zeros(300), b.copy()
        p = r
        while True:
            i = len(phi) - 1
            k = max(10, i // 10)
            if i > k and (phi[i] - phi[i - k]) / phi[i] < k * eps:
                break
            length = r @ r / (p @ (values * p))
            x, after = x + length * p, r - length * values * p
            p, r = after + (after @ after) / (r @ r) * p, after
            phi.append(x @ (values * x) / 2 - b @ x)

        result = exact.conjugate_gradient(lambda v: values * v, b, progress=eps)

        assert result.iterations == len(phi) - 1
        assert result.status == (Status.INACCURATE if result.residual > 1e-2 else Status.OK)

    @pytest.mark.parametrize(("length", "stops"), [(60, True), (300, False)])
    def test_looks_back_over_a_tenth_of_the_steps(self, length, stops):
        changes = [-10.0 * i for i in range(length - 15)]
        changes += [changes[-1] - 1e-6 * i for i in range(15)]

        assert _conjugate_gradient._stalls(changes, progress=5e-4) == stops

    def test_starts_where_it_is_told_to(self, rng):
        values, solution = np.geomspace(0.1, 1, 9), rng.standard_normal(9)

        result = exact.conjugate_gradient(lambda v: values * v, values * solution, start=solution)

        assert (result.iterations, result.products) == (0, 1)
        assert np.array_equal(result.solution, solution)

    @pytest.mark.parametrize(
        ("values", "b", "status"),
        [
            ([1.0, -1.0], [1.0, 2.0], Status.NOT_POSITIVE_DEFINITE),
            ([0.0, 0.0], [1.0, 2.0], Status.NOT_POSITIVE_DEFINITE),
            ([1.0, np.nan], [1.0, 2.0], Status.NOT_FINITE),
            ([1.0, 2.0], [1.0, np.inf], Status.NOT_FINITE),
        ],
    )
    def test_says_why_there_is_no_solution(self, values, b, status):
        result = exact.conjugate_gradient(lambda v: np.array(values) * v, np.array(b))

        assert result.status == status
        assert np.isnan(result.solution).all() == (status == Status.NOT_FINITE)

    @pytest.mark.parametrize("unit", [2.0**-600, 2.0**600])
    def test_has_no_unit_wherever_it_starts(self, rng, unit):
        values, b, start = np.geomspace(0.1, 1, 9), rng.standard_normal(9), rng.standard_normal(9)

        scaled, plain = (
            exact.conjugate_gradient(lambda v: values * v, u * b, start=u * start, damping=0.1) for u in (unit, 1.0)
        )

        assert np.array_equal(scaled.solution, unit * plain.solution)
        assert (scaled.status, scaled.iterations) == (plain.status, plain.iterations) == (Status.OK, 9)

    def test_of_zero_is_zero(self):
        result = exact.conjugate_gradient(lambda v: v, np.zeros(3))

        assert (result.status, result.iterations, result.residual) == (Status.OK, 0, 0.0)
        assert not result.solution.any()

    def test_that_stopped_early_has_not_converged(self, rng):
        values = np.geomspace(1e-6, 1, 50)

        result = exact.conjugate_gradient(lambda v: values * v, rng.standard_normal(50), max_iterations=2)

        assert (result.status, result.iterations) == (Status.NO_CONVERGENCE, 2)
        assert np.isfinite(result.solution).all()


class TestOnlineInverse:
    def test_is_exact_where_the_first_order_is_not(self, rng):
        A = rng.standard_normal((5, 5))
        G, g, rate = A @ A.T + np.eye(5), rng.standard_normal(5), 0.1
        C = np.linalg.inv(G)
        expected = np.linalg.inv((1 - rate) * G + rate * np.outer(g, g))

        found = exact.update_inverse(C, g, rate).solution

        assert relative_error(found, expected) < 1e-13
        assert relative_error((1 + rate) * C - rate * np.outer(C @ g, C @ g), expected) > 1e-3

    def test_stays_symmetric_and_close_for_ten_thousand_updates(self, rng):
        C, G = np.eye(4), np.eye(4)
        for g in rng.standard_normal((10_000, 4)):
            C = exact.update_inverse(C, g, 0.01).solution
            G = 0.99 * G + 0.01 * np.outer(g, g)

        assert np.array_equal(C, C.T)
        assert relative_error(C, np.linalg.inv(G)) < 1e-11

    @pytest.mark.parametrize(
        ("inverse", "g", "status"),
        [
            (np.eye(2), [np.nan, 0.0], Status.NOT_FINITE),
            (-np.eye(2), [3.0, 0.0], Status.NOT_POSITIVE_DEFINITE),
        ],
    )
    def test_says_why_there_is_none(self, inverse, g, status):
        result = exact.update_inverse(inverse, np.array(g), 0.5)

        assert result.status == status
        assert np.isnan(result.solution).all()


def test_a_solution_does_not_share_memory_with_its_start():
    start = np.ones(2)

    found = exact.conjugate_gradient(lambda v: v, np.ones(2), start=start).solution

    assert not np.shares_memory(found, start)


def test_products_may_overwrite_their_argument():
    found = exact.conjugate_gradient(lambda v: v.__imul__(2), np.array([2.0, 4.0])).solution

    assert found == pytest.approx([1, 2])


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e160, 1e300])
def test_conjugate_gradient_does_not_see_the_scale_of_the_right_side(scale):
    def times(v):
        return np.array([1.0, 3.0, 7.0]) * v

    one = exact.conjugate_gradient(times, np.ones(3))
    found = exact.conjugate_gradient(times, scale * np.ones(3))

    assert found.status == Status.OK
    assert found.iterations == one.iterations
    assert found.solution / scale == pytest.approx(one.solution, rel=1e-14)
