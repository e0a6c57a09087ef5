"""K-FAC in which layers that follow each other are correlated: a block-tridiagonal inverse."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .._arrays import Array, in_kind, require_state
from .._numbers import number
from ..damping import factored_damping
from ..errors import Status
from ..kron_sum import kron_sum_solve
from ..kronecker import damped_inverse, update_factors
from . import _states
from ._float64 import float64
from ._layers import Layer, require_grads, require_layers, require_rows

_NAME = "BlockTridiagonalKFAC"
_GROUPS = ("A", "G", "A_next", "G_next")


class BlockTridiagonalKFAC:
    """Natural gradients with a curvature that has Kronecker products in a layer and between neighbours.

    ``F_{i,j} = E[g_i g_j^T] (x) E[a_i a_j^T]`` for ``|i - j| <= 1``; of all matrices with these blocks, this is the one
    whose inverse is block-tridiagonal: gradients of a layer depend on those of layers further up through the next layer
    alone.

    Parameters
    ----------
    layers : sequence of Layer
        Dense ones (``sharing="none"``), in the order of the network.
    damping : float >= 0
        Added to diagonal blocks, split as in K-FAC; in the unit of the eigenvalues of ``G (x) A``.
    decay : float in [0, 1)
        What stays of the factors in a step: ``min(1 - 1 / k, decay)`` in step k.

    Attributes
    ----------
    damping, decay
        As given.
    status : int8 array, one per layer
        Of the last `precondition`, see `Status`: what came of the layer's inverse, or else of its conditional
        curvature. Where it is not ``OK`` or ``JITTERED``, the gradients of the layer and of its neighbours are NaN, or
        inaccurate. Factors into which NaN or Inf came begin anew with the next rows, as if the layer had not been
        correlated with its neighbours before.
    steps : int
        Number of updates.

    Notes
    -----
    Works on the CPU, and solves anew for each gradient: eigenproblems, two of order p and two of order q a layer, see
    `curvblas.kron_sum_solve`. The difference of Kronecker products that this solves with is nearly singular without
    damping, where there are fewer cases than units.
    Source: Martens and Grosse 2015, section 4.3 and appendix B.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import kfac
    >>> layers = [kfac.Layer(1, 1, bias=False), kfac.Layer(1, 1, bias=False)]
    >>> method = kfac.BlockTridiagonalKFAC(layers, damping=0.0)
    >>> rows = np.array([[1.0], [-1.0]])
    >>> method.update([rows, np.abs(rows)], [rows, np.abs(rows)])  # layers that are not correlated
    >>> method.precondition([np.array([[2.0]]), np.array([[3.0]])])
    [array([[2.]]), array([[3.]])]
    """

    def __init__(self, layers: Sequence[Layer], *, damping: float = 1e-3, decay: float = 0.95) -> None:
        self.layers = require_layers(_NAME, layers)
        for k, layer in enumerate(self.layers):
            if not isinstance(layer, Layer) or layer.sharing != "none":
                raise ValueError(f'{_NAME}: layers[{k}] must be a Layer with sharing="none", got {layer}')
        self.damping = number(_NAME, "damping", damping, lambda x: 0 <= x < math.inf, "a finite number >= 0")
        self.decay = number(_NAME, "decay", decay, lambda x: 0 <= x < 1, "a number in [0, 1)")
        self.steps = 0
        self.status = np.zeros(len(self.layers), np.int8)
        self._factors: dict[str, list[np.ndarray]] = {}

    def update(self, inputs: list[Array], derivatives: list[Array]) -> None:
        """Take the statistics of a minibatch.

        Parameters
        ----------
        inputs : list of floating-point arrays, shapes (N, d)
            Of each layer, without the bias, on the CPU.
        derivatives : list of arrays, shapes (N, q)
            Of the loss of each case with respect to the layer's outputs. N = 0 is no step.

        Raises
        ------
        ValueError
            A shape that does not fit, or no rows in the first call.
        TypeError
            A dtype that does not fit, or an array on a device.
        """
        owner = f"{_NAME}.update"
        require_rows(owner, self.layers, inputs, derivatives)
        a = [float64(owner, "inputs", x) for x in inputs]
        g = [float64(owner, "derivatives", x) for x in derivatives]
        for k, (x, y) in enumerate(zip(a, g, strict=True)):
            if len(x) != len(a[0]) or len(y) != len(a[0]):
                raise ValueError(f"{owner}: inputs[{k}] must have N = {len(a[0])} rows like inputs[0], got {len(x)}")
        if a and not len(a[0]):
            if not self._factors:
                raise ValueError(f"{owner}: inputs[0] must have rows at first, got shape {a[0].shape}")
            return
        if not self._factors:
            self._factors = {name: [np.zeros(shape) for shape in shapes] for name, shapes in self._shapes().items()}
        self.steps += 1
        decay = min(1 - 1 / self.steps, self.decay)
        bias = [layer.bias for layer in self.layers]
        rows = [np.append(x, np.ones((len(x), 1)), axis=1) if b else x for x, b in zip(a, bias, strict=True)]
        kept = self._factors["A"] + self._factors["G"]
        decays = [decay if np.isfinite(C).all() else 0.0 for C in kept]
        update_factors(kept, rows + g, decay=decays)
        scale = (1 - decay) / len(a[0]) if a else 0.0
        for name, group in (("A_next", rows), ("G_next", g)):
            for C, x, y in zip(self._factors[name], group, group[1:], strict=False):
                # From zero, and not with a decay of 0: neighbours stay positive definite together.
                C[:] = decay * C if np.isfinite(C).all() else 0.0
                C += scale * (x.T @ y)

    def precondition(self, grads: list[Array]) -> list[Array]:
        """Apply the inverse curvature to gradients of all layers.

        Parameters
        ----------
        grads : list of arrays, shapes (q, p)
            On the CPU, the bias last. Not modified.

        Returns
        -------
        list of float64 arrays
            ``F^-1 grad``, not multiplied by -1.

        Raises
        ------
        ValueError
            A shape that does not fit, or there was no update before.
        TypeError
            An array on a device.
        """
        owner = f"{_NAME}.precondition"
        require_grads(owner, self.layers, grads)
        V = [float64(owner, "grads", x) for x in grads]
        if not V:
            return []
        if not self._factors:
            raise ValueError(f"{owner}: update must come before, got no rows yet")
        A, G, inverse, damped = self._damped()
        Psi_A, Psi_G = self._transitions(inverse)
        # Xi V, the block-diagonal Lambda, and Xi^T, in this order.
        Z = [v - B @ w @ C.T for v, w, B, C in zip(V, V[1:], Psi_G, Psi_A, strict=False)] + V[-1:]
        less_A = [P @ C.T for P, C in zip(Psi_A, self._factors["A_next"], strict=True)] + [np.zeros_like(A[-1])]
        less_G = [P @ C.T for P, C in zip(Psi_G, self._factors["G_next"], strict=True)] + [np.zeros_like(G[-1])]
        solved = kron_sum_solve(A, G, less_A, less_G, Z, sign=-1)
        self.status = np.where(damped <= Status.JITTERED, np.maximum(solved.status, damped), damped).astype(np.int8)
        u = solved.solution
        below = [B.T @ w @ C for w, B, C in zip(u, Psi_G, Psi_A, strict=False)]
        return [in_kind(x, grads) for x in [u[0], *(x - y for x, y in zip(u[1:], below, strict=True))]]

    def _damped(self) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray], np.ndarray]:
        group = self._factors["A"] + self._factors["G"]
        dampings = np.concatenate(factored_damping(self._factors["A"], self._factors["G"], self.damping))
        result = damped_inverse(group, dampings)
        added = dampings + np.nan_to_num(result.jitter)
        shifted = [C + d * np.eye(len(C)) for C, d in zip(group, added, strict=True)]
        L = len(self.layers)
        return shifted[:L], shifted[L:], result.inverse, np.maximum(result.status[:L], result.status[L:])

    def _transitions(self, inverse: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        # Regressions of the rows of a layer on those of the next one.
        L = len(self.layers)
        A = [C @ X for C, X in zip(self._factors["A_next"], inverse[1:L], strict=True)]
        G = [C @ X for C, X in zip(self._factors["G_next"], inverse[L + 1 :], strict=True)]
        return A, G

    def _shapes(self) -> dict[str, list[tuple[int, int]]]:
        q, p = ([layer.shape[side] for layer in self.layers] for side in (0, 1))
        squares = [[(n, n) for n in sizes] for sizes in (p, q)]
        return dict(zip(_GROUPS, [*squares, list(pairwise(p)), list(pairwise(q))], strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on.

        Returns
        -------
        dict
            Copies of the factors, A and G of the layers and those between neighbours; ``steps``.
        """
        return {"steps": self.steps, **{name: [C.copy() for C in group] for name, group in self._factors.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; the layers of this object must be those of the one that it is from.

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
        if "steps" not in state:
            raise ValueError(f"{_NAME}: state must have steps, {', '.join(_GROUPS)}, got {', '.join(state)}")
        steps = _states.steps(_NAME, state)
        names = _GROUPS if steps else ()
        shapes = self._shapes()
        for name in names:
            arrays = _states.arrays(_NAME, state, name)
            if len(arrays) != len(shapes[name]):
                raise ValueError(f"{_NAME}: state[{name!r}] must have {len(shapes[name])} arrays, got {len(arrays)}")
            for array, shape in zip(arrays, shapes[name], strict=True):
                require_state(_NAME, name, array, shape, ("float64",))
        self.steps = steps
        self._factors = {name: [np.array(C) for C in state[name]] for name in names}
