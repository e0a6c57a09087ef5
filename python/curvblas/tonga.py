"""TONGA: the online natural gradient of Le Roux, Manzagol and Bengio."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._arrays import Array, copied, in_kind, on_cpu_as_numpy, require_state
from ._backend import backend_of
from ._numbers import block_begins, count, number, positive

__all__ = ["TONGA"]

_LARGEST_SCALE = 40.0  # of window |log decay|: gradients are divided by decay^(window / 2), also in float32
_ARRAYS = ("basis", "squares", "damping")
_NUMBERS = ("count", "steps")


class TONGA:
    """Natural gradients by a sum of squares of low rank: ``v = (C + damping I)^-1 g`` with ``C <- decay C + g g^T``.

    C is not a Fisher matrix but the discounted second moment of the gradients themselves. It is exact in the first
    window of gradients; each later window begins with the best approximation of rank ``rank`` of what the one before
    left.

    Parameters
    ----------
    dim : int >= 1
        Length of the gradients.
    rank : int >= 1
        Eigenvectors that are kept.
    window : int >= 1
        Gradients between two eigendecompositions.
    decay : float in (0, 1]
        Weight of the past; ``window |log decay|`` may be 40 at most.
    damping : float > 0
        In the unit of squared gradients, summed over about ``1 / (1 - decay)`` of them.
    blocks : sequence of int >= 1, optional
        Sizes of consecutive blocks of parameters (neurons, layers) whose products with each other are taken for zero;
        they add up to ``dim``. One block if left out.
    renormalize : bool
        Multiply v by ``f = (1 - decay^t) / (1 - decay)`` after t gradients, the sum of their weights: v is ``(C / f +
        damping / f I)^-1 g`` then, with a mean instead of a sum.
    min_damping : float > 0, optional
        If given, the damping of each block becomes its smallest eigenvalue kept, at least this, at the end of each
        window.

    Attributes
    ----------
    status : int8 array, shape (blocks,)
        Of the last step, one a block, see `Status`: ``OK``; ``JITTERED``, solved with more damping; ``NOT_FINITE``, a
        gradient of the block holds NaN or Inf, or is too large for its dtype once scaled: it counts as zero, and v of
        the block is NaN; ``NOT_POSITIVE_DEFINITE``, v of the block is NaN; ``INACCURATE``, so is it, where gradients
        that are nearly parallel have squares of some 1e14 times the damping; ``NO_CONVERGENCE``, the memory of the
        block has no eigenbasis and is forgotten. Other blocks are not touched.
    damping : float64 array, shape (blocks,)
        What is in use; a copy.

    Notes
    -----
    The memory takes (rank + window) dim numbers of the dtype of the gradients and (rank + window)^2 float64 a block. A
    step reads the rows in use twice, about ``2 (rank + window / 2) dim`` numbers on average, costs two flops for each
    of them, and r^3 flops a block for r rows in use; the end of a window costs 2 rank (rank + window) dim flops, and 6
    (rank + window)^3 a block. Products and sums over rows are formed in float64. Results have the same bits for any
    number of threads, and a block the same as alone. An object is not for several threads at a time.

    Source: Le Roux, Manzagol and Bengio 2007, section 4; the recursion is that of its public implementation (PLearn,
    NatGradEstimator).

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> method = cb.TONGA(3, damping=1.0)
    >>> method.step(np.array([1.0, 2.0, 0.0]))  # g / (1 + g.g)
    array([0.16666667, 0.33333333, 0.        ])
    """

    def __init__(
        self,
        dim: int,
        *,
        rank: int = 10,
        window: int = 20,
        decay: float = 0.995,
        damping: float = 1e-3,
        blocks: Sequence[int] | None = None,
        renormalize: bool = False,
        min_damping: float | None = None,
    ) -> None:
        self._dim, self._rank, self._window = (
            count("TONGA", *named) for named in (("dim", dim), ("rank", rank), ("window", window))
        )
        self._decay = number("TONGA", "decay", decay, lambda x: 0 < x <= 1, "a number in (0, 1]")
        if -self._window * math.log(decay) > _LARGEST_SCALE:
            raise ValueError(
                f"TONGA: window |log decay| must be at most {_LARGEST_SCALE:g}, got "
                f"{-self._window * math.log(decay):.3g} for window = {window} and decay = {decay}"
            )
        self._initial_damping = positive("TONGA", "damping", damping)
        self._min_damping = -1.0 if min_damping is None else positive("TONGA", "min_damping", min_damping)
        self._renormalize = bool(renormalize)
        self._begins = block_begins("TONGA", self._dim, blocks)
        self._memory: dict[str, Array] = {}
        self._count = self._steps = 0
        self.status: Array = np.zeros(len(self._begins) - 1, np.int8)

    @property
    def damping(self) -> Array:
        """The damping in use, one a block; a copy."""
        initial = np.full(len(self._begins) - 1, self._initial_damping)
        return copied(self._memory.get("damping", initial))

    def step(self, gradients: Array) -> Array:
        """Take one gradient or several, and return the natural gradient of their mean.

        Parameters
        ----------
        gradients : float32 or float64 array, shape (dim,) or (N, dim)
            One gradient, or N of them, which enter C one after the other. All calls want one dtype, device and
            library. Where N are more than the window has room for, their mean is not a sum of what is kept: v is
            accurate to eps times the largest eigenvalue of C over damping then, and ``INACCURATE`` beyond 1e-2.

        Returns
        -------
        array, shape (dim,)
            ``(C + damping I)^-1 g`` for the mean g of the gradients, with the C that holds all of them. See ``status``.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        backend = backend_of("TONGA.step", "gradients", gradients)
        G = on_cpu_as_numpy(gradients)
        is_new = not self._memory
        memory = self._memory
        if is_new:
            made = backend.tonga_memory(G, self._rank + self._window, self._begins)
            memory = dict(zip(_ARRAYS, in_kind(list(made), G), strict=True))
        steps = self._steps + (G.shape[0] if getattr(G, "ndim", 0) == 2 else 1)
        v, status, self._count = backend.tonga_step(
            *memory.values(),
            G,
            self._begins,
            self._rank,
            self._decay,
            self._initial_damping,
            self._min_damping,
            self._factor(steps),
            self._count,
            is_new,
        )
        self._memory, self._steps = memory, steps
        self.status = in_kind(status, gradients)
        return in_kind(v, gradients)

    def _factor(self, steps: int) -> float:
        if not self._renormalize:
            return 1.0
        return float(steps) if self._decay == 1 else (1 - self._decay**steps) / (1 - self._decay)

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on: arrays, and numbers.

        Returns
        -------
        dict
            ``basis`` (rank + window, dim), ``squares`` (blocks, rank + window, rank + window) and ``damping``
            (blocks,) of the memory, copied, unless there was no step; ``count``, gradients in the window; ``steps``,
            all gradients.
        """
        return {
            **{name: copied(array) for name, array in self._memory.items()},
            "count": self._count,
            "steps": self._steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; the parameters of this object must be those of the one that it is from.

        Parameters
        ----------
        state : dict
            From `state_dict`; copied.

        Raises
        ------
        ValueError
            Entries that are missing, or shapes that do not fit the parameters of this object.
        """
        slots, blocks = self._rank + self._window, len(self._begins) - 1
        shapes = {"basis": (slots, self._dim), "squares": (blocks, slots, slots), "damping": (blocks,)}
        memory = {name: state[name] for name in _ARRAYS if name in state}
        if len(memory) not in {0, len(_ARRAYS)} or any(name not in state for name in _NUMBERS):
            raise ValueError(f"TONGA: state must have {', '.join(_ARRAYS + _NUMBERS)}, got {', '.join(state)}")
        for name, array in memory.items():
            dtypes = ("float32", "float64") if name == "basis" else ("float64",)
            require_state("TONGA", name, array, shapes[name], dtypes)
        if not 0 <= state["count"] < self._window:
            raise ValueError(f"TONGA: state['count'] must be in 0 ... {self._window - 1}, got {state['count']}")
        if state["steps"] < state["count"] or (state["steps"] > 0) != bool(memory):
            raise ValueError(f"TONGA: state['steps'] = {state['steps']} does not fit the other entries")
        self._memory = {name: copied(array) for name, array in memory.items()}
        self._count, self._steps = int(state["count"]), int(state["steps"])
