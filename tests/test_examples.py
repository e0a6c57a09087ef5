"""The demo's networks and optimisers: derivatives against differences, K-FAC against its paper."""

from itertools import pairwise

import numpy as np
import pytest

from curvblas.examples import kfac, network, outputs

SIZES = (5, 7, 4)
OUTPUTS = [outputs.BERNOULLI, outputs.SOFTMAX, outputs.GAUSSIAN]


@pytest.fixture
def weights(rng):
    return [0.5 * rng.standard_normal((q, p + 1)) for p, q in pairwise(SIZES)]


@pytest.fixture
def inputs(rng):
    return rng.standard_normal((6, SIZES[0]))


def targets_for(output, rng):
    natural = rng.standard_normal((6, SIZES[-1]))
    return output.sample(output.mean(natural), rng).astype(np.float64)


def mean_loss(weights, inputs, targets, output):
    return float(output.losses(network.forward(weights, inputs)[1], targets).mean())


@pytest.mark.parametrize("output", OUTPUTS, ids=["bernoulli", "softmax", "gaussian"])
def test_gradients_are_the_slopes_of_the_mean_loss(rng, weights, inputs, output):
    targets = targets_for(output, rng)
    direction = [rng.standard_normal(W.shape) for W in weights]
    activations, natural = network.forward(weights, inputs)
    V = network.gradients(activations, network.backward(weights, activations, output.mean(natural) - targets))
    h = 1e-6

    ahead = mean_loss([W + h * d for W, d in zip(weights, direction, strict=True)], inputs, targets, output)
    behind = mean_loss([W - h * d for W, d in zip(weights, direction, strict=True)], inputs, targets, output)

    assert np.isclose(network.inner(V, direction), (ahead - behind) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize("output", OUTPUTS, ids=["bernoulli", "softmax", "gaussian"])
def test_fisher_products_are_the_curvature_of_the_kl_divergence(rng, weights, inputs, output):
    """For exponential families with natural parameters F = GGN = J^T (d mean / d natural) J."""
    direction = [rng.standard_normal(W.shape) for W in weights]
    activations, natural = network.forward(weights, inputs)
    tangent = network.directional_derivative(weights, activations, direction)
    h = 1e-6

    root = output.fisher_root(output.mean(natural), tangent)
    change_of_mean = (output.mean(natural + h * tangent) - output.mean(natural - h * tangent)) / (2 * h)

    assert np.isclose((root**2).sum(), (tangent * change_of_mean).sum(), rtol=1e-6)


def test_directional_derivative_is_the_slope_of_the_outputs(rng, weights, inputs):
    direction = [rng.standard_normal(W.shape) for W in weights]
    activations, _ = network.forward(weights, inputs)
    h = 1e-6

    ahead = network.forward([W + h * d for W, d in zip(weights, direction, strict=True)], inputs)[1]
    behind = network.forward([W - h * d for W, d in zip(weights, direction, strict=True)], inputs)[1]

    tangent = network.directional_derivative(weights, activations, direction)
    assert np.allclose(tangent, (ahead - behind) / (2 * h), atol=1e-8)


def test_the_model_minimiser_solves_the_two_dimensional_problem(rng):
    B = rng.standard_normal((2, 2))
    curvature, slopes = B @ B.T + np.eye(2), np.array([-1.0, 0.3])

    assert np.allclose(curvature @ kfac.model_minimiser(curvature, slopes), -slopes)


@pytest.mark.parametrize("previous", [0.0, 2.0])
def test_the_model_minimiser_falls_back_to_one_direction(previous):
    """A previous update that is zero, or parallel to the proposal."""
    curvature = np.outer([1.0, previous], [1.0, previous])

    assert np.allclose(kfac.model_minimiser(curvature, np.array([-3.0, -3.0 * previous])), [3, 0])


def test_kfac_solves_linear_regression_fast(rng):
    """One layer, Gaussian output: G is the identity in expectation, and the step is almost Newton's."""
    inputs = rng.standard_normal((200, 5))
    truth = rng.standard_normal((3, 6))
    targets = inputs @ truth[:, :-1].T + truth[:, -1]
    optimiser = kfac.KFAC([np.zeros((3, 6))], outputs.GAUSSIAN, 1e-6, rng)

    for _ in range(6):
        optimiser.step(inputs, targets)

    assert np.allclose(optimiser.weights[0], truth, atol=1e-3)
