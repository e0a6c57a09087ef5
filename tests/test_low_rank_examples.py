"""The low-rank examples: derivatives against differences, directions against formulas, ends of short runs."""

import numpy as np
import pytest

from curvblas.examples import ising, natural, network, outputs, poisson
from curvblas.examples.contest import ADAM, GAUSS_NEWTON, MINSR, SGD, SPRING
from curvblas.examples.first_order import mean_gradient
from curvblas.examples.gauss_newton import PoissonContest
from curvblas.examples.monte_carlo import IsingContest
from curvblas.examples.trial import run_trial


@pytest.fixture
def minibatch(rng):
    inputs = rng.standard_normal((50, 8)).astype(np.float32)
    return inputs, np.eye(3, dtype=np.float32)[rng.integers(3, size=50)]


@pytest.fixture
def weights(rng):
    return network.initial_weights((8, 6, 3), rng)


def final_loss(contest, name, value):
    return run_trial(contest, name, value, 0, lambda steps: None).final_loss


def test_tonga_begins_with_each_neurons_gradient_over_its_square_and_the_damping(weights, minibatch):
    method = natural.Tonga(weights, outputs.SOFTMAX, rate=1.0, damping=0.01)
    V = mean_gradient(weights, outputs.SOFTMAX, *minibatch)

    direction = method.direction(*minibatch)

    for layer, v in zip(V, direction, strict=True):
        assert np.allclose(v, layer / (0.01 + np.square(layer).sum(axis=1, keepdims=True)), rtol=1e-4)


def test_kaldis_direction_is_the_gradient_where_all_is_smoothed_to_the_identity(weights, minibatch):
    method = natural.Kaldi(weights, outputs.SOFTMAX, rate=1.0, alpha=1e12)

    direction = method.direction(*minibatch)

    for layer, v in zip(mean_gradient(weights, outputs.SOFTMAX, *minibatch), direction, strict=True):
        assert np.allclose(v, layer, atol=1e-6)


@pytest.mark.parametrize(("method", "setting"), [(natural.Tonga, (1e-4, 1e-2)), (natural.Kaldi, (0.3, 1.0))])
def test_natural_gradients_fit_a_minibatch(weights, minibatch, method, setting):
    optimiser = method(weights, outputs.SOFTMAX, *setting)

    for _ in range(300):
        optimiser.step(*minibatch)

    natural_parameters = network.forward(optimiser.weights, minibatch[0])[1]
    assert outputs.SOFTMAX.losses(natural_parameters, minibatch[1]).mean() < 0.1


def test_the_jacobian_of_the_residuals_is_their_slope(rng):
    problem, theta = poisson.Poisson(), poisson.initial_parameters(rng)
    direction, h = rng.standard_normal(theta.shape), 1e-6

    slope = (problem.residuals(theta + h * direction) - problem.residuals(theta - h * direction)) / (2 * h)

    J = problem.jacobian(theta)
    assert np.allclose(J @ direction, slope, atol=1e-7)
    assert np.allclose(problem.gradient(theta), J.T @ problem.residuals(theta), atol=1e-12)


def test_gauss_newton_ends_a_hundred_times_closer_than_adam():
    contest = PoissonContest("", "", 1000, {})

    assert final_loss(contest, GAUSS_NEWTON, (1.0, 16.0)) < 0.01 * final_loss(contest, ADAM, (0.03, 0.99))


@pytest.fixture
def psi(rng):
    return ising.WaveFunction(0.1 * rng.standard_normal((ising.HIDDEN, ising.SPINS + 1)))


def test_log_derivatives_are_the_slopes_of_the_logarithm(rng, psi):
    s = ising.all_states()[::50]
    direction, h = rng.standard_normal((ising.HIDDEN, ising.SPINS + 1)), 1e-6
    weights = np.column_stack([psi.W, psi.b])

    ahead, behind = (
        ising.log_cosh(ising.WaveFunction(weights + sign * h * direction).angles(s)).sum(axis=1) for sign in (1, -1)
    )

    assert np.allclose(psi.log_derivatives(s) @ direction.ravel(), (ahead - behind) / (2 * h), atol=1e-7)


def test_samples_have_the_energy_of_their_wave_function(rng, psi):
    sampler = ising.Sampler(rng)
    for _ in range(20):
        sampler.sample(psi)

    energies = [psi.local_energies(sampler.sample(psi)).mean() for _ in range(100)]

    assert np.isclose(np.mean(energies), psi.energy(), rtol=0.02)


def test_the_ground_state_is_that_of_free_fermions():
    k = np.pi * (2 * np.arange(ising.SPINS) + 1) / ising.SPINS

    assert np.isclose(ising.ground_state_energy(), -np.sqrt(1 + ising.FIELD**2 - 2 * ising.FIELD * np.cos(k)).sum())


@pytest.mark.parametrize(("method", "damping"), [(MINSR, 1e-4), (SPRING, 1e-2)])
def test_sample_space_methods_come_within_a_thousandth_of_the_ground_state(method, damping):
    contest = IsingContest("", "", 150, {}, ising.ground_state_energy())

    error = final_loss(contest, method, (0.03, damping))

    assert 0 < error < 1e-3
    assert error < 0.5 * final_loss(contest, SGD, (0.01, 0.9))
