"""What limited-memory quasi-Newton methods with a memory have in common: the pairs that they keep."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ._arrays import Array, copied, in_kind, on_cpu_as_numpy, require_state
from ._backend import backend_of
from ._numbers import count
from .errors import Status, host_status

_STATUSES = tuple(Status)  # by number; a call of the enumeration takes a microsecond
_ARRAYS = ("S", "Y", "products", "ring")


class PairMemory:
    """The last pairs of one model, or of a batch of them, with their products.

    Parameters
    ----------
    n, memory, batch
        As for the methods.

    Attributes
    ----------
    status : Status, or int8 array, one per model
        Of the last pair.
    """

    status: Any

    def __init__(self, n: int, memory: int, batch: int | tuple[int, ...]) -> None:
        name = type(self).__name__
        self._n, self._m = count(name, "n", n), count(name, "memory", memory)
        sizes = batch if isinstance(batch, tuple | list) else (batch,)
        self._batch = tuple(count(name, "batch", size) for size in sizes)
        self._memory: tuple[Array, ...] = ()
        self.status = Status.OK

    @property
    def kept(self) -> Any:
        """How many pairs are kept: an int, or for a batch an array with one number a model; a device is waited for."""
        ring = host_status(self._memory[3]) if self._memory else np.zeros((*self._batch, 2))
        return ring[..., 1] if self._batch else int(ring[1])

    def clear(self) -> None:
        """Forget all pairs."""
        self._memory = ()
        self.status = Status.OK

    def _update(self, update: Callable[..., Any], s: Array, y: Array) -> Any:
        """Put pairs into the memory by a function of a backend."""
        pair = on_cpu_as_numpy(s), on_cpu_as_numpy(y)
        memory = self._pairs("update", "s", pair[0])
        accepted, status = update(memory, *pair)
        self._memory = memory
        if not self._batch:
            self.status = _STATUSES[int(host_status(status))]
            return bool(host_status(accepted))
        self.status = in_kind(status, s)
        return host_status(in_kind(accepted, s)) != 0

    def _pairs(self, function: str, name: str, like: Array) -> tuple[Array, ...]:
        """Return the arrays that are kept, or new ones in the memory of this one."""
        if self._memory:
            return self._memory
        owner = f"{type(self).__name__}.{function}"
        new = backend_of(owner, name, like).pair_memory(owner, name, like, self._batch, self._m, self._n)
        return tuple(in_kind(list(new), like))

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on, as arrays.

        Returns
        -------
        dict
            Copies, unless no vector was seen: ``S`` and ``Y`` (..., memory, n) and ``products`` (..., 2 memory, 2
            memory) of their rows; ``ring`` (..., 2): the row of the oldest pair, which newer ones follow cyclically,
            and how many pairs there are.
        """
        return {name: copied(array) for name, array in zip(_ARRAYS, self._memory, strict=False)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; the parameters of this object must be those of the one that it is from.

        Parameters
        ----------
        state : dict
            From `state_dict`; copied.

        Raises
        ------
        ValueError
            Entries that are missing, or shapes and numbers that do not fit the parameters of this object.
        """
        owner = type(self).__name__
        if set(state) not in (set(), set(_ARRAYS)):
            raise ValueError(f"{owner}: state must have {', '.join(_ARRAYS)}, got {', '.join(state)}")
        rows = (*self._batch, self._m, self._n)
        shapes = {"S": rows, "Y": rows, "products": (*self._batch, 2 * self._m, 2 * self._m), "ring": (*self._batch, 2)}
        for name, array in state.items():
            dtypes = ("float32", "float64") if name in {"S", "Y"} else ("float64",)
            require_state(owner, name, array, shapes[name], dtypes)
        if state:
            self._require_ring(host_status(state["ring"]))
        self._memory = tuple(copied(state[name]) for name in _ARRAYS if name in state)

    def _require_ring(self, ring: Any) -> None:
        first, kept = ring[..., 0], ring[..., 1]
        is_inside = (kept >= 0) & (kept <= self._m) & (first >= 0) & (first < self._m)
        if not bool((is_inside & ((first == 0) | (kept == self._m)) & (first % 1 == 0) & (kept % 1 == 0)).all()):
            raise ValueError(f"{type(self).__name__}: state['ring'] does not fit memory = {self._m}, got {ring}")
