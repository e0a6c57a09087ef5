"""Limited-memory SR1 and its trust-region problem, by dense matrices."""

import numpy as np
import scipy.optimize


def sr1_matrix(S, Y, gamma):
    """Gamma I and all SR1 updates, in their compact form; Brust, Erway and Marcia 2017, section 2."""
    S, Y = np.float64(S), np.float64(Y)
    Psi = Y - gamma * S
    lower = np.tril(S @ Psi.T)  # that of S Y^T, less gamma S S^T
    inverse = lower + np.tril(lower, -1).T
    return gamma * np.eye(S.shape[1]) + Psi.T @ np.linalg.solve(inverse, Psi)


def sr1_recursion(S, Y, gamma):
    """The same, update by update."""
    B = gamma * np.eye(S.shape[1])
    for s, y in zip(S, Y, strict=True):
        r = y - B @ s
        B = B + np.outer(r, r) / (r @ s)
    return B


def trust_region(B, g, radius):
    """The least value of g.p + p.B p / 2 over |p| <= radius and its multiplier, from all eigenvectors, by bisection."""
    values, V = np.linalg.eigh(B)
    a, scale = V.T @ g, np.abs(values).max() or 1.0
    a = np.where(np.abs(a) < 1e-12 * np.linalg.norm(g), 0, a)
    gap, low = values - values[0], max(values[0], 0.0)

    def length(shift):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.linalg.norm(np.where(a == 0, 0, a / (gap + shift)))

    shift = low
    if length(low) > radius:
        shift = scipy.optimize.brentq(
            lambda x: np.log(length(np.exp(x)) / radius),
            np.log(max(low, (abs(a) / radius - gap).max() * (1 - 1e-12), 1e-25 * scale)),
            np.log(low + np.linalg.norm(a) / radius * 2),
            xtol=1e-15,
        )
        shift = np.exp(shift)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = -np.where(a == 0, 0, a / (gap + shift))
    sigma = shift - values[0] if values[0] <= 0 else max(shift - values[0], 0.0)
    rest = radius**2 - p @ p
    extra = 0.5 * values[0] * rest if values[0] < 0 and shift == 0 and rest > 0 else 0.0
    return a @ p + 0.5 * p @ (values * p) + extra, sigma


def bfgs_inverse(S, Y, initial=None):
    """Return the BFGS matrix H of curved pairs, the oldest first, by its recursion (Nocedal and Wright, (6.17))."""
    curved = [(s, y) for s, y in zip(S, Y, strict=True) if s @ y > 1e-10 * np.linalg.norm(s) * np.linalg.norm(y)]
    if initial is None:
        initial = curved[-1][0] @ curved[-1][1] / (curved[-1][1] @ curved[-1][1]) if curved else 1.0
    H, identity = initial * np.eye(S.shape[1]), np.eye(S.shape[1])
    for s, y in curved:
        V = identity - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    return H
