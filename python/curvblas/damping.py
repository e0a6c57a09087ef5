"""Splitting the damping of a Kronecker product between its factors."""

from collections.abc import Sequence

from ._arrays import Array, Arrays, Parameter, in_kind
from ._backend import backend_of

__all__ = ["factored_damping", "factored_dampings"]


def factored_damping(A: Arrays, G: Arrays, damping: Parameter) -> tuple[Array, Array]:
    """Split the damping of Kronecker products: ``pi sqrt(damping)`` for A, ``sqrt(damping) / pi`` for G.

    Parameters
    ----------
    A : float32 or float64 array, shape (..., p, p), or list of arrays
        Factors of the layer inputs. Only diagonals are read.
    G : array, shape (..., q, q), or list of arrays
        Factors of the output derivatives, paired with ``A``.
    damping : float >= 0, or one per pair
        In the unit of the eigenvalues of the product ``G (x) A``.

    Returns
    -------
    damping_A, damping_G : float64 arrays, one per pair
        In the units of the eigenvalues of ``A`` and of ``G``: what `damped_inverse` takes.

    Raises
    ------
    ValueError
        A factor is not square, the groups differ in length, or a number ``damping`` is negative or not finite.
    TypeError
        A dtype, device or library that does not fit.

    Notes
    -----
    ``pi = sqrt((tr A / p) / (tr G / q))`` minimises the trace of what factored damping adds to exact damping; it is 1
    where a trace is not positive or not finite. ``(G + damping_G I) (x) (A + damping_A I)`` is at least
    ``G (x) A + damping I``. A factor of size 1 x 1 is damped as any other; `factored_dampings` spares it.
    An entry of an *array* ``damping`` that is negative or not finite gives NaN: status 5 in `damped_inverse`.
    Cost p + q flops a pair. Source: Martens and Grosse 2015, section 6.3.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> damping_A, damping_G = cb.factored_damping(4 * np.eye(3), np.eye(2), damping=0.01)
    >>> print(damping_A, damping_G)
    0.2 0.05
    """
    backend = backend_of("factored_damping", "A", A)
    damping_A, damping_G = backend.factored_damping(A, G, damping)
    return in_kind(damping_A, A), in_kind(damping_G, A)


def factored_dampings(factors: Sequence[Arrays], damping: Parameter) -> tuple[Array, ...]:
    """Split the damping of Kronecker products of any number of factors: ``(n_i / c) damping^(1/k)`` for factor i.

    ``n_i = tr f_i / dim f_i``, and c is the geometric mean of the n_i.

    Parameters
    ----------
    factors : tuple or list of 1 to 8 arguments ``f_1, ..., f_k``
        Each a float32 or float64 array, shape (..., n, n), or a list of arrays: the first factors of all products, the
        second ones, and so on. Only diagonals are read.
    damping : float >= 0, or one per product
        In the unit of the eigenvalues of the product ``f_1 (x) ... (x) f_k``.

    Returns
    -------
    tuple of k float64 arrays, one number per product each
        In the units of the eigenvalues of the factors: what `damped_inverse` takes.

    Raises
    ------
    ValueError
        A factor is not square, the groups differ in length, there are none or more than 8 factors, or a number
        ``damping`` is negative or not finite.
    TypeError
        A dtype, device or library that does not fit.

    Notes
    -----
    For two factors larger than 1 x 1 it is `factored_damping`. A factor of size 1 x 1 is a number: it gets no damping,
    its value divides the damping of the others, and k and c count those only. With a single other factor that is
    exact: ``f (A + (damping / f) I) = f A + damping I``. Where all factors are 1 x 1, none is spared.

    Where a trace is not positive or not finite, every factor, of any size, gets ``damping^(1/k)``. An entry of an
    *array* ``damping`` that is negative or not finite gives NaN: status 5 in `damped_inverse`. Cost: the sum of the
    sizes, in flops.
    Source: Martens and Grosse 2015, section 6.3, for k = 2; the generalisation is that of kfac-jax.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> dampings = cb.factored_dampings((8 * np.eye(2), np.eye(3), np.eye(4)), damping=0.001)
    >>> print(np.round(dampings, 6))
    [0.4  0.05 0.05]
    """
    if not isinstance(factors, list | tuple) or not factors:
        first = factors
    else:
        first = factors[0]
    backend = backend_of("factored_dampings", "factors", first)
    dampings = backend.factored_dampings(factors, damping)
    return tuple(in_kind(each, first) for each in dampings)
