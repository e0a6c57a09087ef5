"""Statuses and exceptions: what became of a matrix."""

import enum
from typing import Any

import numpy as np

__all__ = ["NotPositiveDefiniteError", "Status"]


class Status(enum.IntEnum):
    """What became of one matrix of a solver's group; results hold them as int8 arrays.

    `OK` and `JITTERED` promise a residual below 1e-2.
    """

    OK = 0
    """Solved as asked."""
    JITTERED = 1
    """Solved after adding the reported jitter to the diagonal."""
    NOT_POSITIVE_DEFINITE = 2
    """Not positive definite, not even with the largest jitter; the result is NaN."""
    NOT_FINITE = 3
    """The input holds NaN or Inf; the result is NaN."""
    NO_CONVERGENCE = 4
    """An iteration did not converge; the result is NaN."""
    INVALID_PARAMETER = 5
    """An entry of an array of parameters is out of range; the result is NaN."""
    INACCURATE = 6
    """Finished, but the residual is above 1e-2."""


class NotPositiveDefiniteError(np.linalg.LinAlgError):
    """A matrix could not be factorised, and the call asked for an exception.

    Attributes
    ----------
    index : int
        Which matrix, counted over the group (for a stack: over its leading axes in C order).
    minor : int
        The order, from 1, of its first leading minor that is not positive, or that holds NaN or Inf.
    """

    def __init__(self, message: str, index: int, minor: int) -> None:
        super().__init__(message)
        self.index = index
        self.minor = minor


def reason(minor: int, status: int) -> str:
    """Return why a matrix has no Cholesky factor, for the message of `NotPositiveDefiniteError`."""
    if status == Status.NOT_FINITE:
        return f"holds NaN or Inf, first in row {minor - 1}"
    return f"is not positive definite: its leading minor of order {minor} is not positive"


def host_status(status: Any) -> Any:
    """Return statuses as an array that can be compared with a number."""
    # Our own device arrays, for libraries that have none to offer, compare nothing: read back, and NumPy's.
    return status.to_host() if hasattr(status, "to_host") else status
