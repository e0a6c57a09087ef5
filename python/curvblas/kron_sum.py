"""Solving with a sum or difference of two Kronecker products: block-tridiagonal K-FAC."""

from dataclasses import dataclass

from ._arrays import Array, Arrays, in_kind
from ._backend import backend_of
from .errors import Status, host_status

__all__ = ["KronSumResult", "kron_sum_solve"]


@dataclass(frozen=True, slots=True)
class KronSumResult:
    """Solutions with what is known about each of them.

    Attributes
    ----------
    solution : array or list of arrays, shape (..., q, p)
        X, like Z. That of a failed problem is NaN, unless its status is ``INACCURATE``.
    status : int8 array, one per problem
        See `Status`.
    residual : float64 array, one per problem
        ``||B X A + sign D X C - Z||_F / ||Z||_F`` (not divided where Z = 0); NaN where nothing was computed.
    """

    solution: Arrays
    status: Array
    residual: Array

    @property
    def ok(self) -> Array:
        """True where the residual is below 1e-2; one per problem."""
        return host_status(self.status) == Status.OK


def kron_sum_solve(
    A: Arrays, B: Arrays, C: Arrays, D: Arrays, Z: Arrays, *, sign: int, out: Arrays | None = None
) -> KronSumResult:
    """Solve with a sum or difference of Kronecker products: ``B X A + sign D X C = Z``.

    That is ``(B (x) A + sign D (x) C) vec(X) = vec(Z)`` with row-major vec.

    Parameters
    ----------
    A : float32 or float64 array, shape (..., p, p), or list of arrays
        Symmetric positive definite.
    B : array, shape (..., q, q), or list of arrays
        Symmetric positive definite.
    C : array, shape (..., p, p), or list of arrays
        Symmetric.
    D : array, shape (..., q, q), or list of arrays
        Symmetric.
    Z : array, shape (..., q, p), or list of arrays
        Right-hand sides: gradients (out_features, in_features), say.
    sign : {1, -1}
        Sum or difference. It must be positive definite, too.
    out : arrays like ``Z``
        Where the solutions go; may not share memory with any input.

    Returns
    -------
    KronSumResult
        ``solution`` like ``Z`` (or ``out``); ``status`` and ``residual`` one per problem.

    Raises
    ------
    ValueError
        Shapes that do not fit, a sign that is neither 1 nor -1, ``out`` that does not fit.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    A and C are made diagonal together, and B and D: with ``W = Q a^-1/2`` from ``A = Q a Q^T`` and the eigenvalues s_A
    of ``W^T C W``, what is left is a division by ``1 + sign s_B s_A^T``. Denominators below 1e-6, which rounding makes
    of a difference that is nearly singular, are taken for 1e-6; the residual, found by inserting X, shows it.

    Statuses: ``OK``; ``NOT_FINITE``; ``NOT_POSITIVE_DEFINITE`` (A or B has an eigenvalue that is not positive);
    ``NO_CONVERGENCE`` of an eigenproblem; ``INACCURATE`` (a residual above 1e-2: too ill-conditioned for the dtype, or
    a sum that is not positive definite). One bad problem never touches another one. Cost: eigenproblems, two of order
    p and two of order q, and ``4 (p^3 + q^3) + 12 p q (p + q)`` flops. The result has the same bits for any number of
    threads, alone or in a group.
    Source: Martens and Grosse 2015, section 4.3 and appendix B.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> A, B, C, D = np.diag([2.0, 4.0]), np.array([[1.0]]), np.eye(2), np.array([[1.0]])
    >>> np.round(cb.kron_sum_solve(A, B, C, D, np.array([[3.0, 6.0]]), sign=-1).solution, 6)
    array([[3., 2.]])
    """
    if isinstance(sign, bool) or sign not in (1, -1):
        raise ValueError(f"kron_sum_solve: sign must be 1 or -1, got {sign!r}")
    backend = backend_of("kron_sum_solve", "Z", Z)
    solution, status, residual = backend.kron_sum_solve(A, B, C, D, Z, float(sign), out)
    return KronSumResult(in_kind(solution, Z) if out is None else out, in_kind(status, Z), in_kind(residual, Z))
