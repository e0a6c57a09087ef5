"""Limited-memory SR1: trust-region steps that are exact, for many models at once."""

import math
from dataclasses import dataclass
from typing import Any

from ._arrays import Array, Parameter, copied, in_kind, on_cpu_as_numpy
from ._backend import backend_of
from ._numbers import count, number
from .errors import Status, host_status

__all__ = ["LSR1", "TrustRegionStep", "lsr1_matvec", "lsr1_step"]

_ARRAYS = ("S", "Y", "products")
_NUMBERS = ("first", "kept")


@dataclass(frozen=True, slots=True)
class TrustRegionStep:
    """Steps with what is known about each of them.

    Attributes
    ----------
    step : array, shape (..., n)
        p. A failed one is NaN.
    multiplier : float64 array, one per model
        sigma >= 0 with ``(B + sigma I) p = -g``, 0 in the interior. B + sigma I is positive semi-definite.
    case : int8 array, one per model
        0 interior; 1 on the boundary; 2 on the boundary along the lowest eigenvector, of which g holds nothing (the
        hard case; p is one of several solutions then).
    predicted_reduction : float64 array, one per model
        ``q(0) - q(p)`` for ``q(p) = g.p + p.B p / 2``, never negative.
    status : int8 array, one per model
        See `Status`: ``OK``; ``NOT_FINITE``, S, Y (masked rows too) or ``grad`` holds NaN or Inf, or squares overflow;
        ``INVALID_PARAMETER``, a bad entry of ``radius`` or ``gamma``; ``INACCURATE``, there is no model because Minv is
        singular for the ``gamma`` that was given, or the step does not fit its dtype; ``NO_CONVERGENCE``.
    """

    step: Array
    multiplier: Array
    case: Array
    predicted_reduction: Array
    status: Array

    @property
    def ok(self) -> Array:
        """True where there is a step; one per model."""
        return host_status(self.status) == Status.OK


def lsr1_step(
    S: Array, Y: Array, grad: Array, radius: Parameter, *, gamma: Parameter | None = None, mask: Array | None = None
) -> TrustRegionStep:
    """Minimise limited-memory SR1 models in balls: ``g.p + p.B p / 2`` over ``|p| <= radius``, exactly.

    ``B = gamma I + Psi^T Minv^-1 Psi`` with ``Psi = Y - gamma S`` and ``Minv = D + L + L^T - gamma S S^T``, where ``D
    + L + L^T`` mirrors the lower triangle of ``S Y^T``. B need not be positive definite.

    Parameters
    ----------
    S, Y : float32 or float64 arrays, shape (..., m, n)
        Steps and changes of the gradient, the oldest pair first. m may be 0, and more than n.
    grad : array, shape (..., n)
        g.
    radius : float > 0, or one per model
        In the unit of S.
    gamma : finite float, or one per model, optional
        B without pairs, any sign. If left out: 0.9 times the lowest eigenvalue l of ``(D + L + L^T) v = l S S^T v``
        if that is positive, so that B is positive definite; else ``y.y / s.y`` of the newest pair with ``s.y > 0``,
        else 1, so that B has the negative curvature that the pairs have seen. Enlarged by 10 % where Minv would be
        nearly singular.
    mask : array, shape (..., m), optional
        Zero for pairs that are not to be used: memories of different lengths in one call. They have to be finite all
        the same. Of the dtype of S; bool, too, where the library can convert it.

    Returns
    -------
    TrustRegionStep
        ``step`` of shape (..., n) in the dtype of S, ``multiplier``, ``case``, ``predicted_reduction``, ``status``.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number ``radius`` that is not positive and finite, or a ``gamma`` that is not finite.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    Products of vectors, and all that is m x m, are float64: the eigenvectors of B in the span of Psi, and the secular
    equation in them, with the distance of the multiplier from minus the lowest eigenvalue as its unknown. Where this
    would lose more than eight bits (near the hard case, or where pairs nearly depend on each other; in float32, more
    than 29), Psi is formed, made orthonormal twice (CholeskyQR2), and g projected twice; a device is waited for,
    once, to know which models want that. There, pairs whose row of Psi depends on those of newer ones as far as its
    dtype tells are left out; and so are pairs of zeros. A gradient that is 2^-43 or less of its norm along the lowest
    eigenvectors counts as zero there. No threshold is absolute. Cost per model: 3 m^2 n + 6 m n flops and some 12
    m^3; S and Y are read three times. The result has the same bits for any number of threads, and for a model alone
    or in a batch.

    Source: Brust, Erway and Marcia 2017, On solving L-SR1 trust-region subproblems.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> S, Y = np.array([[1.0, 0.0, 0.0]]), np.array([[-2.0, 0.0, 0.0]])  # curvature -2 along the first axis
    >>> found = cb.lsr1_step(S, Y, np.array([2.0, 3.0, 0.0]), radius=5.0, gamma=1.0)
    >>> found.case, bool(np.isclose(np.linalg.norm(found.step), 5.0))
    (array(1, dtype=int8), True)
    """
    backend = backend_of("lsr1_step", "S", S)
    step, multiplier, case, reduction, status = backend.lsr1_step(S, Y, grad, radius, gamma, _mask_like(S, mask))
    return _as_result(S, step, multiplier, case, reduction, status)


def lsr1_matvec(S: Array, Y: Array, v: Array, *, gamma: Parameter | None = None, mask: Array | None = None) -> Array:
    """Multiply with limited-memory SR1 matrices: ``B v``.

    Parameters
    ----------
    S, Y : float32 or float64 arrays, shape (..., m, n)
        Steps and changes of the gradient, the oldest pair first.
    v : array, shape (..., n)
        One vector a model.
    gamma, mask
        As for `lsr1_step`.

    Returns
    -------
    array, shape (..., n)
        NaN where an argument of the model is not finite, or Minv is singular for the ``gamma`` that was given.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a ``gamma`` that is not finite.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    Pairs whose row of ``Y - gamma S`` depends on those of newer pairs (its part outside of their span has less than
    2^-43 of the squares that it is made of) are left out. The same bits for any number of threads.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> S, Y = np.array([[1.0, 0.0, 0.0]]), np.array([[-2.0, 0.0, 0.0]])
    >>> cb.lsr1_matvec(S, Y, np.array([1.0, 1.0, 1.0]), gamma=1.0)
    array([-2.,  1.,  1.])
    """
    product, _ = backend_of("lsr1_matvec", "S", S).lsr1_matvec(S, Y, gamma, v, _mask_like(S, mask))
    return in_kind(product, S)


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
        return _as_result(grad, *found)

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
            if tuple(array.shape) != shapes[name]:
                raise ValueError(f"LSR1: state[{name!r}] must have shape {shapes[name]}, got {tuple(array.shape)}")
        first, kept = int(state["first"]), int(state["kept"])
        if not (0 <= kept <= (self._m if memory else 0)) or not (0 <= first < (self._m if kept == self._m else 1)):
            raise ValueError(f"LSR1: state has first = {first} and kept = {kept}, which do not fit memory = {self._m}")
        self._memory = {name: copied(array) for name, array in memory.items()}
        self._first, self._kept = first, kept


def _mask_like(S: Array, mask: Array | None) -> Array | None:
    if mask is None or getattr(mask, "dtype", None) == getattr(S, "dtype", None):
        return mask
    return mask.astype(S.dtype) if hasattr(mask, "astype") else mask.to(S.dtype) if hasattr(mask, "to") else mask


def _as_result(like: Array, *parts: Any) -> TrustRegionStep:
    return TrustRegionStep(*(in_kind(part, like) for part in parts))
