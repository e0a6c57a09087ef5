"""Kronecker factors, inverses, roots, eigenbases and what K-FAC makes of them."""

import numpy as np
import scipy.linalg


def update_factors(factors, rows, *, decay=0.95, scale=None, weights=None, bias=False):
    """decay C + scale sum_n w_n r_n r_n^T."""
    rows = np.asarray(rows, np.float64)
    N = rows.shape[0]
    if scale is None:
        scale = (1 - decay) / N if N else 0.0
    weights = np.ones(rows.shape[:-1]) if weights is None else np.asarray(weights, np.float64)
    flat = rows.reshape(int(np.prod(rows.shape[:-1])), rows.shape[-1])
    if bias:
        flat = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
    return decay * symmetric(factors) + scale * ((flat.T * weights.ravel()) @ flat)


def patches(inputs, kernel_size, *, stride=1, padding=0, dilation=1):
    """All patches of (N, C, *size) images as rows: (N, T, C prod(kernel_size)), in the order of torch's unfold."""
    x = np.asarray(inputs, np.float64)
    axes = x.ndim - 2
    each = [[v] * axes if np.isscalar(v) else list(v) for v in (kernel_size, stride, padding, dilation)]
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in each[2])])
    extents = [d * (k - 1) + 1 for k, d in zip(each[0], each[3], strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(x, extents, tuple(range(2, 2 + axes)))
    steps = [slice(None), slice(None), *(slice(None, None, step) for step in each[1] + each[3])]
    windows = np.moveaxis(windows[tuple(steps)], 1, 1 + axes)  # N, *positions, C, *offsets
    positions = windows.shape[1 : 1 + axes]
    return windows.reshape(len(x), int(np.prod(positions)), x.shape[1] * int(np.prod(each[0])))


def update_conv_factors(factors, inputs, kernel_size, *, groups=1, decay=0.95, scale=None, bias=False, **geometry):
    """decay A + scale sum_{n, t} a_nt a_nt^T over all patches; one factor a group."""
    if groups == 1:
        return update_factors(factors, patches(inputs, kernel_size, **geometry), decay=decay, scale=scale, bias=bias)
    each = zip(factors, np.split(np.asarray(inputs), groups, axis=1), strict=True)
    options = {"decay": decay, "scale": scale, "bias": bias, **geometry}
    return np.stack([update_conv_factors(A, x, kernel_size, **options) for A, x in each])


def sample_gradients(A_rows, G_rows, *, bias=False):
    """One gradient a case, sum_t g_nt a_nt^T: (N, q, p)."""
    A, G = np.asarray(A_rows, np.float64), np.asarray(G_rows, np.float64)
    if A.ndim == 2:
        A, G = A[:, None], G[:, None]
    if bias:
        A = np.concatenate([A, np.ones((*A.shape[:-1], 1))], axis=-1)
    return np.swapaxes(G, 1, 2) @ A


def update_ekfac_moments(second_moments, A_rows, G_rows, A_basis, G_basis, *, decay=0.95, scale=None, bias=False):
    """decay S + scale sum_n (Q_G^T grad_n Q_A)^2; George et al. 2018, section 3."""
    grads = sample_gradients(A_rows, G_rows, bias=bias)
    if scale is None:
        scale = (1 - decay) / len(grads) if len(grads) else 0.0
    rotated = np.float64(G_basis).T @ grads @ np.float64(A_basis)
    return decay * np.float64(second_moments) + scale * (rotated**2).sum(axis=0)


def update_lagged_factors(factors, rows, *, lag=1, symmetric=False, decay=0.95, scale=None, bias=False):
    """decay C + scale sum_n sum_t x_{n,t+lag} x_{n,t}^T."""
    X = np.asarray(rows, np.float64)
    N, T, _ = X.shape
    if scale is None:
        scale = (1 - decay) / (N * T) if N * T else 0.0
    if bias:
        X = np.concatenate([X, np.ones((N, T, 1))], axis=-1)
    total = np.zeros((X.shape[-1],) * 2)
    for t in range(T - lag):
        total += X[:, t + lag].T @ X[:, t]
    C = np.float64(factors)
    if symmetric:
        C, total = np.tril(C) + np.tril(C, -1).T, (total + total.T) / 2
    return decay * C + scale * total


def pi(A, G):
    """sqrt((tr A / p) / (tr G / q)); Martens and Grosse 2015, section 6.3."""
    return np.sqrt(np.trace(np.float64(A)) / len(A) / (np.trace(np.float64(G)) / len(G)))


def factored_damping(A, G, damping):
    """(pi sqrt(damping), sqrt(damping) / pi)."""
    return pi(A, G) * np.sqrt(damping), np.sqrt(damping) / pi(A, G)


def factored_dampings(factors, damping):
    """(n_i / c) damping^(1/k); factors of size 1 x 1 are numbers, which divide the damping of the others."""
    numbers = [float(f[0, 0]) for f in factors if len(f) == 1]
    if len(numbers) == len(factors):
        numbers = []
    means = [np.trace(np.float64(f)) / len(f) for f in factors]
    damped = [i for i, f in enumerate(factors) if len(f) > 1 or not numbers]
    c = np.prod([means[i] for i in damped]) ** (1 / len(damped))
    share = (damping / np.prod(numbers)) ** (1 / len(damped))
    return [means[i] / c * share if i in damped else 0.0 for i in range(len(factors))]


def update_inverse_free(K, C, A, G, K_momentum, C_momentum, *, damping, step, momentum=0.5, rule="singd"):
    """K and C after one step, and their momenta; methods of Lin et al. 2024."""
    K, C, A, G, K_momentum, C_momentum = map(np.float64, (K, C, A, G, K_momentum, C_momentum))

    def updated(K, A, m, C, G):
        traces = (np.trace(C.T @ G @ C) / len(C), np.trace(C.T @ C) / len(C)) if rule == "singd" else (1, 1)
        m = momentum * m + (traces[0] * K.T @ A @ K + damping * traces[1] * K.T @ K - np.eye(len(K))) / 2
        return K - step * K @ m, m

    (new_K, m_K), (new_C, m_C) = updated(K, A, K_momentum, C, G), updated(C, G, C_momentum, K, A)
    return new_K, new_C, m_K, m_C


def symmetric(C):
    """Return the matrix whose lower triangle is given."""
    C = np.asarray(C, np.float64)
    return np.tril(C) + np.tril(C, -1).T


def pack_symmetric(factors):
    """Return the lower triangle, row by row."""
    return factors[np.tril_indices(len(factors))]


def damped_inverse(factors, damping):
    """(C + damping I)^-1 from the lower triangles."""
    return np.linalg.inv(symmetric(factors) + damping * np.eye(len(factors)))


def damped_cholesky(factors, damping):
    """L with L L^T = C + damping I."""
    return np.linalg.cholesky(symmetric(factors) + damping * np.eye(len(factors)))


def triangular_solve(factors, rhs, *, transpose=False):
    """L^-1 B, or L^-T B, from the lower triangle."""
    L = np.tril(np.float64(factors))
    return np.linalg.solve(L.T if transpose else L, np.float64(rhs))


def cholesky_solve(factors, rhs):
    """(L L^T)^-1 B."""
    return triangular_solve(factors, triangular_solve(factors, rhs), transpose=True)


def newton_schulz(matrices, *, steps=5, coefficients=(3.4445, -4.7750, 2.0315)):
    """The odd polynomial, applied so often to the singular values of B / (||B|| + 1e-7)."""
    U, s, Vt = np.linalg.svd(np.float64(matrices), full_matrices=False)
    s = s / (np.linalg.norm(s) + 1e-7)
    a, b, c = coefficients
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return U * s @ Vt


def inverse_root(factors, p, damping):
    """(C + damping I)^(-1/p) from the lower triangle."""
    return power(symmetric(factors) + damping * np.eye(len(factors)), -1 / p)


def root_residual(C, p, damping, root):
    """||X^p (C + damping I) - I||_F, all columns."""
    n = len(C)
    shifted = symmetric(C) + damping * np.eye(n)
    size = np.abs(shifted).max()  # so that nothing overflows in between
    X = np.float64(root) * np.exp2(np.log2(size) / p)
    return np.linalg.norm(np.linalg.matrix_power(X, p) @ (shifted / size) - np.eye(n))


def residual(C, damping, inverse):
    """||(C + damping I) X - I||_F, all columns."""
    n = len(C)
    return np.linalg.norm((symmetric(C) + damping * np.eye(n)) @ np.asarray(inverse, np.float64) - np.eye(n))


def log_det(C, damping):
    """log det(C + damping I)."""
    return np.linalg.slogdet(symmetric(C) + damping * np.eye(len(C)))[1]


def eigenbasis(factors):
    """(values, vectors) from the lower triangle, signs as `curvblas.eigenbasis` has them."""
    values, vectors = np.linalg.eigh(symmetric(factors))
    if len(values):
        vectors = vectors * np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0))
    return values, vectors


def precondition(grads, A_inv, G_inv):
    """G_inv V A_inv."""
    return np.float64(G_inv) @ np.float64(grads) @ np.float64(A_inv)


def precondition_eigen(grads, A, G, damping, second_moments=None):
    """The Kronecker-factored curvature, dense, damped and inverted; or second moments in the eigenbases of A and G."""
    V = np.float64(grads)
    if second_moments is None:
        curvature = np.kron(np.float64(G), np.float64(A))
        return np.linalg.solve(curvature + damping * np.eye(V.size), V.ravel()).reshape(V.shape)
    Q_A, Q_G = np.float64(A), np.float64(G)
    return Q_G @ ((Q_G.T @ V @ Q_A) / (np.float64(second_moments) + damping)) @ Q_A.T


def kron_sum_solve(A, B, C, D, Z, sign):
    """X with B X A + sign D X C = Z: a Sylvester equation, solved by Schur forms."""
    A, B, C, D = map(symmetric, (A, B, C, D))
    return scipy.linalg.solve_sylvester(
        sign * np.linalg.solve(B, D), np.linalg.solve(C, A).T, np.linalg.solve(B, Z) @ np.linalg.inv(C)
    )


def power(C, exponent):
    """C^exponent of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(C)
    return vectors * values**exponent @ vectors.T


def recurrent_step_symmetric(V, A0, A1, G0, G1, T):
    """F^-1 V for F = sum_{|d| < T} (T - |d|) G_d (x) A_d with symmetric transitions; Martens et al. 2018, option 1.

    The eigenvalues of the transitions keep their signs, and the factor is the finite sum, whose closed form cancels
    where a product of eigenvalues is near 1.
    """

    def decorrelated(C0, C1):
        root = power(C0, -0.5)
        values, vectors = np.linalg.eigh(root @ C1 @ root)
        return values, root @ vectors

    psi_A, L_A = decorrelated(A0, A1)
    psi_G, L_G = decorrelated(G0, G1)
    x = np.outer(psi_G, psi_A)
    total = T + 2 * sum((T - d) * x**d for d in range(1, T))
    return L_G @ ((L_G.T @ V @ L_A) / total) @ L_A.T


def recurrent_step_infinite(V, A0, A1, G0, G1, T):
    """F^-1 V in the limit of long sequences, any transition; Martens et al. 2018, option 2."""

    def decorrelated(C0, C1):
        root = power(C0, -0.5)
        _, singular, E = np.linalg.svd(root @ C1 @ root)
        return C1.T @ np.linalg.inv(C0), np.minimum(singular**2, 1), root @ E.T

    P_A, mu_A, K_A = decorrelated(A0, A1)
    P_G, mu_G, K_G = decorrelated(G0, G1)
    remaining = 1 - np.outer(mu_G, mu_A)
    Z = V - P_G @ V @ P_A.T
    Z = K_G @ ((K_G.T @ Z @ K_A) / np.where(remaining == 0, 1, remaining)) @ K_A.T
    return (Z - P_G.T @ Z @ P_A) / T


def tolerance(dtype, condition=1.0):
    """50 eps cond, relative: what a backward stable method is held to."""
    return 50 * np.finfo(dtype).eps * max(condition, 1.0)


def relative_error(x, reference):
    """||x - reference|| / ||reference||; the plain norm where the reference is zero."""
    size = np.linalg.norm(reference)
    return float(np.linalg.norm(np.asarray(x, np.result_type(x, np.float64)) - reference) / (size if size else 1.0))
