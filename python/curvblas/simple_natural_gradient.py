"""Kaldi's simple preconditioner, and the averaging of parameters that goes with its recipe."""

from collections.abc import Iterable

from ._arrays import Array, Arrays, in_kind
from ._backend import backend_of

__all__ = ["average_parameters", "simple_natural_gradient"]


def simple_natural_gradient(rows: Arrays, *, alpha: float = 0.1, out: Arrays | None = None) -> Arrays:
    """Precondition each row of a minibatch by the second moment of the other rows: Kaldi's "simple" method.

    ``x_hat_n = gain x_n (lambda I + (X^T X - x_n^T x_n) / (N - 1))^-1`` with ``lambda = alpha tr(X X^T) / (N dim)``,
    and the gain that gives X_hat the Frobenius norm of X. Nothing is kept from minibatch to minibatch: see
    `OnlineNaturalGradient` for the method that does.

    Parameters
    ----------
    rows : float32 or float64 array, shape (..., N, dim), or list of arrays (N_i, dim_i)
        X: the inputs of a layer, or the derivatives of its outputs.
    alpha : float > 0
        Smoothing towards the identity, relative to the mean eigenvalue.
    out : arrays like ``rows``
        Where X_hat goes; may not share memory with ``rows``.

    Returns
    -------
    array or list of arrays
        X_hat, like ``rows``, or ``out``.

    Raises
    ------
    ValueError
        An array with less than two axes, an ``alpha`` that is not positive, ``out`` that does not fit.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``rows``.

    Notes
    -----
    alpha bounds the condition of what is inverted, and there is no status: NaN, Inf, squares that the dtype does not
    hold, and an alpha so small (some 1e-12) that float64 has no inverse make their X_hat NaN. Rows are accurate to
    about eps / alpha where they are alone in their direction. Zeros and single rows stay as they are. One inverse of
    order n = min(N, dim) in float64 serves all rows, by the formula of Sherman and Morrison. Cost 3 N dim n + n^3 flops
    a matrix. The result has the same bits for any number of threads, alone or in a group.

    Source: Povey, Zhang and Khudanpur 2015 (arXiv 1410.7455), section 4.1.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.simple_natural_gradient(np.array([[2.0, 0.0], [0.0, 1.0]])).round(3)
    array([[0.998, 0.   ],
           [0.   , 1.997]])
    """
    X_hat = backend_of("simple_natural_gradient", "rows", rows).simple_natural_gradient(rows, alpha, out)
    return in_kind(X_hat, rows) if out is None else out


def average_parameters(models: Iterable[Iterable[Array]]) -> list[Array]:
    """Average the parameters of models that were trained apart, as between the outer iterations of Kaldi's recipe.

    J jobs that each take steps of J times the learning rate, and are averaged, go as far as one that takes all their
    steps. It works together with a natural gradient, and not well without (the paper's main finding).

    Parameters
    ----------
    models : iterable of iterables of arrays
        The parameters of each model, in one order; arrays of any library with arithmetic, of floating point.

    Returns
    -------
    list of arrays
        New arrays, of the dtypes of the parameters; each is divided before it is added.

    Raises
    ------
    ValueError
        No model, or models whose parameters differ in number, shape or dtype.

    Notes
    -----
    Source: Povey, Zhang and Khudanpur 2015 (arXiv 1410.7455), section 3.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.average_parameters([[np.array([1.0, 2.0])], [np.array([3.0, 6.0])]])
    [array([2., 4.])]
    """
    given = [[_detached(parameter) for parameter in model] for model in models]
    kinds = [[(tuple(parameter.shape), str(parameter.dtype)) for parameter in model] for model in given]
    if not kinds or any(other != kinds[0] for other in kinds):
        raise ValueError(f"average_parameters: models must have parameters of the same shapes and dtypes, got {kinds}")
    return [sum((x / len(given) for x in rest), start=first / len(given)) for first, *rest in zip(*given, strict=True)]


def _detached(parameter: Array) -> Array:
    """Without the graph of its gradients, which a library may keep with it."""
    return parameter.detach() if hasattr(parameter, "detach") else parameter
