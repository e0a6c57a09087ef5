"""Arrays of the CPU as NumPy's in float64, and results back in the library and dtype that they came in."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array, in_kind, on_cpu_as_numpy
from ..errors import Status, host_status


@dataclass(frozen=True, slots=True)
class Solution:
    """Solutions of linear systems with what is known about each of them.

    Attributes
    ----------
    solution : array
        A failed one is NaN.
    status : int8 array, one per system
        See `Status`.
    """

    solution: Array
    status: Array

    @property
    def ok(self) -> Array:
        """True where there is a solution; one per system."""
        return host_status(self.status) <= Status.JITTERED


def float64(owner: str, name: str, given: Any, shape: tuple[int | str, ...] | None = None) -> np.ndarray:
    """Return an array of the CPU, or what NumPy makes one of, as a float64 array of NumPy.

    Parameters
    ----------
    owner, name : str
        The function and the argument, named in errors.
    given : array
        Of real numbers, of any library; not written to.
    shape : tuple of int or str, optional
        What it must have; any size where there is a name.

    Returns
    -------
    float64 array
        Which may share memory with ``given``: not to be written to.

    Raises
    ------
    TypeError
        It lies on a device, requires gradients, or holds no real numbers.
    ValueError
        A shape that does not fit.
    """
    array = require_cpu(owner, name, given)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{owner}: {name} must be an array of real numbers, got {type(given).__name__} of {array.dtype}"
        )
    if shape is not None:
        require_shape(owner, name, array, shape)
    return array.astype(np.float64, copy=False)


def require_cpu(owner: str, name: str, given: Any) -> np.ndarray:
    """Return an array of the CPU's memory as NumPy's, in its own dtype and without a copy.

    Parameters
    ----------
    owner, name : str
        Named in the error.
    given : array
        Of any library.

    Returns
    -------
    array

    Raises
    ------
    TypeError
        It is on a device, requires gradients, or is of a dtype that NumPy lacks.
    """
    try:
        found = on_cpu_as_numpy(given)
    except TypeError as error:
        raise TypeError(f"{owner}: {name} must be an array that NumPy can read, got {error}") from None
    if not isinstance(found, np.ndarray) and (hasattr(found, "__dlpack_device__") or hasattr(found, "to_host")):
        kind = type(given).__module__
        raise TypeError(f"{owner}: {name} must be in the CPU's memory, got an array of {kind} on a device")
    return np.asarray(found)


def require_shape(owner: str, name: str, array: Array, shape: tuple[int | str, ...]) -> None:
    """Refuse an array of another shape.

    Parameters
    ----------
    owner, name : str
        The function and the argument, named in the error.
    array : array
        Of any library.
    shape : tuple of int or str
        What it must have; any size where there is a name.

    Raises
    ------
    ValueError
        It has another one.
    """
    found = tuple(array.shape)
    fits = len(found) == len(shape) and all(isinstance(n, str) or n == m for n, m in zip(shape, found, strict=True))
    if not fits:
        wanted = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
        raise ValueError(f"{owner}: {name} must have shape {wanted}, got {found}")


def back(result: Any, like: Any) -> Any:
    """Return a result in the library of an argument, and in its dtype if that is float32.

    Parameters
    ----------
    result : float64 array
    like : array
        The argument.

    Returns
    -------
    array
        Of float32 or float64.
    """
    with np.errstate(over="ignore"):
        return in_kind(rounded(result, like), like)


def rounded(result: np.ndarray, like: Any) -> np.ndarray:
    """Return a result in float32 if an argument is, Inf where it does not fit.

    Parameters
    ----------
    result : float64 array
    like : array
        The argument.

    Returns
    -------
    array
        Of NumPy, in float32 or float64.
    """
    with np.errstate(over="ignore"):
        return np.asarray(result, dtype_of(like))


def is_held(result: Any, like: Any) -> bool:
    """Tell whether a result is finite, also in the dtype that `back` gives it.

    Parameters
    ----------
    result : float64 array
    like : array
        The argument.

    Returns
    -------
    bool
    """
    return bool(np.isfinite(result).all() and (np.abs(result) <= np.finfo(dtype_of(like)).max).all())


def solved(solution: Any, status: Any, like: Any) -> Solution:
    """Return solutions in the kind of an argument; what its dtype does not hold is none.

    Parameters
    ----------
    solution : float64 array
    status : int8 array, one per system
        Its shape is that of the leading axes of ``solution``.
    like : array
        The argument.

    Returns
    -------
    Solution
        ``NOT_FINITE`` where a number of float64 became infinite.
    """
    with np.errstate(over="ignore"):
        held = np.array(solution, dtype_of(like))
    status = np.array(status, np.int8)
    axes = tuple(range(status.ndim, held.ndim))
    status[(status <= Status.JITTERED) & ~np.isfinite(held).all(axis=axes)] = Status.NOT_FINITE
    held[status > Status.JITTERED] = np.nan
    return Solution(in_kind(held, like), in_kind(status, like))


def magnitude(*arrays: np.ndarray) -> float:
    """Return a power of four near the largest magnitude, to scale by, and to take roots of, without rounding.

    Parameters
    ----------
    *arrays : float64 arrays

    Returns
    -------
    float
        1 where all is 0, or not all is finite.
    """
    largest = float(np.max([np.abs(x).max(initial=0.0) for x in arrays]))
    return 4.0 ** ((math.frexp(largest)[1] - 1) // 2) if 0 < largest < math.inf else 1.0


def dtype_of(like: Any) -> type[np.floating[Any]]:
    """Return float32 for an array of it, else float64.

    Parameters
    ----------
    like : array
        Of any library on the CPU.

    Returns
    -------
    type
        A scalar type of NumPy.
    """
    return np.float32 if getattr(on_cpu_as_numpy(like), "dtype", None) == np.float32 else np.float64
