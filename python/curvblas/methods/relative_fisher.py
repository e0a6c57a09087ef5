"""Relative Fisher information of the parts of a network, and gradient descent with it (Sun and Nielsen 2017).

The metric of a part is the Fisher matrix of its own output distribution given what it is fed with, whatever the rest
of the network does. For a neuron with weights w, input x (a 1 for the bias behind it) and ``t = w x`` it is ``nu(t) x
x^T``; neurons of a layer are independent of each other; a softmax layer is one part. No backward pass is wanted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arrays import Array
from .._numbers import count, number, positive
from ..cholesky import cholesky_solve, damped_cholesky
from ..errors import Status
from ..kronecker import update_factors
from ..unitwise import update_unit_moments
from ._float64 import back, float64
from ._logistic import logistic, logistic_variance
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

__all__ = ["RelativeNaturalGradient", "neuron_information", "softmax_information"]

_NEURONS = ("linear", "tanh", "sigmoid", "relu", "elu")
_KINDS = (*_NEURONS, "softmax")
_TINY = 1e-30  # keeps the system of a dead unit solvable


def neuron_information(kind: str, t: Array, *, leak: float = 0.0, width: float = 0.0, alpha: float = 1.0) -> Array:
    """Return ``nu(t)``, the Fisher information of a neuron's output about its pre-activation.

    Parameters
    ----------
    kind : {"linear", "tanh", "sigmoid", "relu", "elu"}
        ``"tanh"``: the output is -1 or 1 with mean tanh t, ``nu = 1 - tanh^2 t``; ``"sigmoid"``: Bernoulli, ``s (1 -
        s)``; the others have Gaussian noise of variance 1 on f(t), and ``nu = f'(t)^2``.
    t : array of any shape
        Pre-activations.
    leak : float in [0, 1)
        Of ``"relu"``: its slope on the left.
    width : float >= 0
        Of ``"relu"``: that of the bend of ``width log(exp(leak t / width) + exp(t / width))``; 0 is the limit, a kink.
    alpha : float > 0
        Of ``"elu"``: ``alpha (exp(t) - 1)`` on the left.

    Returns
    -------
    array
        Like ``t``.

    Raises
    ------
    ValueError
        An unknown kind, a parameter out of range.
    TypeError
        An array of a device, or of no real numbers.

    Notes
    -----
    Computed on the host in float64. Where a ReLU meets its kink, at t = 0 exactly, nu is that of the left side. Source:
    Sun and Nielsen 2017, "Relative Fisher information and natural gradient for learning large modular models".

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import relative_fisher
    >>> relative_fisher.neuron_information("relu", np.array([-1.0, 2.0]), leak=0.1)
    array([0.01, 1.  ])
    """
    owner = "neuron_information"
    x = float64(owner, "t", t)
    number(owner, "leak", leak, lambda v: 0 <= v < 1, "a number in [0, 1)")
    number(owner, "width", width, lambda v: 0 <= v < np.inf, "a finite number >= 0")
    positive(owner, "alpha", alpha)
    if kind not in _NEURONS:
        raise ValueError(f"{owner}: kind must be one of {', '.join(_NEURONS)}, got {kind!r}")
    if kind == "linear":
        nu = np.ones_like(x)
    elif kind == "tanh":
        nu = logistic_variance(2 * x) * 4
    elif kind == "sigmoid":
        nu = logistic_variance(x)
    elif kind == "elu":
        nu = np.where(x >= 0, 1.0, np.square(alpha * np.exp(np.minimum(x, 0))))
    else:
        upper = logistic((1 - leak) * x / width) if width > 0 else (x > 0).astype(np.float64)
        nu = np.square(leak + (1 - leak) * upper)
    nu = np.where(np.isnan(x), np.nan, nu)
    return back(nu, t)


def softmax_information(rows: Array, probabilities: Array) -> Array:
    """Return the relative Fisher matrix of a softmax layer, the mean over a batch.

    Parameters
    ----------
    rows : float32 or float64 array, shape (N, p - 1)
        What the layer is fed with; a 1 is appended.
    probabilities : array, shape (N, q)
        Its outputs: not negative, rows with sum 1, up to rounding.

    Returns
    -------
    array, shape (q p, q p)
        ``mean_n (diag eta_n - eta_n eta_n^T) (x) x_n x_n^T``, weights (q, p) row by row. Of rank at most (q - 1) p: one
        vector added to all rows of the weights changes nothing.

    Raises
    ------
    ValueError
        A shape that does not fit, or what are no probabilities. NaN is handed on.
    TypeError
        An array of a device, or of no real numbers.

    Notes
    -----
    Cost N q (q p)^2 flops. Source: Sun and Nielsen 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import relative_fisher
    >>> relative_fisher.softmax_information(np.zeros((1, 0)), np.array([[0.5, 0.5]]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    roots = _softmax_roots("softmax_information", rows, probabilities)
    q_p = roots.shape[2]
    C = update_factors(np.zeros((q_p, q_p)), roots, decay=0.0)
    return back(C, rows)


def _softmax_roots(owner: str, rows: Array, probabilities: Array) -> np.ndarray:
    """Return rows (N, q, q p) whose squares sum to (diag eta - eta eta^T) (x) x x^T in each case."""
    x = float64(owner, "rows", rows, ("N", "p - 1"))
    eta = float64(owner, "probabilities", probabilities, (len(x), "q"))
    q, tolerance = eta.shape[1], 1e-4 if getattr(probabilities, "dtype", np.dtype(float)).itemsize >= 4 else 2e-2
    if (eta < -tolerance).any() or (np.abs(eta.sum(axis=1) - 1) > tolerance).any():
        raise ValueError(f"{owner}: probabilities must not be negative, and rows of them must have sum 1, got others")
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    root = np.sqrt(np.maximum(eta, 0))[:, :, None] * (
        np.eye(q) - eta[:, None, :]
    )  # (N, j, k): sqrt eta_j (1_jk - eta_k)
    return np.asarray((root[:, :, :, None] * x[:, None, None, :]).reshape(len(x), q, q * x.shape[1]))


class RelativeNaturalGradient:
    """Relative natural gradient descent: each part of the network by its own metric, ``(M + damping s I)^-1 grad``.

    Parameters
    ----------
    kinds : sequence of str
        One a layer: ``"linear"``, ``"tanh"``, ``"sigmoid"``, ``"relu"``, ``"elu"``, with a metric (p, p) for each unit,
        or ``"softmax"``, with one (q p, q p) for the layer.
    damping : float > 0
        Relative to s, the mean of nu of the unit: saturated units are not drowned in it. Of a softmax layer s is the
        mean of ``eta (1 - eta)``.
    decay : float in [0, 1)
        How much of the old metrics stays; they start as a running mean.
    period : int >= 1
        Metrics are factorised in every so many steps, beginning with the first one.
    leak, width, alpha : float
        As in `neuron_information`.

    Attributes
    ----------
    status : list of int8 arrays, shape (q,), or () for a softmax layer
        Of the last factorisation, see `curvblas.Status`. Where there is no solution the gradient is NaN, and no other
        unit is touched; so it is, with ``NOT_FINITE`` in that step, where the gradient is not finite. Metrics of units
        and softmax layers that got NaN or Inf begin anew with the next good rows, and are factorised at once.

    Notes
    -----
    A step costs N q p^2 flops a layer, and a factorisation q p^3 / 3; q p^2 numbers are kept, twice. For a softmax
    layer, N q (q p)^2 and (q p)^3 / 3. Arrays of any library of the CPU. A dead unit (nu = 0 throughout) keeps what its
    gradient is, 0. A layer without rows (N = 0) keeps its metric.
    Source: Sun and Nielsen 2017, "Relative Fisher information and natural gradient for learning large modular models".

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods.relative_fisher import RelativeNaturalGradient
    >>> method = RelativeNaturalGradient(["linear"], damping=1e-12)
    >>> rows, t = [np.array([[1.0], [3.0]])], [np.zeros((2, 1))]
    >>> method.precondition([np.array([[5.0, 1.0]])], rows, t)[0].round(6)
    array([[ 3., -5.]])
    """

    def __init__(
        self,
        kinds: Sequence[str],
        *,
        damping: float,
        decay: float = 0.95,
        period: int = 1,
        leak: float = 0.0,
        width: float = 0.0,
        alpha: float = 1.0,
    ) -> None:
        owner = type(self).__name__
        if isinstance(kinds, str) or not set(kinds) <= set(_KINDS):
            raise ValueError(f"{owner}: kinds must be a sequence of {', '.join(_KINDS)}, got {kinds!r}")
        self._kinds = tuple(kinds)
        self._damping = positive(owner, "damping", damping)
        self._decay = number(owner, "decay", decay, lambda x: 0 <= x < 1, "a number in [0, 1)")
        self._period = count(owner, "period", period)
        self._shape = {"leak": leak, "width": width, "alpha": alpha}
        neuron_information("linear", np.zeros(0), **self._shape)  # refuses what is out of range
        self._moments: list[Array] | None = None
        self._factors: list[Array] | None = None
        self._found: list[Array] = []
        self._steps = 0
        self.status: list[Array] = []

    def precondition(self, grads: list[Array], rows: list[Array], outputs: list[Array]) -> list[Array]:
        """Take in a minibatch and return natural gradients: what the caller subtracts, times a learning rate.

        Parameters
        ----------
        grads : list of float32 or float64 arrays, shapes (q, p)
            Gradient of the mean loss, one a layer; the bias is the last column.
        rows : list of arrays, shapes (N, p - 1)
            What the layers are fed with.
        outputs : list of arrays, shapes (N, q)
            Pre-activations; for a softmax layer its probabilities.

        Returns
        -------
        list of arrays
            Like ``grads``.

        Raises
        ------
        ValueError
            Shapes or numbers of layers that do not fit, a layer has no rows in the first step, or outputs of a softmax
            layer are no probabilities.
        TypeError
            A dtype or library that does not fit, or an array of a device.
        """
        owner = type(self).__name__
        g, R, t = as_layers(owner, grads=grads, rows=rows, outputs=outputs)
        if not isinstance(grads, list | tuple) or len(g) != len(self._kinds):
            raise ValueError(f"{owner}: grads must be a list of {len(self._kinds)} arrays, one for each of kinds")
        require_layers(owner, g, R, t, "outputs")
        shapes = [self._kept_shape(kind, x) for kind, x in zip(self._kinds, g, strict=True)]
        require_kept(owner, self._moments, g, shapes)
        members = with_rows(owner, self._moments, R)
        moments = self._moments or [zeros(shape, x) for shape, x in zip(shapes, g, strict=True)]
        self._accumulate(moments, R, t, members)
        factors = self._factors
        if factors is None or self._steps % self._period == 0 or any_lost(self._found):
            found = [damped_cholesky(M, self._damping_of(M, x)) for M, x in zip(moments, g, strict=True)]
            factors, self._found = [f.factor for f in found], [f.status for f in found]
        self._moments, self._factors, self._steps = moments, factors, self._steps + bool(members)
        solutions = [self._solve(L, x) for L, x in zip(factors, g, strict=True)]
        self.status = [reported(status, u) for status, u in zip(self._found, solutions, strict=True)]
        results: list[Array] = handed_back(solutions, grads)
        return results

    @staticmethod
    def _kept_shape(kind: str, grad: Array) -> tuple[int, ...]:
        q, p = grad.shape
        return (q * p, q * p) if kind == "softmax" else (q, p, p)

    def _accumulate(self, moments: list[Array], rows: list[Array], outputs: list[Array], members: list[int]) -> None:
        decay = min(1 - 1 / (self._steps + 1), self._decay)
        layers = [(self._kinds[k], moments[k], rows[k], outputs[k]) for k in members]
        units = [(M, x, neuron_information(k, t, **self._shape)) for k, M, x, t in layers if k != "softmax"]
        whole = [(M, _softmax_roots(type(self).__name__, x, eta)) for k, M, x, eta in layers if k == "softmax"]
        if units:
            M, x, nu = map(list, zip(*units, strict=True))
            lost = [lost_units(each) for each in M]
            update_unit_moments(M, x, nu, decay=decay, bias=True)
            if any(each.any() for each in lost):
                fresh = update_unit_moments([np.zeros_like(each) for each in M], x, nu, decay=0.0, bias=True)
                for kept, C, each in zip(M, fresh, lost, strict=True):
                    kept[:] = begun_anew(kept, C, each)
        if whole:
            decays = [decay if np.isfinite(C).all() else 0.0 for C, _ in whole]
            update_factors(*map(list, zip(*whole, strict=True)), decay=decays)

    def _damping_of(self, M: Array, grad: Array) -> Any:
        # Where a unit's bias meets itself, M is the mean of its nu, or of eta (1 - eta).
        p = grad.shape[1]
        s = np.float64(M[:, -1, -1]) if M.ndim == 3 else np.mean(np.float64(M.diagonal()[p - 1 :: p]))
        return self._damping * np.fmax(s, _TINY)  # NaN is found in M itself

    @staticmethod
    def _solve(L: Array, grad: Array) -> Array:
        if L.ndim == 3:
            return solve_units(L, grad)
        return cholesky_solve(L, grad.reshape(-1, 1)).reshape(grad.shape)

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs: ``moments`` and ``factors``, copied, and ``steps``."""
        return saved({"moments": self._moments, "factors": self._factors}, self._steps)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of `state_dict`, which is copied; a ValueError says what is missing in it."""
        found, self._steps = loaded(type(self).__name__, state, ("moments", "factors"))
        self._moments, self._factors = found["moments"], found["factors"]
        axes = [(1, 2) if kind != "softmax" else (0, 1) for kind in self._kinds]
        finite = [np.isfinite(L).all(axis=each) for L, each in zip(self._factors or [], axes, strict=False)]
        self._found = [np.where(each, np.int8(Status.OK), np.int8(Status.NOT_FINITE)) for each in finite]
