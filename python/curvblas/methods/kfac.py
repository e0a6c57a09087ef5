"""K-FAC and E-KFAC: Kronecker-factored curvature of all layers of a network, in a few native calls a step.

The layers may be dense, convolutions, share their weights over tokens, or be recurrent; `KFAC` keeps their factors,
refreshes their inverses, and preconditions their gradients. `BlockTridiagonalKFAC` also takes neighbouring layers to be
correlated.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arrays import Array, copied, in_kind, on_cpu_as_numpy, require_state
from .._numbers import count, number, positive
from ..ekfac import update_ekfac_moments
from ..errors import Status
from ..preconditioning import precondition, precondition_eigen
from . import _refresh, _states, _statistics
from ._block_tridiagonal import BlockTridiagonalKFAC
from ._layers import AnyLayer, Conv, Layer, positions, require_grads, require_layers, require_rows
from ._step_control import kl_clip

__all__ = ["KFAC", "BlockTridiagonalKFAC", "Conv", "Layer"]

_NAME = "KFAC"
_METHODS = ("factored", "eigen", "ekfac")


class KFAC:
    """Natural gradients with Kronecker-factored curvature, for layers of different kinds and sizes at a time.

    A layer with inputs a and derivatives g has the block ``G (x) A`` of the Fisher matrix, ``A = E[a a^T]`` and ``G =
    E[g g^T]``, averaged over the steps with decay ``min(1 - 1 / k, decay)``.

    Parameters
    ----------
    layers : sequence of Layer or Conv
        The network's, in any order that all calls keep.
    damping : float >= 0
        lambda, in the unit of the eigenvalues of ``G (x) A``: loss per squared weight.
    method : {"factored", "eigen", "ekfac"}
        ``"factored"``: inverses of ``A + pi sqrt(lambda) I`` and ``G + sqrt(lambda) / pi I``. ``"eigen"``: exactly ``G
        (x) A + lambda I``, in eigenbases. ``"ekfac"``: eigenbases in which the curvature is measured anew, as the
        second moments of gradients, in every step. Recurrent layers have a curvature of their own in all three, with
        factored damping.
    decay : float in [0, 1)
        What stays of factors and moments in a step, once there were some.
    period, first : int >= 1
        Inverses or eigenbases are computed in each of the ``first`` steps, and then in every ``period``-th.

    Attributes
    ----------
    damping : float
        May be changed between steps. Where it is factored, that shows at the next refresh.
    status : int8 array, one per layer
        Of the last refresh, see `Status`, NumPy's. A layer with a status above ``JITTERED`` keeps what it had; its
        gradients become NaN if it had nothing. Where NaN or Inf came into the factors (``NOT_FINITE``), they begin anew
        with the next rows. In ``"ekfac"`` such rows also spoil the moments, if they come between refreshes: gradients
        of the layer are NaN then, up to the next refresh of finite factors.
    steps : int
        Number of updates.
    decay, method, period, first, layers
        As given.

    Notes
    -----
    A step takes one native call for the factors of all layers that are no convolutions, one for all convolutions, one
    for lagged factors if there are recurrent layers, and one for all moments; a refresh one for all inverses or all
    eigenbases; preconditioning one for all layers, where all are inverted or all are rotated. A refresh waits for a
    device, to look at the statuses.

    Convolutions in ``"ekfac"``, and ``"reduce"``, form arrays with NumPy and want the CPU; everything else runs on
    devices too. Factors have the dtype of the first inputs, float64 or else float32. An object is not for several
    threads at a time. `curvblas.update_factors` and its like tell the cost.

    Scales are such that ``G (x) A`` estimates the Fisher matrix of the mean loss of a case, with a sum over positions.
    With G from derivatives on targets that the model draws it is the true Fisher matrix, on the data's targets the
    empirical one.

    Source: Martens and Grosse 2015; Grosse and Martens 2016 (convolutions); Eschenhagen et al. 2023 (expand, reduce);
    Martens, Ba and Johnson 2018 (recurrent); George et al. 2018 (E-KFAC).

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import kfac
    >>> method = kfac.KFAC([kfac.Layer(1, 2, bias=False)], damping=1.0, method="eigen")
    >>> a, g = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[2.0], [2.0]])
    >>> method.update([a], [g])
    >>> method.precondition([np.array([[3.0, 6.0]])])
    [array([[1., 2.]])]
    """

    def __init__(
        self,
        layers: Sequence[AnyLayer],
        *,
        damping: float = 1e-3,
        method: str = "factored",
        decay: float = 0.95,
        period: int = 10,
        first: int = 3,
    ) -> None:
        if method not in _METHODS:
            raise ValueError(f"{_NAME}: method must be one of {', '.join(_METHODS)}, got {method!r}")
        self.layers = require_layers(_NAME, layers)
        self.damping, self.method = damping, method
        self.decay = number(_NAME, "decay", decay, lambda x: 0 <= x < 1, "a number in [0, 1)")
        self.period, self.first = count(_NAME, "period", period), count(_NAME, "first", first)
        self.steps = 0
        self.status = np.zeros(len(self.layers), np.int8)
        self._recurrent = [k for k, layer in enumerate(self.layers) if _statistics.is_recurrent(layer)]
        self._plain = [k for k in range(len(self.layers)) if k not in self._recurrent]
        self._factors: dict[str, list[Any]] = {}
        self._solvers: list[Any] = [None] * len(self.layers)
        self._ages, self._positions = [0] * len(self.layers), [1] * len(self.layers)

    @property
    def damping(self) -> float:
        """The damping of the next refresh, and with eigenbases of the next gradients."""
        return self._damping

    @damping.setter
    def damping(self, damping: float) -> None:
        self._damping = number(_NAME, "damping", damping, lambda x: 0 <= x < math.inf, "a finite number >= 0")

    @property
    def factors(self) -> dict[str, list[Array]]:
        """Copies of A and G of all layers, and of what recurrent layers have at lag 1."""
        return {name: [copied(C) for C in group] for name, group in self._factors.items()}

    @property
    def bases(self) -> list[tuple[Array, Array]]:
        """Copies of the eigenvectors of A and of G, of the layers that have an eigenbasis."""
        return [(copied(solver[0]), copied(solver[1])) for solver in self._solvers if solver and len(solver) == 3]

    @property
    def moments(self) -> list[Array]:
        """Copies of what gradients are divided by in the `bases`, less the damping."""
        return [copied(solver[2]) for solver in self._solvers if solver and len(solver) == 3]

    def step(
        self,
        grads: list[Array],
        inputs: list[Array],
        derivatives: list[Array],
        *,
        rate: float = 1.0,
        clip: float | None = None,
    ) -> list[Array]:
        """Take the statistics of a minibatch, and return what the weights are to change by.

        Parameters
        ----------
        grads : list of arrays, shapes (q, p)
            Gradients of the mean loss. In the dtype of the factors, and of a library with arithmetic.
        inputs, derivatives : lists of arrays
            As in `update`.
        rate : float > 0
            Learning rate.
        clip : float > 0, optional
            The step is shortened by `exact.kl_clip` of all layers together; those where ``grad . F^-1 grad`` is not
            positive and finite do not count.

        Returns
        -------
        list of arrays
            ``-rate nu F^-1 grad``, to be added to the weights; nu as `kl_clip` tells.

        Raises
        ------
        ValueError
            A shape or a number that does not fit.
        TypeError
            A dtype, device or library that does not fit.
        """
        require_grads(f"{_NAME}.step", self.layers, grads)
        if any(hasattr(V, "to_host") for V in grads):
            raise TypeError(f"{_NAME}.step: grads must be of a library with arithmetic; use update and precondition")
        require_rows(f"{_NAME}.step", self.layers, inputs, derivatives)
        self._require_dtype(grads, inputs)
        for name, x in (("rate", rate), ("clip", 1.0 if clip is None else clip)):
            positive(f"{_NAME}.step", name, x)
        self.update(inputs, derivatives)
        directions = self.precondition(grads)
        nu = 1.0 if clip is None else _clip(grads, directions, rate, clip)
        return [u * (-rate * nu) for u in directions]

    def update(self, inputs: list[Array], derivatives: list[Array]) -> None:
        """Take the statistics of a minibatch, and refresh inverses or eigenbases where it is time.

        Parameters
        ----------
        inputs : list of float64, float32, float16 or bfloat16 arrays
            Of each layer, without the bias: (N, d), (N, T, d), or images (N, channels, *size).
        derivatives : list of arrays, paired with ``inputs``
            Of the loss of *each case*, not of the mean loss, with respect to the layer's outputs: (N, q), (N, T, q), or
            (N, out_channels, *size). Layers without rows (N or T is 0) keep what they have; a call without any row is
            no step.

        Raises
        ------
        ValueError
            A shape that does not fit, or a layer that had no rows yet gets none.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        require_rows(f"{_NAME}.update", self.layers, inputs, derivatives)
        a, g = ([on_cpu_as_numpy(x) for x in rows] for rows in (inputs, derivatives))
        self._require_place(a, g)
        empty = [
            math.prod(x.shape[:1]) * positions(x.shape, layer) == 0 for x, layer in zip(g, self.layers, strict=True)
        ]
        for k, solver in enumerate(self._solvers):
            if empty[k] and solver is None:
                raise ValueError(f"{_NAME}.update: inputs[{k}] must have rows at first, got shape {tuple(a[k].shape)}")
        if a and all(empty):
            return
        if not self._factors and a:
            self._factors = _statistics.zero_factors(self.layers, a[0])
        seen = [k for k in range(len(self.layers)) if not empty[k]]
        decays = [
            1.0 if none else min(1 - 1 / (age + 1), self.decay) for age, none in zip(self._ages, empty, strict=True)
        ]
        _statistics.update(self._factors, self.layers, a, g, decays)
        for k in seen:
            self._positions[k] = positions(g[k].shape, self.layers[k])
            self._ages[k] += 1
        self.steps += 1
        if self.steps <= self.first or self.steps % self.period == 0:
            self.refresh()
        if self.method == "ekfac":
            self._update_moments(a, g, seen)

    def _require_dtype(self, grads: list[Any], inputs: list[Any]) -> None:
        # Before the factors are updated; alone, precondition leaves this to the kernels.
        kept = self._factors["A"][0].dtype if self._factors else inputs[0].dtype if inputs else None
        wanted = "float64" if str(kept).endswith("float64") else "float32"
        for k, V in enumerate(grads):
            found = str(V.dtype).rpartition(".")[-1]
            if found != wanted:
                raise TypeError(f"{_NAME}.step: grads[{k}] must be {wanted} like the factors, got {found}")

    def _require_place(self, a: list[Any], g: list[Any]) -> None:
        owner = f"{_NAME}.update"
        if self._factors and a and type(a[0]) is not type(self._factors["A"][0]):
            kept = type(self._factors["A"][0]).__module__
            raise TypeError(f"{owner}: inputs must be arrays of {kept}, as before, got one of {type(a[0]).__module__}")
        for k, layer in enumerate(self.layers):
            forms = self.method == "ekfac" if isinstance(layer, Conv) else layer.sharing == "reduce"
            if forms and not (isinstance(a[k], np.ndarray) and isinstance(g[k], np.ndarray)):
                what = "a convolution with E-KFAC" if isinstance(layer, Conv) else 'sharing="reduce"'
                raise TypeError(f"{owner}: inputs[{k}] must be in the CPU's memory for {what}, got one on a device")

    def _update_moments(self, a: list[Any], g: list[Any], seen: list[int]) -> None:
        members = [k for k in self._plain if k in seen and self.status[k] != Status.NOT_FINITE]
        if members:
            A_vectors, G_vectors, moments = zip(*(self._solvers[k] for k in members), strict=True)
            rows = _statistics.moment_rows(*([group[k] for k in members] for group in (self.layers, a, g)))
            bias = [self.layers[k].bias for k in members]
            update_ekfac_moments(moments, *rows, A_vectors, G_vectors, decay=self.decay, bias=bias)

    def refresh(self) -> None:
        """Compute inverses or eigenbases from the factors now, whatever the schedule.

        Raises
        ------
        ValueError
            There was no update before.
        """
        self._require_update("refresh")
        if self._plain:
            self._keep(self._plain, *self._solved([self._factors[name] for name in ("A", "G")]))
        if self._recurrent:
            A, G = ([self._factors[name][k] for k in self._recurrent] for name in ("A", "G"))
            steps = [max(self._positions[k], 1) for k in self._recurrent]
            lagged = self._factors["A_lagged"], self._factors["G_lagged"]
            self._keep(self._recurrent, *_refresh.transitions(A, G, *lagged, self.damping, steps))

    def _solved(self, factors: list[list[Any]]) -> tuple[_refresh.Solvers, list[int]]:
        A, G = ([group[k] for k in self._plain] for group in factors)
        if self.method == "factored":
            return _refresh.inverses(A, G, self.damping)
        earlier = [self._solvers[k] for k in self._plain]
        warm_start = None if None in earlier else [solver[side] for side in (0, 1) for solver in earlier]
        return _refresh.eigenbases(A, G, warm_start)

    def _keep(self, members: list[int], solvers: _refresh.Solvers, status: list[int]) -> None:
        for k, solver, each in zip(members, solvers, status, strict=True):
            self.status[k] = each
            if each <= Status.JITTERED or self._solvers[k] is None:
                self._solvers[k] = solver
            if each == Status.NOT_FINITE:
                self._ages[k] = 0  # factors are not read with decay 0

    def precondition(self, grads: list[Array]) -> list[Array]:
        """Apply the inverse curvature to gradients of all layers.

        Parameters
        ----------
        grads : list of arrays, shapes (q, p)
            In the dtype of the factors; convolutions flattened, the bias last. Not modified.

        Returns
        -------
        list of arrays
            ``F^-1 grad`` of each layer, not multiplied by -1.

        Raises
        ------
        ValueError
            A shape that does not fit, or there was no update before.
        TypeError
            A dtype, device or library that does not fit.
        """
        require_grads(f"{_NAME}.precondition", self.layers, grads)
        self._require_update("precondition")
        V = [on_cpu_as_numpy(x) for x in grads]
        directions: list[Any] = [None] * len(V)
        inverted = self._plain if self.method == "factored" else []
        rotated = [k for k in range(len(V)) if k not in inverted]
        if inverted:
            A_inv, G_inv = zip(*(self._solvers[k] for k in inverted), strict=True)
            found = precondition([V[k] for k in inverted], A_inv, G_inv)
            directions = [dict(zip(inverted, found, strict=True)).get(k) for k in range(len(V))]
        if rotated:
            A_vectors, G_vectors, moments = zip(*(self._solvers[k] for k in rotated), strict=True)
            # That of recurrent layers is in their vectors.
            damping = [0.0 if k in self._recurrent else self.damping for k in rotated]
            group = [V[k] for k in rotated]
            found = precondition_eigen(group, A_vectors, G_vectors, damping, second_moments=moments)
            for k, u in zip(rotated, found, strict=True):
                directions[k] = u
        return [in_kind(u, x) for u, x in zip(directions, grads, strict=True)]

    def _require_update(self, what: str) -> None:
        if self.layers and not self._factors:
            raise ValueError(f"{_NAME}.{what}: update must come before, got no rows yet")

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on.

        Returns
        -------
        dict
            Copies of the factors, and of what was made of them at the last refresh, as lists of arrays; numbers.
        """
        state: dict[str, Any] = {"steps": self.steps, "ages": list(self._ages), "positions": list(self._positions)}
        state |= {"status": self.status.copy(), "damping": self.damping, **self.factors}
        solvers = self._solvers if self._factors else []
        return {**state, "solvers": [copied(x) for solver in solvers for x in solver]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; layers and method must be those of the object that it is from.

        Parameters
        ----------
        state : dict
            From `state_dict`; copied.

        Raises
        ------
        ValueError
            Entries that are missing or of another type, or shapes that do not fit the layers of this object.
        """
        _states.require_dict(_NAME, state)
        wanted = ("steps", "ages", "positions", "status", "damping", "solvers")
        if any(name not in state for name in wanted):
            raise ValueError(f"{_NAME}: state must have {', '.join(wanted)}, got {', '.join(state)}")
        steps = _states.steps(_NAME, state)
        names = (*_statistics.NAMES, "solvers") if steps else ()
        shapes = self._shapes()
        for name in names:
            _require_arrays(name, _states.arrays(_NAME, state, name), shapes[name])
        ages, counts = (_states.integers(_NAME, x, state[x], len(self.layers)) for x in ("ages", "positions"))
        status = _states.integers(_NAME, "status", state["status"], len(self.layers), most=max(Status))
        self.damping = state["damping"]
        self.steps, self.status = steps, np.array(status, np.int8)
        self._ages, self._positions = ages, counts
        loaded = {name: [copied(x) for x in state[name]] for name in names}
        parts = iter(loaded.pop("solvers", []))
        self._factors = loaded
        solvers = [self._solver_shapes(k) if names else [] for k in range(len(self.layers))]
        self._solvers = [tuple(next(parts) for _ in shapes) or None for shapes in solvers]

    def _shapes(self) -> dict[str, list[tuple[int, int]]]:
        squares = {name: [(n, n) for n in group] for name, group in _statistics.sizes(self.layers).items()}
        return {**squares, "solvers": [shape for k in range(len(self.layers)) for shape in self._solver_shapes(k)]}

    def _solver_shapes(self, k: int) -> list[tuple[int, int]]:
        q, p = self.layers[k].shape
        squares = [(p, p), (q, q)]
        return squares if self.method == "factored" and k in self._plain else [*squares, (q, p)]


def _clip(grads: list[Any], directions: list[Any], rate: float, clip: float) -> float:
    # Of scaled arrays, whose products neither overflow nor vanish where those of float32 would.
    found = []
    for V, u in zip(grads, directions, strict=True):
        sizes = float(abs(V).max()), float(abs(u).max())
        if all(0 < x < math.inf for x in sizes):
            found.append((float(((V / sizes[0]) * (u / sizes[1])).sum()), math.sqrt(sizes[0]) * math.sqrt(sizes[1])))
    found = [(inner, size) for inner, size in found if inner > 0]
    if not found:
        return 1.0
    largest = max(size for _, size in found)
    return kl_clip(sum(inner * (size / largest) ** 2 for inner, size in found), rate * largest, clip)


def _require_arrays(name: str, arrays: list[Any], shapes: list[tuple[int, int]]) -> None:
    if len(arrays) != len(shapes):
        raise ValueError(f"{_NAME}: state[{name!r}] must have {len(shapes)} arrays, got {len(arrays)}")
    for array, shape in zip(arrays, shapes, strict=True):
        require_state(_NAME, name, array, shape, ("float32", "float64"))
