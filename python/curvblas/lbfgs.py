"""Limited-memory BFGS: search directions, for many models at once, and a memory of pairs that come one by one."""

from typing import Any

from ._arrays import Array, Parameter, in_kind, on_cpu_as_numpy
from ._backend import backend_of
from ._pairs import PairMemory
from .quasi_newton import mask_like

__all__ = ["LBFGS", "lbfgs_direction"]


def lbfgs_direction(
    S: Array,
    Y: Array,
    grad: Array,
    *,
    initial_inverse: Parameter | None = None,
    mask: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Return search directions of limited-memory BFGS: ``-H g``.

    H is what BFGS makes of ``initial_inverse I`` with the pairs, from the oldest to the newest.

    Parameters
    ----------
    S, Y : float32 or float64 arrays, shape (..., m, n)
        Steps and changes of the gradient, the oldest pair first. m may be 0, and more than n. Pairs with ``s.y <= 1e-10
        |s| |y|`` are not used, so that H is positive definite.
    grad : array, shape (..., n)
        g.
    initial_inverse : float > 0, or one per model, optional
        ``s.y / y.y`` of the newest pair that is used if left out, 1 where there is none.
    mask : array, shape (..., m), optional
        Zero for pairs that are not to be used: memories of different lengths in one call. They have to be finite all
        the same. Of the dtype of S; bool, too, where the library can convert it.
    out : array, shape (..., n), optional
        Receives the result and is returned; may not overlap an argument.

    Returns
    -------
    array, shape (..., n)
        In the dtype of S. NaN for a model whose pairs (masked ones too) or gradient hold NaN or Inf or have squares
        that overflow, and for a bad entry of an array ``initial_inverse``.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a number ``initial_inverse`` that is not positive and finite.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    Products are formed and summed in float64, whatever the dtype. Small models (n <= 4096): two loops over the pairs,
    14 m n flops, one model a thread; large ones: the compact form, 4 m^2 n + 8 m n flops, S and Y read three times.
    `LBFGS` keeps products from step to step. The result has the same bits for any number of threads, and for a model
    alone or in a batch.

    Source: Nocedal 1980, Updating quasi-Newton matrices with limited storage; Byrd, Nocedal and Schnabel 1994,
    Representations of quasi-Newton matrices, Theorem 2.2.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> S, Y = np.array([[1.0, 0.0]]), np.array([[4.0, 0.0]])  # curvature 4 along the first axis
    >>> cb.lbfgs_direction(S, Y, np.array([4.0, 1.0]))
    array([-1.  , -0.25])
    """
    backend = backend_of("lbfgs_direction", "S", S)
    return in_kind(backend.lbfgs_direction(S, Y, grad, initial_inverse, mask_like(S, mask), out), S)


class LBFGS(PairMemory):
    """Limited-memory BFGS: the last pairs, their products, and search directions with their matrix H.

    Parameters
    ----------
    n : int >= 1
        Number of variables.
    memory : int >= 1
        Pairs that are kept.
    batch : int or tuple of int
        Shape of the leading axes: that many models at once, each with pairs of its own. () is one model.
    curvature : "skip" or "powell"
        What becomes of a pair with little or negative curvature. "skip": it is not kept. "powell": y is replaced by
        ``theta y + (1 - theta) B s`` where ``s.y < 0.2 s.B s``, so that both are equal then (Powell 1978); the first
        pair, before which B knows no scale, is not.

    Attributes
    ----------
    status : Status, or int8 array, one per model
        Of the last pair: ``OK``, or ``NOT_FINITE`` where it holds NaN or Inf, or its squares overflow.

    Notes
    -----
    A new pair costs about 8 m n flops and reads the memory once ("powell": three times); a direction costs 8 m n flops
    and reads it twice. Products are formed in float64. A batch never waits for a device.

    Source: Byrd, Nocedal and Schnabel 1994, Representations of quasi-Newton matrices and their use in limited memory
    methods; Powell 1978, Algorithms for nonlinear constraints that use Lagrangian functions.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> H = np.diag([4.0, 1.0, 2.0])
    >>> method = cb.LBFGS(3)
    >>> [method.update(s, H @ s) for s in np.eye(3)]
    [True, True, True]
    >>> bool(np.allclose(method.direction(np.array([4.0, 1.0, 2.0])), -1))
    True
    """

    def __init__(self, n: int, *, memory: int = 10, batch: int | tuple[int, ...] = (), curvature: str = "skip") -> None:
        super().__init__(n, memory, batch)
        if curvature not in {"skip", "powell"}:
            raise ValueError(f'LBFGS: curvature must be "skip" or "powell", got {curvature!r}')
        self._is_damped = curvature == "powell"

    def update(self, s: Array, y: Array) -> Any:
        """Keep a pair, in place of the oldest where the memory is full, if H stays positive definite.

        Parameters
        ----------
        s, y : float32 or float64 arrays, shape (n,), or (..., n) for a batch
            A step, and the change of the gradient along it. All calls want one dtype, device and library.

        Returns
        -------
        bool, or array of bool with one entry a model
            Whether it was kept: False where ``s.y <= 1e-10 |s| |y|``, after damping, and where the status is not
            ``OK``; the memory is as it was then. A device is waited for, unless there is a batch.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        backend = backend_of("LBFGS.update", "s", s)
        return self._update(lambda memory, *pair: backend.lbfgs_memory_update(memory, self._is_damped, *pair), s, y)

    def direction(self, grad: Array, *, out: Array | None = None) -> Array:
        """Return ``-H g``.

        Parameters
        ----------
        grad : array, shape (n,), or (..., n) for a batch
            g.
        out : array, of the shape of g, optional
            Receives the result and is returned; may not overlap g.

        Returns
        -------
        array, of the shape of g
            ``-g`` without pairs; NaN for a model whose g is not finite.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            A dtype, device or library that does not fit, or that is another one than before.
        """
        backend, g = backend_of("LBFGS.direction", "grad", grad), on_cpu_as_numpy(grad)
        pairs = self._pairs("direction", "grad", g)
        direction = backend.lbfgs_memory_direction(pairs, g, None if out is None else on_cpu_as_numpy(out))
        return in_kind(direction, grad) if out is None else out
