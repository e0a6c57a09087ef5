"""Small arrays that go to the host and back to where the large ones are."""

from typing import Any

import numpy as np

from .._arrays import Array, in_kind
from .._backend import backend_of
from ..errors import host_status


def on_host(array: Array) -> np.ndarray:
    """Return an array's values in the CPU's memory.

    Parameters
    ----------
    array : array
        Of any library, on any device.

    Returns
    -------
    array
        NumPy's; a copy, if it was on a device, which is waited for.
    """
    if hasattr(array, "to_host"):
        host: np.ndarray = array.to_host()
    elif hasattr(array, "get"):  # CuPy
        host = array.get()
    elif hasattr(array, "cpu"):  # PyTorch
        host = array.cpu().numpy()
    else:
        host = np.asarray(array)
    return host


def placed(array: np.ndarray, like: Array) -> Any:
    """Return an array of the host in the library and on the device of another one.

    Parameters
    ----------
    array : NumPy array
    like : array

    Returns
    -------
    array
        The same one, if `like` is NumPy's.
    """
    if isinstance(like, np.ndarray):
        return array
    device = backend_of("methods", "like", like)
    return in_kind(device.Array.to_device(np.ascontiguousarray(array)), like)


def statuses(status: Array) -> list[int]:
    """Return statuses of a kernel's group as numbers.

    Parameters
    ----------
    status : int8 array
        Of any library; a device is waited for.

    Returns
    -------
    list of int
    """
    return [int(each) for each in host_status(status)]
