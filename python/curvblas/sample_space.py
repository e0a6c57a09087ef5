"""Natural gradients in the space of samples: as many unknowns as rows of a Jacobian."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._arrays import Array, Arrays, Parameter, in_kind
from ._backend import backend_of
from .errors import Status, host_status

__all__ = ["SampleSpaceResult", "sample_space_solve"]


@dataclass(frozen=True, slots=True)
class SampleSpaceResult:
    """Solutions with what is known about each of them.

    Attributes
    ----------
    solution : array or list of arrays
        A failed one is NaN.
    status : int8 array, one per matrix
        See `Status`: ``OK``; ``JITTERED``, rows depend on each other as far as their dtype tells, and the solution is
        that of least norm without those directions; ``NOT_FINITE``, an argument holds NaN or Inf, or products overflow;
        ``INVALID_PARAMETER``, a bad entry of ``damping``; ``NO_CONVERGENCE``, of the eigenvectors. A solution that its
        dtype does not hold is ``NOT_FINITE`` too.
    """

    solution: Arrays
    status: Array

    @property
    def ok(self) -> Array:
        """True where there is a solution, with or without all directions; one per matrix."""
        return host_status(self.status) <= Status.JITTERED


def sample_space_solve(
    jacobian: Arrays, rhs: Arrays, damping: Parameter, *, previous: Arrays | None = None, momentum: float = 0.0
) -> SampleSpaceResult:
    """Solve damped least-squares problems with few rows: ``x = J^H (J J^H + damping I)^-1 rhs``.

    That is the natural gradient ``(J^H J + damping I)^-1 J^H rhs`` with N unknowns instead of P: stochastic
    reconfiguration in its small form (minSR), Gauss-Newton of residuals, energy natural gradient. With ``previous``,
    ``x = mu previous + J^H (J J^H + damping I)^-1 (rhs - mu J previous)``, which minimises ``|J x - rhs|^2 + damping |x
    - mu previous|^2``: SPRING.

    Parameters
    ----------
    jacobian : array, shape (..., N, P), or list of arrays (N_i, P_i)
        J, of few long rows; float32, float64, complex64 or complex128. For minSR the centred derivatives of log psi,
        divided by the root of N: centring is the caller's. It is read twice, in blocks of columns: a `numpy.memmap` may
        be larger than the memory. Complex rows want neighbouring elements, or are copied.
    rhs : array, shape (..., N), or list of arrays (N_i,)
        Residuals, or centred local energies divided by the root of N.
    damping : float >= 0, or one per matrix
        In the unit of the squares of J.
    previous : array, shape (..., P), or list of arrays (P_i,), optional
        The solution of the step before.
    momentum : float in [0, 1)
        mu, what is kept of ``previous``; 0 does not read it.

    Returns
    -------
    SampleSpaceResult
        ``solution`` of shape (..., P) in the dtype of J, ``status`` one per matrix.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a number ``damping`` or ``momentum`` that is out of range.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    ``J J^H`` is formed as by `gram` (in the dtype of J; in float64 for up to 8 rows, 4 if complex), added up and solved
    in float64 by Cholesky. Where squares of a float32 J overflow or may have vanished, it is formed again in float64.
    Where a row depends on those before it within 16 eps of its dtype, eigenvectors solve instead, and directions of
    less than N eps (at least 16 eps) of the largest eigenvalue are left out: damping 0 gives the solution of least
    norm. Rows that are just farther apart, with a damping that does not hide it, cost digits: a few per cent at worst.
    On a device the call waits to know where, twice in float32. The term ``1 1^T / N`` that SPRING adds to the matrix of
    a centred J, to keep it regular, is not needed then and left out. Cost per matrix: N^2 P + 4 N P + N^3 / 3 flops,
    eight times as many if complex; 2 N P words. The result has the same bits for any number of threads, alone or in a
    group.

    Source: Chen and Heyl 2024 (minSR); Goldshlager, Abrahamsen and Lin 2024 (SPRING); the matrix inversion lemma.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.sample_space_solve(np.array([[3.0, 0.0, 4.0]]), np.array([2.0]), 15.0).solution
    array([0.15, 0.  , 0.2 ])
    """
    given = [jacobian, rhs] if previous is None else [jacobian, rhs, previous]
    is_complex = _is_complex(_first(jacobian))
    if is_complex:
        for name, arrays in zip(("jacobian", "rhs", "previous"), given, strict=False):
            _require_dtype(name, arrays, _first(jacobian).dtype)
        given = [_in_parts(arrays) for arrays in given]
    J, e, before = (*given, None)[:3]
    backend = backend_of("sample_space_solve", "jacobian", J)
    solution, status = backend.sample_space_solve(J, e, damping, before, momentum, is_complex)
    solution = in_kind(solution, J)
    if is_complex:
        solution = _map(lambda x: x.view(_first(jacobian).dtype), solution)
    return SampleSpaceResult(solution, in_kind(status, J))


def _first(arrays: Arrays) -> Array:
    return arrays[0] if isinstance(arrays, list | tuple) and arrays else arrays


def _map(f: Any, arrays: Arrays) -> Arrays:
    return [f(x) for x in arrays] if isinstance(arrays, list | tuple) else f(arrays)


def _is_complex(array: Array) -> bool:
    dtype = getattr(array, "dtype", None)
    return getattr(dtype, "kind", "") == "c" or getattr(dtype, "is_complex", False)


def _require_dtype(name: str, arrays: Arrays, dtype: Any) -> None:
    for array in arrays if isinstance(arrays, list | tuple) else [arrays]:
        if getattr(array, "dtype", None) != dtype:
            found = getattr(array, "dtype", type(array).__name__)
            raise TypeError(f"sample_space_solve: {name} must be {dtype} like jacobian, got {found}")


def _in_parts(arrays: Arrays) -> Arrays:
    """Return complex arrays as real ones whose last axis has real and imaginary parts in turn."""

    def parts(x: Array) -> Array:
        if isinstance(x, np.ndarray) and x.ndim and x.strides[-1] != x.itemsize:
            x = np.ascontiguousarray(x)
        if hasattr(x, "resolve_conj"):  # PyTorch conjugates when it has to, and knows its strides
            x = x.resolve_conj() if x.ndim == 0 or x.stride(-1) == 1 else x.resolve_conj().contiguous()
        return x.view(x.real.dtype)

    return _map(parts, arrays)
