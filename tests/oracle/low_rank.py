"""Products of few long rows, and low-rank natural gradients."""

import numpy as np

from oracle.kronecker import symmetric


def gram(rows):
    """R R^T."""
    R = np.float64(rows)
    return R @ R.T


def low_rank_solve(basis, values, grads, *, damping):
    """(U^T diag(values) U + damping I)^-1 g, for each row g."""
    U, d = np.float64(basis), np.float64(values)
    return np.linalg.solve((U.T * d) @ U + damping * np.eye(U.shape[1]), np.float64(grads).T).T


class Tonga:
    """C <- decay C + g g^T, v = (C + damping I)^-1 g; C cut to its largest eigenvalues after each window."""

    def __init__(self, dim, *, rank, window, decay, damping):
        self.C = np.zeros((dim, dim))
        self.rank, self.window, self.decay, self.damping, self.count = rank, window, decay, damping, 0

    def push(self, g):
        g = np.float64(g)
        if self.count == self.window:
            values, vectors = np.linalg.eigh(self.C)
            kept = vectors[:, -self.rank :]
            self.C, self.count = (kept * values[-self.rank :]) @ kept.T, 0
        self.C = self.decay * self.C + np.outer(g, g)
        self.count += 1

    def step(self, gradients):
        G = np.atleast_2d(gradients)
        for g in G:
            self.push(g)
        return np.linalg.solve(self.C + self.damping * np.eye(len(self.C)), np.float64(G).mean(axis=0))


class Kalman:
    """The extended Kalman filter of static parameters."""

    def __init__(self, covariance, fading=0.0):
        self.P, self.fading = np.float64(covariance), fading

    def step(self, H, e, R):
        H, e, R = map(np.float64, (H, e, R))
        R = np.diag(R) if R.ndim == 1 else R
        P = self.P / (1 - self.fading)
        K = P @ H.T @ np.linalg.inv(H @ P @ H.T + R)
        self.P = symmetric(P - K @ H @ P)
        return K @ e


class FisherAverage:
    """Online natural gradient: J <- (1 - eta) J + eta H^T R^-1 H, and -eta J^-1 grad for the gradient -H^T R^-1 e."""

    def __init__(self, J, fading=0.0):
        self.J, self.fading, self.inverse_rate = np.float64(J), fading, 1.0

    def step(self, H, e, R):
        R = np.diag(R) if R.ndim == 1 else R
        self.inverse_rate = 1 + (1 - self.fading) * self.inverse_rate
        eta = 1 / self.inverse_rate
        self.J = (1 - eta) * self.J + eta * H.T @ np.linalg.solve(R, H)
        return eta * np.linalg.solve(self.J, H.T @ np.linalg.solve(R, e))


def sample_space_solve(jacobian, rhs, damping, previous=None, momentum=0.0):
    """Minimise |J x - rhs|^2 + damping |x - momentum previous|^2 by singular values; least norm without damping."""
    wide = np.result_type(jacobian, np.float64)
    J, e = jacobian.astype(wide), rhs.astype(wide)
    start = np.zeros(J.shape[1], wide) if previous is None else momentum * previous.astype(wide)
    U, s, Vh = np.linalg.svd(J, full_matrices=False)
    kept = s**2 + damping > 16 * np.finfo(jacobian.dtype).eps * ((s**2).max(initial=0) + damping)
    filtered = np.where(kept, s / np.where(kept, s**2 + damping, 1), 0)
    return start + Vh.conj().T @ (filtered * (U.conj().T @ (e - J @ start)))


def simple_natural_gradient(X, alpha):
    """Precondition each row by the moment of the others, inverse by inverse."""
    X = np.float64(X)
    N, D = X.shape
    smoothing = alpha * (X**2).sum() / (N * D) * np.eye(D)
    rows = [np.linalg.solve(smoothing + (X.T @ X - np.outer(x, x)) / (N - 1), x) for x in X]
    return np.stack(rows) * np.linalg.norm(X) / np.linalg.norm(rows)


def layer_jacobian(A_rows, G_rows, bias):
    """Return the gradients of all layers, a row for each case: sum over t of g_t (a_t, 1)^T."""
    columns = []
    for a, g, has_bias in zip(A_rows, G_rows, bias, strict=True):
        a, g = (np.float64(x).reshape(len(x), -1, x.shape[-1]) for x in (a, g))
        if has_bias:
            a = np.concatenate([a, np.ones((*a.shape[:2], 1))], axis=2)
        columns.append(np.einsum("ntq,ntp->nqp", g, a).reshape(len(a), -1))
    return np.concatenate(columns, axis=1)


class OnlineNaturalGradient:
    """Povey et al. 2015 as they define it: F = R^T diag(d) R + rho I, explicit matrices."""

    def __init__(self, dim, *, rank=40, alpha=4.0, history=2000.0, update_period=4, epsilon=1e-10, delta=5e-4):
        self.rank, self.alpha, self.history, self.period = min(rank, dim - 1), alpha, history, update_period
        self.epsilon, self.delta, self.calls = epsilon, delta, 0
        R = np.zeros((self.rank, dim))
        for r in range(self.rank):
            R[r, r :: self.rank] = 1
            R[r, r] = 1.1
        self.R = R / np.linalg.norm(R, axis=1, keepdims=True)
        self.d, self.rho = np.full(self.rank, epsilon), epsilon

    def factor(self):
        return (self.R.T * self.d) @ self.R + self.rho * np.eye(self.R.shape[1])

    def update(self, X):
        N, D = X.shape
        eta = min(0.9, 1 - np.exp(-N / self.history))
        T = eta * X.T @ X / N + (1 - eta) * self.factor()
        Y = self.R @ T
        c, U = np.linalg.eigh(Y @ Y.T)
        c, U = c[::-1], U[:, ::-1]
        least = (self.rho * (1 - eta)) ** 2
        roots = np.sqrt(np.maximum(c, least))
        self.R = (U.T @ Y) / roots[:, None]
        rho = (np.trace(T) - roots.sum()) / (D - self.rank)
        floor = max(self.epsilon, self.delta * roots.max())
        is_floored = c.min() < least or rho < floor or (roots - rho).min() < floor
        self.d, self.rho = np.maximum(roots - rho, floor), max(rho, floor)
        overlap = self.R @ self.R.T
        if (is_floored or c[0] > 1e6 * max(c[-1], least)) and np.abs(overlap - np.eye(self.rank)).max() > 1e-3:
            self.R = np.linalg.solve(np.linalg.cholesky(overlap), self.R)

    def precondition(self, X):
        D = X.shape[1]
        if self.calls == 0:
            for _ in range(1 if len(X) <= self.rank else 3):
                self.update(X)
        trace = self.d.sum() + D * self.rho
        X_hat = X @ np.linalg.inv(self.factor() + self.alpha / D * trace * np.eye(D))
        if self.calls <= 10 or (self.calls - 10) % self.period == 0:
            self.update(X)
        self.calls += 1
        return X_hat * np.linalg.norm(X) / np.linalg.norm(X_hat)
