"""Identities between methods that are kernels: low-rank and sample-space ones, quasi-Newton, inverses."""

import numpy as np

import curvblas as cb

import oracle
from identities import largest
from oracle import low_rank, relative_error


def _definite(rng, n, smallest=0.1):
    A = rng.standard_normal((n, n))
    return A @ A.T / n + smallest * np.eye(n)


def _pairs(rng, n, m, H):
    S = rng.standard_normal((m, n))
    return S, S @ H


def spring_without_momentum() -> float:
    """SPRING with momentum 0 == minSR == (J^T J + d I)^-1 J^T e, for complex Jacobians too."""
    rng, worst = np.random.default_rng(1), 0.0
    for imaginary in (0, 1j):
        J = rng.standard_normal((12, 40)) + imaginary * rng.standard_normal((12, 40))
        e, previous = rng.standard_normal(12) + imaginary * rng.standard_normal(12), rng.standard_normal(40) + 0 * J[0]
        plain = cb.sample_space_solve(J, e, 0.1).solution
        spring = cb.sample_space_solve(J, e, 0.1, previous=previous, momentum=0.0).solution
        explicit = np.linalg.solve(J.conj().T @ J + 0.1 * np.eye(40), J.conj().T @ e)
        worst = largest(worst, relative_error(plain, explicit), relative_error(spring, plain))
    return worst


def spring_is_ridge() -> float:
    """SPRING == the minimiser of |J x - e|^2 + d |x - mu x_0|^2."""
    rng = np.random.default_rng(2)
    J, e, previous = rng.standard_normal((12, 40)), rng.standard_normal(12), rng.standard_normal(40)

    found = cb.sample_space_solve(J, e, 1e-3, previous=previous, momentum=0.9).solution

    expected = np.linalg.solve(J.T @ J + 1e-3 * np.eye(40), J.T @ e + 1e-3 * 0.9 * previous)
    return relative_error(found, expected)


def lbfgs_in_the_trust_region_solver() -> float:
    """Interior step with the compact form of the L-BFGS matrix B == its two-loop direction -H g."""
    rng = np.random.default_rng(3)
    S, Y = _pairs(rng, 30, 5, _definite(rng, 30))
    g, sigma = rng.standard_normal(30), (Y[-1] @ Y[-1]) / (S[-1] @ Y[-1])
    lower = np.tril(S @ Y.T, -1)
    M_inv = -np.block([[sigma * S @ S.T, lower], [lower.T, -np.diag((S * Y).sum(axis=1))]])

    found = cb.trust_region_step(np.concatenate([sigma * S, Y]), M_inv, g, 1e6, gamma=sigma)

    assert found.status == cb.Status.OK
    assert found.case == 0
    return relative_error(found.step, cb.lbfgs_direction(S, Y, g))


def lbfgs_is_bfgs() -> float:
    """L-BFGS direction == -H g with the matrix H of the BFGS recursion."""
    rng = np.random.default_rng(4)
    S, Y = _pairs(rng, 30, 5, _definite(rng, 30))
    g = rng.standard_normal(30)
    return relative_error(cb.lbfgs_direction(S, Y, g), -oracle.bfgs_inverse(S, Y) @ g)


def lsr1_of_a_quadratic() -> float:
    """L-SR1 step with as many pairs as variables, in a large region == Newton's step of the quadratic."""
    rng = np.random.default_rng(5)
    H, g = _definite(rng, 8), rng.standard_normal(8)
    S, Y = _pairs(rng, 8, 8, H)

    found = cb.lsr1_step(S, Y, g, 1e6, gamma=20.0)

    return relative_error(found.step, -np.linalg.solve(H, g))


def lsr1_of_an_indefinite_quadratic() -> float:
    """L-SR1 step with as many pairs as variables == trust-region step of the indefinite quadratic, at the boundary."""
    rng = np.random.default_rng(6)
    H, g = _definite(rng, 8) - np.diag([2.0, *np.zeros(7)]), rng.standard_normal(8)
    S, Y = _pairs(rng, 8, 8, H)

    found = cb.lsr1_step(S, Y, g, 3.0, gamma=20.0)

    sigma = oracle.trust_region(H, g, 3.0)[1]
    return relative_error(found.step, -np.linalg.solve(H + sigma * np.eye(8), g))


def kaldi_is_its_definition() -> float:
    """Kaldi's online natural gradient as it stores W == its explicit matrices R^T diag(d) R + rho I, 40 minibatches."""
    rng, worst = np.random.default_rng(7), 0.0
    direct, method = low_rank.OnlineNaturalGradient(12, rank=4), cb.OnlineNaturalGradient(12, rank=4)
    mixing = rng.standard_normal((12, 12))
    for _ in range(40):
        X = rng.standard_normal((30, 12)) @ mixing
        worst = largest(worst, relative_error(method.precondition(X), direct.precondition(X)))
    return worst


def simple_natural_gradient_leaves_one_out() -> float:
    """Kaldi's simple method == each row over the moment of the others, inverse by inverse."""
    X = np.random.default_rng(8).standard_normal((20, 9))
    return relative_error(cb.simple_natural_gradient(X, alpha=2.0), low_rank.simple_natural_gradient(X, 2.0))


def inverse_free_ends_at_the_inverse() -> float:
    """Fixed point K K^T of inverse-free K-FAC (IKFAC) == (A + d I)^-1 by Cholesky."""
    rng = np.random.default_rng(9)
    A, G = _definite(rng, 6), _definite(rng, 4)
    K, C, m_K, m_C = np.eye(6), np.eye(4), np.zeros((6, 6)), np.zeros((4, 4))
    for _ in range(600):
        cb.update_inverse_free(K, C, A, G, m_K, m_C, damping=0.1, step=0.2, momentum=0.0, rule="ikfac")
    (A_inv, G_inv) = cb.damped_inverse([A, G], 0.1).inverse
    return largest(relative_error(K @ K.T, A_inv), relative_error(C @ C.T, G_inv))


def newton_is_schulz_is_cholesky() -> float:
    """Coupled Newton root of order 1 == inverse by Newton-Schulz steps from a warm start == by Cholesky."""
    A = _definite(np.random.default_rng(10), 40)
    direct = cb.damped_inverse(A, 0.1).inverse
    coupled = cb.inverse_root(A, 1, 0.1, method="newton").root
    steps = cb.damped_inverse(A, 0.1, method="newton", warm_start=direct * 1.01).inverse
    return largest(relative_error(coupled, direct), relative_error(steps, direct))


IDENTITIES = [
    (spring_without_momentum, 1e-12),
    (spring_is_ridge, 1e-10),
    (lbfgs_in_the_trust_region_solver, 1e-12),
    (lbfgs_is_bfgs, 1e-12),
    (lsr1_of_a_quadratic, 1e-11),
    (lsr1_of_an_indefinite_quadratic, 1e-11),
    (kaldi_is_its_definition, 1e-13),
    (simple_natural_gradient_leaves_one_out, 1e-13),
    (inverse_free_ends_at_the_inverse, 1e-13),
    (newton_is_schulz_is_cholesky, 1e-12),
]
