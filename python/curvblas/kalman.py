"""Kalman filters of static parameters: online natural gradients with the Fisher matrix of the outputs (Ollivier)."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._arrays import Array, Arrays, copied, in_kind, on_cpu_as_numpy, require_state
from ._backend import backend_of
from ._numbers import block_begins, count, number

__all__ = ["KalmanNaturalGradient"]

_NAME = "KalmanNaturalGradient"
_ENTRIES = ("covariance", "steps")


class KalmanNaturalGradient:
    """Online natural gradient by the extended Kalman filter of static parameters.

    With the jacobian H of the outputs, the covariance R of the observations and their error e, a step takes ``P <- P /
    (1 - fading)``, ``S = H P H^T + R``, ``K = P H^T S^-1``, ``P <- P - K H P`` and returns ``K e``, which the caller
    adds to the parameters. Without fading this is the natural gradient ``theta <- theta - eta_t J_t^-1 g_t`` with the
    Fisher matrix ``J_t = (1 - eta_t) J_{t-1} + eta_t H^T R^-1 H``, rates ``eta_t = 1 / (t + 1)`` and ``J_0 = P_0^-1``,
    for outputs of an exponential family in its mean parameters; ``P_t^-1 = (t + 1) J_t``. No learning rate is wanted.

    Parameters
    ----------
    dim : int >= 1
        Number of parameters.
    covariance : float > 0 or array, shape (dim, dim), or list of arrays (n_b, n_b) where there are blocks
        P_0, in the unit of squared parameters: a number c means ``c I``. Symmetric and positive definite; only lower
        triangles are read, and definiteness is not checked. ``P_0^-1`` is a ridge, or a prior.
    fading : float in [0, 1)
        Weight that the past loses in each step; rates are ``1 / eta_t = 1 + (1 - fading) / eta_{t-1}`` with ``eta_0 =
        1`` then, and tend to ``fading``.
    blocks : sequence of int >= 1, optional
        Sizes of consecutive blocks of parameters (neurons, layers) whose covariances with each other are taken for
        zero; they add up to ``dim``. Each is a filter of its own with the same R: the natural gradient with that part
        of the Fisher matrix. One block if left out.

    Attributes
    ----------
    status : int8 array, shape (blocks,)
        Of the last step, one a block, see `Status`: ``OK``; ``NOT_FINITE``, H of the block, ``error`` or ``noise``
        holds NaN or Inf, or products of them overflow; ``NOT_POSITIVE_DEFINITE``, S has no Cholesky factor in float64,
        or ``noise`` has a negative variance.
        Where it is not ``OK``, P of the block is left as it was, and its update is NaN.
    covariance : array of shape (dim, dim), or list of arrays (n_b, n_b)
        P, exactly symmetric; copies, float64 before the first step. NumPy's on the CPU and for our device arrays.

    Notes
    -----
    For o outputs a step costs 3 n^2 o + 3 n o^2 flops a block, and reads P one and a half times and writes it once. P
    is in the dtype of the jacobian, and so is H P; what is o x o is float64, and products are summed in float64 for up
    to 8 outputs. Results have the same bits for any number of threads, and a block the same as alone.

    With ``fading``, P grows by ``1 / (1 - fading)`` a step in directions that are not observed, without bound: once it
    has overflowed, products with it are ``NOT_FINITE`` and the object has to be made anew. An object is not for several
    threads at a time. In float32, P may lose its definiteness where variances fall by more than 1e6.

    Source: Ollivier 2017 (arXiv 1703.00209), the static (i.i.d.) case, with its fading memory.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> method = cb.KalmanNaturalGradient(2, covariance=1.0)
    >>> method.step(np.array([[1.0, 0.0]]), error=np.array([4.0]), noise=np.array([1.0]))
    array([2., 0.])
    >>> method.covariance
    array([[0.5, 0. ],
           [0. , 1. ]])
    """

    def __init__(
        self,
        dim: int,
        *,
        covariance: float | Arrays = 1.0,
        fading: float = 0.0,
        blocks: Sequence[int] | None = None,
    ) -> None:
        self._dim = count(_NAME, "dim", dim)
        self._fading = number(_NAME, "fading", fading, lambda x: 0 <= x < 1, "a number in [0, 1)")
        self._is_list = blocks is not None
        self._begins = block_begins(_NAME, self._dim, blocks)
        self._initial, self._variance = self._start(covariance)
        self._memory: Array | None = None
        self._steps = 0
        self.status: Array = np.zeros(len(self._begins) - 1, np.int8)

    def _start(self, covariance: float | Arrays) -> tuple[np.ndarray, float]:
        if not isinstance(covariance, list | tuple) and not getattr(covariance, "shape", ()):
            wanted = "a finite number > 0 or an array"
            return np.empty(0), number(_NAME, "covariance", covariance, lambda x: 0 < x < math.inf, wanted)
        sizes = np.diff(self._begins).tolist()
        given: list[Any] = list(covariance) if isinstance(covariance, list | tuple) else [covariance]
        if self._is_list != isinstance(covariance, list | tuple) or len(given) != len(sizes):
            blocks = f"a list of {len(sizes)} arrays, one for each block"
            found = f"a list of {len(given)}" if isinstance(covariance, list | tuple) else type(covariance).__name__
            kind = blocks if self._is_list else "one array, without blocks"
            raise ValueError(f"{_NAME}: covariance must be a number or {kind}, got {found}")
        names = [f"covariance[{b}]" if self._is_list else "covariance" for b in range(len(sizes))]
        matrices = [_matrix(*named).ravel() for named in zip(names, given, sizes, strict=True)]
        return np.concatenate(matrices), 0.0

    @property
    def covariance(self) -> Arrays:
        """The covariances of the parameters of each block; copies."""
        sizes = np.diff(self._begins).tolist()
        if self._memory is not None:
            flat = self._memory.to_host() if hasattr(self._memory, "to_host") else self._memory
        elif self._initial.size:
            flat = self._initial
        else:
            flat = np.concatenate([self._variance * np.eye(n).ravel() for n in sizes])
        ends = np.cumsum(np.square(sizes)).tolist()
        shown = [copied(flat[end - n * n : end].reshape(n, n)) for n, end in zip(sizes, ends, strict=True)]
        return shown if self._is_list else shown[0]

    def step(self, jacobian: Array, error: Array, noise: Array) -> Array:
        """Take one observation of o outputs, and return what the parameters are to change by.

        Parameters
        ----------
        jacobian : float32 or float64 array, shape (o, dim)
            Of the predicted means of the outputs, at the parameters before the step. All calls want one dtype, device
            and library; o may change.
        error : array, shape (o,)
            Observed sufficient statistics less their predicted means.
        noise : array, shape (o, o) or (o,)
            R, their covariance as predicted, or the diagonal of it; only the lower triangle is read. For a categorical
            output leave one category out, or R is singular: the most probable one is the safe choice, since R is
            nearly singular otherwise.

        Returns
        -------
        array, shape (dim,)
            ``K error``, to be added to the parameters. See ``status``.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        backend = backend_of(f"{_NAME}.step", "jacobian", jacobian)
        H, e, R = (on_cpu_as_numpy(x) for x in (jacobian, error, noise))
        memory = self._memory
        if memory is None:
            memory = in_kind(backend.kalman_memory(H, self._begins, self._initial, self._variance), H)
        update, status = backend.kalman_step(memory, H, e, R, self._begins, self._fading)
        self._memory, self._steps = memory, self._steps + 1
        self.status = in_kind(status, jacobian)
        return in_kind(update, jacobian)

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on.

        Returns
        -------
        dict
            ``covariance``, the matrices of all blocks one after the other in a flat array, copied, unless there was no
            step; ``steps``, their number.
        """
        memory = {} if self._memory is None else {"covariance": copied(self._memory)}
        return {**memory, "steps": self._steps}

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
        if "steps" not in state:
            raise ValueError(f"{_NAME}: state must have {', '.join(_ENTRIES)}, got {', '.join(state)}")
        memory = state.get("covariance")
        steps = operator.index(state["steps"])
        if steps < 0 or (steps > 0) != (memory is not None):
            raise ValueError(f"{_NAME}: state['steps'] = {steps} does not fit the other entries")
        shape = (int(np.square(np.diff(self._begins)).sum()),)
        if memory is not None:
            require_state(_NAME, "covariance", memory, shape, ("float32", "float64"))
        self._memory = None if memory is None else copied(memory)
        self._steps = steps


def _matrix(name: str, given: Array, n: int) -> np.ndarray:
    P = np.tril(np.array(given.to_host() if hasattr(given, "to_host") else given, np.float64, ndmin=2))
    if P.shape != (n, n):
        raise ValueError(f"{_NAME}: {name} must have shape ({n}, {n}), got {P.shape}")
    if not np.isfinite(P).all():
        raise ValueError(f"{_NAME}: {name} must be finite in its lower triangle, got {P[~np.isfinite(P)][0]}")
    symmetric: np.ndarray = P + np.tril(P, -1).T
    return symmetric
