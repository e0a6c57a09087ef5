"""Limited-memory SR1 with a memory: pairs that come one by one."""

import math
import operator
from typing import Any

from ._arrays import Array, copied, in_kind, on_cpu_as_numpy, require_state
from ._backend import backend_of
from ._numbers import count, number
from .errors import Status
from .quasi_newton import TrustRegionStep, step_of

__all__ = ["LSR1"]

_ARRAYS = ("S", "Y", "products")
_NUMBERS = ("first", "kept")


class LSR1:
    """Limited-memory SR1: the last pairs, their products, and trust-region steps with their matrix B.

    Parameters
    ----------
    n : int >= 1
        Number of variables.
    memory : int >= 1
        Pairs that are kept.
    gamma : finite float, optional
        B without pairs; by the rule of `lsr1_step`, in every step anew, if left out.

    Attributes
    ----------
    status : Status
        Of the last pair: ``OK``, or why it could not be looked at: ``NOT_FINITE``, it holds NaN or Inf, or its squares
        overflow; ``INACCURATE``, Minv of the pairs that are kept is singular for ``gamma``.

    Notes
    -----
    A new pair costs about 20 m n flops, and reads the memory twice, twice more if it is kept; a step reads it twice
    (see `lsr1_step`), as the products of pairs with each other are kept. One memory; `lsr1_step` takes many.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> H = np.diag([4.0, 1.0, -2.0])
    >>> method = cb.LSR1(3)
    >>> [method.update(s, H @ s) for s in np.eye(3)[:2]]
    [True, True]
    >>> bool(np.allclose(method.matvec(np.array([1.0, 1.0, 0.0])), [4.0, 1.0, 0.0]))
    True
    """

    def __init__(self, n: int, *, memory: int = 10, gamma: float | None = None) -> None:
        self._n, self._m = count("LSR1", "n", n), count("LSR1", "memory", memory)
        self._gamma = None if gamma is None else number("LSR1", "gamma", gamma, math.isfinite, "a finite number")
        self._memory: dict[str, Array] = {}
        self._first = self._kept = 0
        self.status = Status.OK

    def __len__(self) -> int:
        """Return how many pairs are kept."""
        return self._kept

    def update(self, s: Array, y: Array) -> bool:
        """Keep a pair if it says something that B does not know, in place of the oldest where the memory is full.

        Parameters
        ----------
        s, y : float32 or float64 arrays, shape (n,)
            A step, and the change of the gradient along it. All calls want one dtype, device and library.

        Returns
        -------
        bool
            Whether it was: False where ``|r.s| < 1e-8 |r| |s|`` for ``r = y - B s``, where ``r.s`` is zero or ``|r|``
            at most 16 eps ``|y|``, and where the status is not ``OK``; the memory is as it was then. A device is
            waited for.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        backend = backend_of("LSR1.update", "s", s)
        s, y = on_cpu_as_numpy(s), on_cpu_as_numpy(y)
        memory = self._memory
        if not memory:
            memory = dict(zip(_ARRAYS, in_kind(list(backend.lsr1_memory(s, self._m, self._n)), s), strict=True))
        accepted, status = backend.lsr1_memory_update(*memory.values(), self._first, self._kept, self._gamma, s, y)
        self._memory, self.status = memory, Status(status)
        if accepted and self._kept == self._m:
            self._first = (self._first + 1) % self._m
        elif accepted:
            self._kept += 1
        return bool(accepted)

    def step(self, grad: Array, radius: float) -> TrustRegionStep:
        """Minimise ``g.p + p.B p / 2`` over ``|p| <= radius``.

        Parameters
        ----------
        grad : array, shape (n,)
            g.
        radius : float > 0
            Of the ball.

        Returns
        -------
        TrustRegionStep
            As of `lsr1_step`.

        Raises
        ------
        ValueError
            A shape that does not fit, or a ``radius`` that is not positive and finite.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        g = on_cpu_as_numpy(grad)
        backend = backend_of("LSR1.step", "grad", grad)
        found = backend.lsr1_memory_step(*self._pairs(backend, g), self._first, self._kept, self._gamma, g, radius)
        return step_of(grad, *found)

    def matvec(self, v: Array) -> Array:
        """Multiply with B.

        Parameters
        ----------
        v : array, shape (n,)
            A vector.

        Returns
        -------
        array, shape (n,)
            ``B v``; NaN where v is not finite.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        x = on_cpu_as_numpy(v)
        backend = backend_of("LSR1.matvec", "v", v)
        product, _ = backend.lsr1_memory_matvec(*self._pairs(backend, x), self._first, self._kept, self._gamma, x)
        return in_kind(product, v)

    def _pairs(self, backend: Any, like: Array) -> tuple[Array, ...]:
        if self._memory:
            return tuple(self._memory.values())
        return tuple(in_kind(list(backend.lsr1_memory(like, self._m, self._n)), like))

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on: arrays, and numbers.

        Returns
        -------
        dict
            ``S``, ``Y`` (memory, n) and ``products`` (2 memory, 2 memory), copied, unless no pair was seen;
            ``first``, the row of the oldest pair, which newer ones follow cyclically; ``kept``, the number of pairs.
        """
        arrays = {name: copied(array) for name, array in self._memory.items()}
        return {**arrays, "first": self._first, "kept": self._kept}

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
        memory = {name: state[name] for name in _ARRAYS if name in state}
        if len(memory) not in {0, len(_ARRAYS)} or any(name not in state for name in _NUMBERS):
            raise ValueError(f"LSR1: state must have {', '.join(_ARRAYS + _NUMBERS)}, got {', '.join(state)}")
        shapes = {"S": (self._m, self._n), "Y": (self._m, self._n), "products": (2 * self._m, 2 * self._m)}
        for name, array in memory.items():
            require_state(
                "LSR1", name, array, shapes[name], ("float64",) if name == "products" else ("float32", "float64")
            )
        first, kept = operator.index(state["first"]), operator.index(state["kept"])
        if not (0 <= kept <= (self._m if memory else 0)) or not (0 <= first < (self._m if kept == self._m else 1)):
            raise ValueError(f"LSR1: state has first = {first} and kept = {kept}, which do not fit memory = {self._m}")
        self._memory = {name: copied(array) for name, array in memory.items()}
        self._first, self._kept = first, kept
