"""Identities of Kronecker-factored curvature; every function returns the largest relative error of its two sides."""

from itertools import pairwise

import numpy as np

from curvblas.methods.exact import kl_clip
from curvblas.methods.kfac import KFAC, BlockTridiagonalKFAC, Layer

import oracle
from identities import largest
from oracle import methods_kfac

SIZES = (6, 5, 4, 3)
DAMPING = 0.05


def _rng():
    return np.random.default_rng(2015)


def _error(found, expected):
    """||found - expected|| / ||expected|| over all layers together."""
    return oracle.relative_error(*(np.concatenate([x.ravel() for x in side]) for side in (found, expected)))


def _grads(rng, shapes):
    return [rng.standard_normal(shape) for shape in shapes]


def _network(rng, N):
    """Inputs and derivatives of the layers of a tanh network with SIZES, for one output derivative a case."""
    weights = [rng.standard_normal((q, p + 1)) for p, q in pairwise(SIZES)]
    a = [rng.standard_normal((N, SIZES[0]))]
    for W in weights[:-1]:
        a.append(np.tanh(methods_kfac.with_ones(a[-1]) @ W.T))
    g = [rng.standard_normal((N, SIZES[-1]))]
    for W, x in zip(weights[:0:-1], a[:0:-1], strict=True):
        g.append((g[-1] @ W[:, :-1]) * (1 - x**2))
    return weights, a, g[::-1]


def _layers(sharing="none", bias=True):
    return [Layer(q, p, bias, sharing) for p, q in pairwise(SIZES)]


def _solved(layers, a, g, grads, *, damping=DAMPING, **options):
    method = KFAC(layers, damping=damping, method="eigen", **options)
    method.update(a, g)
    return method.precondition(grads)


def one_case() -> float:
    """K-FAC of one case == the damped Fisher matrix of each layer."""
    rng = _rng()
    weights, a, g = _network(rng, 1)
    V = _grads(rng, [W.shape for W in weights])

    blocks = [methods_kfac.fisher([rows]) for rows in zip(a, g, strict=True)]

    return _error(_solved(_layers(), a, g, V), methods_kfac.solve_blocks(blocks, DAMPING, V))


def one_layer_softmax() -> float:
    """K-FAC of a softmax layer and one case, with a root of the output's Fisher matrix as rows == F (x) a a^T."""
    rng = _rng()
    a, f, V = rng.standard_normal((1, 5)), rng.standard_normal(4), rng.standard_normal((4, 6))
    p = np.exp(f) / np.exp(f).sum()
    root = (np.diag(np.sqrt(p)) - np.outer(p, np.sqrt(p))).T * 2  # four rows as cases: a mean of four
    x = methods_kfac.with_ones(a)
    F = np.kron(np.diag(p) - np.outer(p, p), x.T @ x)

    found = _solved([Layer(4, 5)], [np.repeat(a, 4, axis=0)], [root], [V])

    return _error(found, methods_kfac.solve_blocks([F], DAMPING, [V]))


def _linear_network(rng, N, T):
    """Matrices of a deep linear network, and its layers' inputs, (N, T, d)."""
    weights = [rng.standard_normal((q, p)) for p, q in pairwise(SIZES)]
    a = [rng.standard_normal((N, T, SIZES[0]))]
    for W in weights[:-1]:
        a.append(a[-1] @ W.T)
    return weights, a


def _after(weights, k):
    """d output / d outputs of layer k."""
    J = np.eye(SIZES[-1])
    for W in weights[:k:-1]:
        J = J @ W
    return J


def deep_linear() -> float:
    """K-FAC of a deep linear network == the Gauss-Newton matrix of each layer, whatever the cases."""
    rng = _rng()
    weights, a = _linear_network(rng, 7, 1)
    a = [x[:, 0] for x in a]
    V, o = _grads(rng, [W.shape for W in weights]), SIZES[-1]
    jacobians = [_after(weights, k) for k in range(len(weights))]

    blocks = []
    for J, x in zip(jacobians, a, strict=True):
        rows = np.concatenate([np.kron(J, each[None]) for each in x])  # d output / d W, case by case
        blocks.append(rows.T @ rows / len(x))
    # Every output of every case as a case: a mean of o times as many.
    g = [np.tile(np.sqrt(o) * J, (len(x), 1)) for J, x in zip(jacobians, a, strict=True)]
    found = _solved(_layers(bias=False), [np.repeat(x, o, axis=0) for x in a], g, V)

    return _error(found, methods_kfac.solve_blocks(blocks, DAMPING, V))


def expand() -> float:
    """KFAC-expand of a deep linear network with a loss at each position == its Gauss-Newton matrices."""
    rng = _rng()
    N, T, o = 4, 3, SIZES[-1]
    weights, a = _linear_network(rng, N, T)
    V = _grads(rng, [W.shape for W in weights])
    jacobians = [_after(weights, k) for k in range(len(weights))]

    blocks = []
    for J, x in zip(jacobians, a, strict=True):
        rows = np.concatenate([np.kron(J, each[None]) for each in x.reshape(N * T, -1)])
        blocks.append(rows.T @ rows / N)
    g = [np.broadcast_to(np.sqrt(o) * J[None, :, None], (N, o, T, J.shape[1])) for J in jacobians]
    g = [x.reshape(N * o, T, -1) for x in g]
    found = _solved(_layers("expand", bias=False), [np.repeat(x, o, axis=0) for x in a], g, V)

    return _error(found, methods_kfac.solve_blocks(blocks, DAMPING, V))


def reduce() -> float:
    """KFAC-reduce of a deep linear network with a loss of the mean over positions == its Gauss-Newton matrices."""
    rng = _rng()
    N, T, o = 4, 3, SIZES[-1]
    weights, a = _linear_network(rng, N, T)
    V = _grads(rng, [W.shape for W in weights])
    jacobians = [_after(weights, k) for k in range(len(weights))]

    blocks = []
    for J, x in zip(jacobians, a, strict=True):
        rows = np.concatenate([sum(np.kron(J / T, row[None]) for row in case) for case in x])
        blocks.append(rows.T @ rows / N)
    g = [np.broadcast_to(np.sqrt(o) / T * J[None, :, None], (N, o, T, J.shape[1])) for J in jacobians]
    g = [x.reshape(N * o, T, -1) for x in g]
    found = _solved(_layers("reduce", bias=False), [np.repeat(x, o, axis=0) for x in a], g, V)

    return _error(found, methods_kfac.solve_blocks(blocks, DAMPING, V))


def recurrent() -> float:
    """Option 1 == the dense Fisher matrix of stationary rows with these factors at lags 0 and 1."""
    rng = _rng()
    N, T = 9, 5
    a, g, V = rng.standard_normal((N, T, 3)), rng.standard_normal((N, T, 2)), rng.standard_normal((2, 3))
    lags = [
        [oracle.update_lagged_factors(np.zeros((n, n)), x, lag=k, symmetric=True, decay=0.0) for k in (0, 1)]
        for n, x in ((3, a), (2, g))
    ]
    F = methods_kfac.recurrent_fisher(*(methods_kfac.stationary_lags(*pair, T) for pair in lags))

    found = _solved([Layer(2, 3, False, "recurrent")], [a], [g], [V], damping=0.0)

    return _error(found, methods_kfac.solve_blocks([F], 0.0, [V]))


def ekfac_of_eigenvalues() -> float:
    """E-KFAC whose moments are the products of the eigenvalues == K-FAC with exact damping."""
    rng = _rng()
    weights, a, g = _network(rng, 20)
    V = _grads(rng, [W.shape for W in weights])

    method = KFAC(_layers(), damping=DAMPING, method="ekfac")
    method.update(a, g)
    method.refresh()  # the moments begin anew, with the products

    return _error(method.precondition(V), _solved(_layers(), a, g, V))


def ekfac_moments() -> float:
    """The moments of E-KFAC == the diagonal of U^T F U, for the Fisher matrix F and the Kronecker eigenbasis U."""
    rng = _rng()
    _, a, g = _network(rng, 20)

    method = KFAC(_layers(), method="ekfac", decay=0.0)
    method.update(a, g)
    expected = []
    for k, rows in enumerate(zip(a, g, strict=True)):
        U = np.kron(method.bases[k][1], method.bases[k][0])
        expected.append(np.diag(U.T @ methods_kfac.fisher([rows]) @ U))

    return _error(method.moments, expected)


def affine_maps(damping=0.0, method="factored") -> float:
    """K-FAC without damping of mapped activations and outputs == the mapped K-FAC, Phi dW Om^-T."""
    rng = _rng()
    a, g, V = rng.standard_normal((40, 5)), rng.standard_normal((40, 4)), rng.standard_normal((4, 6))
    Om = np.eye(6) + 0.3 * rng.standard_normal((6, 6))
    Om[:, -1] = np.eye(6)[-1]  # a' = [a, 1] Om has a 1 again
    Phi = np.eye(4) + 0.3 * rng.standard_normal((4, 4))
    # Outputs s' = Phi s: derivatives and gradients are covectors.
    mapped = (methods_kfac.with_ones(a) @ Om)[:, :-1], g @ np.linalg.inv(Phi), np.linalg.solve(Phi.T, V) @ Om

    steps = []
    for rows, derivatives, grad in ((a, g, V), mapped):
        kfac = KFAC([Layer(4, 5)], damping=damping, method=method)
        kfac.update([rows], [derivatives])
        steps += kfac.precondition([grad])

    return _error([steps[1]], [Phi @ steps[0] @ np.linalg.inv(Om).T])


def clipped_length() -> float:
    """The clipped step of K-FAC has the squared length c in its damped curvature, as a trust region of radius c."""
    rng = _rng()
    weights, a, g = _network(rng, 20)
    V, c, rate = _grads(rng, [W.shape for W in weights]), 1e-3, 0.3

    step = KFAC(_layers(), damping=DAMPING, method="eigen").step(V, a, g, rate=rate, clip=c)
    total = 0.0
    for d, x, y in zip(step, a, g, strict=True):
        A, G = oracle.update_factors(np.zeros((d.shape[1],) * 2), x, decay=0.0, bias=True), y.T @ y / len(y)
        total += d.ravel() @ (np.kron(G, A) + DAMPING * np.eye(d.size)) @ d.ravel()

    assert kl_clip(1e9, rate, c) < 1
    return abs(total / c - 1)


def _tridiagonal():
    rng = _rng()
    _, a, g = _network(rng, 60)
    method = BlockTridiagonalKFAC(_layers(), damping=0.0)
    method.update(a, g)
    inverse = methods_kfac.dense_inverse(method.precondition, [layer.shape for layer in _layers()])
    ends = np.cumsum([0, *(np.prod(layer.shape) for layer in _layers())])
    blocks = [slice(*ends[k : k + 2]) for k in range(len(ends) - 1)]
    rows = [methods_kfac.with_ones(x) for x in a]
    factors = [[np.kron(g[i].T @ g[j] / 60, rows[i].T @ rows[j] / 60) for j in range(len(a))] for i in range(len(a))]
    return inverse, blocks, factors


def tridiagonal_blocks() -> float:
    """The inverse of the block-tridiagonal method's matrix == Kronecker factors, in a layer and between neighbours."""
    inverse, blocks, factors = _tridiagonal()
    F = np.linalg.inv(inverse)
    pairs = [(i, j) for i in range(3) for j in range(3) if abs(i - j) <= 1]
    return largest(*(oracle.relative_error(F[blocks[i], blocks[j]], factors[i][j]) for i, j in pairs))


def tridiagonal_zeros() -> float:
    """Blocks of the block-tridiagonal method's matrix of layers that are no neighbours == 0."""
    inverse, blocks, _ = _tridiagonal()
    errors = [np.abs(inverse[blocks[i], blocks[j]]).max() for i, j in ((0, 2), (2, 0))]
    return largest(*errors) / float(np.abs(inverse).max())


IDENTITIES = [
    (one_case, 1e-12),
    (one_layer_softmax, 1e-12),
    (deep_linear, 1e-12),
    (expand, 1e-12),
    (reduce, 1e-12),
    (recurrent, 1e-12),
    (ekfac_of_eigenvalues, 1e-12),
    (ekfac_moments, 1e-12),
    (affine_maps, 1e-12),
    (clipped_length, 1e-12),
    (tridiagonal_blocks, 1e-11),
    (tridiagonal_zeros, 1e-12),
]
