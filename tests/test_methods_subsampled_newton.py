"""Sub-sampled Newton: minima, samples, regularisation, inexactness, sizes, models, bad curvature, arguments."""

import pickle

import numpy as np
import pytest

from curvblas import Status
from curvblas.methods import subsampled_newton as ssn

from identities.subsampled_newton import IDENTITIES
from oracle.methods_subsampled_newton import FAMILIES, gradient, regression


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_holds(identity, bound):
    assert identity() <= bound


def model_of(rng, family="logistic", ridge=0.01, cases=2000, dim=10):
    X, y, weights = regression(rng, family, cases, dim)
    return ssn.GeneralizedLinearModel(X, y, family, ridge=ridge, weights=weights)


class Saddle:
    """F = x^T D x / 2 with eigenvalues of both signs, as if there were ten equal cases."""

    cases = 10

    def __init__(self, *diagonal):
        self.diagonal = np.array(diagonal)

    def value_and_gradient(self, x, cases=None):
        return 0.5 * self.diagonal @ x**2, self.diagonal * x

    def hessian_product(self, x, cases=None):
        return lambda v: self.diagonal * v

    def hessian(self, x, cases=None):
        return np.diag(self.diagonal)


class TestMinimize:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_of_samples_finds_the_minimum_that_all_cases_have(self, rng, family):
        model = model_of(rng, family)

        few = ssn.minimize_subsampled_newton(model, np.zeros(10), 200, rtol=1e-9)
        full = ssn.minimize_subsampled_newton(model, np.zeros(10), 2000, inner_rtol=1e-10, rtol=1e-12)

        assert few.success
        assert np.allclose(few.x, full.x, atol=1e-7)

    def test_takes_fewer_iterations_with_more_cases(self, rng):
        model = model_of(rng)

        iterations = [
            ssn.minimize_subsampled_newton(model, np.zeros(10), s, inner_rtol=1e-10, rtol=1e-9).nit
            for s in (40, 400, 2000)
        ]

        assert iterations[0] > iterations[1] > iterations[2]

    @pytest.mark.parametrize("options", [{"shift": 0.05}, {"regularization": "spectral", "shift": 0.05}])
    def test_goes_on_with_fewer_cases_than_parameters(self, rng, options):
        model = model_of(rng, ridge=1e-6)

        found = ssn.minimize_subsampled_newton(model, np.zeros(10), 6, rtol=1e-4, **options)

        assert found.success

    def test_accepts_the_whole_step_on_a_quadratic(self, rng):
        """For every beta < 1/2."""
        model = model_of(rng, "least_squares")

        found = ssn.minimize_subsampled_newton(
            model, np.zeros(10), 2000, inner_rtol=1e-14, decrease=0.499999, rtol=1e-10
        )

        assert (found.nit, found.nfev) == (1, 2)

    def test_with_sampled_gradients_comes_near_the_minimum(self, rng):
        model = model_of(rng)
        minimum = ssn.minimize_subsampled_newton(model, np.zeros(10), 2000, inner_rtol=1e-8, rtol=1e-9).fun

        start = model.value_and_gradient(np.zeros(10))[0]
        found = ssn.minimize_subsampled_newton(model, np.zeros(10), 400, gradient_cases=1000, max_iterations=20)

        assert found.fun - minimum < 0.05 * (start - minimum)

    @pytest.mark.parametrize("gradient_cases", [None, 500])
    def test_is_reproducible(self, rng, gradient_cases):
        model = model_of(rng)

        x = [
            ssn.minimize_subsampled_newton(
                model, np.zeros(10), 100, gradient_cases=gradient_cases, seed=seed, max_iterations=3
            ).x
            for seed in (5, 5, 6)
        ]

        assert x[0].tobytes() == x[1].tobytes()
        assert x[0].tobytes() != x[2].tobytes()

    def test_draws_each_sample_anew_and_without_replacement(self, rng):
        drawn = []

        class Watched(ssn.GeneralizedLinearModel):
            def hessian_product(self, w, cases=None):
                drawn.append(cases)
                return super().hessian_product(w, cases)

        X, y, _ = regression(rng, "logistic", 300)
        ssn.minimize_subsampled_newton(Watched(X, y, "logistic", ridge=0.1), np.zeros(6), 50, max_iterations=4)

        assert all(len(set(cases)) == 50 for cases in drawn)
        assert len({cases.tobytes() for cases in drawn}) == len(drawn) > 1

    def test_uses_all_cases_without_a_sample_where_there_are_no_more(self, rng):
        drawn = []

        class Watched(Saddle):
            def hessian_product(self, x, cases=None):
                drawn.append(cases)
                return super().hessian_product(x, cases)

        ssn.minimize_subsampled_newton(Watched(1.0, 2.0), np.ones(2), 10)

        assert drawn
        assert all(cases is None for cases in drawn)

    def test_hessian_that_is_not_finite_ends_the_run(self):
        class Bad(Saddle):
            def hessian_product(self, x, cases=None):
                return lambda v: v * np.nan

        assert ssn.minimize_subsampled_newton(Bad(1.0, 2.0), np.ones(2), 10).status == 3

    def test_gradient_of_the_wrong_sign_ends_the_run(self):
        class Wrong(Saddle):
            def value_and_gradient(self, x, cases=None):
                return x @ x, -2 * x

        assert ssn.minimize_subsampled_newton(Wrong(1.0, 2.0), np.ones(2), 10).status == 3

    def test_steps_of_a_poisson_model_that_overflow_are_halved(self):
        X = np.array([[1.0], [-1.0], [30.0]])
        model = ssn.GeneralizedLinearModel(X, np.array([40.0, 0.0, 90.0]), "poisson", ridge=1e-9)

        found = ssn.minimize_subsampled_newton(model, np.array([-5.0]), 3, rtol=1e-8, max_iterations=200)

        assert found.success

    def test_keeps_dtype_and_library(self, rng):
        torch = pytest.importorskip("torch")
        model = model_of(rng)

        found = ssn.minimize_subsampled_newton(model, torch.zeros(10), 200, rtol=1e-3)

        assert found.x.dtype == found.jac.dtype == torch.float32
        assert found.success


class TestDirection:
    def test_satisfies_both_conditions_of_the_paper(self, rng):
        model, w = model_of(rng), rng.standard_normal(10)
        g, cases = model.value_and_gradient(w)[1], np.arange(300)
        H = model.hessian(w, cases)

        for theta in (0.5, 0.1, 1e-3):
            p = ssn.subsampled_direction(model, w, g, cases, inner_rtol=theta).direction
            assert np.linalg.norm(H @ p + g) <= theta * np.linalg.norm(g)
            assert np.isclose(p @ g, -p @ H @ p, rtol=1e-12)

    def test_with_a_ridge_solves_the_shifted_system(self, rng):
        model, w = model_of(rng, ridge=0.0), rng.standard_normal(10)
        g, cases = model.value_and_gradient(w)[1], np.arange(4)

        p = ssn.subsampled_direction(model, w, g, cases, shift=0.2, inner_rtol=1e-14).direction

        assert np.allclose((model.hessian(w, cases) + 0.2 * np.eye(10)) @ p, -g, rtol=1e-11)

    def test_with_spectral_regularisation_lifts_small_eigenvalues_alone(self, rng):
        model, w = model_of(rng, ridge=0.0), rng.standard_normal(10)
        cases, shift = np.arange(7), 0.2
        values, V = np.linalg.eigh(model.hessian(w, cases))

        p = [
            ssn.subsampled_direction(model, w, v, cases, regularization="spectral", shift=shift).direction for v in V.T
        ]

        assert (values < shift).any()
        assert (values > shift).any()
        assert np.allclose(p, -V.T / np.maximum(values, shift)[:, None], atol=1e-11)

    def test_where_the_gradient_meets_negative_curvature_is_minus_the_gradient(self):
        x = np.array([0.0, 1.0])

        found = ssn.subsampled_direction(Saddle(1.0, -1.0), x, np.array([0.0, -1.0]))

        assert found.status == Status.NOT_POSITIVE_DEFINITE
        assert found.direction.tolist() == [0.0, 1.0]

    def test_with_spectral_regularisation_leaves_a_saddle(self):
        found = ssn.subsampled_direction(
            Saddle(1.0, -1.0), np.ones(2), np.array([1.0, -1.0]), regularization="spectral", shift=0.5
        )

        assert found.status == Status.OK
        assert np.allclose(found.direction, [-1.0, 2.0])

    def test_reports_the_limit_of_conjugate_gradients(self, rng):
        model, w = model_of(rng), rng.standard_normal(10)

        g = model.value_and_gradient(w)[1]
        found = ssn.subsampled_direction(model, w, g, inner_rtol=1e-12, inner_iterations=2)

        assert (found.status, found.products) == (Status.NO_CONVERGENCE, 2)
        assert found.direction @ g < 0


class TestSizes:
    def test_of_the_rule_keep_the_smallest_eigenvalue(self, rng):
        """In all of 200 draws, where the theory asks for 180."""
        X = rng.choice([-1.0, 1.0], (20_000, 5)) * rng.choice([0.5, 1.0], (20_000, 1))
        model, w = ssn.GeneralizedLinearModel(X, np.zeros(20_000), "least_squares"), np.zeros(5)
        size = ssn.hessian_sample_size(model.condition(w), 5, accuracy=0.5, failure=0.1)

        full = np.linalg.eigvalsh(model.hessian(w))[0]
        lowest = [np.linalg.eigvalsh(model.hessian(w, rng.choice(20_000, size, replace=False)))[0] for _ in range(200)]

        assert size < 1000
        assert np.mean(np.array(lowest) >= 0.5 * full) >= 0.9

    def test_of_gradients_keep_the_error(self, rng):
        X, y, _ = regression(rng, "logistic", 20_000, 5)
        model, w = ssn.GeneralizedLinearModel(X, y, "logistic"), np.zeros(5)
        bound = 0.5 * np.linalg.norm(X, axis=1).max()
        size, full = ssn.gradient_sample_size(bound, 0.5), model.value_and_gradient(w)[1]

        errors = [
            np.linalg.norm(model.value_and_gradient(w, rng.choice(20_000, size, replace=False))[1] - full)
            for _ in range(200)
        ]

        assert np.mean(np.array(errors) <= 0.5) >= 0.9

    def test_grow_as_the_formulas_say(self):
        assert ssn.hessian_sample_size(10.0, 100, accuracy=0.1, failure=0.01) == int(np.ceil(2000 * np.log(1e4)))
        assert ssn.gradient_sample_size(2.0, 0.1, failure=np.exp(-2)) == 400 * 25


class TestModel:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_gradient_is_that_of_the_cases_and_of_differences(self, rng, family):
        X, y, weights = regression(rng, family)
        model, w = ssn.GeneralizedLinearModel(X, y, family, ridge=0.3, weights=weights), rng.standard_normal(6) / 5
        cases = np.array([3, 77, 5])

        g = model.value_and_gradient(w)[1]

        differences = [
            (model.value_and_gradient(w + e)[0] - model.value_and_gradient(w - e)[0]) / 2e-6 for e in 1e-6 * np.eye(6)
        ]
        some = gradient(family, X[cases], y[cases], weights[cases], w) + 0.3 * w
        assert np.allclose(g, gradient(family, X, y, weights, w) + 0.3 * w, rtol=1e-12)
        assert np.allclose(g, differences, atol=1e-8)
        assert np.allclose(model.value_and_gradient(w, cases)[1], some, rtol=1e-12)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_hessian_is_that_of_differences_and_of_products(self, rng, family):
        model, w = model_of(rng, family, dim=4), rng.standard_normal(4) / 5
        H = model.hessian(w)

        differences = [
            (model.value_and_gradient(w + e)[1] - model.value_and_gradient(w - e)[1]) / 2e-6 for e in 1e-6 * np.eye(4)
        ]

        product = model.hessian_product(w)
        assert np.allclose(H, differences, atol=1e-8)
        assert np.allclose([product(e) for e in np.eye(4)], H, rtol=1e-12)

    def test_of_sampled_gradients_has_the_right_mean(self, rng):
        model, w = model_of(rng, cases=12), rng.standard_normal(10)

        parts = [model.value_and_gradient(w, np.arange(k, 12, 4))[1] for k in range(4)]

        assert np.allclose(np.mean(parts, axis=0), model.value_and_gradient(w)[1], rtol=1e-12)

    def test_condition_is_that_of_single_cases(self, rng):
        X, y, _ = regression(rng, "least_squares")
        model = ssn.GeneralizedLinearModel(X, y, "least_squares", ridge=0.1)

        largest = max(np.linalg.norm(np.outer(x, x) + 0.1 * np.eye(6), 2) for x in X)

        smallest = np.linalg.eigvalsh(X.T @ X / len(X) + 0.1 * np.eye(6))[0]
        assert np.isclose(model.condition(np.zeros(6)), largest / smallest, rtol=1e-12)

    def test_condition_of_a_singular_hessian_is_infinite(self):
        assert ssn.GeneralizedLinearModel(np.eye(2) * [1, 0], np.ones(2), "poisson").condition(np.zeros(2)) == np.inf

    @pytest.mark.parametrize("family", FAMILIES)
    def test_survives_pickling(self, rng, family):
        model = model_of(rng, family)

        other = pickle.loads(pickle.dumps(model))

        assert other.value_and_gradient(np.ones(10))[0] == model.value_and_gradient(np.ones(10))[0]


class TestArguments:
    X, y = np.ones((3, 2)), np.array([0.0, 1.0, 1.0])

    @pytest.mark.parametrize(
        ("change", "error", "words"),
        [
            ({"family": "probit"}, ValueError, "family must be one of logistic, poisson, least_squares, got 'probit'"),
            ({"X": np.ones(3)}, ValueError, r"X must have shape \(N, p\), got \(3,\)"),
            ({"X": np.ones((0, 2))}, ValueError, "rows and columns"),
            ({"y": np.ones(2)}, ValueError, r"y must have shape \(3,\), got \(2,\)"),
            ({"y": np.array([0.0, 1.0, 2.0])}, ValueError, r"y must be in \[0, 1\], got 2.0 in case 2"),
            ({"y": np.array([0.0, np.nan, 1.0])}, ValueError, "got nan in case 1"),
            ({"family": "poisson", "y": -np.ones(3)}, ValueError, "y must be >= 0, got -1.0 in case 0"),
            ({"X": np.array([[1.0, 1], [1, np.inf], [1, 1]])}, ValueError, "X must be finite, got .* in case 1"),
            ({"weights": -np.ones(3)}, ValueError, "weights must be finite and >= 0"),
            ({"ridge": -1.0}, ValueError, "ridge must be a finite number >= 0"),
        ],
    )
    def test_of_a_model_that_are_wrong_end_in_a_sentence(self, change, error, words):
        given = {"X": self.X, "y": self.y, "family": "logistic", **change}

        with pytest.raises(error, match=words):
            ssn.GeneralizedLinearModel(given.pop("X"), given.pop("y"), given.pop("family"), **given)

    @pytest.mark.parametrize(
        ("options", "error", "words"),
        [
            ({"regularization": "lasso"}, ValueError, "regularization must be 'ridge' or 'spectral', got 'lasso'"),
            ({"regularization": "spectral"}, ValueError, "shift must be > 0 for 'spectral'"),
            ({"shift": np.nan}, ValueError, "shift must be"),
            ({"hessian_cases": 0}, ValueError, "hessian_cases must be an int >= 1"),
            ({"gradient_cases": 2.5}, TypeError, "gradient_cases must be an int >= 1"),
            ({"decrease": 0.5}, ValueError, r"decrease must be a number in \(0, 1/2\)"),
            ({"first_step": 0.5}, ValueError, "first_step must be"),
            ({"inner_rtol": -1.0}, ValueError, "rtol must be"),
            ({"seed": -1}, ValueError, "seed must be an int >= 0"),
            ({"seed": 1.5}, TypeError, "seed must be an int >= 0"),
        ],
    )
    def test_of_the_minimiser_that_are_wrong_end_in_a_sentence(self, options, error, words):
        model = ssn.GeneralizedLinearModel(self.X, self.y, "logistic", ridge=0.1)
        given = {"hessian_cases": 2, **options}

        with pytest.raises(error, match=words):
            ssn.minimize_subsampled_newton(model, np.zeros(2), given.pop("hessian_cases"), **given)

    @pytest.mark.emulated
    @pytest.mark.parametrize("backend", ["emu"], indirect=True)
    def test_of_a_device_are_refused(self, backend):
        with pytest.raises(TypeError, match="must be in the CPU's memory"):
            ssn.GeneralizedLinearModel(backend.to_device(self.X), self.y, "logistic")


def _refused(error, match, **options):
    model = ssn.GeneralizedLinearModel(np.eye(3), np.ones(3), "logistic")
    with pytest.raises(error, match=match):
        ssn.subsampled_direction(model, options.pop("x", np.zeros(3)), np.ones(3), **options)


@pytest.mark.parametrize(
    ("error", "cases", "match"),
    [
        (ValueError, np.array([0, 99]), r"cases must be in \[0, 3\), got 99"),
        (ValueError, np.array([-1]), r"cases must be in \[0, 3\), got -1"),
        (ValueError, np.array([], int), "cases must have shape .* s >= 1, got"),
        (TypeError, np.array([True, False, True]), "cases must be indices, integers, got bool"),
        (TypeError, np.array([0.0, 1.0]), "cases must be indices, integers, got float64"),
    ],
)
def test_samples_that_are_no_indices_are_refused(error, cases, match):
    _refused(error, f"subsampled_direction: {match}", cases=cases)


def test_a_list_is_a_point_or_is_refused_by_name():
    model = ssn.GeneralizedLinearModel(np.eye(3), np.ones(3), "logistic")

    found = ssn.subsampled_direction(model, [0.0, 0.0, 0.0], np.ones(3))

    assert np.isfinite(found.direction).all()


def test_options_are_refused_before_the_function_is_evaluated(monkeypatch):
    model = ssn.GeneralizedLinearModel(np.eye(3), np.ones(3), "logistic")
    monkeypatch.setattr(ssn.GeneralizedLinearModel, "value_and_gradient", None)
    with pytest.raises(TypeError, match="minimize_subsampled_newton: inner_rtol must be a finite number >= 0, got str"):
        ssn.minimize_subsampled_newton(model, np.zeros(3), 2, inner_rtol="x")


def test_sizes_of_samples_that_overflow_are_refused():
    with pytest.raises(ValueError, match="hessian_sample_size: accuracy must be so large"):
        ssn.hessian_sample_size(1e300, 3, accuracy=1e-200)
    with pytest.raises(ValueError, match="gradient_sample_size: accuracy must be so large"):
        ssn.gradient_sample_size(1e200, 1e-200)
