"""Whitening: roots of metrics, maps, paths that do not depend on the root, groups, bad metrics and arguments."""

import pickle

import numpy as np
import pytest

from curvblas import Status
from curvblas.methods import whitening

from identities.whitening import IDENTITIES

METHODS = ["cholesky", "symmetric"]


def metric(rng, *shape):
    A = rng.standard_normal((*shape, shape[-1]))
    return A @ np.swapaxes(A, -1, -2) / shape[-1] + 0.1 * np.eye(shape[-1])


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_holds(identity, bound):
    assert identity() <= bound


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_does_not_hold_for_nan(monkeypatch, identity, bound):
    monkeypatch.setattr(whitening.Whitening, "gradient_to_natural", lambda self, g: np.nan * g)

    assert not identity() <= bound


@pytest.mark.parametrize("method", METHODS)
class TestRoots:
    @pytest.mark.parametrize("n", [1, 2, 7, 65])
    def test_are_roots_of_the_damped_metric(self, cpu, rng, method, n):
        G = metric(rng, n)

        white = whitening.whiten(G, 0.3, method=method)

        assert np.allclose(white.root.T @ white.root, G + 0.3 * np.eye(n), rtol=0, atol=1e-13 * np.linalg.norm(G))
        assert np.allclose(white.root @ white.inverse, np.eye(n), rtol=0, atol=1e-13)

    def test_are_upper_triangular_or_symmetric(self, rng, method):
        R = whitening.whiten(metric(rng, 6), method=method).root

        assert np.array_equal(R, np.triu(R)) if method == "cholesky" else np.array_equal(R, R.T)

    def test_of_stacks_and_lists_are_those_of_each_metric(self, rng, method):
        stack, damping = metric(rng, 2, 3, 4), rng.uniform(0.1, 1, (2, 3))
        theta = rng.standard_normal((2, 3, 4))
        together = whitening.whiten(stack, damping, method=method)
        group = [*stack.reshape(-1, 4, 4), metric(rng, 2)]
        listed = whitening.whiten(group, [*damping.ravel(), 0.5], method=method)

        phi = together.to_natural(theta)
        phis = listed.to_natural([*theta.reshape(-1, 4), np.ones(2)])

        assert together.status.shape == (2, 3)
        for k, one in enumerate(phi.reshape(-1, 4)):
            alone = whitening.whiten(group[k], damping.ravel()[k], method=method)
            assert np.allclose(one, alone.to_natural(theta.reshape(-1, 4)[k]), rtol=1e-12)
            assert np.array_equal(phis[k], one)
        assert phis[-1].shape == (2,)

    def test_read_only_the_lower_triangle(self, rng, method):
        G = metric(rng, 5)

        spoiled = np.tril(G) + np.triu(np.full((5, 5), 9.0), 1)

        assert np.array_equal(whitening.whiten(spoiled, method=method).root, whitening.whiten(G, method=method).root)

    def test_of_a_bad_metric_are_nan_and_others_as_without_it(self, rng, method):
        stack = metric(rng, 4, 3)
        expected = whitening.whiten(stack, method=method).root
        stack[1], stack[2, 1, 0] = -np.eye(3), np.nan

        white = whitening.whiten(stack, method=method)

        found = [Status.OK, Status.NOT_POSITIVE_DEFINITE, Status.NOT_FINITE, Status.OK]
        assert white.status.tolist() == found
        assert white.ok.tolist() == [True, False, False, True]
        assert np.isnan(white.root[1:3]).all()
        assert np.isnan(white.from_natural(np.ones((4, 3)))[1:3]).all()
        assert np.array_equal(white.root[::3], expected[::3])

    def test_of_a_singular_metric_want_damping(self, method):
        singular = np.diag([1.0, 0.0])

        assert whitening.whiten(singular, method=method).status == Status.NOT_POSITIVE_DEFINITE
        assert whitening.whiten(singular, 1e-3, method=method).status == Status.OK

    def test_of_a_bad_damping_in_an_array_are_reported(self, rng, method):
        white = whitening.whiten(metric(rng, 2, 3), np.array([1.0, -1.0]), method=method)

        assert white.status.tolist() == [Status.OK, Status.INVALID_PARAMETER]

    def test_of_float32_are_accurate_to_its_digits(self, rng, method):
        G = np.float32(metric(rng, 20))

        white = whitening.whiten(G, method=method)

        assert white.root.dtype == white.to_natural(np.ones(20, np.float32)).dtype == np.float32
        assert np.allclose(white.root.T @ white.root, G, atol=1e-5)


class TestMaps:
    def test_there_and_back_give_the_parameters(self, rng):
        white, theta = whitening.whiten(metric(rng, 9)), rng.standard_normal(9)

        assert np.allclose(white.from_natural(white.to_natural(theta)), theta, rtol=1e-12)

    @pytest.mark.parametrize("method", METHODS)
    def test_make_gradients_white_where_the_metric_is_their_second_moment(self, rng, method):
        gradients = rng.standard_normal((40, 5)) @ rng.standard_normal((5, 5))
        white = whitening.whiten(gradients.T @ gradients / 40, method=method)

        seen = np.array([white.gradient_to_natural(g) for g in gradients])

        assert np.allclose(seen.T @ seen / 40, np.eye(5), atol=1e-12)

    @pytest.mark.parametrize("method", METHODS)
    def test_of_the_natural_gradient_solve_with_the_damped_metric(self, rng, method):
        G, g = metric(rng, 8), rng.standard_normal(8)

        found = whitening.whiten(G, 0.2, method=method).natural_gradient(g)

        assert np.allclose(found, np.linalg.solve(G + 0.2 * np.eye(8), g), rtol=1e-12)

    def test_of_an_affine_change_of_parameters_go_along(self, rng):
        """Natural gradient steps are the same in theta and in xi, theta = B xi, without damping."""
        B, G, g = rng.standard_normal((4, 4)), metric(rng, 4), rng.standard_normal(4)

        changed = whitening.whiten(B.T @ G @ B).natural_gradient(B.T @ g)

        assert np.allclose(B @ changed, whitening.whiten(G).natural_gradient(g), rtol=1e-11)

    @pytest.mark.parametrize("method", METHODS)
    def test_of_momenta_make_hamiltonian_dynamics_those_of_unit_mass(self, rng, method):
        """Leapfrog steps with the mass G in theta, and with the mass I in phi."""
        G, theta, noise = metric(rng, 3), rng.standard_normal(3), rng.standard_normal(3)
        white = whitening.whiten(G, method=method)
        p, phi = white.momentum(noise), white.to_natural(theta)

        for _ in range(20):
            p = p - 0.05 * np.sinh(theta)
            theta = theta + 0.1 * white.natural_gradient(p)
            p = p - 0.05 * np.sinh(theta)
            noise = noise - 0.05 * white.gradient_to_natural(np.sinh(white.from_natural(phi)))
            phi = phi + 0.1 * noise
            noise = noise - 0.05 * white.gradient_to_natural(np.sinh(white.from_natural(phi)))

        assert np.allclose(white.from_natural(phi), theta, rtol=1e-11)
        assert np.allclose(white.momentum(noise), p, rtol=1e-11)


class TestOpeningExample:
    """A Gaussian of variance 1 whose means are (3 a + b / 3, a / 3)."""

    J = np.array([[3.0, 1 / 3], [1 / 3, 0.0]])

    def test_has_the_metric_of_the_note(self):
        assert np.allclose(self.J.T @ self.J, [[82 / 9, 1], [1, 1 / 9]])
        assert np.isclose(np.linalg.cond(self.J.T @ self.J), 6.9e3, rtol=0.01)

    def test_has_natural_gradient_paths_that_are_straight_in_the_means(self):
        white, theta, target = whitening.whiten(self.J.T @ self.J), np.array([1.0, 5.0]), np.array([4.0, -2.0])
        start, cosines = self.J @ theta, []

        for _ in range(30):
            theta = theta - 0.1 * white.natural_gradient(self.J.T @ (self.J @ theta - target))
            a, b = self.J @ theta - start, target - start
            cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

        assert np.allclose(cosines, 1, atol=1e-13)

    def test_has_gradient_paths_that_are_not(self):
        theta, target = np.array([1.0, 5.0]), np.array([4.0, -2.0])
        start = self.J @ theta

        moved = -self.J @ self.J.T @ (start - target)

        assert moved @ (target - start) < 0.9 * np.linalg.norm(moved) * np.linalg.norm(target - start)


def test_pytorch_gets_its_own_arrays_and_pickles_go_on():
    torch = pytest.importorskip("torch")
    white = whitening.whiten(torch.eye(3, dtype=torch.float32) * 4)

    other = pickle.loads(pickle.dumps(white))

    assert isinstance(white.root, torch.Tensor)
    assert white.root.dtype == torch.float32
    assert other.to_natural(torch.ones(3)).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"method": "qr"}, ValueError, "method must be 'cholesky' or 'symmetric', got 'qr'"),
        ({"factors": np.ones((2, 3))}, ValueError, r"factors must have shape \(3, 3\), got \(2, 3\)"),
        ({"factors": np.ones(3)}, ValueError, r"factors must have shape \(3, 3\), got \(3,\)"),
        ({"factors": [np.ones((2, 3, 3))]}, ValueError, r"factors\[0\] must have shape \(3, 3\), got \(2, 3, 3\)"),
        ({"factors": np.eye(2, dtype=complex)}, TypeError, "factors must be an array of real numbers"),
        ({"damping": -1.0}, ValueError, "damping"),
    ],
)
def test_wrong_arguments_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        whitening.whiten(**{"factors": np.eye(3), **given})


def test_wrong_vectors_are_refused():
    white, listed = whitening.whiten(np.eye(3)), whitening.whiten([np.eye(3), np.eye(2)])

    with pytest.raises(ValueError, match=r"Whitening.to_natural: theta must have shape \(3,\), got \(2,\)"):
        white.to_natural(np.ones(2))
    with pytest.raises(ValueError, match=r"Whitening.from_natural: phi must be a list of 2 arrays, .* got a list of 1"):
        listed.from_natural([np.ones(3)])
    with pytest.raises(ValueError, match=r"momentum: noise\[1\] must have shape \(2,\), got \(3,\)"):
        listed.momentum([np.ones(3), np.ones(3)])


def test_device_arrays_are_refused(device):
    with pytest.raises(TypeError, match="whiten: factors must be in the CPU's memory, got an array of curvblas"):
        whitening.whiten(device.to_device(np.eye(3)))
