"""Kalman filters of parameters: natural gradients, what a block is alone, bad numbers, states and arguments."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle

DTYPES = [np.float32, np.float64]


def step_on(on, method, *observation):
    """Take a step on a backend; arrays of the host in and out."""
    if not hasattr(on, "to_device"):
        return method.step(*observation)
    return on.to_host(method.step(*map(on.to_device, observation)))


def on_host(on, x):
    return on.to_host(x) if hasattr(on, "to_host") else x


def covariances(method):
    found = method.covariance
    return found if isinstance(found, list) else [found]


def random_covariance(rng, n):
    A = rng.standard_normal((n, n))
    return A @ A.T / n + 0.1 * np.eye(n)


def observation(rng, o, n, dtype=np.float64, is_diagonal=False):
    R = rng.uniform(0.5, 2, o) if is_diagonal else random_covariance(rng, o)
    return tuple(np.ascontiguousarray(x, dtype) for x in (rng.standard_normal((o, n)), rng.standard_normal(o), R))


class Logistic:
    """Jacobians, errors and variances of logistic regression."""

    def __init__(self, rng, n):
        self.rng, self.truth = rng, rng.standard_normal(n)
        self.n = n

    def draw(self):
        x = self.rng.standard_normal(self.n)
        return x, self.rng.random() < 1 / (1 + np.exp(-x @ self.truth))

    @staticmethod
    def observe(theta, x, y):
        p = 1 / (1 + np.exp(-x @ theta))
        return p * (1 - p) * x[None], np.array([y - p]), np.array([p * (1 - p)])


class Categorical:
    """The same for o + 1 categories, without the last one."""

    def __init__(self, rng, n, outputs):
        self.rng, self.outputs, self.inputs = rng, outputs, n // outputs

    def draw(self):
        return self.rng.standard_normal(self.inputs), self.rng.integers(self.outputs + 1)

    def observe(self, theta, x, y):
        z = np.exp(np.append(theta.reshape(self.outputs, -1) @ x, 0))
        p = (z / z.sum())[:-1]
        R = np.diag(p) - np.outer(p, p)
        return np.kron(R, x), (np.arange(self.outputs) == y) - p, R


class TestIsNaturalGradient:
    @pytest.mark.parametrize("fading", [0.0, 0.05])
    @pytest.mark.parametrize("kind", ["logistic", "categorical"])
    def test_step_by_step(self, backend, rng, kind, fading):
        n, steps = 6, 50 if not hasattr(backend, "to_device") else 6
        model = Logistic(rng, n) if kind == "logistic" else Categorical(rng, n, outputs=3)
        P = random_covariance(rng, n)
        method = cb.KalmanNaturalGradient(n, covariance=P, fading=fading)
        direct = oracle.FisherAverage(np.linalg.inv(P), fading)
        theta, other = np.zeros(n), np.zeros(n)

        for _ in range(steps):
            x, y = model.draw()
            theta = theta + step_on(backend, method, *model.observe(theta, x, y))
            other = other + direct.step(*model.observe(other, x, y))

        assert np.abs(theta - other).max() < 1e-12
        assert np.allclose(np.linalg.inv(method.covariance), direct.inverse_rate * direct.J, rtol=1e-11)

    def test_with_the_rates_of_the_paper(self):
        plain, fading = oracle.FisherAverage(np.eye(1)), oracle.FisherAverage(np.eye(1), fading=0.1)
        for _ in range(400):
            for average in (plain, fading):
                average.step(np.ones((1, 1)), np.ones(1), np.ones(1))

        assert np.isclose(plain.inverse_rate, 401)
        assert np.isclose(fading.inverse_rate, 1 / 0.1)

    def test_of_a_linear_model_is_ridge_regression(self, cpu, rng):
        X, y = rng.standard_normal((40, 7)), rng.standard_normal(40)
        P, theta = random_covariance(rng, 7), np.zeros(7)
        method = cb.KalmanNaturalGradient(7, covariance=P)

        for x, target in zip(X, y, strict=True):
            theta = theta + method.step(x[None], np.array([target - x @ theta]), np.array([0.3]))

        assert np.allclose(theta, np.linalg.solve(X.T @ X / 0.3 + np.linalg.inv(P), X.T @ y / 0.3), rtol=1e-11)

    def test_of_many_outputs_at_once_or_one_by_one(self, cpu, rng):
        H, _, R = observation(rng, 12, 5, is_diagonal=True)
        targets, theta = rng.standard_normal(12), np.zeros(5)
        together, apart = (cb.KalmanNaturalGradient(5, covariance=2.0) for _ in range(2))

        update = together.step(H, targets, R)
        for i in range(12):
            theta = theta + apart.step(H[i : i + 1], targets[i : i + 1] - H[i] @ theta, R[i : i + 1])

        assert np.allclose(update, theta, rtol=1e-11)
        assert np.allclose(together.covariance, apart.covariance, rtol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("o", "n"), [(1, 1), (1, 33), (3, 20), (9, 4), (40, 65), (12, 130)])
def test_is_the_filter_of_its_definition(backend, rng, o, n, dtype):
    P = random_covariance(rng, n)
    direct, method = oracle.Kalman(P, 0.02), cb.KalmanNaturalGradient(n, covariance=P, fading=0.02)
    limit = oracle.tolerance(dtype, condition=100)

    for k in range(3):
        seen = observation(rng, o, n, dtype, is_diagonal=k == 1)
        found, expected = step_on(backend, method, *seen), direct.step(*seen)
        assert np.linalg.norm(found - expected) < limit * np.linalg.norm(expected)
        assert np.linalg.norm(method.covariance - direct.P) < limit * np.linalg.norm(direct.P)
        assert np.array_equal(method.covariance, method.covariance.T)
    assert found.dtype == method.covariance.dtype == dtype


def test_of_a_large_matrix(cpu, rng):
    direct, method = oracle.Kalman(np.eye(700)), cb.KalmanNaturalGradient(700)

    for o in (1, 5, 40):
        seen = observation(rng, o, 700)
        assert np.allclose(method.step(*seen), direct.step(*seen), atol=1e-11)

    assert np.allclose(method.covariance, direct.P, atol=1e-11)
    assert np.array_equal(method.covariance, method.covariance.T)


def test_arrays_may_lie_in_any_order_and_are_not_written(backend, rng):
    H, e, R = observation(rng, 4, 9)
    before = [x.copy() for x in (H, e, R)]
    plain, turned = cb.KalmanNaturalGradient(9), cb.KalmanNaturalGradient(9)

    expected = step_on(backend, plain, H, e, R)
    found = step_on(backend, turned, np.asfortranarray(H), np.repeat(e, 2)[::2], np.tril(R) + np.triu(R, 1) * 7)

    assert np.allclose(found, expected, rtol=1e-12)
    assert all(np.array_equal(x, y) for x, y in zip((H, e, R), before, strict=True))


class TestBlocks:
    SIZES = (1, 5, 5, 70, 33, 2)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("o", [1, 4, 11])
    def test_are_what_they_are_alone(self, backend, rng, o, dtype):
        P = [random_covariance(rng, n) for n in self.SIZES]
        together = cb.KalmanNaturalGradient(sum(self.SIZES), covariance=P, blocks=self.SIZES, fading=0.1)
        alone = [cb.KalmanNaturalGradient(n, covariance=p, fading=0.1) for n, p in zip(self.SIZES, P, strict=True)]

        for _ in range(2):
            H, e, R = observation(rng, o, sum(self.SIZES), dtype)
            parts = np.split(H, np.cumsum(self.SIZES)[:-1], axis=1)
            expected = [step_on(backend, m, np.ascontiguousarray(h), e, R) for m, h in zip(alone, parts, strict=True)]
            assert np.array_equal(step_on(backend, together, H, e, R), np.concatenate(expected))

        for found, method in zip(together.covariance, alone, strict=True):
            assert np.array_equal(found, method.covariance)

    def test_have_the_same_bits_for_any_number_of_threads(self, cpu, rng):
        sizes = [3, 900, *rng.integers(1, 80, 200)]
        seen = [observation(rng, 3, sum(sizes), np.float32) for _ in range(3)]
        found = []

        for threads in (1, 2, 3, 7):
            cb.set_num_threads(threads)
            method = cb.KalmanNaturalGradient(sum(sizes), blocks=sizes)
            found.append([*(method.step(*x) for x in seen), *method.covariance])

        assert all(all(map(np.array_equal, found[0], other)) for other in found[1:])

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_only_that_of_a_bad_number_reports_it(self, backend, rng, bad):
        H, e, R = observation(rng, 3, 30)
        spoiled = H.copy()
        spoiled[1, 12] = bad
        plain, method = (cb.KalmanNaturalGradient(30, blocks=[10, 10, 10], fading=0.1) for _ in range(2))
        for one in (plain, method):
            step_on(backend, one, H, e, R)
        before = method.covariance[1]

        expected, found = step_on(backend, plain, H, e, R), step_on(backend, method, spoiled, e, R)

        assert on_host(backend, method.status).tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]
        assert np.isnan(found[10:20]).all()
        assert np.array_equal(np.delete(found, slice(10, 20)), np.delete(expected, slice(10, 20)))
        assert np.array_equal(method.covariance[1], before)
        assert np.array_equal(method.covariance[2], plain.covariance[2])

    @pytest.mark.parametrize("place", [1, 2])
    def test_all_report_an_error_or_a_noise_that_is_not_finite(self, backend, rng, place):
        seen = observation(rng, 3, 6)
        method = cb.KalmanNaturalGradient(6, blocks=[2, 4], fading=0.5)
        seen[place][..., 0] = np.nan

        found = step_on(backend, method, *seen)

        assert np.isnan(found).all()
        assert on_host(backend, method.status).tolist() == [Status.NOT_FINITE] * 2
        assert all(np.array_equal(P, np.eye(len(P))) for P in method.covariance)

    def test_without_a_cholesky_factor_are_left(self, backend):
        H = np.array([[1.0, 2.0, 3.0, 0.0], [1.0, 2.0, 0.0, 3.0]])
        method = cb.KalmanNaturalGradient(4, blocks=[2, 2])

        found = step_on(backend, method, H, np.ones(2), np.zeros(2))

        assert on_host(backend, method.status).tolist() == [Status.NOT_POSITIVE_DEFINITE, Status.OK]
        assert np.isnan(found[:2]).all()
        assert np.isfinite(found[2:]).all()
        assert np.array_equal(method.covariance[0], np.eye(2))

    @pytest.mark.parametrize("R", [np.array([-0.5, 1.0]), np.array([[1.0, 0.0], [0.0, -0.5]])], ids=["1-D", "2-D"])
    def test_of_a_negative_variance_are_left(self, backend, R):
        method = cb.KalmanNaturalGradient(4, blocks=[2, 2])

        found = step_on(backend, method, np.ones((2, 4)), np.ones(2), R)

        assert on_host(backend, method.status).tolist() == [Status.NOT_POSITIVE_DEFINITE] * 2
        assert np.isnan(found).all()
        assert all(np.array_equal(P, np.eye(2)) for P in method.covariance)


@pytest.mark.parametrize("fading", [0.0, 0.02])
def test_float32_stays_definite_and_close(cpu, rng, fading):
    P, steps = random_covariance(rng, 20), 300
    direct, method = oracle.Kalman(P, fading), cb.KalmanNaturalGradient(20, covariance=P, fading=fading)

    for _ in range(steps):
        seen = observation(rng, 2, 20, np.float32)
        direct.step(*seen), method.step(*seen)

    assert np.linalg.eigvalsh(np.float64(method.covariance))[0] > 0
    assert np.linalg.norm(method.covariance - direct.P) < 1e-3 * np.linalg.norm(direct.P)
