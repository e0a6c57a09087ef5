"""Sizes of samples that Hessians and gradients want (Roosta-Khorasani and Mahoney)."""

import math

from .._numbers import count, number, positive


def hessian_sample_size(condition: float, dim: int, *, accuracy: float = 0.5, failure: float = 0.1) -> int:
    """Return how many cases keep the smallest eigenvalue of the Hessian within a share, by the theory.

    ``2 kappa_1 ln(p / delta) / eps^2`` cases have ``lambda_min(H_S) >= (1 - eps) lambda_min(H)`` with probability
    ``1 - delta`` at least.

    Parameters
    ----------
    condition : float >= 1
        kappa_1: the largest eigenvalue of the Hessian of any single case, over lambda_min(H).
    dim : int >= 1
        p.
    accuracy, failure : float in (0, 1)
        eps and delta.

    Returns
    -------
    int
        Often more than there are cases: the bound is one for the worst case.

    Raises
    ------
    ValueError
        A number out of range.
    TypeError
        A number of another type.

    Notes
    -----
    Source: Roosta-Khorasani and Mahoney 2016 (arXiv 1601.04737), Lemma 1; by the matrix Chernoff bound of Tropp 2012.

    Examples
    --------
    >>> from curvblas.methods import subsampled_newton
    >>> subsampled_newton.hessian_sample_size(10.0, 100)
    553
    """
    owner = "hessian_sample_size"
    kappa = number(owner, "condition", condition, lambda value: 1 <= value < math.inf, "a finite number >= 1")
    p, eps, delta = count(owner, "dim", dim), _share(owner, "accuracy", accuracy), _share(owner, "failure", failure)
    return _ceil(owner, 2 * kappa * math.log(p / delta) / eps / eps)


def gradient_sample_size(bound: float, accuracy: float, *, failure: float = 0.1) -> int:
    """Return how many cases have a mean gradient within ``accuracy`` of that of all, by the theory.

    ``(G / eps)^2 (1 + sqrt(8 ln(1 / delta)))^2`` cases have ``|g_S - g| <= eps`` with probability ``1 - delta``.

    Parameters
    ----------
    bound : float > 0
        G, on the norms of the gradients of single cases.
    accuracy : float > 0
        eps, in the unit of gradients.
    failure : float in (0, 1)
        delta.

    Returns
    -------
    int
        Often more than there are cases.

    Raises
    ------
    ValueError
        A number out of range.
    TypeError
        A number of another type.

    Notes
    -----
    Source: Roosta-Khorasani and Mahoney 2016 (arXiv 1601.04737), Lemma 2; by an inequality for sums of vectors.

    Examples
    --------
    >>> from curvblas.methods import subsampled_newton
    >>> subsampled_newton.gradient_sample_size(1.0, 0.5)
    113
    """
    owner = "gradient_sample_size"
    G = positive(owner, "bound", bound)
    eps = positive(owner, "accuracy", accuracy)
    root = G / eps * (1 + math.sqrt(8 * math.log(1 / _share(owner, "failure", failure))))
    return _ceil(owner, root * root)


def _ceil(owner: str, size: float) -> int:
    if not size < math.inf:
        raise ValueError(f"{owner}: accuracy must be so large that float64 holds the size, got one that is infinite")
    return math.ceil(size)


def _share(owner: str, name: str, value: float) -> float:
    return number(owner, name, value, lambda x: 0 < x < 1, "a number in (0, 1)")
