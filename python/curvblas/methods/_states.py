"""Numbers of states that are to be loaded."""

from typing import Any

import numpy as np


def integers(owner: str, name: str, values: Any, length: int, least: int = 0, most: int | None = None) -> list[int]:
    """Return an entry of a state as a list of integers.

    Parameters
    ----------
    owner, name : str
        The class and the entry, named in the error.
    values : sequence or array of int
        The entry.
    length : int
        How many it must have.
    least, most : int
        The bounds of each; none above if left out.

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        Another length or type, or an integer out of bounds.
    """
    fits = isinstance(values, list | tuple | np.ndarray) and len(values) == length
    if not fits or any(isinstance(x, bool) or not isinstance(x, int | np.integer) for x in values):
        raise ValueError(f"{owner}: state[{name!r}] must have {length} entries that are integers, got {values!r}")
    found = [int(x) for x in values]
    if any(x < least or (most is not None and x > most) for x in found):
        wanted = f"integers >= {least}" if most is None else f"integers in [{least}, {most}]"
        raise ValueError(f"{owner}: state[{name!r}] must hold {wanted}, got {found}")
    return found


def require_dict(owner: str, state: Any) -> None:
    """Refuse what is no state.

    Parameters
    ----------
    owner : str
        The class, named in the error.
    state : dict

    Raises
    ------
    TypeError
        It is no dict.
    """
    if not isinstance(state, dict):
        raise TypeError(f"{owner}: state must be a dict from state_dict, got {type(state).__name__}")


def steps(owner: str, state: dict[str, Any]) -> int:
    """Return the number of steps of a state.

    Parameters
    ----------
    owner : str
        The class, named in errors.
    state : dict
        With an entry ``steps``.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        It is no integer >= 0.
    """
    return integers(owner, "steps", [state["steps"]], 1)[0]


def arrays(owner: str, state: dict[str, Any], name: str) -> list[Any]:
    """Return an entry of a state that is a list of arrays.

    Parameters
    ----------
    owner, name : str
        The class and the entry, named in the error.
    state : dict

    Returns
    -------
    list of arrays
        Empty, if there is no such entry.

    Raises
    ------
    ValueError
        The entry is no list.
    """
    found = state.get(name, [])
    if not isinstance(found, list | tuple):
        raise ValueError(f"{owner}: state[{name!r}] must be a list of arrays, got {type(found).__name__}")
    return list(found)
