"""Generalised linear models with their canonical links, as sums over cases."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from .._arrays import Array
from .._numbers import number
from ._float64 import back, float64
from ._logistic import logistic, logistic_variance

_NAME = "GeneralizedLinearModel"
Function: TypeAlias = Callable[[np.ndarray], np.ndarray]


class _Family(NamedTuple):
    """Log-partition function, mean and variance of an exponential family, and which targets it has."""

    partition: Function
    mean: Function
    variance: Function
    holds: Function
    targets: str


FAMILIES = {
    "logistic": _Family(
        lambda z: np.logaddexp(0, z),
        logistic,
        logistic_variance,
        lambda y: (y >= 0) & (y <= 1),
        "in [0, 1]",
    ),
    "poisson": _Family(np.exp, np.exp, np.exp, lambda y: y >= 0, ">= 0"),
    "least_squares": _Family(lambda z: 0.5 * z * z, lambda z: z, np.ones_like, np.isfinite, "finite"),
}


class GeneralizedLinearModel:
    """The mean negative log-likelihood of a generalised linear model with its canonical link, and a ridge.

    ``F(w) = 1/N sum_i c_i (a(x_i.w) - y_i x_i.w) + ridge |w|^2 / 2`` with the log-partition function a.

    Parameters
    ----------
    X : array, shape (N, p)
        Inputs, one row a case; a constant is a column of X. Kept in float64, not copied if it is.
    y : array, shape (N,)
        Targets: in [0, 1] for ``"logistic"``, >= 0 for ``"poisson"``.
    family : {"logistic", "poisson", "least_squares"}
        Bernoulli, Poisson or normal distribution, the last with variance 1 and without the constant ``y^2 / 2``.
    ridge : float >= 0
        In the unit of the Hessian.
    weights : array, shape (N,), optional
        c, finite and >= 0; 1 if left out.

    Notes
    -----
    The Hessian is ``X^T diag(c_i a''(x_i.w)) X / N + ridge I``. It does not depend on the targets: Newton's method is
    that of the Fisher matrix, the natural gradient. A product of s cases costs 4 s p flops. Targets and X that are not
    finite are refused. Source: McCullagh and Nelder 1989, section 2.5.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import subsampled_newton
    >>> model = subsampled_newton.GeneralizedLinearModel(np.array([[1.0], [1.0]]), np.array([0.0, 1.0]), "logistic")
    >>> model.value_and_gradient(np.zeros(1))[1]
    array([0.])
    """

    def __init__(self, X: Array, y: Array, family: str, *, ridge: float = 0.0, weights: Array | None = None) -> None:
        if family not in FAMILIES:
            raise ValueError(f"{_NAME}: family must be one of {', '.join(FAMILIES)}, got {family!r}")
        self._name = family
        self._X = float64(_NAME, "X", X, ("N", "p"))
        N, p = self._X.shape
        if not N or not p:
            raise ValueError(f"{_NAME}: X must have rows and columns, got shape {self._X.shape}")
        self._y = float64(_NAME, "y", y, (N,))
        self._c = np.ones(N) if weights is None else float64(_NAME, "weights", weights, (N,))
        self._ridge = number(_NAME, "ridge", ridge, lambda value: 0 <= value < math.inf, "a finite number >= 0")
        _require("X", np.isfinite(self._X).all(axis=1), "finite", self._X)
        _require("y", self._family.holds(self._y) & np.isfinite(self._y), self._family.targets, self._y)
        _require("weights", (self._c >= 0) & np.isfinite(self._c), "finite and >= 0", self._c)

    @property
    def _family(self) -> _Family:
        return FAMILIES[self._name]

    @property
    def cases(self) -> int:
        """N."""
        return len(self._y)

    def value_and_gradient(self, w: Array, cases: np.ndarray | None = None) -> tuple[float, Array]:
        """Evaluate F of all cases, and the gradient of all or some.

        Parameters
        ----------
        w : array, shape (p,)
            Parameters.
        cases : int array, shape (s,), optional
            Those whose mean gradient is wanted.

        Returns
        -------
        value : float
            Inf where it overflows.
        gradient : array, shape (p,)
            Like w.
        """
        point = self._point(w)
        if cases is not None:
            cases = require_cases(_NAME, cases, self.cases)
        with np.errstate(over="ignore", invalid="ignore"):
            z = self._X @ point
            value = np.mean(self._c * (self._family.partition(z) - self._y * z)) + 0.5 * self._ridge * (point @ point)
            X, y, c, z = (self._X, self._y, self._c, z) if cases is None else self._take(z, cases)
            gradient = (c * (self._family.mean(z) - y)) @ X / len(y) + self._ridge * point
        return float(value), back(gradient, w)

    def hessian_product(self, w: Array, cases: np.ndarray | None = None) -> Function:
        """Return products with the Hessian of all cases or some.

        Parameters
        ----------
        w : array, shape (p,)
            Parameters.
        cases : int array, shape (s,), optional
            Those whose mean Hessian is wanted; their rows are copied.

        Returns
        -------
        callable
            ``v -> H v``, float64 arrays of shape (p,).
        """
        X, d = self._curvature(w, cases)
        return lambda v: (d * (X @ v)) @ X / len(d) + self._ridge * v

    def hessian(self, w: Array, cases: np.ndarray | None = None) -> np.ndarray:
        """Return the Hessian of all cases or some: 2 s p^2 flops.

        Parameters
        ----------
        w : array, shape (p,)
            Parameters.
        cases : int array, shape (s,), optional
            Those whose mean Hessian is wanted.

        Returns
        -------
        float64 array, shape (p, p)
            Symmetric up to rounding.
        """
        X, d = self._curvature(w, cases)
        H: np.ndarray = (X.T * d) @ X / len(d) + self._ridge * np.eye(X.shape[1])
        return H

    def condition(self, w: Array) -> float:
        """Return kappa_1, the largest eigenvalue of the Hessian of any case over the smallest one of them all.

        Parameters
        ----------
        w : array, shape (p,)
            Parameters.

        Returns
        -------
        float
            For `hessian_sample_size`; Inf where the Hessian is singular.
        """
        X, d = self._curvature(w, None)
        smallest = float(np.linalg.eigvalsh(self.hessian(w))[0])
        largest = float((d * np.square(X).sum(axis=1)).max()) + self._ridge
        return largest / smallest if smallest > 0 else math.inf

    def _curvature(self, w: Array, cases: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        if cases is not None:
            cases = require_cases(_NAME, cases, self.cases)
        X, c = (self._X, self._c) if cases is None else (self._X[cases], self._c[cases])
        with np.errstate(over="ignore"):
            return X, c * self._family.variance(X @ self._point(w))

    def _take(self, z: np.ndarray, cases: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self._X[cases], self._y[cases], self._c[cases], z[cases]

    def _point(self, w: Array) -> np.ndarray:
        return float64(_NAME, "w", w, (self._X.shape[1],))


def require_cases(owner: str, cases: Array, total: int) -> np.ndarray:
    """Return the indices of a sample.

    Parameters
    ----------
    owner : str
        The function, named in errors.
    cases : int array, shape (s,)
    total : int
        N, the number of cases.

    Returns
    -------
    int array, shape (s,)

    Raises
    ------
    ValueError
        None, or an index that is not in [0, N).
    TypeError
        Not integers: a mask, say.
    """
    indices = np.asarray(cases)
    if indices.ndim != 1 or not len(indices):
        raise ValueError(f"{owner}: cases must have shape (s,) with s >= 1, got {indices.shape}")
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{owner}: cases must be indices, integers, got {indices.dtype}")
    is_out = (indices < 0) | (indices >= total)
    if is_out.any():
        raise ValueError(f"{owner}: cases must be in [0, {total}), got {indices[is_out][0]}")
    return indices


def _require(name: str, holds: np.ndarray, wanted: str, values: np.ndarray) -> None:
    if not holds.all():
        i = int(np.argmin(holds))
        raise ValueError(f"{_NAME}: {name} must be {wanted}, got {values[i]} in case {i}")
