"""What the methods with a metric for each unit share: layers in one form, states, dense systems of units."""

import sys
from typing import Any

import numpy as np

from .._arrays import Array, Arrays, copied, in_kind, on_cpu_as_numpy, require_state
from ..cholesky import cholesky_solve
from ..errors import Status
from . import _states
from ._float64 import require_shape
from ._places import on_host, placed


def as_layers(owner: str, **groups: Arrays) -> list[list[Array]]:
    """Return arguments as lists with one array a layer, those of the CPU as NumPy's.

    Parameters
    ----------
    owner : str
        The class, named in errors.
    **groups : arrays, or lists of arrays
        The first one decides about the form.

    Returns
    -------
    list of lists of arrays
        In the order of the arguments.

    Raises
    ------
    TypeError
        A list beside a single array, or a tensor that requires gradients.
    ValueError
        Lists of different lengths.
    """
    (first, model), *_ = groups.items()
    is_list = isinstance(model, list | tuple)
    layers = []
    for name, group in groups.items():
        if isinstance(group, list | tuple) != is_list:
            wanted = "a list of arrays" if is_list else "one array"
            raise TypeError(f"{owner}: {name} must be {wanted} like {first}, got {type(group).__name__}")
        arrays = list(group) if is_list else [group]
        if is_list and len(arrays) != len(model):
            raise ValueError(f"{owner}: {name} must have {len(model)} arrays like {first}, got {len(arrays)}")
        for k, x in enumerate(arrays):
            if getattr(x, "requires_grad", False):
                raise TypeError(f"{owner}: {name}[{k}] must not require gradients, pass its detach()")
        layers.append([on_cpu_as_numpy(x) for x in arrays])
    return layers


def require_layers(owner: str, grads: list[Array], rows: list[Array], outputs: list[Array], name: str) -> None:
    """Refuse gradients that do not fit the rows of a layer and what there is for each of its units.

    Parameters
    ----------
    owner, name : str
        The class, and what `outputs` are called.
    grads, rows, outputs : lists of arrays, shapes (q, p), (..., p - 1), (..., q)

    Raises
    ------
    ValueError
        A shape that does not fit.
    """
    for k, (g, R, S) in enumerate(zip(grads, rows, outputs, strict=True)):
        if len(R.shape) < 2:
            raise ValueError(f"{owner}: rows[{k}] must have shape (N, p - 1), got {tuple(R.shape)}")
        require_shape(owner, f"{name}[{k}]", S, (*R.shape[:-1], "q"))
        require_shape(owner, f"grads[{k}]", g, (S.shape[-1], R.shape[-1] + 1))


def require_kept(owner: str, kept: list[Array] | None, grads: list[Array], shapes: list[tuple[int, ...]]) -> None:
    """Refuse gradients of another dtype, or of other layers, than those of the first step.

    Parameters
    ----------
    owner : str
        The class, named in errors.
    kept, grads : lists of arrays
        What is kept for each layer, None before the first step; gradients.
    shapes : list of tuples of int
        What would be kept for these gradients.

    Raises
    ------
    TypeError
        Another dtype.
    ValueError
        Another number of layers, or other sizes.
    """
    if kept is None:
        return
    if len(kept) != len(grads):
        raise ValueError(f"{owner}: grads must have {len(kept)} arrays as before, got {len(grads)}")
    for k, (M, g, shape) in enumerate(zip(kept, grads, shapes, strict=True)):
        if tuple(M.shape) != shape:
            raise ValueError(
                f"{owner}: grads[{k}] of shape {tuple(g.shape)} need moments {shape}, got {tuple(M.shape)} before"
            )
        if str(M.dtype) != str(g.dtype):
            raise TypeError(f"{owner}: grads[{k}] must be {M.dtype} as before, got {g.dtype}")


def with_rows(owner: str, kept: list[Array] | None, rows: list[Array]) -> list[int]:
    """Return the indices of the layers that have rows; a ValueError says that one of them has no metric yet."""
    found = [k for k, R in enumerate(rows) if 0 not in R.shape[:-1]]
    for k, R in enumerate(rows):
        if kept is None and k not in found:
            raise ValueError(f"{owner}: rows[{k}] must have rows at first, got shape {tuple(R.shape)}")
    return found


def lost_units(moments: Array) -> np.ndarray:
    """Return which units of a layer have NaN or Inf in their moments, (q,)."""
    host = on_host(moments)
    return np.asarray(~np.isfinite(host).all(axis=tuple(range(1, host.ndim))))


def begun_anew(moments: Array, fresh: Array, lost: np.ndarray) -> Array:
    """Return moments whose lost units are taken from those of the last minibatch alone."""
    if not lost.any():
        return moments
    host = np.where(lost.reshape(-1, *[1] * (len(moments.shape) - 1)), on_host(fresh), on_host(moments))
    return placed(host, moments)


def any_lost(status: list[Array]) -> bool:
    """Tell whether a status of any layer is ``NOT_FINITE``."""
    return any(bool((on_host(each) == Status.NOT_FINITE).any()) for each in status)


def reported(status: Array, solution: Array) -> Array:
    """Return statuses of systems, ``NOT_FINITE`` where a solution is not finite without another reason."""
    found, x = on_host(status), on_host(solution)
    bad = ~np.isfinite(x).all(axis=tuple(range(found.ndim, x.ndim))) & (found <= Status.JITTERED)
    return placed(np.where(bad, np.int8(Status.NOT_FINITE), found), status) if bad.any() else status


def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """Return zeros in the library, on the device and of the dtype of an array."""
    if isinstance(like, np.ndarray):
        return np.zeros(shape, like.dtype)
    if hasattr(like, "to_host"):
        return type(like).to_device(np.zeros(shape, str(like.dtype)))
    if hasattr(like, "new_zeros"):
        return like.new_zeros(shape)
    return sys.modules[type(like).__module__.partition(".")[0]].zeros(shape, like.dtype)


def solve_units(factors: Array, grads: Array) -> Array:
    """Return the solutions of one system a unit, L L^T x = g, for L (q, p, p) and g (q, p)."""
    if hasattr(grads, "to_host"):  # our own device arrays have no axes to add
        kind = type(grads)
        solution = cholesky_solve(factors, kind.to_device(grads.to_host()[..., None]))
        return kind.to_device(solution.to_host()[..., 0])
    return cholesky_solve(factors, grads[..., None])[..., 0]


def handed_back(results: list[Array], like: Arrays) -> Arrays:
    """Return one array a layer in the form and the library of an argument."""
    if isinstance(like, list | tuple):
        return in_kind(results, like)
    return in_kind(results[0], like)


def saved(state: dict[str, list[Array] | None], steps: int) -> dict[str, Any]:
    """Return copies of what there is of a state, and the number of steps."""
    return {**{name: [copied(x) for x in layers] for name, layers in state.items() if layers}, "steps": steps}


def loaded(owner: str, state: dict[str, Any], entries: tuple[str, ...]) -> tuple[dict[str, Any], int]:
    """Return copies of the entries of a state, None where there was no step, and the number of steps."""
    _states.require_dict(owner, state)
    steps = _states.steps(owner, state) if "steps" in state else -1
    if steps < 0 or any((name in state) != (steps > 0) for name in entries):
        wanted = f"steps, and {', '.join(entries)} where steps > 0"
        raise ValueError(f"{owner}: state must have {wanted}, got {', '.join(map(str, state))}")
    layers = {name: _states.arrays(owner, state, name) for name in entries}
    if steps > 0 and len({len(layers[name]) for name in entries}) != 1:
        raise ValueError(f"{owner}: state must have {', '.join(entries)} with one array a layer each")
    for name in entries if steps else ():
        for k, x in enumerate(layers[name]):
            require_state(owner, f"{name}[{k}]", x, tuple(getattr(x, "shape", ())), ("float32", "float64"))
    return {name: [copied(x) for x in state[name]] if steps else None for name in entries}, steps
