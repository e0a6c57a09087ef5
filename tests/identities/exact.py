"""Identities of exact natural gradients."""

import numpy as np

import curvblas as cb
from curvblas.methods import exact, families

from identities import largest
from oracle import relative_error


def _softmax(cases, inputs, classes, seed):
    """Return the jacobian, the outputs and the targets of softmax regression, with weights in row-major order."""
    rng = np.random.default_rng(seed)
    X, W = rng.standard_normal((cases, inputs)), rng.standard_normal((classes, inputs))
    jacobian = np.einsum("ij,nk->nijk", np.eye(classes), X).reshape(cases, classes, -1)
    outputs = X @ W.T
    return X, jacobian, outputs, families.Categorical().sample(outputs, rng)


def _logistic(cases, inputs, seed):
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((cases, inputs)), rng.standard_normal(inputs)
    outputs = (X @ w)[:, None]
    return X, w, outputs, families.Bernoulli().sample(outputs, rng)


def rows_of(count, columns, rng):
    """Draw a matrix with singular values from 0.3 to 3."""
    short = min(count, columns)
    U, V = (np.linalg.qr(rng.standard_normal((n, short)))[0] for n in (count, columns))
    return (U * np.geomspace(0.3, 3, short)) @ V.T


def explicit_is_sample_space_is_conjugate_gradients() -> float:
    """Explicit solution == in sample space == by conjugate gradients, for fewer, as many and more rows than columns."""
    worst, rng = 0.0, np.random.default_rng(1)
    for count in (5, 20, 60):
        R, e = rows_of(count, 20, rng), rng.standard_normal(count)
        for damping in (1e-3, 1.0, 1e2):
            short = cb.sample_space_solve(R, e, damping).solution
            explicit = exact.explicit_solve(R.T @ R, R.T @ e, damping).solution
            by_products = exact.conjugate_gradient(
                lambda v, R=R: R.T @ (R @ v), R.T @ e, damping=damping, rtol=1e-14
            ).solution
            worst = largest(worst, relative_error(explicit, short), relative_error(by_products, short))
    return worst


def woodbury_is_explicit() -> float:
    """(v - R^T (R R^T + d I)^-1 R v) / d == (R^T R + d I)^-1 v for any v."""
    rng = np.random.default_rng(2)
    R, v = rng.standard_normal((8, 30)), rng.standard_normal(30)
    return relative_error(exact.woodbury_solve(R, v, 0.1).solution, exact.explicit_solve(R.T @ R, v, 0.1).solution)


def tonga_is_dense_is_sample_space() -> float:
    """TONGA without truncation == dense inverse == sample space with rows ``decay^((t - j) / 2) g_j``."""
    rng = np.random.default_rng(3)
    G, decay, damping = rng.standard_normal((12, 30)), 0.9, 0.05
    found = [cb.TONGA(30, rank=10, window=20, decay=decay, damping=damping).step(G)]
    rows = G * decay ** (np.arange(11, -1, -1) / 2)[:, None]
    # The mean of all gradients is rows^T e.
    e = decay ** (-np.arange(11, -1, -1) / 2) / 12
    found.append(cb.sample_space_solve(rows, e, damping).solution)
    expected = exact.explicit_solve(rows.T @ rows, G.mean(axis=0), damping).solution
    return largest(*(relative_error(x, expected) for x in found))


def min_sr_is_gauss_newton() -> float:
    """minSR with the rows of the GGN == explicit solution with the GGN and the gradient."""
    _, J, outputs, y = _softmax(7, 6, 4, seed=4)
    family = families.Categorical()
    R, e = exact.fisher_rows(J, family, outputs), exact.whitened_errors(family, outputs, y)
    p = family.mean(outputs)
    hessian = np.stack([np.diag(q) - np.outer(q, q) for q in p])
    grad = np.einsum("nop,no->p", J, p - y) / len(J)
    expected = exact.explicit_solve(exact.ggn(J, hessian), grad, 1e-3).solution
    return relative_error(cb.sample_space_solve(R, e, 1e-3).solution, expected)


def fisher_of_softmax_layer_is_its_kronecker_product() -> float:
    """For one case: relative Fisher metric of a softmax layer == whole Fisher matrix == K-FAC's G (x) A."""
    X, J, outputs, _ = _softmax(1, 6, 4, seed=5)
    family = families.Categorical()
    F = exact.fisher(J, family, outputs)
    relative_metric = np.kron(family.fisher(outputs)[0], X.T @ X)
    root = np.ascontiguousarray(family.fisher_root(outputs)[0].T)  # its rows are the derivatives of K-FAC's exact G
    G = cb.update_factors(np.zeros((4, 4)), root, decay=0.0, scale=1.0)
    A = cb.update_factors(np.zeros((6, 6)), X, decay=0.0, scale=1.0)
    return largest(relative_error(relative_metric, F), relative_error(np.kron(G, A), F))


def kl_clip_is_the_trust_region_of_distributed_kfac() -> float:
    """Clipped step == step of length ``min(rate, sqrt(c / g.u))``, and its square in the damped metric == c."""
    rng = np.random.default_rng(6)
    R, g = rng.standard_normal((30, 10)), rng.standard_normal(10)
    C, rate, limit = R.T @ R / 30 + 0.1 * np.eye(10), 0.5, 1e-3
    u = np.linalg.solve(C, g)
    step = -rate * exact.kl_clip(g @ u, rate, limit) * u
    trust_region = -min(rate, np.sqrt(limit / (g @ u))) * u
    return largest(relative_error(step, trust_region), abs(step @ C @ step / limit - 1))


def natural_gradient_of_logistic_regression_is_newton() -> float:
    """Undamped natural gradient step == Newton's with the Hessian == iteratively reweighted least squares."""
    X, w, outputs, y = _logistic(80, 5, seed=7)
    p = 1 / (1 + np.exp(-outputs[:, 0]))
    F = exact.fisher(X[:, None, :], families.Bernoulli(), outputs)
    step = -exact.explicit_solve(F, X.T @ (p - y[:, 0]) / 80).solution
    newton = -np.linalg.solve(X.T @ (X * (p * (1 - p))[:, None]) / 80, X.T @ (p - y[:, 0]) / 80)
    root = np.sqrt(p * (1 - p))
    responses = outputs[:, 0] + (y[:, 0] - p) / (p * (1 - p))
    reweighted = np.linalg.lstsq(X * root[:, None], responses * root, rcond=None)[0] - w
    return largest(relative_error(step, newton), relative_error(step, reweighted))


def spectrum_of_fisher_is_that_of_its_gram_matrix() -> float:
    """Eigenvalues of F == eigenvalues of R R^T, padded with zeros."""
    _, J, outputs, _ = _softmax(5, 8, 3, seed=8)
    family = families.Categorical()
    values = np.linalg.eigvalsh(exact.fisher(J, family, outputs))
    others = np.linalg.eigvalsh(cb.gram(exact.fisher_rows(J, family, outputs)))
    padded = np.sort(np.append(others, np.zeros(len(values) - len(others))))
    return float(np.abs(values - padded).max() / values[-1])


def online_inverse_is_a_fading_kalman_filter() -> float:
    """Inverse of the running average == 50 steps of Kalman with fading e and noise 1 / e == the direct inverse."""
    rng = np.random.default_rng(9)
    C, G, rate = np.eye(6), np.eye(6), 0.03
    method = cb.KalmanNaturalGradient(6, fading=rate)
    for _ in range(50):
        g = rng.standard_normal(6)
        C = exact.update_inverse(C, g, rate).solution
        G = (1 - rate) * G + rate * np.outer(g, g)
        method.step(g[None], np.zeros(1), np.array([1 / rate]))
    return largest(relative_error(C, np.linalg.inv(G)), relative_error(C, method.covariance))


def step_is_invariant_to_affine_maps() -> float:
    """B times the undamped step in phi == the step in theta = B phi + b."""
    _, J, outputs, y = _softmax(60, 4, 3, seed=10)
    J = np.concatenate([J, outputs[:, :, None] ** 2], axis=2)[:, :, 4:]  # without the direction that changes nothing
    family, B = families.Categorical(), np.eye(9) + np.random.default_rng(11).standard_normal((9, 9)) / 6

    def step(jacobian):
        R = exact.fisher_rows(jacobian, family, outputs)
        return cb.sample_space_solve(R, exact.whitened_errors(family, outputs, y), 0.0).solution

    return relative_error(B @ step(J @ B), step(J))


def quadratic_loss_is_predicted() -> float:
    """For least squares: predicted change without damping == the change of the loss, rho == 1, alpha == 1, mu == 0."""
    rng = np.random.default_rng(12)
    X, y, w = rng.standard_normal((30, 6)), rng.standard_normal(30), rng.standard_normal(6)

    def loss(theta):
        return ((X @ theta - y) ** 2).mean() / 2 + 0.1 * (theta @ theta) / 2

    method, worst = exact.NaturalGradient(6, damping=0.5, ridge=0.1), 0.0
    for _ in range(3):
        step = method.step(X / np.sqrt(30), (X @ w - y) / np.sqrt(30), parameters=w)
        worst = largest(worst, abs(method.adapt(loss(w), loss(w + step)) - 1), abs(method.coefficients[0] - 1))
        worst = largest(worst, *np.abs(method.coefficients[1:]))
        w = w + step
    return worst


def linear_gaussian_is_solved_in_one_step() -> float:
    """One undamped step of linear regression from anywhere == least squares."""
    rng = np.random.default_rng(13)
    X, y, w = rng.standard_normal((30, 6)), rng.standard_normal((30, 1)), rng.standard_normal(6)
    family, outputs = families.Gaussian(variance=2.0), (X @ w)[:, None]
    R, e = exact.fisher_rows(X[:, None], family, outputs), exact.whitened_errors(family, outputs, y)
    step = -cb.sample_space_solve(R, e, 0.0).solution
    return relative_error(w + step, np.linalg.lstsq(X, y[:, 0], rcond=None)[0])


IDENTITIES = [
    (explicit_is_sample_space_is_conjugate_gradients, 1e-11),
    (woodbury_is_explicit, 1e-13),
    (tonga_is_dense_is_sample_space, 1e-12),
    (min_sr_is_gauss_newton, 1e-12),
    (fisher_of_softmax_layer_is_its_kronecker_product, 1e-14),
    (kl_clip_is_the_trust_region_of_distributed_kfac, 1e-14),
    (natural_gradient_of_logistic_regression_is_newton, 1e-12),
    (spectrum_of_fisher_is_that_of_its_gram_matrix, 1e-14),
    (online_inverse_is_a_fading_kalman_filter, 1e-12),
    (step_is_invariant_to_affine_maps, 1e-12),
    (quadratic_loss_is_predicted, 1e-12),
    (linear_gaussian_is_solved_in_one_step, 1e-12),
]
