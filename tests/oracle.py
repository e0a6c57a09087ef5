"""The mathematics as the papers write it, in float64 NumPy: slow, obvious, the judge of every kernel."""

import numpy as np


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
    return decay * symmetric(factors) + scale * (flat.T * weights.ravel()) @ flat


def patches(inputs, kernel_size, *, stride=1, padding=0, dilation=1):
    """All patches of (N, C, *size) images as rows: (N, T, C prod(kernel_size)), in the order of torch's unfold."""
    x = np.asarray(inputs, np.float64)
    axes = x.ndim - 2
    each = [[v] * axes if np.isscalar(v) else list(v) for v in (kernel_size, stride, padding, dilation)]
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in each[2])])
    extents = [d * (k - 1) + 1 for k, d in zip(each[0], each[3], strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(x, extents, tuple(range(2, 2 + axes)))
    step = (
        slice(None),
        slice(None),
        *(slice(None, None, s) for s in each[1]),
        *(slice(None, None, d) for d in each[3]),
    )
    windows = np.moveaxis(windows[step], 1, 1 + axes)  # N, *positions, C, *offsets
    positions = windows.shape[1 : 1 + axes]
    return windows.reshape(len(x), int(np.prod(positions)), x.shape[1] * int(np.prod(each[0])))


def update_conv_factors(factors, inputs, kernel_size, *, groups=1, decay=0.95, scale=None, bias=False, **geometry):
    """decay A + scale sum_{n, t} a_nt a_nt^T over all patches; one factor a group."""
    if groups == 1:
        return update_factors(factors, patches(inputs, kernel_size, **geometry), decay=decay, scale=scale, bias=bias)
    each = zip(factors, np.split(np.asarray(inputs), groups, axis=1), strict=True)
    options = {"decay": decay, "scale": scale, "bias": bias, **geometry}
    return np.stack([update_conv_factors(A, x, kernel_size, **options) for A, x in each])


def pi(A, G):
    """sqrt((tr A / p) / (tr G / q)); Martens and Grosse 2015, section 6.3."""
    return np.sqrt(np.trace(np.float64(A)) / len(A) / (np.trace(np.float64(G)) / len(G)))


def factored_damping(A, G, damping):
    """(pi sqrt(damping), sqrt(damping) / pi)."""
    return pi(A, G) * np.sqrt(damping), np.sqrt(damping) / pi(A, G)


def symmetric(C):
    """Return the matrix whose lower triangle is given."""
    C = np.asarray(C, np.float64)
    return np.tril(C) + np.tril(C, -1).T


def damped_inverse(factors, damping):
    """(C + damping I)^-1 from the lower triangles."""
    return np.linalg.inv(symmetric(factors) + damping * np.eye(len(factors)))


def residual(C, damping, inverse):
    """||(C + damping I) X - I||_F, all columns."""
    n = len(C)
    return np.linalg.norm((symmetric(C) + damping * np.eye(n)) @ np.asarray(inverse, np.float64) - np.eye(n))


def log_det(C, damping):
    """log det(C + damping I)."""
    return np.linalg.slogdet(symmetric(C) + damping * np.eye(len(C)))[1]


def precondition(grads, A_inv, G_inv):
    """G_inv V A_inv."""
    return np.float64(G_inv) @ np.float64(grads) @ np.float64(A_inv)


def tolerance(dtype, condition=1.0):
    """50 eps cond, relative: what a backward stable method is held to."""
    return 50 * np.finfo(dtype).eps * max(condition, 1.0)


def relative_error(x, reference):
    """||x - reference|| / ||reference||; the plain norm where the reference is zero."""
    size = np.linalg.norm(reference)
    return np.linalg.norm(np.float64(x) - reference) / (size if size else 1.0)
