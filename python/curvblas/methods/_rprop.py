"""Resilient propagation: steps that depend on nothing but the signs of gradients."""

import math
from typing import Any

import numpy as np

from .._arrays import Array, in_kind, require_state
from .._numbers import count, number, positive
from ..errors import Status
from ._float64 import back, float64

_NAME = "Rprop"
VARIANTS = ("toussaint", "rprop-", "irprop-", "irprop+")
_ENTRIES = ("sizes", "gradient", "update", "value")


class Rprop:
    """Resilient propagation: a step size for each coordinate, which grows while its gradient keeps its sign.

    Where the product of a gradient with the one before is positive, its size grows; where negative, it shrinks. The
    update is ``-size sign(g)``; the variants differ in what follows a change of sign:

    ============  ==============================  ===========================================
    variant       update after a change of sign   gradient that is remembered
    ============  ==============================  ===========================================
    ``rprop-``    ``-size sign(g)``               g
    ``toussaint`` ``-size sign(g)``               0: the next step leaves the size as it is
    ``irprop-``   0                               0
    ``irprop+``   the last one taken back, if     0
                  the value has risen, else 0
    ============  ==============================  ===========================================

    Parameters
    ----------
    dim : int >= 1
        Number of parameters.
    variant : {"irprop-", "irprop+", "rprop-", "toussaint"}
        What to do after a change of sign.
    step_size : float > 0
        To begin with, in the unit of parameters; within the limits.
    increase : float > 1
        Factor of growth.
    decrease : float in (0, 1)
        Factor of shrinkage.
    limits : (float, float)
        Smallest and largest size, in the unit of parameters.

    Attributes
    ----------
    sizes : float64 array, shape (dim,)
        Of the next steps; a copy.
    status : int8 array, shape (dim,)
        Of the last step, see `Status`: ``OK`` or ``NOT_FINITE`` where the gradient is NaN or Inf; the update of that
        parameter is NaN then, and nothing is remembered of it. The others go on.

    Notes
    -----
    For gradients of the whole data: signs of noisy ones mislead. No scaling of the function by positive numbers, one
    for all or one a step, changes the updates. Costs about 10 operations a parameter.

    Sources: Riedmiller and Braun 1993; Igel and Huesken 2003 (``rprop-``, ``irprop-``, ``irprop+``); Toussaint, lecture
    "Second-order optimization".

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import newton
    >>> method = newton.Rprop(2, step_size=0.5)
    >>> method.step(np.array([3.0, -1e-9]))
    array([-0.5,  0.5])
    >>> method.step(np.array([1.0, 2.0]))
    array([-0.6,  0. ])
    """

    def __init__(
        self,
        dim: int,
        *,
        variant: str = "irprop-",
        step_size: float = 0.01,
        increase: float = 1.2,
        decrease: float = 0.5,
        limits: tuple[float, float] = (1e-6, 50.0),
    ) -> None:
        n = count(_NAME, "dim", dim)
        if variant not in VARIANTS:
            raise ValueError(f"{_NAME}: variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
        size = positive(_NAME, "step_size", step_size)
        self._factors = (
            number(_NAME, "increase", increase, lambda x: 1 < x < math.inf, "a finite number > 1"),
            number(_NAME, "decrease", decrease, lambda x: 0 < x < 1, "a number in (0, 1)"),
        )
        low, high = self._limits = _limits(limits)
        if not low <= size <= high:
            raise ValueError(f"{_NAME}: step_size must lie in limits = ({low}, {high}), got {step_size}")
        self._variant = variant
        self._sizes, self._gradient, self._update = np.full(n, size), np.zeros(n), np.zeros(n)
        self._value = math.inf
        self.status: Array = np.zeros(n, np.int8)

    @property
    def sizes(self) -> np.ndarray:
        """Sizes of the next steps; a copy."""
        sizes: np.ndarray = self._sizes.copy()
        return sizes

    def step(self, grad: Array, value: float | None = None) -> Array:
        """Return what the parameters are to change by.

        Parameters
        ----------
        grad : array, shape (dim,)
            At the parameters after the step before.
        value : float, optional
            Of the function there; ``irprop+`` wants it, the others do not look at it. One that is not finite counts as
            risen.

        Returns
        -------
        array, shape (dim,)
            To be added to the parameters; in the library of the gradient.

        Raises
        ------
        ValueError
            A gradient of another shape, or ``irprop+`` without a value.
        TypeError
            An array of a device, or of no real numbers; a value that is no number.
        """
        g = float64(f"{_NAME}.step", "grad", grad, self._sizes.shape)
        has_risen = self._has_risen(value)
        is_bad = ~np.isfinite(g)
        signs = np.sign(np.where(is_bad, 0.0, g))
        turn = signs * self._gradient
        grow, shrink = self._factors
        sizes = np.where(turn > 0, np.minimum(grow * self._sizes, self._limits[1]), self._sizes)
        sizes = np.where(turn < 0, np.maximum(shrink * self._sizes, self._limits[0]), sizes)
        update = -sizes * signs
        if self._variant in {"irprop-", "irprop+"}:
            update = np.where(turn < 0, -self._update if has_risen else 0.0, update)
        self._gradient = signs if self._variant == "rprop-" else np.where(turn < 0, 0.0, signs)
        self._sizes, self._update = sizes, update
        self.status = in_kind(np.where(is_bad, Status.NOT_FINITE, Status.OK).astype(np.int8), grad)
        return back(np.where(is_bad, np.nan, update + 0.0), grad)

    def _has_risen(self, value: float | None) -> bool:
        if self._variant != "irprop+":
            return False
        if value is None:
            raise ValueError(f"{_NAME}.step: value must be given for variant 'irprop+', got None")
        now = number(f"{_NAME}.step", "value", value, lambda x: True, "a number")
        has_risen = not (math.isfinite(now) and now <= self._value)
        self._value = now if math.isfinite(now) else math.inf
        return has_risen

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on.

        Returns
        -------
        dict
            ``sizes``, ``gradient`` (the signs that are remembered), ``update``, copies of shape (dim,), and ``value``.
        """
        arrays = {"sizes": self._sizes, "gradient": self._gradient, "update": self._update}
        return {**{name: array.copy() for name, array in arrays.items()}, "value": self._value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; the parameters of this object must be those of the one that it is from.

        Parameters
        ----------
        state : dict
            From `state_dict`; copied.

        Raises
        ------
        ValueError
            Entries that are missing, or shapes that do not fit.
        """
        if any(name not in state for name in _ENTRIES):
            raise ValueError(f"{_NAME}: state must have {', '.join(_ENTRIES)}, got {', '.join(state)}")
        for name in _ENTRIES[:3]:
            require_state(_NAME, name, state[name], self._sizes.shape, ("float64",))
        value = number(_NAME, "state['value']", state["value"], lambda x: not math.isnan(x), "a number")
        self._sizes, self._gradient, self._update = (np.array(state[name]) for name in _ENTRIES[:3])
        self._value = value


def _limits(limits: tuple[float, float]) -> tuple[float, float]:
    try:
        smallest, largest = limits
    except (TypeError, ValueError):
        raise ValueError(f"{_NAME}: limits must be two numbers (smallest, largest), got {limits!r}") from None
    low = number(_NAME, "limits[0]", smallest, lambda x: 0 <= x < math.inf, "a finite number >= 0")
    return low, number(_NAME, "limits[1]", largest, lambda x: low <= x, f"a number >= {low}")
