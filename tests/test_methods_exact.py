"""Exact natural gradients: estimators, solutions, the quadratic model, damping, steps, states and bad calls."""

import doctest
import importlib
import itertools
import math
import pickle

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status
from curvblas.methods import _conjugate_gradient, exact, families

from identities.exact import IDENTITIES, rows_of


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=lambda x: getattr(x, "__name__", ""))
def test_identity(identity, bound):
    assert identity() <= bound


@pytest.mark.parametrize("name", ["exact", "_conjugate_gradient", "_estimators", "_solves", "_step_control"])
def test_examples_in_docstrings_run(name):
    failures, tried = doctest.testmod(importlib.import_module(f"curvblas.methods.{name}"))

    assert failures == 0 < tried


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def problem(rng, family, cases, P, shape):
    jacobian, outputs = rng.standard_normal((cases, shape, P)), rng.standard_normal((cases, shape))
    if family.kind == "gaussian_natural":
        outputs[:, 1] = -np.exp(outputs[:, 1])
    return jacobian, outputs, family.sample(outputs, rng)


FAMILIES = [
    (families.Bernoulli(), 3),
    (families.Categorical(), 3),
    (families.Poisson(), 2),
    (families.Gaussian(variance=0.5), 3),
    (families.GaussianLogScale(), 2),
    (families.GaussianNatural(), 2),
    (families.MultivariateGaussianMean(np.array([[2.0, 0.3], [0.3, 1.0]])), 2),
]


@pytest.fixture(params=FAMILIES, ids=lambda x: x[0].kind)
def family_and_size(request):
    return request.param


class TestEstimators:
    def test_fisher_of_independent_labels_is_the_mean_over_all_of_them(self, rng):
        family = families.Bernoulli()
        jacobian, outputs, _ = problem(rng, family, 5, 8, 3)
        expected = np.zeros((8, 8))

        for labels in itertools.product([0.0, 1.0], repeat=3):
            g = np.einsum("no,nop->np", family.score(outputs, np.broadcast_to(labels, (5, 3))), jacobian)
            chance = np.exp(family.log_density(outputs, np.broadcast_to(labels, (5, 3))))
            expected += (g * chance[:, None]).T @ g / 5

        assert relative_error(exact.fisher(jacobian, family, outputs), expected) < 1e-14

    def test_fisher_is_the_mean_of_products(self, rng, family_and_size):
        family, size = family_and_size
        jacobian, outputs, _ = problem(rng, family, 6, 9, size)

        F = exact.fisher(jacobian, family, outputs)

        expected = np.einsum("nop,noq,nqr->pr", jacobian, family.fisher(outputs), jacobian) / 6
        assert relative_error(F, expected) < 1e-13
        assert np.array_equal(F, F.T)

    def test_rows_and_errors_make_the_matrix_and_the_gradient(self, rng, family_and_size):
        family, size = family_and_size
        jacobian, outputs, targets = problem(rng, family, 6, 9, size)

        R, e = exact.fisher_rows(jacobian, family, outputs), exact.whitened_errors(family, outputs, targets)

        grad = -np.einsum("nop,no->p", jacobian, family.score(outputs, targets)) / 6
        assert relative_error(R.T @ R, exact.fisher(jacobian, family, outputs)) < 1e-13
        assert relative_error(R.T @ e, grad) < 1e-13

    def test_rows_of_a_covariance_make_the_matrix_and_the_gradient(self, rng):
        family, jacobian = families.MultivariateGaussian(), rng.standard_normal((4, 5, 7))
        A = rng.standard_normal((4, 2, 2))
        outputs = family.pack(rng.standard_normal((4, 2)), A @ np.swapaxes(A, 1, 2) + np.eye(2))
        targets = family.sample(outputs, rng)

        R, e = exact.fisher_rows(jacobian, family, outputs), exact.whitened_errors(family, outputs, targets)

        expected = np.einsum("nop,noq,nqr->pr", jacobian, family.fisher(outputs), jacobian) / 4
        assert relative_error(R.T @ R, expected) < 1e-13
        assert relative_error(R.T @ e, -np.einsum("nop,no->p", jacobian, family.score(outputs, targets)) / 4) < 1e-12

    def test_ggn_takes_any_curvature_of_the_outputs(self, rng):
        jacobian, H = rng.standard_normal((6, 3, 9)), rng.standard_normal((6, 3, 3))
        H = H + np.swapaxes(H, 1, 2)

        expected = sum(J.T @ h @ J for J, h in zip(jacobian, H, strict=True)) / 6

        assert relative_error(exact.ggn(jacobian, H), expected) < 1e-14

    def test_squared_error_has_twice_the_curvature_of_its_half(self, rng):
        jacobian, outputs, _ = problem(rng, families.Gaussian(), 6, 9, 3)

        expected = exact.ggn(jacobian, np.broadcast_to(2 * np.eye(3), (6, 3, 3)))

        assert relative_error(exact.fisher(jacobian, families.Gaussian(variance=0.5), outputs), expected) < 1e-14

    def test_empirical_fisher_vanishes_where_the_data_are_fitted_and_fisher_does_not(self, rng):
        jacobian, outputs, _ = problem(rng, families.Gaussian(), 6, 9, 3)
        scores = families.Gaussian().score(outputs, outputs)

        assert not exact.empirical_fisher(jacobian, scores).any()
        assert np.linalg.matrix_rank(exact.fisher(jacobian, families.Gaussian(), outputs)) == 9

    def test_empirical_fisher_with_targets_of_the_model_estimates_fisher(self, rng):
        family = families.Categorical()
        jacobian, outputs, _ = problem(rng, family, 4, 3, 3)
        F, draws = exact.fisher(jacobian, family, outputs), 20_000
        estimates = np.empty((draws, 3, 3))

        for k in range(draws):
            g = np.einsum("nop,no->np", jacobian, family.score(outputs, family.sample(outputs, rng)))
            estimates[k] = g.T @ g / 4
        found = exact.empirical_fisher(jacobian, family.score(outputs, family.sample(outputs, rng)))

        assert (np.abs(estimates.mean(axis=0) - F) < 5 * estimates.std(axis=0) / math.sqrt(draws)).all()
        assert found.shape == F.shape

    def test_naive_product_of_sums_is_unbiased(self, rng):
        family = families.Bernoulli()
        jacobian, outputs, _ = problem(rng, family, 4, 3, 2)
        F, draws = exact.fisher(jacobian, family, outputs), 20_000
        many = np.broadcast_to(outputs, (draws, 4, 2))

        g = np.einsum("nop,kno->kp", jacobian, family.score(many, family.sample(many, rng)))
        products = g[:, :, None] * g[:, None, :] / 4

        assert (np.abs(products.mean(axis=0) - F) < 5 * products.std(axis=0) / math.sqrt(draws)).all()

    def test_of_no_cases_are_zero(self):
        F = exact.fisher(np.zeros((0, 2, 4)), families.Bernoulli(), np.zeros((0, 2)))

        assert np.array_equal(F, np.zeros((4, 4)))

    def test_float32_gives_float32(self, rng):
        jacobian, outputs, y = (x.astype(np.float32) for x in problem(rng, families.Categorical(), 5, 6, 3))
        scores = families.Categorical().score(outputs, y)

        found = [exact.fisher(jacobian, families.Categorical(), outputs), exact.empirical_fisher(jacobian, scores)]

        assert all(x.dtype == np.float32 for x in found)

    def test_tensors_give_tensors(self, rng):
        torch = pytest.importorskip("torch")
        jacobian, outputs, y = map(torch.from_numpy, problem(rng, families.Categorical(), 5, 6, 3))

        R = exact.fisher_rows(jacobian, families.Categorical(), outputs)
        step = exact.NaturalGradient(6).step(R, exact.whitened_errors(families.Categorical(), outputs, y))

        assert isinstance(R, torch.Tensor)
        assert isinstance(step, torch.Tensor)


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


class TestQuadraticStep:
    def test_is_the_minimum_over_the_directions(self, rng):
        C, g, D = rows_of(9, 6, rng), rng.standard_normal(6), rng.standard_normal((2, 6))
        C = C.T @ C

        found = exact.quadratic_step(g, D, D @ C)

        expected = -np.linalg.solve(D @ C @ D.T, D @ g)
        assert relative_error(found.coefficients, expected) < 1e-12
        assert np.isclose(found.change, g @ found.step + found.step @ C @ found.step / 2, rtol=1e-12)
        assert np.isclose(found.square, found.step @ C @ found.step, rtol=1e-12)

    @pytest.mark.parametrize("other", [3.0, -2.0, 1e-9])
    def test_of_parallel_directions_is_that_of_one(self, rng, other):
        C, g, d = np.diag([1.0, 2.0, 3.0]), rng.standard_normal(3), rng.standard_normal(3)
        D = np.stack([d, other * d])

        found = exact.quadratic_step(g, D, D @ C)

        assert relative_error(found.step, -(g @ d) / (d @ C @ d) * d) < 1e-12

    def test_of_almost_parallel_directions_is_that_of_one(self, rng):
        C, g, d = np.diag([1.0, 2.0, 3.0]), rng.standard_normal(3), rng.standard_normal(3)
        D = np.stack([d, d * (1 + 1e-7 * rng.standard_normal(3))])

        found = exact.quadratic_step(g, D, D @ C)

        assert relative_error(found.step, -(g @ d) / (d @ C @ d) * d) < 1e-6

    def test_does_not_depend_on_the_lengths_of_directions(self, rng):
        C, g, D = np.diag([1.0, 2.0, 3.0]), rng.standard_normal(3), rng.standard_normal((2, 3))
        scaled = D * np.array([[1e-9], [1e6]])

        assert (
            relative_error(exact.quadratic_step(g, scaled, scaled @ C).step, exact.quadratic_step(g, D, D @ C).step)
            < 1e-9
        )

    def test_leaves_out_a_direction_of_zero(self, rng):
        g, D = np.array([1.0, 2.0]), np.array([[-1.0, -1.0], [0.0, 0.0]])

        found = exact.quadratic_step(g, D, 2 * D)

        assert np.array_equal(found.coefficients, [0.75, 0])

    def test_with_a_bad_number_is_nan(self):
        found = exact.quadratic_step(np.ones(2), np.eye(2), np.array([[1.0, 0.0], [0.0, np.inf]]))

        assert np.isnan(found.step).all()
        assert np.isnan(found.change)


class TestLevenbergMarquardt:
    @pytest.mark.parametrize(("rho", "factor"), [(0.9, 0.95**5), (0.5, 1.0), (0.1, 0.95**-5), (-1.0, 0.95**-5)])
    def test_changes_the_damping_every_few_steps(self, rho, factor):
        control = exact.LevenbergMarquardt(2.0)

        for k in range(5):
            assert control.damping == 2.0, k
            assert control.update(-1.0, before=0.0, after=-rho) == rho

        assert np.isclose(control.damping, 2 * factor, rtol=1e-14)

    @pytest.mark.parametrize(
        ("predicted", "after"),
        [(-1.0, np.nan), (-1.0, np.inf), (np.nan, 1.0), (1.0, 1.0), (-1.0, -np.inf), (-np.inf, 1.0)],
    )
    def test_grows_at_once_where_a_step_failed(self, predicted, after):
        control = exact.LevenbergMarquardt(2.0)

        control.update(predicted, 2.0, after)

        assert np.isclose(control.damping, 2 / 0.95**5)
        assert np.isnan(control.rho)

    def test_does_not_fall_below_its_smallest(self):
        control = exact.LevenbergMarquardt(2.0, base=0.5, interval=1, smallest=1.5)

        control.update(-1.0, 2.0, 1.0)

        assert control.damping == 1.5

    @pytest.mark.parametrize("predicted", [0.0, 1e-16, -1e-16])
    def test_leaves_the_damping_where_no_difference_of_losses_can_tell(self, predicted):
        control = exact.LevenbergMarquardt(2.0, interval=1)

        assert np.isnan(control.update(predicted, 1.0, 1.0 + 2e-16))
        assert control.damping == 2.0


class TestClip:
    def test_is_one_where_the_step_is_short_or_zero(self):
        assert exact.kl_clip(2e-4, 1.0, 1e-3) == 1.0
        assert exact.kl_clip(0.0, 1.0, 1e-3) == 1.0

    @pytest.mark.parametrize("inner", [-1.0, np.nan, np.inf])
    def test_of_a_direction_that_is_none_is_nan(self, inner):
        assert np.isnan(exact.kl_clip(inner, 1.0, 1e-3))


def logistic(rng, cases, P):
    X, w = rng.standard_normal((cases, P)), 2 * rng.standard_normal(P)
    return X, (rng.random(cases) < 1 / (1 + np.exp(-X @ w))).astype(np.float64)


def logistic_loss(X, y, w, ridge=0.0):
    return np.logaddexp(0, X @ w).mean() - (y * (X @ w)).mean() + ridge * (w @ w) / 2


def take_step(method, X, y, w, ridge=0.0):
    outputs = (X @ w)[:, None]
    R = exact.fisher_rows(X[:, None], families.Bernoulli(), outputs)
    e = exact.whitened_errors(families.Bernoulli(), outputs, y[:, None])
    return method.step(R, e, parameters=w if ridge else None)


class TestNaturalGradient:
    @pytest.mark.parametrize("ridge", [0.0, 0.1])
    @pytest.mark.parametrize("cases", [4, 12, 40])
    @pytest.mark.parametrize("solver", ["explicit", "sample_space", "cg"])
    def test_steps_are_those_of_dense_matrices(self, rng, solver, cases, ridge):
        (X, y), w = logistic(rng, cases, 12), rng.standard_normal(12)
        method = exact.NaturalGradient(12, damping=0.3, solver=solver, ridge=ridge)

        step = take_step(method, X, y, w, ridge)

        p = 1 / (1 + np.exp(-X @ w))
        C = X.T @ (X * (p * (1 - p))[:, None]) / cases + (0.3 + ridge) * np.eye(12)
        expected = -np.linalg.solve(C, X.T @ (p - y) / cases + ridge * w)
        assert relative_error(step, expected) < (1e-11 if solver != "cg" else 2e-2)
        assert method.status == Status.OK

    @pytest.mark.parametrize("solver", ["explicit", "sample_space", "cg"])
    def test_reaches_the_minimum(self, rng, solver):
        (X, y), w = logistic(rng, 200, 10), np.zeros(10)
        method = exact.NaturalGradient(10, damping=1.0, solver=solver, ridge=1e-3, interval=1, base=0.5)

        for _ in range(40):
            before = logistic_loss(X, y, w, 1e-3)
            w = w + take_step(method, X, y, w, 1e-3)
            method.adapt(before, logistic_loss(X, y, w, 1e-3))

        grad = X.T @ (1 / (1 + np.exp(-X @ w)) - y) / 200 + 1e-3 * w
        assert np.linalg.norm(grad) < 1e-10
        assert method.damping < 1e-3

    def test_by_products_is_by_rows(self, rng):
        (X, y), w = logistic(rng, 60, 10), rng.standard_normal(10)
        by_rows, by_products = (exact.NaturalGradient(10, damping=0.1, solver="cg", ridge=0.1) for _ in range(2))

        for _ in range(3):
            p = 1 / (1 + np.exp(-X @ w))
            F = X.T @ (X * (p * (1 - p))[:, None]) / 60
            other = by_products.step_with(lambda v, F=F: F @ v, X.T @ (p - y) / 60, parameters=w)
            step = take_step(by_rows, X, y, w, 0.1)
            assert relative_error(step, other) < 1e-8
            w = w + step

    def test_by_conjugate_gradients_start_at_the_step_before(self, rng):
        values, grad = np.geomspace(0.01, 1, 30), rng.standard_normal(30)
        method = exact.NaturalGradient(30, damping=1e-3, solver="cg", momentum=False)

        first, second = (
            relative_error(method.step_with(lambda v: values * v, grad), -grad / (values + 1e-3)) for _ in "12"
        )

        assert second < first / 10

    def test_mean_of_past_matrices_is_that_of_its_weights(self, rng):
        batches = [(rng.standard_normal((9, 6)), rng.standard_normal(9)) for _ in range(3)]
        method, F, weight = exact.NaturalGradient(6, damping=0.2, decay=0.9, momentum=False), np.zeros((6, 6)), 0.0

        for R, e in batches:
            F, weight = 0.9 * F + R.T @ R, 0.9 * weight + 1
            expected = -np.linalg.solve(F / weight + 0.2 * np.eye(6), R.T @ e)
            assert relative_error(method.step(R, e), expected) < 1e-12

    def test_momentum_is_no_worse_in_the_model_than_either_direction(self, rng):
        plain, method = exact.NaturalGradient(6, decay=0.9, momentum=False), exact.NaturalGradient(6, decay=0.9)

        for _ in range(3):
            R, e = rng.standard_normal((4, 6)), rng.standard_normal(4)
            before = method._previous
            proposal, step = plain.step(R, e), method.step(R, e)

            def model(d, R=R, e=e):
                return d @ (R.T @ R + np.eye(6)) @ d / 2 + e @ (R @ d)

            assert model(step) <= model(proposal) + 1e-12
            assert before is None or model(step) <= model(before) + 1e-12
        assert abs(method.coefficients[1]) > 1e-3

    def test_clip_bounds_the_length_in_the_metric(self, rng):
        R, e, limit = rng.standard_normal((9, 6)), rng.standard_normal(9), 1e-3
        free, clipped = exact.NaturalGradient(6), exact.NaturalGradient(6, clip=limit)

        long, short = free.step(R, e), clipped.step(R, e)

        C = R.T @ R + np.eye(6)
        assert np.isclose(short @ C @ short, limit, rtol=1e-12)
        assert relative_error(short / np.linalg.norm(short), long / np.linalg.norm(long)) < 1e-12
        assert np.isclose(clipped.predicted, e @ R @ short + short @ R.T @ R @ short / 2, rtol=1e-10)

    def test_damped_steps_are_not_invariant(self, rng):
        R, e, B = rng.standard_normal((20, 5)), rng.standard_normal(20), rng.standard_normal((5, 5))

        steps = [exact.NaturalGradient(5, damping=d).step(J, e) for d in (1e-12, 1.0) for J in (R, R @ B)]

        assert relative_error(B @ steps[1], steps[0]) < 1e-6
        assert relative_error(B @ steps[3], steps[2]) > 1e-2

    @pytest.mark.parametrize(("place", "number"), [(0, np.nan), (1, np.inf), (0, 1e200), (1, 1e200)])
    def test_bad_numbers_leave_the_object_and_raise_the_damping(self, rng, place, number):
        R, e = rng.standard_normal((9, 6)), rng.standard_normal(9)
        method, plain = exact.NaturalGradient(6, decay=0.9), exact.NaturalGradient(6, decay=0.9)
        for one in (method, plain):
            one.step(R, e)
        bad = [R.copy(), e.copy()]
        bad[place].flat[5] = number

        step = method.step(*(bad[k] if k == place else x for k, x in enumerate((R, e))))

        assert method.status == Status.NOT_FINITE
        assert np.isnan(step).all()
        assert np.array_equal(method.step(R, e), plain.step(R, e))
        method.step(np.full_like(R, np.nan), e), method.adapt(1.0, np.nan)
        assert method.damping > 1

    def test_direction_of_negative_curvature_has_no_step(self):
        method = exact.NaturalGradient(2, damping=0.1, solver="cg")

        step = method.step_with(lambda v: -v, np.ones(2))

        assert method.status == Status.NOT_POSITIVE_DEFINITE
        assert np.isnan(step).all()

    def test_float32_gives_float32(self, rng):
        R, e = (x.astype(np.float32) for x in (rng.standard_normal((9, 6)), rng.standard_normal(9)))

        assert exact.NaturalGradient(6).step(R, e).dtype == np.float32

    def test_step_that_float32_does_not_hold_is_none(self):
        method = exact.NaturalGradient(1, damping=1e-30)

        step = method.step(np.float32([[1e-20]]), np.float32([1e30]))

        assert method.status == Status.NOT_FINITE
        assert np.isnan(step).all()

    def test_arrays_of_a_device_are_refused(self, emulated):
        with pytest.raises(TypeError, match="rows must be in the CPU's memory"):
            exact.NaturalGradient(6).step(emulated.to_device(np.ones((2, 6))), np.ones(2))


class TestState:
    @pytest.mark.parametrize("options", [{"decay": 0.9}, {"solver": "sample_space"}, {"solver": "cg"}])
    def test_goes_on_where_it_was(self, rng, options):
        batches = [(rng.standard_normal((9, 6)), rng.standard_normal(9)) for _ in range(12)]
        method, other = exact.NaturalGradient(6, **options), exact.NaturalGradient(6, **options)
        for R, e in batches[:6]:
            method.step(R, e), method.adapt(1.0, 0.9)
        copies = [pickle.loads(pickle.dumps(method)), other]
        other.load_state_dict(method.state_dict())
        rhos = {one.adapt(1.0, 0.9) for one in (method, *copies)}

        assert len(rhos) == 1
        for R, e in batches[6:]:
            expected = method.step(R, e)
            method.adapt(1.0, 0.9)
            for copy in copies:
                assert np.array_equal(copy.step(R, e), expected)
                copy.adapt(1.0, 0.9)

    def test_before_the_first_step_is_loaded(self):
        method = exact.NaturalGradient(2)

        method.load_state_dict(exact.NaturalGradient(2, damping=3.0).state_dict())

        assert method.damping == 3.0

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"control": None}, "state must have control, predicted"),
            ({"weight": None}, "fisher only with weight"),
            ({"previous": np.zeros(3)}, r"state\['previous'\] must be a float64 array of shape \(2,\)"),
            ({"weight": -1.0}, r"state\['weight'\] must be a number >= 0"),
            ({"control": {"damping": 1.0}}, "state must have damping, steps"),
            ({"control": {"damping": -1.0, "steps": 0}}, r"state\['damping'\] must be a finite number > 0"),
        ],
    )
    def test_that_does_not_fit_is_refused(self, change, words):
        method = exact.NaturalGradient(2, decay=0.5)
        method.step(np.eye(2), np.ones(2))
        state = {k: v for k, v in {**method.state_dict(), **change}.items() if v is not None}
        before = method.state_dict()

        with pytest.raises(ValueError, match=words):
            method.load_state_dict(state)

        assert str(method.state_dict()) == str(before)


class TestBadCalls:
    @pytest.mark.parametrize(
        ("call", "error", "words"),
        [
            (lambda: exact.NaturalGradient(2, solver="lu"), ValueError, "solver must be one of .* got 'lu'"),
            (lambda: exact.NaturalGradient(2, solver="cg", decay=0.5), ValueError, "decay must be 0 with solver='cg'"),
            (lambda: exact.NaturalGradient(2, damping=0), ValueError, "damping must be a finite number > 0, got 0"),
            (lambda: exact.NaturalGradient(0), ValueError, "dim must be an int >= 1, got 0"),
            (lambda: exact.NaturalGradient(2).step(np.ones((3, 4)), np.ones(3)), ValueError, r"\(R, 2\).*got \(3, 4\)"),
            (lambda: exact.NaturalGradient(2).step(np.ones((0, 2)), np.ones(0)), ValueError, r"R >= 1, got \(0, 2\)"),
            (lambda: exact.NaturalGradient(2).step(np.ones((3, 2)), np.ones(2)), ValueError, r"errors .*got \(2,\)"),
            (
                lambda: exact.NaturalGradient(2, ridge=1.0).step(np.ones((3, 2)), np.ones(3)),
                ValueError,
                "parameters must be given, as there is a ridge, got None",
            ),
            (
                lambda: exact.NaturalGradient(2).step_with(lambda v: v, np.ones(2)),
                ValueError,
                "solver must be 'cg', got 'explicit'",
            ),
            (
                lambda: exact.fisher(np.ones((2, 3)), families.Bernoulli(), np.ones((2, 3))),
                ValueError,
                r"jacobian must have shape \(N, o, P\), got \(2, 3\)",
            ),
            (
                lambda: exact.fisher(np.ones((2, 3, 4)), families.Bernoulli(), np.ones((2, 4))),
                ValueError,
                r"outputs must have shape \(N, o\) = \(2, 3\), got \(2, 4\)",
            ),
            (
                lambda: exact.whitened_errors(families.Bernoulli(), np.ones(3), np.ones(3)),
                ValueError,
                r"outputs must have shape \(N, o\), got \(3,\)",
            ),
            (
                lambda: exact.whitened_errors(families.Bernoulli(), np.ones((2, 3)), np.ones((4, 2, 3))),
                ValueError,
                r"one draw for each of 2 cases, got shape \(4, 2, 3\)",
            ),
            (lambda: exact.ggn(np.ones((2, 3, 4)), np.ones((2, 4, 4))), ValueError, r"\(2, 3, 3\), got \(2, 4, 4\)"),
            (lambda: exact.explicit_solve(np.eye(2), np.ones(3)), ValueError, r"grad must .*got \(3,\)"),
            (lambda: exact.explicit_solve(np.eye(2), np.ones(2), -1.0), ValueError, "damping"),
            (
                lambda: exact.woodbury_solve(np.eye(2), np.ones(2), 0.0),
                ValueError,
                "damping must be a finite number > 0",
            ),
            (lambda: exact.woodbury_solve(np.eye(2), np.ones(3), 1.0), ValueError, r"grad must .*got \(3,\)"),
            (lambda: exact.conjugate_gradient(lambda v: v[:1], np.ones(2)), ValueError, r"product\(v\) must .*\(1,\)"),
            (lambda: exact.conjugate_gradient(lambda v: v, np.ones(2), start=np.ones(3)), ValueError, "start must"),
            (lambda: exact.conjugate_gradient(lambda v: v, np.ones(2), max_iterations=0), ValueError, "max_iter"),
            (
                lambda: exact.update_inverse(np.eye(2), np.ones(2), 1.0),
                ValueError,
                r"rate must be a number in \[0, 1\)",
            ),
            (lambda: exact.update_inverse(np.eye(2), np.ones(3), 0.5), ValueError, r"inverse must .*got \(2, 2\)"),
            (lambda: exact.kl_clip(np.ones(2), 1.0, 1.0), TypeError, "inner must be"),
            (lambda: exact.kl_clip(2.0, 1.0, 0.0), ValueError, "limit must be"),
            (
                lambda: exact.quadratic_step(np.ones(2), np.ones((1, 2)), np.ones((2, 2))),
                ValueError,
                r"products must have shape \(K, P\) = \(1, 2\), got \(2, 2\)",
            ),
            (lambda: exact.quadratic_step(np.ones(2), np.ones((0, 2)), np.ones((0, 2))), ValueError, "directions must"),
            (lambda: exact.LevenbergMarquardt(1.0, base=1.0), ValueError, r"base must be a number in \(0, 1\), got 1"),
        ],
    )
    def test_say_what_is_wrong(self, call, error, words):
        with pytest.raises(error, match=words):
            call()


def test_the_momentum_is_not_the_step_that_the_caller_holds(rng):
    R, e = rng.standard_normal((2, 3)), np.ones(2)
    method = exact.NaturalGradient(3)

    step = method.step(R, e)
    kept = step.copy()
    step *= 0

    assert np.array_equal(method.state_dict()["previous"], kept)


def test_a_solution_does_not_share_memory_with_its_start():
    start = np.ones(2)

    found = exact.conjugate_gradient(lambda v: v, np.ones(2), start=start).solution

    assert not np.shares_memory(found, start)


def test_products_may_overwrite_their_argument():
    found = exact.conjugate_gradient(lambda v: v.__imul__(2), np.array([2.0, 4.0])).solution

    assert found == pytest.approx([1, 2])


@pytest.mark.parametrize("solver", ["explicit", "cg"])
def test_steps_of_tiny_curvature_are_those_of_the_damping(solver):
    method = exact.NaturalGradient(2, solver=solver, damping=1e-300)

    step = method.step(np.eye(2) * 1e-200, np.ones(2))

    assert step == pytest.approx([-1e100, -1e100])


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e160, 1e300])
def test_conjugate_gradient_does_not_see_the_scale_of_the_right_side(scale):
    def times(v):
        return np.array([1.0, 3.0, 7.0]) * v

    one = exact.conjugate_gradient(times, np.ones(3))
    found = exact.conjugate_gradient(times, scale * np.ones(3))

    assert found.status == Status.OK
    assert found.iterations == one.iterations
    assert found.solution / scale == pytest.approx(one.solution, rel=1e-14)


def test_the_damping_stays_finite_after_any_number_of_failures():
    method, other = exact.NaturalGradient(2), exact.NaturalGradient(2)
    method.step(np.eye(2), np.ones(2))
    for _ in range(3000):
        method.adapt(1.0, math.nan)

    other.load_state_dict(method.state_dict())
    step = other.step(np.eye(2), np.ones(2))

    assert other.damping == 1e300
    assert np.isfinite(step).all()


def test_the_damping_stays_finite_where_a_factor_is_zero_in_float64():
    control = exact.LevenbergMarquardt(1.0, base=0.01, interval=1000)

    control.update(-1.0, before=1.0, after=math.inf)

    assert control.damping == 1e300


@pytest.mark.parametrize(
    ("inner", "rate", "limit", "expected"),
    [(1e300, 1e-170, 1e-80, 1e-20), (1e300, 1e-250, 1.0, 1.0), (1e300, 1e-145, 1.0, 1e-5), (1e-300, 1e155, 1.0, 1e-5)],
)
def test_kl_clip_neither_overflows_nor_vanishes(inner, rate, limit, expected):
    assert exact.kl_clip(inner, rate, limit) == pytest.approx(expected)


@pytest.mark.parametrize("inner", [math.nan, math.inf, -1.0])
def test_kl_clip_of_no_square_is_nan(inner):
    assert math.isnan(exact.kl_clip(inner, 1.0, 1.0))


def test_example_draws_its_picture(tmp_path):
    example = pytest.importorskip("curvblas.examples.methods.exact")

    words = example.run(True, tmp_path)

    assert (tmp_path / "method_exact.png").stat().st_size > 10_000
    assert words.startswith("**E")
    assert "nan" not in words


def test_example_differentiates_all_outputs(rng):
    example = pytest.importorskip("curvblas.examples.methods.exact")
    network = pytest.importorskip("curvblas.examples.network")
    weights = [W.astype(np.float64) for W in network.initial_weights(example.SIZES, rng)]
    inputs, direction = rng.standard_normal((5, 64)), rng.standard_normal(example.DIM)
    activations, outputs = network.forward(weights, inputs)

    found = example._jacobian(weights, activations, outputs) @ direction

    there, back = (network.forward(example._added(weights, h * direction), inputs)[1] for h in (1e-6, -1e-6))
    assert relative_error(found, (there - back) / 2e-6) < 1e-8
