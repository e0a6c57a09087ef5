"""Checks of the numbers that objects are made with."""

import math
import numbers
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def count(owner: str, name: str, value: Any, least: int = 1) -> int:
    """Return an integer of at least one, or of another bound.

    Parameters
    ----------
    owner, name : str
        The class and the argument, named in errors.
    value : int >= least
        Of any type with ``__index__``.
    least : int

    Returns
    -------
    int
        The value.

    Raises
    ------
    TypeError
        Not an integer.
    ValueError
        Less than the bound.
    """
    refusal = TypeError(f"{owner}: {name} must be an int >= {least}, got {type(value).__name__}")
    if isinstance(value, bool):
        raise refusal
    try:
        number = operator.index(value)
    except TypeError:
        raise refusal from None
    if number < least:
        raise ValueError(f"{owner}: {name} must be an int >= {least}, got {number}")
    return number


def number(owner: str, name: str, value: Any, holds: Callable[[float], bool], wanted: str) -> float:
    """Return a real number for which a condition holds.

    Parameters
    ----------
    owner, name : str
        The class and the argument, named in errors.
    value : float
        Of any real type.
    holds : callable
        The condition.
    wanted : str
        The same in words: "a number in (0, 1]".

    Returns
    -------
    float
        The value.

    Raises
    ------
    TypeError
        Not a real number.
    ValueError
        The condition does not hold.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{owner}: {name} must be {wanted}, got {type(value).__name__}")
    if not holds(float(value)):
        raise ValueError(f"{owner}: {name} must be {wanted}, got {value}")
    return float(value)


def positive(owner: str, name: str, value: Any) -> float:
    """Return a real number that is positive and finite.

    Parameters
    ----------
    owner, name : str
        The class and the argument, named in errors.
    value : float
        Of any real type.

    Returns
    -------
    float
        The value.

    Raises
    ------
    TypeError
        Not a real number.
    ValueError
        Not positive, or not finite.
    """
    return number(owner, name, value, lambda x: 0 < x < math.inf, "a finite number > 0")


def block_begins(owner: str, dim: int, blocks: Sequence[int] | None) -> np.ndarray:
    """Return where consecutive blocks of parameters begin, and where the last one ends.

    Parameters
    ----------
    owner : str
        The class, named in errors.
    dim : int
        What the sizes must add up to.
    blocks : sequence of int >= 1, optional
        The sizes; one block if left out.

    Returns
    -------
    int64 array, shape (blocks + 1,)
        From 0 to dim.

    Raises
    ------
    TypeError
        A size is no integer.
    ValueError
        A size is less than one, or they do not add up.
    """
    sizes = [dim] if blocks is None else [count(owner, f"blocks[{k}]", size) for k, size in enumerate(blocks)]
    if sum(sizes) != dim:
        raise ValueError(f"{owner}: blocks must add up to dim = {dim}, got sizes that add up to {sum(sizes)}")
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
