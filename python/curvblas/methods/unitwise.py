"""Unitwise natural gradients, their cheaper relatives, and their quasi-diagonal reduction (Ollivier 2015).

Each unit k of a network has a metric for its own incoming weights, ``M_k = E[w_nk r_n r_n^T]``, where r_n is what the
unit is fed with in case n, a 1 for the bias behind it, and ``w_nk = f'(s_nk)^2 Phi_nk`` tells how much the outputs
depend on the unit. The functions of this module give ``w`` for four metrics:

=================================  ======================================  ==========================
metric                             function                                passes through the network
=================================  ======================================  ==========================
unitwise natural gradient          `natural_weights`                       one backward for each output
the same by sampling               `outer_product_weights`, targets drawn  one backward
                                   by `sample_outputs`
unitwise outer product             `outer_product_weights`, true targets   none beside the gradient's
backpropagated metric              `backpropagated_weights`                one like a backward
=================================  ======================================  ==========================

`UnitwiseNaturalGradient` keeps the whole matrices, `QuasiDiagonalNaturalGradient` two numbers a weight. Neither
depends on affine changes of any unit's activity, nor the first one on how the inputs of a unit are mixed.
"Scores" are means of Gaussian outputs, log-odds of Bernoulli outputs, log-probabilities up to a constant for softmax.
"""

from typing import Any

import numpy as np

from .._arrays import Array, Arrays, Parameter, in_kind
from .._numbers import number, positive
from ..cholesky import damped_cholesky
from ..unitwise import accumulate_quasi_diagonal, solve_quasi_diagonal, update_unit_moments
from ._unit_metrics import (
    any_lost,
    as_layers,
    begun_anew,
    handed_back,
    loaded,
    lost_units,
    reported,
    require_kept,
    require_layers,
    saved,
    solve_units,
    with_rows,
    zeros,
)
from ._unit_weights import backpropagated_weights, natural_weights, outer_product_weights, sample_outputs

__all__ = [
    "QuasiDiagonalNaturalGradient",
    "UnitwiseNaturalGradient",
    "backpropagated_weights",
    "natural_weights",
    "outer_product_weights",
    "sample_outputs",
]


class UnitwiseNaturalGradient:
    """Natural gradient with one matrix a unit: ``(M_k + damping I)^-1 grad_k``.

    Parameters
    ----------
    damping : float > 0
        In the unit of M.
    decay : float in [0, 1)
        How much of the old matrices stays; they start as a running mean.

    Attributes
    ----------
    status : int8 array, shape (q,), or list of them
        Of the last step, one a unit, see `curvblas.Status`; ``JITTERED`` units were damped more than asked. Where there
        is no solution the natural gradient is NaN, and no other unit is touched; so it is, with ``NOT_FINITE``, where
        the gradient is not finite.

    Notes
    -----
    With ``natural_weights``, or ``outer_product_weights`` of sampled targets, the matrices are the diagonal blocks of
    the Fisher matrix. A step costs N q p^2 flops a layer for the matrices and q p^3 / 3 for the systems, q p^2 numbers
    are kept. The matrix of a unit that got NaN or Inf begins anew with the next good rows. A layer without rows
    (N = 0) keeps its matrices. A device is waited for, to look at statuses. Arrays of any library and device.
    Source: Ollivier 2015, "Riemannian metrics for neural networks I: feedforward networks".

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods.unitwise import UnitwiseNaturalGradient
    >>> method = UnitwiseNaturalGradient(damping=1e-12)
    >>> method.precondition(np.array([[5.0, 1.0]]), np.array([[1.0], [3.0]]), np.ones((2, 1))).round(6)
    array([[ 3., -5.]])
    """

    def __init__(self, *, damping: float, decay: float = 0.95) -> None:
        owner = type(self).__name__
        self._damping = positive(owner, "damping", damping)
        self._decay = number(owner, "decay", decay, lambda x: 0 <= x < 1, "a number in [0, 1)")
        self._moments: list[Array] | None = None
        self._steps, self._suspect = 0, False
        self.status: Arrays = np.zeros(0, np.int8)

    def precondition(self, grads: Arrays, rows: Arrays, weights: Arrays) -> Arrays:
        """Take in a minibatch and return natural gradients: what the caller subtracts, times a learning rate.

        Parameters
        ----------
        grads : float32 or float64 array, shape (q, p), or list of arrays (q_l, p_l)
            Gradient of the mean loss; the bias is the last column.
        rows : array, shape (N, p - 1) or (N, T, p - 1), or list of them
            What the layer is fed with.
        weights : array, shape (N, q) or (N, T, q), or list of them
            From one of the functions of this module.

        Returns
        -------
        array or list of arrays
            Like ``grads``.

        Raises
        ------
        ValueError
            Shapes or numbers of layers that do not fit, or a layer has no rows in the first step.
        TypeError
            A dtype, device or library that does not fit.
        """
        owner = type(self).__name__
        g, R, W = as_layers(owner, grads=grads, rows=rows, weights=weights)
        require_layers(owner, g, R, W, "weights")
        shapes = [(*x.shape, x.shape[1]) for x in g]
        require_kept(owner, self._moments, g, shapes)
        members = with_rows(owner, self._moments, R)
        moments = self._moments or [zeros(shape, x) for shape, x in zip(shapes, g, strict=True)]
        decay = min(1 - 1 / (self._steps + 1), self._decay)
        if members:
            M, x, w = ([group[k] for k in members] for group in (moments, R, W))
            lost = [lost_units(each) for each in M] if self._suspect else []
            update_unit_moments(M, x, w, decay=decay, bias=True)
            if any(each.any() for each in lost):
                fresh = update_unit_moments([zeros(each.shape, each) for each in M], x, w, decay=0.0, bias=True)
                for k, C, units in zip(members, fresh, lost, strict=True):
                    moments[k] = begun_anew(moments[k], C, units)
        self._moments, self._steps = moments, self._steps + bool(members)
        factors = [damped_cholesky(M, self._damping) for M in moments]
        self._suspect = any_lost([f.status for f in factors])
        results = [solve_units(f.factor, x) for f, x in zip(factors, g, strict=True)]
        self.status = handed_back([reported(f.status, u) for f, u in zip(factors, results, strict=True)], grads)
        return handed_back(results, grads)

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs: ``moments``, copied, unless there was no step; ``steps``."""
        return saved({"moments": self._moments}, self._steps)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of `state_dict`, which is copied; a ValueError says what is missing in it."""
        found, self._steps = loaded(type(self).__name__, state, ("moments",))
        self._moments, self._suspect = found["moments"], True


class QuasiDiagonalNaturalGradient:
    """Quasi-diagonal reduction of a metric of units: their diagonals, and what ties each weight to the bias.

    Parameters
    ----------
    damping : float >= 0, or one per layer
        Added to the diagonal, in the unit of M. Any amount above 0 breaks the invariance a little.
    decay : float in [0, 1)
        How much of the old moments stays; they start as a running mean.
    floor : float in [0, 1)
        As in `curvblas.solve_quasi_diagonal`.

    Attributes
    ----------
    status : int8 array, one a unit, those of all layers in order
        Of the last step, see `curvblas.solve_quasi_diagonal`, which says what becomes of dead units. The moments of
        a unit that got NaN or Inf begin anew with the next good rows. A layer without rows (N = 0) keeps its own.

    Notes
    -----
    A step costs 4 N q p flops a layer, as much as two gradients, and keeps two numbers a weight. Arrays of any library
    and device. Source: Ollivier 2015; Marceau-Caron and Ollivier 2016 (arXiv 1602.08007).

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods.unitwise import QuasiDiagonalNaturalGradient
    >>> method = QuasiDiagonalNaturalGradient()
    >>> method.precondition(np.array([[5.0, 1.0]]), np.array([[1.0], [3.0]]), np.ones((2, 1)))
    array([[ 3., -5.]])
    """

    def __init__(self, *, damping: Parameter = 0.0, decay: float = 0.95, floor: float = 1e-5) -> None:
        owner, wanted = type(self).__name__, "a finite number >= 0"
        if not isinstance(damping, list | tuple) and getattr(damping, "ndim", 0) == 0:
            damping = number(owner, "damping", damping, lambda x: 0 <= x < np.inf, wanted)
        for k, each in enumerate(damping if isinstance(damping, list | tuple) else ()):
            number(owner, f"damping[{k}]", each, lambda x: 0 <= x < np.inf, wanted)
        self._damping = damping
        self._floor = number(owner, "floor", floor, lambda x: 0 <= x < 1, "a number in [0, 1)")
        self._decay = number(owner, "decay", decay, lambda x: 0 <= x < 1, "a number in [0, 1)")
        self._moments: tuple[list[Array], list[Array]] | None = None
        self._steps, self._suspect = 0, False
        self.status: Array = np.zeros(0, np.int8)

    def precondition(self, grads: Arrays, rows: Arrays, weights: Arrays) -> Arrays:
        """Take in a minibatch and return natural gradients: what the caller subtracts, times a learning rate.

        Parameters
        ----------
        grads, rows, weights
            As for `UnitwiseNaturalGradient.precondition`.

        Returns
        -------
        array or list of arrays
            Like ``grads``.

        Raises
        ------
        ValueError
            Shapes or numbers of layers or dampings that do not fit, or a layer has no rows in the first step.
        TypeError
            A dtype, device or library that does not fit.
        """
        owner = type(self).__name__
        g, R, W = as_layers(owner, grads=grads, rows=rows, weights=weights)
        require_layers(owner, g, R, W, "weights")
        shapes = [tuple(x.shape) for x in g]
        for kept in self._moments or ():
            require_kept(owner, kept, g, shapes)
        if getattr(self._damping, "ndim", isinstance(self._damping, list | tuple)) and len(self._damping) != len(g):
            raise ValueError(
                f"{owner}: damping must have {len(g)} entries, one for each layer, got {len(self._damping)}"
            )
        members = with_rows(owner, self._moments and self._moments[0], R)
        first, second = self._moments or ([zeros(x.shape, x) for x in g], [zeros(x.shape, x) for x in g])
        decay = min(1 - 1 / (self._steps + 1), self._decay)
        if members:
            M, S, x, w = ([group[k] for k in members] for group in (first, second, R, W))
            lost = [lost_units(a) | lost_units(b) for a, b in zip(M, S, strict=True)] if self._suspect else []
            accumulate_quasi_diagonal(M, S, x, w, decay=decay)
            if any(each.any() for each in lost):
                a_fresh, b_fresh = ([zeros(each.shape, each) for each in group] for group in (M, S))
                accumulate_quasi_diagonal(a_fresh, b_fresh, x, w, decay=0.0)
                for k, a, b, units in zip(members, a_fresh, b_fresh, lost, strict=True):
                    first[k], second[k] = begun_anew(first[k], a, units), begun_anew(second[k], b, units)
        self._moments, self._steps = (first, second), self._steps + bool(members)
        result = solve_quasi_diagonal(first, second, g, self._damping, floor=self._floor)
        self._suspect = any_lost([result.status])
        self.status = in_kind(result.status, grads)
        return handed_back(result.solution, grads)

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs: ``first`` and ``second`` moments, copied, and ``steps``."""
        first, second = self._moments or (None, None)
        return saved({"first": first, "second": second}, self._steps)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of `state_dict`, which is copied; a ValueError says what is missing in it."""
        found, self._steps = loaded(type(self).__name__, state, ("first", "second"))
        self._moments, self._suspect = (found["first"], found["second"]) if self._steps else None, True
