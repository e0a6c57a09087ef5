"""Curvature matrices of a model from the Jacobians of its outputs, and rows whose products with each other they are."""

from typing import Any

import numpy as np

from .._arrays import Array
from ..kronecker import update_factors
from ._family import Family
from ._float64 import back, float64


def fisher_rows(jacobian: Array, family: Family, outputs: Array) -> Array:
    """Return rows R with ``R^T R = F``, the Fisher matrix of the model: ``B_n^T J_n / sqrt(N)`` for every case n.

    Parameters
    ----------
    jacobian : array, shape (N, o, P)
        J_n, of the outputs by the parameters of the model, case by case.
    family : Family
        Of the targets.
    outputs : array, shape (N, o)
        Parameters of the distribution of the targets of each case.

    Returns
    -------
    array, shape (N r, P)
        For `NaturalGradient` and `sample_space_solve`, together with `whitened_errors`; r is o, but for families of the
        covariance of a Gaussian larger.

    Raises
    ------
    ValueError
        Shapes that do not fit.
    TypeError
        An array of a device, or one that holds no real numbers.

    Notes
    -----
    Cost N o P flops for categorical outputs and for diagonal metrics.
    Source: Martens 2014 (arXiv 1412.1193), section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact, families
    >>> R = exact.fisher_rows(np.array([[[2.0, 4.0]]]), families.Bernoulli(), np.zeros((1, 1)))
    >>> R
    array([[1., 2.]])
    """
    J, f = _jacobian("fisher_rows", jacobian, outputs)
    rows = family.root_product(f[:, None, :], np.swapaxes(J, 1, 2))
    stacked = np.swapaxes(rows, 1, 2).reshape(len(J) * rows.shape[2], J.shape[2])
    return back(stacked / np.sqrt(max(len(J), 1)), jacobian)


def whitened_errors(family: Family, outputs: Array, targets: Array) -> Array:
    """Return e with ``R^T e``, for R of `fisher_rows`, the gradient of the mean loss ``-log p(target | output)``.

    Parameters
    ----------
    family : Family
    outputs : array, shape (N, o)
        As in `fisher_rows`.
    targets : array, shape (N, o), or (N,) for the family
        As its draws are.

    Returns
    -------
    array, shape (N r,)
        ``B_n e_n = -score_n / sqrt(N)``; infinite or NaN where the metric of the outputs has no inverse.

    Raises
    ------
    ValueError
        Shapes that do not fit.
    TypeError
        An array of a device, or one that holds no real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact, families
    >>> exact.whitened_errors(families.Gaussian(variance=4.0), np.array([[3.0]]), np.array([[1.0]]))
    array([1.])
    """
    f = float64("whitened_errors", "outputs", outputs)
    _require("whitened_errors", "outputs", f, "(N, o)", f.ndim == 2)
    y = float64("whitened_errors", "targets", targets)
    score = family.score(f, y)
    if score.shape != f.shape:
        raise ValueError(f"whitened_errors: targets must be one draw for each of {len(f)} cases, got shape {y.shape}")
    errors = family.root_solve(f, -score)
    return back(errors.reshape(-1) / np.sqrt(max(len(f), 1)), outputs)


def fisher(jacobian: Array, family: Family, outputs: Array) -> Array:
    """Return the Fisher matrix of a model: the mean over the cases of ``J_n^T F_n J_n``, expected over the targets.

    Parameters
    ----------
    jacobian, family, outputs
        As in `fisher_rows`.

    Returns
    -------
    array, shape (P, P)
        Exactly symmetric.

    Raises
    ------
    ValueError
        Shapes that do not fit.
    TypeError
        As in `fisher_rows`.

    Notes
    -----
    Cost N o P^2 flops. For families in their natural parameters it is `ggn`, and for a linear model the Hessian.
    Source: Martens 2014 (arXiv 1412.1193), section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact, families
    >>> exact.fisher(np.array([[[2.0, 4.0]]]), families.Bernoulli(), np.zeros((1, 1)))
    array([[1., 2.],
           [2., 4.]])
    """
    rows = float64("fisher", "jacobian", fisher_rows(jacobian, family, outputs))
    return back(_square(rows, 1.0), jacobian)


def ggn(jacobian: Array, hessian: Array) -> Array:
    """Return the generalised Gauss-Newton matrix: the mean over the cases of ``J_n^T H_n J_n``.

    Parameters
    ----------
    jacobian : array, shape (N, o, P)
        J_n, as in `fisher_rows`.
    hessian : array, shape (N, o, o)
        H_n, symmetric: second derivatives of the loss of a case by the outputs.

    Returns
    -------
    array, shape (P, P)
        Exactly symmetric; semi-definite if the H_n are.

    Raises
    ------
    ValueError
        Shapes that do not fit.
    TypeError
        As in `fisher_rows`.

    Notes
    -----
    Cost 2 N o P (o + P) flops. Source: Schraudolph 2002; Martens 2014 (arXiv 1412.1193), section 8.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact
    >>> exact.ggn(np.array([[[2.0, 4.0]]]), np.array([[[0.25]]]))
    array([[1., 2.],
           [2., 4.]])
    """
    J, H = (float64("ggn", name, x) for name, x in (("jacobian", jacobian), ("hessian", hessian)))
    _require("ggn", "jacobian", J, "(N, o, P)", J.ndim == 3)
    _require("ggn", "hessian", H, f"(N, o, o) = {(*J.shape[:2], J.shape[1])}", H.shape == (*J.shape[:2], J.shape[1]))
    N, o, P = J.shape
    G = J.reshape(N * o, P).T @ (H @ J).reshape(N * o, P) / max(N, 1)
    return back((G + G.T) / 2, jacobian)


def empirical_fisher(jacobian: Array, scores: Array) -> Array:
    """Return the empirical Fisher matrix: the mean over the cases of ``g_n g_n^T``, ``g_n = J_n^T s_n`` for the data.

    It is no estimate of the Fisher matrix, whose targets are those of the model: it vanishes where the data are fitted.

    Parameters
    ----------
    jacobian : array, shape (N, o, P)
        J_n, as in `fisher_rows`.
    scores : array, shape (N, o)
        s_n, derivatives of the loss, or of ``log p``, by the outputs at the targets of the data: `Family.score`. For
        targets that are drawn by `Family.sample` instead, the matrix is an unbiased estimate of the Fisher matrix.

    Returns
    -------
    array, shape (P, P)
        Exactly symmetric.

    Raises
    ------
    ValueError
        Shapes that do not fit.
    TypeError
        As in `fisher_rows`.

    Notes
    -----
    Cost N P (2 o + P) flops. Source: Martens 2014 (arXiv 1412.1193), section 11.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact
    >>> exact.empirical_fisher(np.array([[[2.0, 4.0]]]), np.array([[0.5]]))
    array([[1., 2.],
           [2., 4.]])
    """
    J, s = _jacobian("empirical_fisher", jacobian, scores, "scores")
    return back(_square((s[:, None, :] @ J)[:, 0], 1 / max(len(J), 1)), jacobian)


def _square(rows: np.ndarray, scale: float) -> Any:
    return update_factors(np.zeros((rows.shape[1],) * 2), np.ascontiguousarray(rows), decay=0.0, scale=scale)


def _jacobian(owner: str, jacobian: Any, other: Any, name: str = "outputs") -> tuple[np.ndarray, np.ndarray]:
    J, x = float64(owner, "jacobian", jacobian), float64(owner, name, other)
    _require(owner, "jacobian", J, "(N, o, P)", J.ndim == 3)
    _require(owner, name, x, f"(N, o) = {J.shape[:2]}", x.shape == J.shape[:2])
    return J, x


def _require(owner: str, name: str, x: np.ndarray, shape: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{owner}: {name} must have shape {shape}, got {x.shape}")
