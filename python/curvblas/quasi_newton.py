"""Trust-region steps that are exact, for many models at once: of limited-memory SR1, and of any compact model."""

from dataclasses import dataclass
from typing import Any

from ._arrays import Array, Parameter, in_kind
from ._backend import backend_of
from .errors import Status, host_status

__all__ = ["TrustRegionStep", "lsr1_matvec", "lsr1_step", "trust_region_step"]


@dataclass(frozen=True, slots=True)
class TrustRegionStep:
    """Steps with what is known about each of them.

    Attributes
    ----------
    step : array, shape (..., n)
        p. A failed one is NaN.
    multiplier : float64 array, one per model
        sigma >= 0 with ``(B + sigma I) p = -g``, 0 in the interior. B + sigma I is positive semi-definite.
    case : int8 array, one per model
        0 interior; 1 on the boundary; 2 on the boundary along the lowest eigenvector, of which g holds nothing (the
        hard case; p is one of several solutions then).
    predicted_reduction : float64 array, one per model
        ``q(0) - q(p)`` for ``q(p) = g.p + p.B p / 2``, never negative.
    status : int8 array, one per model
        See `Status`: ``OK``; ``NOT_FINITE``, an array of the model (masked rows too) or ``grad`` holds NaN or Inf, or
        squares or ``y - gamma s`` overflow; ``INVALID_PARAMETER``, a bad entry of ``radius`` or ``gamma``;
        ``INACCURATE``, the step does not fit its dtype or is rounding beside ``gamma``, or ``M_inv`` is singular;
        ``NO_CONVERGENCE``.
    """

    step: Array
    multiplier: Array
    case: Array
    predicted_reduction: Array
    status: Array

    @property
    def ok(self) -> Array:
        """True where there is a step; one per model."""
        return host_status(self.status) == Status.OK


def lsr1_step(
    S: Array,
    Y: Array,
    grad: Array,
    radius: Parameter,
    *,
    gamma: Parameter | None = None,
    mask: Array | None = None,
    out: Array | None = None,
) -> TrustRegionStep:
    """Minimise limited-memory SR1 models in balls: ``g.p + p.B p / 2`` over ``|p| <= radius``, exactly.

    ``B = gamma I + Psi^T Minv^-1 Psi`` with ``Psi = Y - gamma S`` and ``Minv = D + L + L^T - gamma S S^T``, where ``D
    + L + L^T`` mirrors the lower triangle of ``S Y^T``. B need not be positive definite.

    Parameters
    ----------
    S, Y : float32 or float64 arrays, shape (..., m, n)
        Steps and changes of the gradient, the oldest pair first. m may be 0, and more than n.
    grad : array, shape (..., n)
        g.
    radius : float > 0, or one per model
        In the unit of S.
    gamma : finite float, or one per model, optional
        B without pairs, any sign. If left out: 0.9 times the lowest eigenvalue l of ``(D + L + L^T) v = l S S^T v``
        if that is positive, so that B is positive definite; else ``y.y / s.y`` of the newest pair with ``s.y > 0``,
        else 1, so that B has the negative curvature that the pairs have seen. Enlarged by 10 % where Minv would be
        nearly singular.
    mask : array, shape (..., m), optional
        Zero for pairs that are not to be used: memories of different lengths in one call. They have to be finite all
        the same. Of the dtype of S; bool, too, where the library can convert it.
    out : array, shape (..., n), optional
        Receives the steps and is that of the result; may not overlap an argument.

    Returns
    -------
    TrustRegionStep
        ``step`` of shape (..., n) in the dtype of S, ``multiplier``, ``case``, ``predicted_reduction``, ``status``.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number ``radius`` that is not positive and finite, or a ``gamma`` that is not finite.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    Products of vectors, and all that is m x m, are float64: the eigenvectors of B in the span of Psi, and the secular
    equation in them, with the distance of the multiplier from minus the lowest eigenvalue as its unknown. Where this
    would lose more than eight bits (near the hard case, or where pairs nearly depend on each other; in float32, more
    than 22), Psi is formed and made orthonormal row by row, each row projected twice, and g projected twice; a device
    is waited for, once, to know which models want that. Left out are: pairs of zeros; pairs whose row of Psi is that of
    newer ones but for 32 units of rounding; and, where Minv is singular, the oldest pairs until it is not. A gradient
    that is 2^-43 or less of its norm along the lowest eigenvectors counts as zero there. No threshold is absolute. Cost
    per model: 3 m^2 n + 6 m n flops and some 12 m^3; S and Y are read three times. The result has the same bits for any
    number of threads, and for a model alone or in a batch.

    Source: Brust, Erway and Marcia 2017, On solving L-SR1 trust-region subproblems.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> S, Y = np.array([[1.0, 0.0, 0.0]]), np.array([[-2.0, 0.0, 0.0]])  # curvature -2 along the first axis
    >>> found = cb.lsr1_step(S, Y, np.array([2.0, 3.0, 0.0]), radius=5.0, gamma=1.0)
    >>> found.case, bool(np.isclose(np.linalg.norm(found.step), 5.0))
    (array(1, dtype=int8), True)
    """
    backend = backend_of("lsr1_step", "S", S)
    step, multiplier, case, reduction, status = backend.lsr1_step(S, Y, grad, radius, gamma, mask_like(S, mask), out)
    return step_of(S, step, multiplier, case, reduction, status, out=out)


def trust_region_step(
    Psi: Array,
    M_inv: Array,
    grad: Array,
    radius: Parameter,
    *,
    gamma: Parameter,
    mask: Array | None = None,
    out: Array | None = None,
) -> TrustRegionStep:
    """Minimise compact quasi-Newton models in balls: ``g.p + p.B p / 2`` over ``|p| <= radius``, exactly.

    ``B = gamma I + Psi^T M_inv^-1 Psi``, the form that the matrices of all limited-memory quasi-Newton methods have. B
    need not be positive definite, nor the rows of Psi independent.

    Parameters
    ----------
    Psi : float32 or float64 array, shape (..., m, n)
        One vector a row. m may be 0, and more than n.
    M_inv : array, shape (..., m, m)
        The inverse of the middle matrix. Symmetric; only the lower triangle is read.
    grad : array, shape (..., n)
        g.
    radius : float > 0, or one per model
        In the unit of p.
    gamma : finite float, or one per model
        Any sign.
    mask : array, shape (..., m), optional
        Zero for rows of Psi that are not there, with their rows and columns of ``M_inv``: models of different sizes in
        one call. They have to be finite all the same. Of the dtype of Psi; bool, too, where the library can convert
        it.
    out : array, shape (..., n), optional
        Receives the steps and is that of the result; may not overlap an argument.

    Returns
    -------
    TrustRegionStep
        ``step`` of shape (..., n) in the dtype of Psi, ``multiplier``, ``case``, ``predicted_reduction``, ``status``,
        which is ``INACCURATE`` where ``M_inv`` is singular.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number ``radius`` that is not positive and finite, or a ``gamma`` that is not finite.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    Solved as `lsr1_step` does, in float64 where it is m x m. Where products of the rows of Psi do not tell enough, near
    the hard case and where rows nearly depend on each other, a basis of them is formed row by row, and all rows are
    written in it: rows that depend on others count like them. ``M_inv`` is scaled by powers of two first, so that rows
    may be in units of their own. Cost per model: m^2 n + 4 m n flops and some 12
    m^3; Psi is read twice. The same bits for any number of threads, and for a model alone or in a batch.

    Sources: Brust, Erway and Marcia 2017, On solving L-SR1 trust-region subproblems; Byrd, Nocedal and Schnabel 1994
    for the compact matrices of other methods.

    Examples
    --------
    The matrix of limited-memory BFGS for one pair, which is ``B s = y``:

    >>> import numpy as np, curvblas as cb
    >>> s, y, sigma = np.array([1.0, 1.0, 0.0]), np.array([2.0, 3.0, 0.0]), 2.0
    >>> Psi, M_inv = np.array([sigma * s, y]), np.diag([-sigma * s @ s, s @ y])
    >>> found = cb.trust_region_step(Psi, M_inv, -y, radius=5.0, gamma=sigma)
    >>> bool(np.allclose(found.step, s)), int(found.case)
    (True, 0)
    """
    backend = backend_of("trust_region_step", "Psi", Psi)
    parts = backend.trust_region_step(Psi, M_inv, grad, radius, gamma, mask_like(Psi, mask), out)
    return step_of(Psi, *parts, out=out)


def lsr1_matvec(S: Array, Y: Array, v: Array, *, gamma: Parameter | None = None, mask: Array | None = None) -> Array:
    """Multiply with limited-memory SR1 matrices: ``B v``.

    Parameters
    ----------
    S, Y : float32 or float64 arrays, shape (..., m, n)
        Steps and changes of the gradient, the oldest pair first.
    v : array, shape (..., n)
        One vector a model.
    gamma, mask
        As for `lsr1_step`.

    Returns
    -------
    array, shape (..., n)
        NaN where an argument of the model is not finite.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a ``gamma`` that is not finite.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    The pairs that `lsr1_step` leaves out are left out. The same bits for any number of threads; a device is waited for.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> S, Y = np.array([[1.0, 0.0, 0.0]]), np.array([[-2.0, 0.0, 0.0]])
    >>> cb.lsr1_matvec(S, Y, np.array([1.0, 1.0, 1.0]), gamma=1.0)
    array([-2.,  1.,  1.])
    """
    product, _ = backend_of("lsr1_matvec", "S", S).lsr1_matvec(S, Y, gamma, v, mask_like(S, mask))
    return in_kind(product, S)


def mask_like(S: Array, mask: Array | None) -> Array | None:
    """Return a mask in the dtype of the pairs.

    Parameters
    ----------
    S : array
        The pairs.
    mask : array or None
        Of bool, or of the dtype of S.

    Returns
    -------
    array or None
        None without one.
    """
    if mask is None or getattr(mask, "dtype", None) == getattr(S, "dtype", None):
        return mask
    return mask.astype(S.dtype) if hasattr(mask, "astype") else mask.to(S.dtype) if hasattr(mask, "to") else mask


def step_of(like: Array, *parts: Any, out: Array | None = None) -> TrustRegionStep:
    """Return a backend's step and reports, in the library of an array.

    Parameters
    ----------
    like : array
        Of the library.
    *parts : arrays
        In the order of the result.
    out : array, optional
        What the step was written to.

    Returns
    -------
    TrustRegionStep
        Of them.
    """
    step, *reports = (in_kind(part, like) for part in parts)
    return TrustRegionStep(step if out is None else out, *reports)
