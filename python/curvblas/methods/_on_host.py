"""Arrays of methods that compute with NumPy: taken from any library of the CPU, refused from devices."""

from typing import Any

import numpy as np

from curvblas._arrays import Array, on_cpu_as_numpy


def on_host(owner: str, name: str, array: Array, shape: tuple[int | str, ...] | None = None) -> np.ndarray:
    """Return an array of the CPU as NumPy's, in float64.

    Parameters
    ----------
    owner, name : str
        The function and the argument, named in errors.
    array : array
        Of real numbers, of any library.
    shape : tuple of int or str, optional
        What it must have; any size where there is a name.

    Returns
    -------
    float64 array
        Shares memory with the argument where it can: not to be written to.

    Raises
    ------
    TypeError
        An array of a device, or no array of real numbers.
    ValueError
        A shape that does not fit.
    """
    if hasattr(array, "to_host") or getattr(array, "__dlpack_device__", lambda: (1, 0))()[0] != 1:
        raise TypeError(f"{owner}: {name} must be on the CPU, where this method computes, got {type(array).__name__}")
    given = np.asarray(on_cpu_as_numpy(array))
    if given.dtype.kind not in "biuf":
        raise TypeError(
            f"{owner}: {name} must be an array of real numbers, got {type(array).__name__} of {given.dtype}"
        )
    if shape is not None:
        require_shape(owner, name, given, shape)
    return np.asarray(given, np.float64)


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


def require_seed(owner: str, seed: int) -> None:
    """Refuse what is no seed.

    Parameters
    ----------
    owner : str
        The function, named in the error.
    seed : int >= 0

    Raises
    ------
    TypeError
        Not an integer.
    ValueError
        A negative one.
    """
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
        raise TypeError(f"{owner}: seed must be an int >= 0, got {type(seed).__name__}")
    if seed < 0:
        raise ValueError(f"{owner}: seed must be an int >= 0, got {seed}")


def like(result: Any, array: Array) -> Any:
    """Return a float64 result in the dtype of an argument where that is float32; others as they are.

    Parameters
    ----------
    result : array
    array : array
        Of any library.

    Returns
    -------
    array
        Of NumPy, for `in_kind`.
    """
    dtype = np.asarray(on_cpu_as_numpy(array)).dtype
    given = np.asarray(result)  # sums may be scalars, which other libraries do not take
    return given.astype(dtype) if dtype == np.float32 and given.dtype == np.float64 else given
