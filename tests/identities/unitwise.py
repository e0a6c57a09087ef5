"""Identities of unitwise metrics and their quasi-diagonal reduction."""

import numpy as np

import curvblas as cb
from curvblas.methods import unitwise

from identities import largest
from oracle.methods_unitwise import Network


def relative(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Return the largest relative error of a list of arrays."""
    pairs = zip(found, expected, strict=True)
    return largest(*(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs))


def metrics(rows: list[np.ndarray], weights: list[np.ndarray]) -> list[np.ndarray]:
    """Return the matrices of the units of each layer, from one batch."""
    empty = [np.zeros((w.shape[1], a.shape[1] + 1, a.shape[1] + 1)) for a, w in zip(rows, weights, strict=True)]
    return list(cb.update_unit_moments(empty, rows, weights, decay=0.0, bias=True))


def _blocks(distribution: str, sizes: tuple[int, ...], variance: float = 1.0) -> float:
    rng = np.random.default_rng(7)
    network, x = Network(rng, sizes, distribution, variance), rng.standard_normal((9, sizes[0]))
    rows, scores = network.forward(x)
    outputs = network.outputs(scores)
    weights = [unitwise.natural_weights(J, outputs, distribution, variance=variance) for J in network.jacobians(x)]
    return relative(metrics(rows, weights), network.fisher_blocks(x))


def natural_gradient_of_bernoulli_outputs() -> float:
    """Unitwise natural metric == diagonal blocks of the enumerated Fisher matrix, Bernoulli outputs."""
    return _blocks("bernoulli", (4, 5, 3, 4))


def natural_gradient_of_softmax_outputs() -> float:
    """Unitwise natural metric == diagonal blocks of the enumerated Fisher matrix, softmax outputs."""
    return _blocks("softmax", (4, 5, 3, 6))


def natural_gradient_of_gaussian_outputs() -> float:
    """Unitwise natural metric == diagonal blocks of the Fisher matrix, Gaussian outputs."""
    return _blocks("gaussian", (4, 5, 3, 2), variance=0.3)


def backpropagated_error(distribution: str, sizes: tuple[int, ...], variance: float = 1.0) -> float:
    """Return how far the backpropagated metric is from the unitwise natural one."""
    rng = np.random.default_rng(8)
    network, x = Network(rng, sizes, distribution, variance), rng.standard_normal((9, sizes[0]))
    rows, scores = network.forward(x)
    outputs = network.outputs(scores)
    matrices = [W[:, :-1] for W in network.weights[1:]]
    found = unitwise.backpropagated_weights(matrices, network.slopes(rows), outputs, distribution, variance=variance)
    jacobians = network.jacobians(x)
    return relative(found, [unitwise.natural_weights(J, outputs, distribution, variance=variance) for J in jacobians])


def backpropagated_metric_of_bernoulli_outputs() -> float:
    """Backpropagated metric == unitwise natural metric, one hidden layer, Bernoulli outputs."""
    return backpropagated_error("bernoulli", (4, 5, 3))


def backpropagated_metric_of_gaussian_outputs() -> float:
    """Backpropagated metric == unitwise natural metric, one hidden layer, Gaussian outputs."""
    return backpropagated_error("gaussian", (4, 5, 3), variance=0.3)


def _quasi_diagonal_error(rows: np.ndarray, weights: np.ndarray) -> float:
    rng = np.random.default_rng(9)
    grads = rng.standard_normal((weights.shape[1], rows.shape[1] + 1))
    found = unitwise.QuasiDiagonalNaturalGradient().precondition(grads, rows, weights)
    (M,) = metrics([rows], [weights])
    return relative([found], [np.linalg.solve(M, grads[..., None])[..., 0]])


def quasi_diagonal_of_one_input() -> float:
    """Quasi-diagonal step == step with the inverse metric, units with one input."""
    rng = np.random.default_rng(10)
    return _quasi_diagonal_error(rng.standard_normal((20, 1)), rng.random((20, 6)))


def quasi_diagonal_of_uncorrelated_inputs() -> float:
    """Quasi-diagonal step == step with the inverse metric, inputs without weighted correlation."""
    signs = np.array([[(-1.0) ** (n >> i & 1) for i in range(4)] for n in range(16)])
    rows = signs * [1.0, 2.0, 0.5, 3.0] + [3.0, -1.0, 2.0, 0.0]
    return _quasi_diagonal_error(rows, np.full((16, 3), [0.3, 2.0, 1.0]))


def affine_error(step) -> float:
    """Return how far a step is from commuting with x_i -> scale_i x_i + shift_i of each input of a layer.

    A unit computes ``w x + b = (w / scale) x' + b - sum_i w_i shift_i / scale_i``; gradients go the other way, and a
    step is invariant if it changes parameters as these are changed.
    """
    rng = np.random.default_rng(11)
    N, q, n = 40, 5, 6
    rows, g, weights = rng.standard_normal((N, n)), rng.standard_normal((N, q)), 0.1 + rng.random((N, q))
    scale, shift = rng.uniform(0.3, 3, n), rng.standard_normal(n)
    moved = rows * scale + shift

    def taken(x):
        return step(g.T @ np.concatenate([x, np.ones((N, 1))], axis=1) / N, x, weights)

    before, after = taken(rows), taken(moved)
    back = np.concatenate([after[:, :-1] * scale, after[:, -1:] + after[:, :-1] @ shift[:, None]], axis=1)
    return relative([back], [before])


def diagonal_step(grads: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the step with the diagonal of the metric alone, which is not invariant."""
    (M,) = metrics([rows], [weights])
    return np.asarray(grads / M.diagonal(axis1=1, axis2=2))


def _train(network: Network, x: np.ndarray, y: np.ndarray, method: unitwise.QuasiDiagonalNaturalGradient) -> np.ndarray:
    """Return the scores after ten steps with the backpropagated metric."""
    for _ in range(10):
        rows, scores = network.forward(x)
        p = network.outputs(scores)
        g = network.backward(rows, p - y)
        grads = [d.T @ np.concatenate([a, np.ones((len(a), 1))], axis=1) / len(x) for d, a in zip(g, rows, strict=True)]
        matrices = [W[:, :-1] for W in network.weights[1:]]
        weights = unitwise.backpropagated_weights(matrices, network.slopes(rows), p, "bernoulli")
        for W, step in zip(network.weights, method.precondition(grads, rows, weights), strict=True):
            W -= 0.1 * step
    return np.asarray(network.forward(x)[1])


def quasi_diagonal_training_with_other_units() -> float:
    """Ten quasi-diagonal steps of a network of tanh units == those of the same function with logistic units."""
    rng = np.random.default_rng(12)
    network, x = Network(rng, (4, 5, 5, 3), "bernoulli"), rng.standard_normal((30, 4))
    y, other = (rng.random((30, 3)) < 0.5).astype(np.float64), network.logistic()
    found, expected = (_train(n, x, y, unitwise.QuasiDiagonalNaturalGradient()) for n in (other, network))
    return relative([found], [expected])


def quasi_diagonal_invariance() -> float:
    """Quasi-diagonal step after affine changes of the inputs == the step before, mapped."""
    return affine_error(lambda *batch: unitwise.QuasiDiagonalNaturalGradient().precondition(*batch))


def unitwise_invariance() -> float:
    """Unitwise step after affine changes of the inputs == the step before, mapped."""
    return affine_error(lambda *batch: unitwise.UnitwiseNaturalGradient(damping=1e-14).precondition(*batch))


IDENTITIES = [
    (natural_gradient_of_bernoulli_outputs, 1e-14),
    (natural_gradient_of_softmax_outputs, 1e-14),
    (natural_gradient_of_gaussian_outputs, 1e-14),
    (backpropagated_metric_of_bernoulli_outputs, 1e-14),
    (backpropagated_metric_of_gaussian_outputs, 1e-14),
    (quasi_diagonal_of_one_input, 1e-13),
    (quasi_diagonal_of_uncorrelated_inputs, 1e-14),
    (quasi_diagonal_invariance, 2e-13),
    (unitwise_invariance, 1e-12),
    (quasi_diagonal_training_with_other_units, 1e-13),
]
