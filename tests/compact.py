"""Compact quasi-Newton models, and how far their trust-region steps are from solving the problem."""

import numpy as np

import lsr1


def dense(Psi, M_inv, gamma):
    """B."""
    Psi, M_inv = np.float64(Psi), np.float64(M_inv)
    return gamma * np.eye(Psi.shape[1]) + Psi.T @ np.linalg.solve(M_inv, Psi)


def of_sr1(S, Y, gamma):
    """Psi and M_inv of SR1's matrix."""
    Psi = Y - gamma * S
    lower = np.tril(S @ Psi.T)
    return Psi, lower + np.tril(lower, -1).T


def of_bfgs(S, Y):
    """Psi, M_inv and gamma of BFGS's matrix; Byrd, Nocedal and Schnabel 1994, Theorem 2.3."""
    products = S @ Y.T
    sigma, lower = Y[-1] @ Y[-1] / products[-1, -1], np.tril(products, -1)
    M_inv = np.block([[-sigma * S @ S.T, -lower], [-lower.T, np.diag(np.diag(products))]])
    return np.concatenate([sigma * S, Y]), M_inv, sigma


def indefinite(rng, m):
    """A well-conditioned M_inv with eigenvalues of both signs."""
    Q = np.linalg.qr(rng.standard_normal((m, m)))[0]
    M_inv = (Q * (rng.choice([-1, 1], m) * rng.uniform(0.5, 2, m))) @ Q.T
    return (M_inv + M_inv.T) / 2


def solved(backend, problems):
    """The steps of many problems (Psi, M_inv, gamma, g, radius)."""
    Psi, M_inv, gamma, g, radius = (np.array(part) for part in zip(*problems, strict=True))
    return backend.trust_region_step(Psi, M_inv, g, radius, gamma=gamma)


def worst(problems, found):
    """The largest of each error, which have to be numbers."""
    every = []
    for b, (Psi, M_inv, gamma, g, radius) in enumerate(problems):
        every.append(lsr1.errors_of(dense(Psi, M_inv, gamma), g, radius, lsr1.one_of(found, b)))
    return {name: np.max([e[name] for e in every]) for name in every[0]}
