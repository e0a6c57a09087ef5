"""Exponential families: derivatives, draws, roots, natural gradients, bounds, one bad distribution among many."""

import doctest
import importlib
import pickle

import numpy as np
import pytest
import scipy.stats

from curvblas import Status
from curvblas.methods import families
from curvblas.methods._family import Family

from identities.families import IDENTITIES

COVARIANCE = np.array([[2.0, 0.6, 0.1], [0.6, 1.0, -0.3], [0.1, -0.3, 0.5]])
FULL = families.MultivariateGaussian()
CASES = {
    "bernoulli": (families.Bernoulli(), [[0.3, -2.0, 1.0], [0.0, 4.0, -0.5]]),
    "categorical": (families.Categorical(), [[0.3, -2.0, 1.0, 0.2], [3.0, 0.1, -0.5, 1.0]]),
    "poisson": (families.Poisson(), [[0.3, -2.0, 1.0], [0.0, 3.0, -0.5]]),
    "gaussian": (families.Gaussian(variance=0.7), [[0.3, -2.0], [0.0, 4.0]]),
    "gaussian_log_scale": (families.GaussianLogScale(), [[0.3, -0.7], [2.0, 0.4]]),
    "gaussian_natural": (families.GaussianNatural(), [[0.3, -0.7], [2.0, -0.1]]),
    "multivariate_gaussian_mean": (families.MultivariateGaussianMean(COVARIANCE), [[0.3, -2.0, 1.0], [0, 0, 5.0]]),
    "multivariate_gaussian": (
        FULL,
        FULL.pack(np.array([[0.3, -2.0, 1.0], [0.0, 1.0, 2.0]]), np.stack([COVARIANCE, COVARIANCE @ COVARIANCE])),
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    family, params = CASES[request.param]
    return family, np.array(params, np.float64)


def differences(f, x, h=1e-5):
    """Differentiate by each entry of the last axis; the new axis is the last one."""
    return np.stack([(f(x + h * u) - f(x - h * u)) / (2 * h) for u in np.eye(x.shape[-1])], axis=-1)


def repeated(params, count):
    return np.broadcast_to(params, (count, *params.shape))


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=lambda x: getattr(x, "__name__", ""))
def test_identity(identity, bound):
    assert identity() <= bound


@pytest.mark.parametrize("name", ["families", "_discrete", "_gaussians", "_multivariate"])
def test_examples_in_docstrings_run(name):
    failures, tried = doctest.testmod(importlib.import_module(f"curvblas.methods.{name}"))

    assert failures == 0 < tried


class TestDensities:
    @pytest.mark.parametrize(
        ("name", "law"),
        [
            ("bernoulli", lambda p, x: scipy.stats.bernoulli(1 / (1 + np.exp(-p))).logpmf(x).sum(axis=-1)),
            ("poisson", lambda p, x: scipy.stats.poisson(np.exp(p)).logpmf(x).sum(axis=-1)),
            ("gaussian", lambda p, x: scipy.stats.norm(p, np.sqrt(0.7)).logpdf(x).sum(axis=-1)),
            ("gaussian_log_scale", lambda p, x: scipy.stats.norm(p[..., 0], np.exp(p[..., 1])).logpdf(x)),
        ],
    )
    def test_are_those_of_scipy(self, rng, name, law):
        family, params = CASES[name][0], repeated(np.array(CASES[name][1]), 20)

        draws = family.sample(params, rng)

        assert np.allclose(family.log_density(params, draws), law(params, draws), rtol=1e-12)

    def test_of_vectors_are_those_of_scipy(self, rng):
        mean, full = CASES["multivariate_gaussian_mean"][0], FULL.pack(np.ones(3), COVARIANCE)
        draws = FULL.sample(repeated(full, 20), rng)

        expected = scipy.stats.multivariate_normal(np.ones(3), COVARIANCE).logpdf(draws)

        assert np.allclose(mean.log_density(np.ones(3), draws), expected, rtol=1e-12)
        assert np.allclose(FULL.log_density(full, draws), expected, rtol=1e-12)

    def test_are_those_of_the_definition(self, case, rng):
        family, params = case
        draws = family.sample(params, rng)

        found = family.log_density(params, draws)

        assert np.allclose(found, Family._log_density(family, params, draws), rtol=1e-12)

    def test_of_classes_add_up_to_one(self):
        family, params = CASES["categorical"]

        total = sum(np.exp(family.log_density(np.array(params), row)) for row in np.eye(4))

        assert np.allclose(total, 1, rtol=1e-14)

    def test_have_the_score_as_their_gradient(self, case, rng):
        family, params = case
        draws = family.sample(params, rng)

        expected = differences(lambda p: family.log_density(p, draws), params)

        assert np.allclose(family.score(params, draws), expected, rtol=1e-6, atol=1e-7)


class TestParameters:
    def test_go_to_natural_and_mean_ones_and_back(self, case):
        family, params = case
        is_class = family.kind == "categorical"
        expected = params - family.log_partition(params)[:, None] if is_class else params

        assert np.allclose(family.from_natural(family.natural(params)), params, rtol=1e-12, atol=1e-13)
        assert np.allclose(family.from_mean(family.mean(params)), expected, rtol=1e-12, atol=1e-12)

    def test_of_means_are_gradients_of_the_log_partition(self, case):
        family, params = case
        eta = family.natural(params)

        expected = differences(lambda e: family.log_partition(family.from_natural(e)), eta)

        assert np.allclose(family.mean(params), expected, rtol=1e-6, atol=1e-6)

    def test_of_means_are_means_of_statistics(self, case, rng):
        family, params = case
        T = family.statistics(family.sample(repeated(params, 100_000), rng))

        off = np.abs(T.mean(axis=0) - family.mean(params)) / (T.std(axis=0) / np.sqrt(len(T)) + 1e-12)

        assert off.max() < 5

    def test_of_another_kind_change_the_metric_by_their_jacobian(self):
        family, other = families.GaussianLogScale(), families.GaussianNatural()
        params = np.array([0.3, -0.7])
        J = differences(family.natural, params)

        expected = J.T @ other.fisher(family.natural(params)) @ J

        assert np.allclose(family.fisher(params), expected, rtol=1e-8, atol=1e-9)

    @pytest.mark.parametrize(
        ("family", "mean"),
        [(families.GaussianLogScale(), [1.0, 0.5]), (FULL, [0.0, 0.0, 1.0, 2.0, 1.0])],
        ids=["one", "many"],
    )
    def test_of_no_distribution_are_nan(self, family, mean):
        assert np.isnan(family.from_mean(np.array(mean))).any()


class TestFisher:
    def test_is_the_covariance_of_the_score(self, case, rng):
        family, params = case
        many = repeated(params, 100_000)
        s = family.score(many, family.sample(many, rng))
        products = s[..., :, None] * s[..., None, :]

        error = products.std(axis=0) / np.sqrt(len(s))

        assert (np.abs(products.mean(axis=0) - family.fisher(params)) <= 5 * error + 1e-12).all()
        assert (np.abs(s.mean(axis=0)) <= 5 * s.std(axis=0) / np.sqrt(len(s)) + 1e-12).all()

    def test_is_the_second_derivative_of_the_divergence(self, case):
        family, params = case

        hessian = differences(lambda q: differences(lambda r: family.kl(params, r), q, 1e-4), params, 1e-4)

        F = family.fisher(params)
        assert np.abs(hessian - F).max() < 1e-5 * np.abs(F).max()
        assert np.array_equal(F, np.swapaxes(F, -1, -2))

    def test_is_half_in_the_divergence(self, case, rng):
        family, params = case
        d = 1e-4 * rng.standard_normal(params.shape)

        ratio = family.kl(params, params + d) / (d[:, None, :] @ family.fisher(params) @ d[:, :, None]).ravel()

        assert np.allclose(ratio, 0.5, rtol=2e-3)

    def test_has_a_root(self, case, rng):
        family, params = case
        B, t = family.fisher_root(params), rng.standard_normal(params.shape)

        assert np.allclose(B @ np.swapaxes(B, -1, -2), family.fisher(params), rtol=1e-12, atol=1e-14)
        assert np.allclose(family.root_product(params, t), (t[:, None, :] @ B)[:, 0], rtol=1e-12, atol=1e-14)

    def test_root_whitens_gradients(self, case, rng):
        family, params = case
        g = family.score(params, family.sample(params, rng))
        e, v = family.root_solve(params, g), family.natural_gradient(params, g).solution

        assert np.allclose((family.fisher_root(params) @ e[..., None])[..., 0], g, rtol=1e-11, atol=1e-13)
        assert np.allclose((e * e).sum(axis=-1), (g * v).sum(axis=-1), rtol=1e-11)

    def test_of_classes_has_rows_that_add_up_to_zero_even_where_one_is_certain(self):
        F = families.Categorical().fisher(np.array([50.0, 0.0, 1.0]))

        assert np.abs(F.sum(axis=1)).max() < 1e-14 * F.max()
        assert np.isclose(F[0, 0], np.exp(-50) + np.exp(-49), rtol=1e-12, atol=0)

    def test_of_a_bernoulli_keeps_its_digits(self):
        assert np.isclose(families.Bernoulli().fisher(np.array([50.0]))[0, 0], np.exp(-50), rtol=1e-12, atol=0)


class TestDivergence:
    def test_is_that_of_bregman(self, case):
        family, params = case
        other = params[::-1].copy()

        assert np.allclose(family.kl(params, other), Family._kl(family, params, other), rtol=1e-10)
        assert (family.kl(params, params) == 0).all() or np.abs(family.kl(params, params)).max() < 1e-14

    def test_keeps_its_digits_far_from_zero(self):
        family = families.GaussianLogScale()

        assert np.isclose(family.kl(np.array([1e8, 0.0]), np.array([1e8 + 1, 0.0])), 0.5, rtol=1e-14)


class TestNaturalGradient:
    @pytest.mark.parametrize("damping", [1e-8, 1e-3, 1.0, 1e2])
    def test_with_damping_is_the_direct_solution(self, case, rng, damping):
        family, params = case
        g = family.score(params, family.sample(params, rng))
        k = params.shape[-1]

        result = family.natural_gradient(params, g, damping)

        expected = np.linalg.solve(family.fisher(params) + damping * np.eye(k), g[..., None])[..., 0]
        assert (result.status == Status.OK).all()
        assert np.allclose(result.solution, expected, rtol=1e-7 if damping == 1e-8 else 1e-11)

    def test_without_damping_is_by_the_pseudo_inverse(self, case, rng):
        family, params = case
        g = rng.standard_normal(params.shape)

        result = family.natural_gradient(params, g)

        expected = (np.linalg.pinv(family.fisher(params), rcond=1e-12, hermitian=True) @ g[..., None])[..., 0]
        assert np.allclose(result.solution, expected, rtol=1e-9)

    def test_of_classes_along_ones_is_divided_by_the_damping_alone(self):
        params = np.array([0.3, -2.0, 1.0])

        found = families.Categorical().natural_gradient(params, np.ones(3), 1e-9).solution

        assert np.allclose(found, 1e9, rtol=1e-14)

    def test_of_the_covariance_is_closed(self, rng):
        A = rng.standard_normal((2, 2))
        g = FULL.pack(np.zeros(2), A + A.T)
        g[3] *= 2  # entries off the diagonal stand for two

        found = FULL.unpack(FULL.natural_gradient(FULL.pack(np.zeros(2), COVARIANCE[:2, :2]), g).solution)[1]

        assert np.allclose(found, 2 * COVARIANCE[:2, :2] @ (A + A.T) @ COVARIANCE[:2, :2], rtol=1e-12)

    def test_of_one_bad_distribution_leaves_the_others(self, case, rng):
        family, params = case
        g = rng.standard_normal(params.shape)
        expected = family.natural_gradient(params, g, 0.1).solution
        spoiled = params.copy()
        spoiled[0, 0] = np.nan

        result = family.natural_gradient(spoiled, g, 0.1)

        assert result.status.tolist() == [Status.NOT_FINITE, Status.OK]
        assert np.isnan(result.solution[0]).all()
        assert np.array_equal(result.solution[1], expected[1])

    @pytest.mark.parametrize(
        ("family", "params"),
        [
            (families.Bernoulli(), [800.0, 0.0]),
            (families.Categorical(), [0.0, 800.0]),
            (families.GaussianNatural(), [0.0, 0.5]),
            (FULL, [0.0, 0.0, 1.0, 2.0, 1.0]),
        ],
        ids=lambda x: getattr(x, "kind", ""),
    )
    def test_without_an_inverse_says_so(self, family, params):
        result = family.natural_gradient(np.array(params), np.ones(len(params)))

        assert result.status == Status.NOT_POSITIVE_DEFINITE
        assert np.isnan(result.solution).all()

    def test_that_float32_does_not_hold_is_none(self):
        params = np.array([[np.log(1e-30)], [0.0]], np.float32)

        result = families.Poisson().natural_gradient(params, np.full((2, 1), 1e10))

        assert result.status.tolist() == [Status.NOT_FINITE, Status.OK]


class TestEstimation:
    @pytest.mark.parametrize("name", [name for name in CASES if name != "categorical"])
    def test_by_maximum_likelihood_attains_the_bound(self, rng, name):
        family, params = CASES[name][0], np.array(CASES[name][1], np.float64)[0]
        n, datasets = 400, 4000
        estimates = np.empty((datasets, len(params)))

        for some in np.split(np.arange(datasets), 8):
            draws = family.sample(np.broadcast_to(params, (len(some), n, len(params))), rng)
            estimates[some] = family.from_mean(family.statistics(draws).mean(axis=1))

        # In the metric the covariance is I: 4,000 data sets tell it within 0.022, one standard deviation.
        z = family.root_product(params, estimates - params) * np.sqrt(n)
        k = len(params)
        variances = np.sort(np.linalg.eigvalsh(np.cov(z.T).reshape(z.shape[1], -1)))[-k:]
        assert np.allclose(np.trace(family.cramer_rao(params, n) @ family.fisher(params)), k / n, rtol=1e-10)
        assert np.abs(variances - 1).max() < 0.15

    def test_of_contrasts_of_classes_attains_the_bound(self, rng):
        family, params, contrast = families.Categorical(), np.array([0.3, -0.5, 1.0]), np.array([1.0, -1.0, 0.0])
        draws = family.sample(np.broadcast_to(params, (4000, 400, 3)), rng)

        variance = (family.from_mean(draws.mean(axis=1)) @ contrast).var()

        assert np.isclose(variance, contrast @ family.cramer_rao(params, 400) @ contrast, rtol=0.1)


class TestArrays:
    def test_of_float32_give_float32(self, case, rng):
        family, params = case
        single = params.astype(np.float32)
        draws = family.sample(single, rng)

        found = [family.fisher(single), family.kl(single, single), family.score(single, draws), draws]

        assert {x.dtype for x in found} == {np.dtype(np.float32)}
        assert family.natural_gradient(single, single, 0.1).solution.dtype == np.float32

    def test_of_none_give_none(self, case):
        family, params = case
        empty = params[:0]

        result = family.natural_gradient(empty, empty, 0.1)

        assert result.solution.shape == empty.shape
        assert family.fisher(empty).shape == (*empty.shape, params.shape[-1])
        assert family.kl(empty, empty).shape == (0,)

    def test_of_more_axes_are_what_they_are_alone(self, case, rng):
        family, params = case
        more = np.stack([params, params[::-1]])
        draws = family.sample(more, rng)

        found = family.log_density(more, draws), family.fisher(more), family.kl(more, params[0])

        for i in np.ndindex(2, 2):
            assert np.allclose(found[0][i], family.log_density(more[i], draws[i]), rtol=1e-13)
            assert np.allclose(found[1][i], family.fisher(more[i]), rtol=1e-13)
            assert np.allclose(found[2][i], family.kl(more[i], params[0]), rtol=1e-13)

    def test_of_pytorch_give_tensors(self, case, rng):
        torch = pytest.importorskip("torch")
        family, params = case
        tensor = torch.tensor(params, dtype=torch.float32)

        found = family.natural_gradient(tensor, tensor, 0.1)

        assert isinstance(found.solution, torch.Tensor)
        assert isinstance(family.sample(tensor, rng), torch.Tensor)
        assert found.solution.dtype == torch.float32

    def test_that_are_nan_are_drawn_as_nan(self, case, rng):
        family, params = case
        params[0, -1] = np.nan

        draws = family.sample(params, rng)

        assert np.isnan(draws[0]).all()
        assert np.isfinite(draws[1]).all()

    def test_are_not_written(self, case, rng):
        family, params = case
        draws, before = family.sample(params, rng), params.copy()
        copies = draws.copy()

        family.natural_gradient(params, params), family.score(params, draws), family.fisher(params)

        assert np.array_equal(params, before)
        assert np.array_equal(draws, copies)

    def test_results_share_no_memory_with_arguments(self, case):
        family, params = case
        methods = (family.natural, family.mean, family.from_natural, family.from_mean, family.statistics)

        assert not any(np.shares_memory(method(params), params) for method in methods)

    def test_of_a_device_are_refused(self, case, emulated):
        family, params = case

        with pytest.raises(TypeError, match=r"params must be in the CPU's memory, got an array of curvblas"):
            family.fisher(emulated.to_device(params))

    def test_objects_can_be_pickled(self, case):
        family, params = case

        copy = pickle.loads(pickle.dumps(family))

        assert np.array_equal(copy.fisher(params), family.fisher(params))


class TestBadCalls:
    @pytest.mark.parametrize(
        ("call", "error", "words"),
        [
            (lambda: families.Gaussian(variance=0), ValueError, "variance must be a finite number > 0, got 0"),
            (lambda: families.Bernoulli().fisher(1.0), ValueError, r"params must have shape \(\.\.\., k\)"),
            (lambda: families.GaussianLogScale().mean(np.ones(3)), ValueError, r"\(\.\.\., 2\), got \(3,\)"),
            (lambda: FULL.fisher(np.ones(4)), ValueError, r"\(\.\.\., d \+ d \(d \+ 1\) / 2\), got \(4,\)"),
            (lambda: FULL.pack(np.ones(2), np.eye(3)), ValueError, r"Sigma must have shape .* got \(3, 3\)"),
            (lambda: families.MultivariateGaussianMean(-np.eye(2)), ValueError, "positive definite"),
            (lambda: families.MultivariateGaussianMean(np.ones(2)), ValueError, r"shape \(d, d\).*got \(2,\)"),
            (lambda: families.Poisson().kl(np.ones(2), np.ones(3)), ValueError, r"other .*\(\.\.\., 2\).*got \(3,\)"),
            (
                lambda: families.Poisson().score(np.ones((2, 3)), np.ones((4, 3))),
                ValueError,
                r"draws .*leading axes that fit those of params, \(2,\), got \(4, 3\)",
            ),
            (
                lambda: families.Poisson().mean(np.ones(2, complex)),
                TypeError,
                "numbers, got ndarray of complex128",
            ),
            (
                lambda: families.Poisson().natural_gradient(np.ones(2), np.ones(2), -1.0),
                ValueError,
                "damping must be a finite number >= 0, got -1.0",
            ),
            (lambda: families.Poisson().cramer_rao(np.ones(2), 0), ValueError, "n must be an int >= 1, got 0"),
        ],
    )
    def test_say_what_is_wrong(self, call, error, words):
        with pytest.raises(error, match=words):
            call()


def test_example_draws_its_picture(tmp_path):
    example = pytest.importorskip("curvblas.examples.methods.families")

    words = example.run(True, tmp_path)

    assert (tmp_path / "method_families.png").stat().st_size > 10_000
    assert words.startswith("**E")
    assert "nan" not in words


@pytest.mark.parametrize("draw", [-1.0, 2.0])
def test_bernoulli_refuses_draws_outside_of_its_range(draw):
    with pytest.raises(ValueError, match=r"Bernoulli.log_density: draws must be in \[0, 1\], got"):
        families.Bernoulli().log_density(np.zeros(2), np.array([0.5, draw]))


def test_poisson_refuses_negative_draws():
    with pytest.raises(ValueError, match=r"Poisson.log_density: draws must be >= 0, got -1\.0"):
        families.Poisson().log_density(np.zeros(2), np.array([3.0, -1.0]))


def test_rates_that_cannot_be_drawn_give_nan(rng):
    assert np.isnan(families.Poisson().sample(np.array([0.0, 50.0]), rng)).tolist() == [False, True]
