"""Metrics of units: one matrix for the incoming weights of each neuron, and its quasi-diagonal reduction.

The units of a layer share the rows they are fed with; each has weights of its own for the cases. For the metrics of
Ollivier 2015 these are ``f'(s)^2`` times a modulus, for the relative Fisher metric of Sun and Nielsen 2017 they are
``nu(s)``. Every function takes one layer, a stack of them, or a list of layers of different sizes, and does the whole
group in one native call.
"""

from dataclasses import dataclass

import numpy as np

from ._arrays import Array, Arrays, Parameter, in_kind
from ._backend import backend_of
from .errors import Status, host_status

__all__ = ["QuasiDiagonalResult", "accumulate_quasi_diagonal", "solve_quasi_diagonal", "update_unit_moments"]


@dataclass(frozen=True, slots=True)
class QuasiDiagonalResult:
    """Solutions of quasi-diagonal systems, and what became of each unit.

    Attributes
    ----------
    solution : array or list of arrays, shape (..., q, p)
        Like the gradients; NaN where the status of the unit is not ``OK``.
    status : int8 array, shape (..., q), for a list (units of all layers,)
        One per unit, those of a list in its order. See `Status`.
    """

    solution: Arrays
    status: Array

    @property
    def ok(self) -> Array:
        """True where there is a solution; one per unit."""
        return host_status(self.status) == Status.OK


def update_unit_moments(
    moments: Arrays,
    rows: Arrays,
    weights: Arrays,
    *,
    decay: Parameter = 0.95,
    scale: Parameter | None = None,
    bias: bool | list[bool] = False,
    copy: bool = False,
) -> Arrays:
    """Update second moments of every unit in place: ``M_k <- decay M_k + scale sum_n w_nk r_n r_n^T``.

    Parameters
    ----------
    moments : float32 or float64 array, shape (..., q, p, p), or list of arrays (q_i, p_i, p_i)
        Symmetric matrices, one a unit; only lower triangles are read, and nothing of them where ``decay`` is 0. Written
        whole, exactly symmetric.
    rows : float64, float32, float16 or bfloat16 array, shape (..., N, d) or (..., N, T, d), or list of them
        What all units of the layer are fed with: N cases, or N cases with T positions that share the weights. d = p,
        or p - 1 with ``bias``. Converted to the dtype of the moments, in which everything is accumulated.
    weights : array, shape (..., N, q) or (..., N, T, q), or list of them
        w_nk, any sign; of any dtype that rows may have. A weight of 0 does not hide NaN in its row.
    decay : float in [0, 1], or one per layer
        How much of the old moments stays.
    scale : float, or one per layer
        Default ``(1 - decay) / N``: a mean over cases, a sum over positions.
    bias : bool, or list of bool
        Append an implicit 1 to each row; it is the last row and column of the matrices.
    copy : bool
        Leave ``moments`` alone and return new arrays. Needed for immutable arrays (JAX, read-only).

    Returns
    -------
    array or list of arrays
        ``moments``, or the new arrays with ``copy``.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number out of range, moments that are read-only, or that share memory with an
        argument.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``moments``.

    Notes
    -----
    A unit gets what `update_factors` gives for its column of the weights, faster. There is no status: NaN in rows
    makes the layer NaN, NaN in weights their unit; an entry of an *array* ``decay`` or ``scale`` that is out of range
    makes that layer NaN. Cost N T q p^2 flops a layer. The result has the same bits for any number of threads, alone or
    in a group.
    Source: Ollivier 2015, "Riemannian metrics for neural networks I: feedforward networks"; Sun and
    Nielsen 2017, "Relative Fisher information and natural gradient for learning large modular models".

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> M = np.zeros((2, 2, 2))
    >>> cb.update_unit_moments(M, np.array([[1.0], [3.0]]), np.array([[1.0, 0.0], [1.0, 2.0]]), decay=0.0, bias=True)
    array([[[5., 2.],
            [2., 1.]],
    <BLANKLINE>
           [[9., 3.],
            [3., 1.]]])
    """
    backend = backend_of("update_unit_moments", "moments", moments)
    updated = backend.update_unit_moments(moments, rows, weights, decay, scale, bias, copy)
    return in_kind(updated, moments) if copy else moments


def accumulate_quasi_diagonal(
    first_moments: Arrays,
    second_moments: Arrays,
    rows: Arrays,
    weights: Arrays,
    *,
    decay: Parameter = 0.95,
    scale: Parameter | None = None,
    copy: bool = False,
) -> tuple[Arrays, Arrays]:
    """Update what a quasi-diagonal metric keeps in place: ``M_0i`` and ``M_ii``.

    With a 1 appended to each row r_n, ``first <- decay first + scale W^T R`` and ``second <- decay second + scale W^T
    (R o R)``: the last column and the diagonal of the moments of `update_unit_moments`. The last column of both is
    ``M_00 = sum_n w_nk``.

    Parameters
    ----------
    first_moments : float32 or float64 array, shape (..., q, p), or list of arrays (q_i, p_i)
        One row a unit, p >= 1. Not read where ``decay`` is 0.
    second_moments : array or list of arrays like ``first_moments``
        The same for the squares.
    rows : float64, float32, float16 or bfloat16 array, shape (..., N, p - 1) or (..., N, T, p - 1), or list of them
        What all units of the layer are fed with. Converted to the dtype of the moments, in which up to 4,096 rows are
        accumulated; more are added in float64.
    weights : array, shape (..., N, q) or (..., N, T, q), or list of them
        w_nk >= 0 for a metric; of any dtype that rows may have.
    decay : float in [0, 1], or one per layer
        How much of the old moments stays. 0 starts, or starts anew.
    scale : float, or one per layer
        Default ``(1 - decay) / N``: a mean over cases, a sum over positions.
    copy : bool
        Leave the moments alone and return new arrays. Needed for immutable arrays (JAX, read-only).

    Returns
    -------
    tuple
        ``first_moments`` and ``second_moments``, or new arrays with ``copy``.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number out of range, moments that are read-only, or that share memory with each other
        or with an argument.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``first_moments``.

    Notes
    -----
    There is no status: NaN in rows makes the layer NaN, NaN in weights their unit; an entry of an *array* ``decay`` or
    ``scale`` that is out of range makes that layer NaN. Cost 4 N T q p flops a layer, as two gradients. The result has
    the same bits for any number of threads, alone or in a group.
    Source: Ollivier 2015, "Riemannian metrics for neural networks I: feedforward networks".

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> first, second = np.zeros((1, 2)), np.zeros((1, 2))
    >>> cb.accumulate_quasi_diagonal(first, second, np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]), decay=0.0)
    (array([[3.5, 1.5]]), array([[9.5, 1.5]]))
    """
    backend = backend_of("accumulate_quasi_diagonal", "first_moments", first_moments)
    first, second = backend.accumulate_quasi_diagonal(first_moments, second_moments, rows, weights, decay, scale, copy)
    if not copy:
        return first_moments, second_moments
    return in_kind(first, first_moments), in_kind(second, first_moments)


def solve_quasi_diagonal(
    first_moments: Arrays,
    second_moments: Arrays,
    grads: Arrays,
    damping: Parameter = 0.0,
    *,
    floor: float = 1e-5,
    out: Arrays | None = None,
) -> QuasiDiagonalResult:
    """Apply the quasi-diagonal inverse of each unit's metric to its gradient.

    For inputs i, and 0 for the bias, ``w_i = (g_i M_00 - g_0 M_0i) / (M_ii M_00 - M_0i^2)`` and ``w_0 = (g_0 - sum_i
    M_0i w_i) / M_00``: the exact inverse of the metric where inputs are uncorrelated under the unit's weights.

    Parameters
    ----------
    first_moments, second_moments : float32 or float64 arrays, shape (..., q, p), or lists of arrays (q_i, p_i)
        Of `accumulate_quasi_diagonal`. Never modified.
    grads : array or list of arrays like ``first_moments``
        The bias last, as in the moments.
    damping : float >= 0, or one per layer
        Added to M_00 and to every M_ii, in their unit.
    floor : float in [0, 1)
        The divisor of w_i is at least this share of ``M_ii M_00``: more of it than that is lost to cancellation where
        an input hardly varies. Moments in float32 do not tell less than about 1e-6 from rounding.
    out : arrays like ``grads``
        Where the solutions go; may share memory with no argument.

    Returns
    -------
    QuasiDiagonalResult
        ``solution`` like ``grads`` (or ``out``); ``status`` one per unit.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number out of range, ``out`` that cannot be written to or that shares memory.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``first_moments``.

    Notes
    -----
    A unit whose M_00 is 0 is dead, whatever its M_0i: its solution is 0 and its status ``OK``; so is w_i where M_ii is
    0, an input that was 0 throughout. Statuses of a unit: ``NOT_FINITE`` (its gradient, its solution, or moments that
    are read hold NaN or Inf: the last column of ``second_moments`` is not), ``NOT_POSITIVE_DEFINITE`` (M_00 or an M_ii
    is negative, or M_ii M_00 - M_0i^2 below what rounding explains in a unit that is not dead),
    ``INVALID_PARAMETER`` (a bad entry of an *array* ``damping``). Its solution is NaN then, and no other unit is
    touched. It is not the inverse of the arrow matrix that has the moments and zeros elsewhere: that one need not be
    positive definite. Computed in float64; 8 q p flops a layer.
    Source: Ollivier 2015, "Riemannian metrics for neural networks I: feedforward networks".

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> first, second = np.zeros((1, 2)), np.zeros((1, 2))
    >>> _ = cb.accumulate_quasi_diagonal(first, second, np.array([[1.0], [3.0]]), np.ones((2, 1)), decay=0.0)
    >>> cb.solve_quasi_diagonal(first, second, np.array([[2.0, 1.0]])).solution
    array([[0., 1.]])
    """
    backend = backend_of("solve_quasi_diagonal", "first_moments", first_moments)
    solution, status = backend.solve_quasi_diagonal(first_moments, second_moments, grads, damping, floor, out)
    if type(first_moments) is not np.ndarray:
        solution = in_kind(solution, first_moments) if out is None else out
        status = in_kind(status, first_moments)
    return QuasiDiagonalResult(solution, status)
