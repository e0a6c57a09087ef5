"""Filters for exponential families: observations, natural gradients, several cases, bad cases, states, arguments."""

import copy
import pickle

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status
from curvblas.methods import kalman

from identities.kalman import IDENTITIES
from oracle.methods_kalman import draw_target, mean_and_covariance


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_holds(identity, bound):
    assert identity() <= bound


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_does_not_hold_for_nan(monkeypatch, identity, bound):
    monkeypatch.setattr(kalman.ExponentialFamilyFilter, "step", lambda self, J, *_: np.full(J.shape[-1], np.nan))

    assert not identity() <= bound


def cases(rng, family, N, o=3, dim=5):
    """Return Jacobians, natural parameters and targets of N cases."""
    J, f = rng.standard_normal((N, o, dim)), rng.standard_normal((N, o))
    return J, f, np.array([draw_target(family, x, rng)[0] for x in f])


class TestObservation:
    @pytest.mark.parametrize("family", kalman.FAMILIES)
    def test_has_the_derivative_of_the_means_and_their_covariance(self, rng, family):
        J, f, y = (x[0] for x in cases(rng, family, 1))
        h, v = 1e-6, rng.standard_normal(5)

        seen = kalman.observation(family, J, f, y, variance=0.7)

        ahead, behind = (mean_and_covariance(family, f + s * h * J @ v)[0] for s in (1, -1))
        mean, covariance = mean_and_covariance(family, f, 0.7)
        kept = np.delete(np.arange(3), mean.argmax()) if family == "categorical" else np.arange(3)
        covariance = covariance[np.ix_(kept, kept)]
        assert np.allclose(seen.jacobian @ v, (ahead - behind)[kept] / (2 * h), rtol=1e-6, atol=1e-9)
        assert np.allclose(np.diag(seen.noise) if seen.noise.ndim == 1 else seen.noise, covariance, rtol=1e-13)

    @pytest.mark.parametrize("family", ["bernoulli", "categorical", "poisson"])
    def test_has_the_fisher_matrix_and_gradient_of_natural_parameters(self, rng, family):
        """H^T R^-1 H = J^T C J and H^T R^-1 e = J^T (T - E T), also with one category left out."""
        J, f = rng.standard_normal((3, 5)), rng.standard_normal(3)
        target, statistics = draw_target(family, f, rng)

        seen = kalman.observation(family, J, f, np.asarray(target))

        mean, C = mean_and_covariance(family, f)
        R = np.diag(seen.noise) if seen.noise.ndim == 1 else seen.noise
        assert np.allclose(seen.jacobian.T @ np.linalg.solve(R, seen.jacobian), J.T @ C @ J, rtol=1e-11, atol=1e-13)
        assert np.allclose(seen.jacobian.T @ np.linalg.solve(R, seen.error), J.T @ (statistics - mean), rtol=1e-11)

    @pytest.mark.parametrize("family", kalman.FAMILIES)
    def test_of_several_cases_is_those_of_each_without_correlations(self, rng, family):
        J, f, y = cases(rng, family, 4)

        together = kalman.observation(family, J, f, y)

        alone = [kalman.observation(family, *x) for x in zip(J, f, y, strict=True)]
        noises = [x.noise if x.noise.ndim == 2 else np.diag(x.noise) for x in alone]
        block, size = np.zeros((len(together.error),) * 2), len(noises[0])
        for k, R in enumerate(noises):
            block[k * size : (k + 1) * size, k * size : (k + 1) * size] = R
        assert np.array_equal(together.jacobian, np.concatenate([x.jacobian for x in alone]))
        assert np.array_equal(together.error, np.concatenate([x.error for x in alone]))
        assert np.array_equal(together.noise if together.noise.ndim == 2 else np.diag(together.noise), block)

    def test_of_a_bernoulli_that_is_nearly_sure_has_a_variance(self):
        seen = kalman.observation("bernoulli", np.ones((2, 1)), np.array([700.0, -700.0]), np.array([1.0, 0.0]))

        assert (seen.noise > 0).all()
        assert np.isfinite(seen.error).all()

    def test_of_a_category_that_is_nearly_sure_is_taken_by_the_filter(self):
        method = kalman.ExponentialFamilyFilter("categorical", 3, covariance=5.0)

        update = method.step(np.eye(3), np.array([200.0, 0.0, -200.0]), 2)

        assert method.status.tolist() == [Status.OK]
        assert update[2] > 1
        assert abs(update[1]) < 1e-3 * update[2]

    def test_of_scores_does_not_depend_on_a_constant_in_them(self, rng):
        J, f, y = (x[0] for x in cases(rng, "categorical", 1))

        plain, moved = (kalman.observation("categorical", J, f + c, y) for c in (0.0, 1000.0))

        assert np.allclose(plain.error, moved.error, rtol=1e-9)
        assert np.allclose(plain.noise, moved.noise, rtol=1e-9)


class TestFilter:
    @pytest.mark.parametrize("family", kalman.FAMILIES)
    def test_takes_the_steps_of_the_kernel(self, cpu, rng, family):
        J, f, y = cases(rng, family, 4)
        method = kalman.ExponentialFamilyFilter(family, 5, covariance=2.0, fading=0.1, blocks=[2, 3], variance=0.7)
        plain = cb.KalmanNaturalGradient(5, covariance=2.0, fading=0.1, blocks=[2, 3])

        for _ in range(2):
            seen = kalman.observation(family, J, f, y, variance=0.7)
            assert np.array_equal(method.step(J, f, y), plain.step(seen.jacobian, seen.error, seen.noise))

        assert all(map(np.array_equal, method.covariance, plain.covariance))
        assert method.status.tolist() == [Status.OK] * 2

    def test_of_a_linear_gaussian_takes_cases_at_once_or_one_by_one(self, rng):
        J, _, y = cases(rng, "gaussian", 6)
        together, apart = (kalman.ExponentialFamilyFilter("gaussian", 5) for _ in range(2))
        theta = np.zeros(5)

        update = together.step(J, np.zeros((6, 3)), y)
        for n in range(6):
            theta = theta + apart.step(J[n], J[n] @ theta, y[n])

        assert np.allclose(update, theta, rtol=1e-11)
        assert np.allclose(together.covariance, apart.covariance, rtol=1e-11)

    @pytest.mark.parametrize("family", kalman.FAMILIES)
    def test_leaves_out_a_bad_case_and_reports_it(self, rng, family):
        J, f, y = cases(rng, family, 4)
        other = kalman.ExponentialFamilyFilter(family, 5)
        expected = other.step(*(np.delete(x, 2, axis=0) for x in (J, f, y)))
        f[2, 1] = np.nan
        method = kalman.ExponentialFamilyFilter(family, 5)

        found = method.step(J, f, y)

        assert method.case_status.tolist() == [Status.OK, Status.OK, Status.NOT_FINITE, Status.OK]
        assert np.array_equal(found, expected)

    @pytest.mark.parametrize(
        ("family", "saturated", "dtype"),
        [
            ("poisson", [-1000.0] * 3, "float64"),
            ("bernoulli", [0.0, 800.0, 0.0], "float64"),
            ("bernoulli", [0.0, 110.0, 0.0], "float32"),
            ("bernoulli", [0.0, 100.0, 0.0], "float32"),  # a variance that is subnormal
            ("categorical", [800.0, 0.0, 1.0], "float64"),
        ],
    )
    def test_leaves_out_a_case_without_a_variance_and_reports_it(self, rng, family, saturated, dtype):
        J, f, y = (x.astype(dtype) for x in cases(rng, family, 4))
        expected = kalman.ExponentialFamilyFilter(family, 5).step(*(np.delete(x, 2, axis=0) for x in (J, f, y)))
        f[2] = saturated
        method, alone = (kalman.ExponentialFamilyFilter(family, 5) for _ in range(2))

        found = method.step(J, f, y)

        assert method.case_status.tolist() == [Status.OK, Status.OK, Status.NOT_POSITIVE_DEFINITE, Status.OK]
        assert method.status.tolist() == [Status.OK]
        assert np.array_equal(found, expected)
        assert np.isnan(alone.step(J[2], f[2], y[2])).all()
        assert alone.status.tolist() == alone.case_status.tolist() == [Status.NOT_POSITIVE_DEFINITE]

    def test_leaves_out_a_case_whose_rate_has_a_square_that_overflows(self, rng):
        J, f, y = cases(rng, "poisson", 4)
        f[1, 0] = 700.0
        method = kalman.ExponentialFamilyFilter("poisson", 5)

        found = method.step(J, f, y)

        assert method.case_status.tolist() == [Status.OK, Status.NOT_FINITE, Status.OK, Status.OK]
        assert np.isfinite(found).all()

    @pytest.mark.parametrize("family", ["categorical", "gaussian"])
    def test_takes_lists(self, rng, family):
        J, f, y = cases(rng, family, 2)
        plain, other = (kalman.ExponentialFamilyFilter(family, 5) for _ in range(2))

        assert np.array_equal(plain.step(J, f, y), other.step(J.tolist(), f.tolist(), y.tolist()))

    def test_reports_a_rate_that_overflows_and_stays_as_it_was(self):
        method = kalman.ExponentialFamilyFilter("poisson", 1)

        found = method.step(np.ones((1, 1)), np.array([800.0]), np.ones(1))

        assert np.isnan(found).all()
        assert method.status.tolist() == method.case_status.tolist() == [Status.NOT_FINITE]
        assert np.array_equal(method.covariance, np.eye(1))

    def test_reports_a_block_alone_where_a_single_case_is_bad_there(self, rng):
        J = rng.standard_normal((1, 4))
        J[0, 3] = np.inf
        method = kalman.ExponentialFamilyFilter("gaussian", 4, blocks=[2, 2])

        found = method.step(J, np.zeros(1), np.ones(1))

        assert method.status.tolist() == [Status.OK, Status.NOT_FINITE]
        assert np.isfinite(found[:2]).all()

    def test_in_float32_and_in_pytorch_gives_updates_of_their_kind(self):
        torch = pytest.importorskip("torch")
        J, f, y = np.ones((1, 2), np.float32), np.zeros(1, np.float32), np.ones(1, np.float32)
        plain, other = (kalman.ExponentialFamilyFilter("bernoulli", 2) for _ in range(2))

        found = other.step(*map(torch.from_numpy, (J, f, y)))

        assert found.dtype == torch.float32
        assert np.array_equal(plain.step(J, f, y), found.numpy())


class TestState:
    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_can_be_copied(self, rng, copied):
        J, f, y = cases(rng, "categorical", 2)
        method = kalman.ExponentialFamilyFilter("categorical", 5)
        method.step(J[0], f[0], y[0])

        other = copied(method)

        assert np.array_equal(method.step(J[1], f[1], y[1]), other.step(J[1], f[1], y[1]))

    @pytest.mark.parametrize(
        ("entry", "value", "error", "message"),
        [
            ("covariance", np.full(4, np.nan), ValueError, "must be finite, got nan"),
            ("steps", -4, ValueError, "must be an int >= 0, got -4"),
            ("steps", "x", TypeError, "must be an int >= 0, got str"),
        ],
    )
    def test_that_is_bad_is_refused_before_anything_changes(self, entry, value, error, message):
        method = kalman.ExponentialFamilyFilter("gaussian", 2)
        method.step(np.ones((1, 2)), np.zeros(1), np.ones(1))
        state = method.state_dict()

        with pytest.raises(error, match=rf"state\['{entry}'\] {message}"):
            method.load_state_dict({**state, entry: value})

        assert np.array_equal(method.state_dict()["covariance"], state["covariance"])

    def test_goes_on_in_another_object(self, rng):
        J, f, y = cases(rng, "poisson", 2)
        method, other = (kalman.ExponentialFamilyFilter("poisson", 5) for _ in range(2))
        method.step(J[0], f[0], y[0])

        other.load_state_dict(method.state_dict())

        assert np.array_equal(method.step(J[1], f[1], y[1]), other.step(J[1], f[1], y[1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "gamma"}, "family must be one of bernoulli, categorical, gaussian, poisson, got 'gamma'"),
        ({"jacobian": np.ones(3)}, r"jacobian must have shape \(o, dim\) or \(N, o, dim\) with N, o > 0, got \(3,\)"),
        ({"jacobian": np.ones((0, 3, 2))}, r"jacobian must have shape .* with N, o > 0, got \(0, 3, 2\)"),
        ({"jacobian": np.ones((2, 0, 2))}, r"jacobian must have shape .* with N, o > 0, got \(2, 0, 2\)"),
        ({"family": "bernoulli", "targets": np.array([0.0, 7.0, 1.0])}, r"targets must be in \[0, 1\], got 7"),
        ({"family": "poisson", "targets": np.array([0.0, -1.0, 1.0])}, "targets must be >= 0, got -1"),
        ({"natural": np.zeros(2)}, r"natural must have shape \(3,\), got \(2,\)"),
        ({"targets": np.zeros(2)}, r"targets must have shape \(3,\), got \(2,\)"),
        ({"variance": 0.0}, "variance must be a finite number > 0, got 0.0"),
        ({"family": "categorical", "targets": 3}, r"targets must be numbers of categories, 0 \.\.\. 2, got 3"),
        ({"family": "categorical", "targets": np.float64(0.5)}, "targets must be numbers of categories, .* got 0.5"),
        ({"family": "categorical", "targets": np.zeros(3)}, r"targets must have shape \(\), got \(3,\)"),
        (
            {"family": "categorical", "jacobian": np.ones((1, 2)), "natural": np.zeros(1), "targets": 0},
            "natural must have two categories at least, got 1",
        ),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    good = {"family": "gaussian", "jacobian": np.ones((3, 2)), "natural": np.zeros(3), "targets": np.zeros(3)}

    with pytest.raises(ValueError, match=f"observation: {message}"):
        kalman.observation(**{**good, **change})


def test_wrong_objects_are_refused():
    with pytest.raises(ValueError, match="ExponentialFamilyFilter: family must be one of"):
        kalman.ExponentialFamilyFilter("gamma", 3)
    with pytest.raises(ValueError, match=r"ExponentialFamilyFilter: variance must be a finite number > 0, got -1.0"):
        kalman.ExponentialFamilyFilter("gaussian", 3, variance=-1.0)


def test_device_arrays_are_refused(device):
    method = kalman.ExponentialFamilyFilter("gaussian", 3)

    with pytest.raises(TypeError, match="jacobian must be in the CPU's memory, got an array of curvblas"):
        method.step(device.to_device(np.ones((1, 3))), np.zeros(1), np.zeros(1))
