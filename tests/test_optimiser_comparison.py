"""The comparison of all optimisers: its quick run, its page, its labels, and the step in sample space."""

import re

import numpy as np
import pytest

from curvblas.examples import network, outputs
from curvblas.examples.first_order import mean_gradient
from curvblas.examples.optimiser_comparison import main

contest, methods, plot = (
    pytest.importorskip(f"curvblas.examples.optimiser_comparison_{name}") for name in ("contest", "methods", "plot")
)
NAMES = [name for names in contest.FAMILIES.values() for name in names]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    main(quick=True, output=folder)
    return folder


@pytest.fixture(scope="module")
def table(written):
    lines = (written / "optimiser_comparison.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {name: more for name, *more in cells}


def test_the_quick_run_writes_a_picture(written):
    assert (written / "optimiser_comparison.png").stat().st_size > 50_000


def test_the_contest_has_every_optimiser_of_the_families():
    assert sorted(contest.optimiser_contest(quick=False).axes) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimiser_ends_well_below_the_loss_of_initial_weights(written, table, name):
    initial = re.search(r"loss of\s+([\d.]+) nats", (written / "optimiser_comparison.md").read_text())

    assert float(table[name][1]) < 0.75 * float(initial[1])


def test_no_grid_has_more_than_two_axes_or_six_values():
    grids = contest.optimiser_contest(quick=False).axes.values()

    assert all(len(axes) <= 2 and np.prod([len(values) for values in axes.values()]) <= 6 for axes in grids)


@pytest.fixture
def minibatch(rng):
    inputs = rng.random((30, 6)).astype(np.float32)
    return inputs, rng.random((30, 4)).astype(np.float32)


def test_with_much_damping_the_step_in_sample_space_is_the_gradient_over_the_damping(rng, minibatch):
    weights = network.initial_weights((6, 5, 4), rng)
    method = methods.SampleSpace(weights, outputs.BERNOULLI, rate=1.0, damping=1e6, seed=0)

    method.step(*minibatch)

    for d, V in zip(method._step, mean_gradient(weights, outputs.BERNOULLI, *minibatch), strict=True):
        assert np.allclose(1e6 * d, -V, rtol=1e-3, atol=1e-5)


def flat(layers):
    return np.concatenate([layer.ravel() for layer in layers]).astype(np.float64)


def test_steps_in_sample_space_solve_the_damped_system_with_their_memory(rng, minibatch):
    damping, draws = 0.1, np.random.default_rng([0, 1])
    method = methods.SampleSpace(
        network.initial_weights((6, 5, 4), rng), outputs.BERNOULLI, rate=0.3, damping=damping, seed=0
    )
    memory = 0.0
    for _ in range(3):
        weights = method.weights
        activations, natural = network.forward(weights, minibatch[0])
        mean = outputs.BERNOULLI.mean(natural)
        g = network.backward(weights, activations, mean - outputs.BERNOULLI.sample(mean, draws))
        ones = np.ones((30, 1))
        pairs = zip(activations, g, strict=True)
        J = np.hstack([np.einsum("nq,np->nqp", r, np.hstack([a, ones])).reshape(30, -1) for a, r in pairs])
        F = J.T @ J / 30 + damping * np.eye(J.shape[1])
        V = flat(mean_gradient(weights, outputs.BERNOULLI, *minibatch))
        memory = np.linalg.solve(F, damping * 0.9 * memory - V)

        method.step(*minibatch)

        assert np.allclose(flat(method._step), memory, rtol=1e-3, atol=1e-4)


def test_gauss_newton_by_conjugate_gradients_fits_a_minibatch(rng, minibatch):
    weights = network.initial_weights((6, 20, 4), rng)
    method = methods.HessianFree(weights, outputs.BERNOULLI, damping=1e-2, iterations=50)

    def loss():
        natural = network.forward(method.weights, minibatch[0])[1]
        return outputs.BERNOULLI.losses(natural, minibatch[1]).mean()

    before = loss()
    for _ in range(10):
        method.step(*minibatch)

    assert loss() < 0.9 * before


def test_labels_are_spread_in_order_and_within_the_panel():
    moved = plot.spread(np.array([0.0, 0.01, 0.02, 0.5, 0.99, 1.0]), 0.05)

    assert np.all(np.diff(moved) >= 0.05 - 1e-12)
    assert moved.min() >= 0
    assert moved.max() <= 1
