"""Identities of natural neural networks; every function returns the largest relative error of its two sides."""

import numpy as np

from curvblas.methods.kfac import KFAC
from curvblas.methods.prong import PRONG, Layer

import oracle
from identities import largest

LAYERS = [Layer(4, 6), Layer(3, 4), Layer(2, 5)]
DAMPING = 0.01


def _start():
    """A method that has seen inputs whose mean is far from zero, with these inputs and a gradient."""
    rng = np.random.default_rng(1507)
    inputs = [
        2 + rng.standard_normal((50, layer.in_features)) @ rng.standard_normal((layer.in_features,) * 2)
        for layer in LAYERS
    ]
    method = PRONG(LAYERS, damping=DAMPING)
    method.reparametrise(inputs)
    return rng, method, inputs, [rng.standard_normal(layer.shape) for layer in LAYERS]


def _epsilon(x):
    return DAMPING * x.var(axis=0).mean()


def kfac_of_inputs_alone() -> float:
    """PRONG == K-FAC with G = I, damped on the centred covariance of the inputs."""
    rng, method, inputs, V = _start()
    kfac = KFAC(LAYERS)
    kfac.update(inputs, [rng.standard_normal((50, layer.out_features)) for layer in LAYERS])

    errors = []
    for step, v, x, A in zip(method.step(V, rate=1.0), V, inputs, kfac.factors["A"], strict=True):
        shifted = A + np.diag([_epsilon(x)] * x.shape[1] + [0.0])
        errors.append(oracle.relative_error(step, -v @ np.linalg.inv(shifted)))
    return largest(*errors)


def preserved_function() -> float:
    """Outputs of V on whitened inputs == outputs of W on inputs."""
    rng, method, inputs, W = _start()
    method.reparametrise(inputs, [rng.standard_normal((50, layer.out_features)) * 3 for layer in LAYERS])
    trained, white = method.trained(W), method.whiten(inputs)

    errors = []
    for k, scales in enumerate(method.state_dict()["scales"]):
        found = scales * (white[k] @ trained[k][:, :-1].T + trained[k][:, -1])
        errors.append(oracle.relative_error(found, inputs[k] @ W[k][:, :-1].T + W[k][:, -1]))
    return largest(*errors)


def whitened_covariance() -> float:
    """The covariance of whitened inputs == s / (s + eps), in the eigenvectors of that of the inputs."""
    _, method, inputs, _ = _start()

    errors = []
    for x, white in zip(inputs, method.whiten(inputs), strict=True):
        Sigma = np.cov(x.T, bias=True)
        s, Q = np.linalg.eigh(Sigma)
        expected = Q @ np.diag(s / (s + _epsilon(x))) @ Q.T
        errors.append(oracle.relative_error(white.T @ white / len(white), expected))
    return largest(*errors)


def descent_with_momentum() -> float:
    """Steps in W == gradient descent with momentum on (V, d), whose velocity is mapped when coordinates change."""
    rng, _, inputs, W = _start()
    method = PRONG(LAYERS, damping=DAMPING, momentum=0.9)
    direct = [w.copy() for w in W]
    velocity = [np.zeros_like(w) for w in W]

    for _ in range(3):
        seen = [x + rng.standard_normal(x.shape) for x in inputs]
        outputs = [x @ w[:, :-1].T + w[:, -1] for x, w in zip(seen, direct, strict=True)]
        moved = method.canonical(velocity)
        method.reparametrise(seen, outputs)
        velocity = method.trained(moved)
        for _ in range(2):
            V = [rng.standard_normal(w.shape) for w in W]
            velocity = [0.9 * v + g for v, g in zip(velocity, method.gradients(V), strict=True)]
            trained = [x - 0.1 * v for x, v in zip(method.trained(direct), velocity, strict=True)]
            direct = method.canonical(trained)
            W = [w + d for w, d in zip(W, method.step(V, rate=0.1), strict=True)]

    return largest(*map(oracle.relative_error, W, direct))


IDENTITIES = [
    (kfac_of_inputs_alone, 1e-12),
    (preserved_function, 1e-12),
    (whitened_covariance, 1e-12),
    (descent_with_momentum, 1e-12),
]
