"""Kaldi's online natural gradient: minibatches of rows times the inverse of a low-rank estimate of their moment."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._arrays import Array, Arrays, copied, in_kind, on_cpu_as_numpy, require_state
from ._backend import backend_of
from ._numbers import count, number, positive

__all__ = ["OnlineNaturalGradient"]

_NAME = "OnlineNaturalGradient"
_FIRST_UPDATES, _MOST_ETA, _START_PASSES = 10, 0.9, 3
_ARRAYS = ("rows", "values", "rho")
_NUMBERS = ("calls", "frozen")


class OnlineNaturalGradient:
    """Precondition minibatches of rows as Kaldi does: ``X_hat = gain X G^-1``, with the Frobenius norm of X.

    ``G = F + (alpha / dim) tr(F) I`` and ``F = R^T diag(values) R + rho I`` with orthonormal rows of R: a moving
    average of ``X^T X / N``, kept to its rank by one step of a power iteration in each update. X_hat is from F before
    the update. For a layer, precondition the inputs with their 1 for the bias, and the derivatives of the outputs,
    each as a matrix of its own, and multiply the results as usual.

    Parameters
    ----------
    dim : int >= 1, or list of int
        Columns of X; a list for as many matrices in each call: all layers of a network.
    rank : int >= 1, or list of int
        Rows of R; at most ``dim - 1`` of them are kept.
    alpha : float > 0
        Smoothing towards the identity, relative to the mean eigenvalue.
    history : float > 0
        Rows that the moving average remembers: ``eta = 1 - exp(-N / history)``, at most 0.9.
    update_period : int >= 1
        F changes in each of the first eleven calls, then in every so many.
    minibatch_history : float > 1, optional
        If given, ``eta = 1 / minibatch_history`` whatever N is.
    epsilon : float > 0
        ``values`` and ``rho`` are never less; both at the start.
    delta : float in (0, 1)
        Nor are they less than so much of the largest eigenvalue of F.

    Attributes
    ----------
    frozen : bool
        Set it to keep F as it is.
    status : int8 array, one a matrix
        Of the last call, see `Status`: ``OK``; ``NOT_FINITE``, X holds NaN or Inf, or its squares overflow: X_hat is
        NaN and F is left as it was; ``NO_CONVERGENCE``, X_hat is as it should be but F could not be brought up to date.
    values, rho : float64 array of shape (rank,), float64 array of shape (1,), or lists of them
        Eigenvalues of F are ``values + rho``, and ``rho``; copies, empty lists before the first call.
    weights : array of shape (rank, dim), or list of them
        ``E^(1/2) R``, ``E = diag(1 / (beta / values + 1))``, ``beta = rho (1 + alpha) + alpha sum(values) / dim``; a
        copy.

    Notes
    -----
    The first X of a matrix that is finite and not zero makes the start of its F, by three updates (one, if N <= rank);
    on a device that call waits. Rows of zeros are legal, and change nothing. Calls count whatever their X. With ``dim
    == 1`` X_hat is X. Rows of R that have lost their orthogonality, where values were at their floors or far apart, are
    made orthogonal again after an update. Memory: 2 rank dim numbers of the dtype of X a matrix. Cost of a call for N
    rows: 4 N dim rank flops, and 2 N dim rank + 8 dim rank^2 + 9 rank^3 more where F changes. Results have the same
    bits for any number of threads, and a matrix the same as alone. An object is not for several threads at a time.

    Source: Povey, Zhang and Khudanpur 2015 (arXiv 1410.7455), and what the implementation in Kaldi adds to it: floors,
    schedule, start, and rows that are made orthogonal again.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> method = cb.OnlineNaturalGradient(3, rank=1)
    >>> X = np.array([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> X_hat = method.precondition(X)
    >>> bool(np.isclose(np.linalg.norm(X_hat), np.linalg.norm(X)))
    True
    """

    def __init__(
        self,
        dim: int | Sequence[int],
        *,
        rank: int | Sequence[int] = 40,
        alpha: float = 4.0,
        history: float = 2000.0,
        update_period: int = 4,
        minibatch_history: float | None = None,
        epsilon: float = 1e-10,
        delta: float = 5e-4,
    ) -> None:
        self._is_list = isinstance(dim, list | tuple)
        self._dims = _counts("dim", dim)
        ranks = _counts("rank", rank)
        if len(ranks) == 1 and not isinstance(rank, list | tuple):
            ranks *= len(self._dims)
        if len(ranks) != len(self._dims):
            raise ValueError(f"{_NAME}: rank must have an entry for each of {len(self._dims)} dims, got {len(ranks)}")
        self._ranks = [min(r, d - 1) for r, d in zip(ranks, self._dims, strict=True)]
        self._alpha, self._epsilon = positive(_NAME, "alpha", alpha), positive(_NAME, "epsilon", epsilon)
        self._history, self._period = positive(_NAME, "history", history), count(_NAME, "update_period", update_period)
        self._delta = number(_NAME, "delta", delta, lambda x: 0 < x < 1, "a number in (0, 1)")
        self._minibatch_history = minibatch_history
        if minibatch_history is not None:
            number(_NAME, "minibatch_history", minibatch_history, lambda x: 1 < x < math.inf, "a finite number > 1")
        self.frozen = False
        self._calls = 0
        self._memory: dict[str, list[Array]] = {}
        self._waiting = list(range(len(self._dims)))
        self.status: Array = np.zeros(len(self._dims), np.int8)

    @property
    def values(self) -> Arrays:
        """The eigenvalues of F without ``rho``; copies."""
        return self._shown([copied(d) for d in self._memory.get("values", [])])

    @property
    def rho(self) -> Arrays:
        """The smallest eigenvalue of F; copies."""
        return self._shown([copied(rho) for rho in self._memory.get("rho", [])])

    @property
    def weights(self) -> Arrays:
        """The rows of R, as they are kept; copies, those of our device arrays on the host."""
        rows = [x.to_host() if hasattr(x, "to_host") else x for x in self._memory.get("rows", [])]
        return self._shown([copied(x[:rank]) for x, rank in zip(rows, self._ranks, strict=False)])

    def precondition(self, X: Arrays) -> Arrays:
        """Return X_hat, and bring F up to date.

        Parameters
        ----------
        X : float32 or float64 array, shape (N, dim), or list of arrays (N_i, dim_i)
            Rows of a minibatch, of any number N > 0 in each call; never written. All calls want one dtype, device and
            library.

        Returns
        -------
        array or list of arrays
            X_hat, of the shape of X. See ``status``.

        Raises
        ------
        ValueError
            A shape that does not fit, or a list of another length.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        if isinstance(X, list | tuple) != self._is_list:
            raise TypeError(f"{_NAME}.precondition: X must be {self._kind()}, as dim is, got {type(X).__name__}")
        given = [on_cpu_as_numpy(x) for x in (X if self._is_list else [X])]
        backend = backend_of(f"{_NAME}.precondition", "X", given)
        memory = self._memory
        if not memory:
            made = backend.ong_memory(given, self._dims, self._ranks, self._is_list)
            memory = dict(zip(_ARRAYS, (in_kind(part, given) for part in made), strict=True))
        counts = [x.shape[0] if getattr(x, "shape", ()) else 0 for x in given]
        passes = [
            self._passes(N, rank) if k in self._waiting else 0
            for k, (N, rank) in enumerate(zip(counts, self._ranks, strict=False))
        ]
        X_hat, status = backend.ong_step(
            given,
            self._dims,
            self._is_list,
            *memory.values(),
            [self._eta(N) for N in counts],
            not self.frozen and self._is_due(),
            passes,
            self._alpha,
            self._epsilon,
            self._delta,
        )
        self._memory, self._calls, self.status = memory, self._calls + 1, in_kind(status, X)
        if self._waiting:
            self._waiting = self._still_waiting()
        return self._shown(in_kind(X_hat, X))

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on: arrays, and numbers.

        Returns
        -------
        dict
            ``rows`` (2 rank, dim), ``values`` (rank,) and ``rho`` (1,) of each matrix, copied, in lists, unless there
            was no call; ``calls`` and ``frozen``.
        """
        arrays = {name: [copied(x) for x in kept] for name, kept in self._memory.items()}
        return {**arrays, "calls": self._calls, "frozen": self.frozen}

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
        memory = {name: state[name] for name in _ARRAYS if name in state}
        if len(memory) not in {0, len(_ARRAYS)} or any(name not in state for name in _NUMBERS):
            raise ValueError(f"{_NAME}: state must have {', '.join(_ARRAYS + _NUMBERS)}, got {', '.join(state)}")
        for name, arrays in memory.items():
            if not isinstance(arrays, list | tuple) or len(arrays) != len(self._dims):
                found = len(arrays) if isinstance(arrays, list | tuple) else type(arrays).__name__
                raise ValueError(f"{_NAME}: state[{name!r}] must be a list of {len(self._dims)} arrays, got {found}")
            for array, dim, rank in zip(arrays, self._dims, self._ranks, strict=True):
                shape = {"rows": (2 * rank, dim), "values": (rank,), "rho": (1,)}[name]
                dtypes = ("float32", "float64") if name == "rows" else ("float64",)
                require_state(_NAME, name, array, shape, dtypes)
        calls = operator.index(state["calls"])
        if calls < 0 or (calls > 0) != bool(memory):
            raise ValueError(f"{_NAME}: state['calls'] = {calls} does not fit the other entries")
        self._memory = {name: [copied(x) for x in arrays] for name, arrays in memory.items()}
        self._calls, self.frozen = calls, bool(state["frozen"])
        self._waiting = self._still_waiting() if memory else list(range(len(self._dims)))

    def _still_waiting(self) -> list[int]:
        """List the matrices that no finite rows but zeros have reached: rho is what it was set to."""
        rho = [x.to_host() if hasattr(x, "to_host") else x for x in self._memory["rho"]]
        return [k for k, (x, rank) in enumerate(zip(rho, self._ranks, strict=True)) if rank and x[0] == self._epsilon]

    def _shown(self, arrays: list[Array]) -> Arrays:
        return arrays[0] if arrays and not self._is_list else arrays

    def _kind(self) -> str:
        return "a list of arrays" if self._is_list else "one array"

    def _is_due(self) -> bool:
        return self._calls <= _FIRST_UPDATES or (self._calls - _FIRST_UPDATES) % self._period == 0

    @staticmethod
    def _passes(N: int, rank: int) -> int:
        return 1 if rank >= N else _START_PASSES

    def _eta(self, N: int) -> float:
        if self._minibatch_history is not None:
            return 1 / self._minibatch_history
        return min(_MOST_ETA, 1 - math.exp(-N / self._history))


def _counts(name: str, value: int | Sequence[int]) -> list[int]:
    if not isinstance(value, list | tuple):
        return [count(_NAME, name, value)]
    if not value:
        raise ValueError(f"{_NAME}: {name} must be an int >= 1 or a list of them, got an empty list")
    return [count(_NAME, f"{name}[{k}]", entry) for k, entry in enumerate(value)]
