"""Arrays in and out: the C++ side reads any library's arrays; here results go back to the library they came from."""

import sys
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""An array of any library: NumPy, or whatever offers DLPack or the buffer protocol."""

Arrays: TypeAlias = Any
"""One array, a stacked array with leading batch axes, or a flat list or tuple of arrays (a ragged group)."""

Parameter: TypeAlias = Any
"""A number, or one number per matrix: a list for a ragged group, or an array in the shape of the leading axes."""


def in_kind(result: Any, like: Arrays) -> Any:
    """Return results as arrays of the library of `like`, sharing their memory.

    Parameters
    ----------
    result : array or list of arrays
        What a backend returned: NumPy arrays, or arrays of its device.
    like : array, or list of arrays
        The argument whose library decides.

    Returns
    -------
    array or list of arrays
        `result` itself for NumPy, for our own device arrays, and for libraries that have no ``from_dlpack``.
    """
    if isinstance(like, np.ndarray):  # first, as most calls are so: half a microsecond
        return result
    first = like[0] if isinstance(like, list | tuple) and like else like
    if isinstance(first, np.ndarray) or not hasattr(first, "__dlpack__"):
        return result
    from_dlpack = _from_dlpack(type(first).__module__.partition(".")[0])
    if from_dlpack is None:
        return result
    if isinstance(result, list):
        return [from_dlpack(array) for array in result]
    return from_dlpack(result)


def on_cpu_as_numpy(array: Array) -> Array:
    """Return an array of the CPU's memory as NumPy's, without a copy, and one of a device as it is.

    Parameters
    ----------
    array : array
        Of any library.

    Returns
    -------
    array
        For classes that keep a memory of their own, which not every library could write to.

    Raises
    ------
    TypeError
        It cannot be handed over: it requires gradients, is of a dtype that NumPy lacks, or its library refuses.
    """
    if isinstance(array, np.ndarray) or not hasattr(array, "__dlpack_device__"):
        return array
    try:
        return np.from_dlpack(array) if array.__dlpack_device__()[0] == 1 else array
    except (BufferError, RuntimeError, ValueError) as error:
        raise TypeError(_refusal(array, error)) from None


def _refusal(array: Array, error: Exception) -> str:
    if getattr(array, "requires_grad", False):
        return "an array that requires gradients: call .detach() first"
    dtype = str(getattr(array, "dtype", ""))
    if "bfloat16" in dtype or "float8" in dtype:
        return f"an array of {dtype}, which NumPy lacks: float16, float32 and float64 are taken"
    return f"an array that its library does not hand over: {error}"


def copied(array: Array) -> Array:
    """Return a copy of an array that a class keeps, in the same library and memory.

    Parameters
    ----------
    array : array
        Of NumPy, of a library whose arrays are copied by ``copy()`` or ``clone()``, or of one of our backends.

    Returns
    -------
    array
        Which shares nothing with it.
    """
    if hasattr(array, "to_host"):
        return type(array).to_device(array.to_host())
    return array.copy() if hasattr(array, "copy") else array.clone()


def require_state(owner: str, name: str, array: Any, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> None:
    """Look at an array of a state that is to be loaded.

    Parameters
    ----------
    owner, name : str
        The class and the entry, named in the error.
    array : array
        Of any library.
    shape : tuple of int
        What it must have.
    dtypes : tuple of str
        One of which it must have.

    Raises
    ------
    ValueError
        It is no array, or one of another shape or dtype.
    """
    found = tuple(getattr(array, "shape", ())), str(getattr(array, "dtype", type(array).__name__)).rpartition(".")[-1]
    if found[0] != shape or found[1] not in dtypes:
        wanted = f"be a {' or '.join(dtypes)} array of shape {shape}"
        raise ValueError(f"{owner}: state[{name!r}] must {wanted}, got {found[1]} of shape {found[0]}")


def _from_dlpack(library: str) -> Any:
    # The library is imported already, or its array could not be here; jaxlib's arrays belong to jax.
    if library in {"jax", "jaxlib"}:
        return sys.modules["jax"].dlpack.from_dlpack
    return getattr(sys.modules[library], "from_dlpack", None)
