"""Exact natural gradients: estimators, solutions, the quadratic model, damping, steps, states and bad calls."""

import doctest
import importlib
import itertools
import math
import pickle

import numpy as np
import pytest

from curvblas import Status
from curvblas.methods import exact, families

from identities.exact import IDENTITIES
from oracle import relative_error


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=lambda x: getattr(x, "__name__", ""))
def test_identity(identity, bound):
    assert identity() <= bound


@pytest.mark.parametrize("name", ["exact", "_conjugate_gradient", "_estimators", "_solves", "_step_control"])
def test_examples_in_docstrings_run(name):
    failures, tried = doctest.testmod(importlib.import_module(f"curvblas.methods.{name}"))

    assert failures == 0 < tried


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


@pytest.mark.parametrize("solver", ["explicit", "cg"])
def test_steps_of_tiny_curvature_are_those_of_the_damping(solver):
    method = exact.NaturalGradient(2, solver=solver, damping=1e-300)

    step = method.step(np.eye(2) * 1e-200, np.ones(2))

    assert step == pytest.approx([-1e100, -1e100])


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
