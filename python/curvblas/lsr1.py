"""Limited-memory SR1 with a memory: pairs that come one by one."""

import math
from typing import Any

from ._arrays import Array, Parameter, in_kind, on_cpu_as_numpy
from ._backend import backend_of
from ._numbers import number
from ._pairs import PairMemory
from .quasi_newton import TrustRegionStep, step_of

__all__ = ["LSR1"]


class LSR1(PairMemory):
    """Limited-memory SR1: the last pairs, their products, and trust-region steps with their matrix B.

    Parameters
    ----------
    n : int >= 1
        Number of variables.
    memory : int >= 1
        Pairs that are kept.
    batch : int or tuple of int
        Shape of the leading axes: that many models at once, each with pairs of its own. () is one model.
    gamma : finite float, optional
        B without pairs; by the rule of `lsr1_step`, in every step anew, if left out.

    Attributes
    ----------
    gamma : float or None
        As above; may be set between calls.
    status : Status, or int8 array, one per model
        Of the last pair: ``OK``, or why it could not be looked at: ``NOT_FINITE``, it holds NaN or Inf, or its squares
        overflow.

    Notes
    -----
    A new pair costs about 20 m n flops, and reads the memory twice; a step reads it twice, too (see `lsr1_step`), as
    the products of pairs with each other are kept. A device is waited for once a call.

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

    def __init__(
        self, n: int, *, memory: int = 10, batch: int | tuple[int, ...] = (), gamma: float | None = None
    ) -> None:
        super().__init__(n, memory, batch)
        self.gamma = None if gamma is None else number("LSR1", "gamma", gamma, math.isfinite, "a finite number")

    def update(self, s: Array, y: Array) -> Any:
        """Keep a pair if it says something that B does not know, in place of the oldest where the memory is full.

        Parameters
        ----------
        s, y : float32 or float64 arrays, shape (n,), or (..., n) for a batch
            A step, and the change of the gradient along it. All calls want one dtype, device and library.

        Returns
        -------
        bool, or array of bool with one entry a model
            Whether it was: False where ``|r.s| < 1e-8 |r| |s|`` for ``r = y - B s``, where ``r.s`` is zero or ``|r|``
            at most 16 eps ``|y|``, and where the status is not ``OK``; the memory is as it was then. B is that without
            the pair that would be replaced.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        backend = backend_of("LSR1.update", "s", s)
        return self._update(lambda memory, *pair: backend.lsr1_memory_update(memory, self.gamma, *pair), s, y)

    def step(self, grad: Array, radius: Parameter, *, out: Array | None = None) -> TrustRegionStep:
        """Minimise ``g.p + p.B p / 2`` over ``|p| <= radius``.

        Parameters
        ----------
        grad : array, shape (n,), or (..., n) for a batch
            g.
        radius : float > 0, or one per model
            Of the ball.
        out : array, of the shape of g, optional
            Receives the step and is that of the result; may not overlap g.

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
        backend, g = backend_of("LSR1.step", "grad", grad), on_cpu_as_numpy(grad)
        to = None if out is None else on_cpu_as_numpy(out)
        step, *reports = backend.lsr1_memory_step(self._pairs("step", "grad", g), self.gamma, g, radius, to)
        return step_of(grad, step, *reports, out=out)

    def matvec(self, v: Array) -> Array:
        """Multiply with B.

        Parameters
        ----------
        v : array, shape (n,), or (..., n) for a batch
            One vector a model.

        Returns
        -------
        array, of the shape of v
            ``B v``; NaN where v is not finite.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        backend, x = backend_of("LSR1.matvec", "v", v), on_cpu_as_numpy(v)
        product, _ = backend.lsr1_memory_matvec(self._pairs("matvec", "v", x), self.gamma, x)
        return in_kind(product, v)
