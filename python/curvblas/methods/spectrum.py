"""Spectra of curvature: exact ones, Lanczos with full re-orthogonalisation, stochastic Lanczos quadrature."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array, in_kind
from .._numbers import number, positive
from ..eigen import eigenbasis
from ..low_rank import gram
from ._float64 import float64, magnitude, require_shape
from ._lanczos import Lanczos, lanczos
from ._quadrature import Function, Quadrature, quadrature

__all__ = [
    "Bulk",
    "Lanczos",
    "Quadrature",
    "bulk_and_edges",
    "exact_spectrum",
    "gram_spectrum",
    "hessian_product",
    "lanczos",
    "plot_density",
    "quadrature",
]


def exact_spectrum(matrix: Array) -> Array:
    """Return all eigenvalues of a symmetric matrix.

    Parameters
    ----------
    matrix : array, shape (P, P)
        Of a Hessian as P products give it: ``(H + H^T) / 2`` is what is decomposed.

    Returns
    -------
    float64 array, shape (P,)
        Ascending; NaN where the matrix holds NaN or Inf, infinite where a value overflows.

    Raises
    ------
    ValueError
        The matrix is not square.
    TypeError
        An array of a device, or of no real numbers.

    Notes
    -----
    By `curvblas.eigenbasis`, at most 6 P^3 flops. Those of a float32 Hessian below 1e-6 of the largest one are noise.
    Source: Sagun, Bottou and LeCun 2016 (arXiv 1611.07476), who look at small networks in this way.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import spectrum
    >>> spectrum.exact_spectrum(np.array([[2.0, 1.0], [1.0, 2.0]]))
    array([1., 3.])
    """
    H = float64("exact_spectrum", "matrix", matrix, ("P", "P"))
    require_shape("exact_spectrum", "matrix", H, (len(H), len(H)))
    scale = magnitude(H)  # products in the decomposition may vanish or overflow
    H = H / scale
    with np.errstate(over="ignore"):
        return in_kind(eigenbasis((H + H.T) / 2).values * scale, matrix)


def gram_spectrum(jacobian: Array) -> Array:
    """Return all eigenvalues of ``J^T J / N``, from the smaller side: ``J J^T / N`` padded with zeros, if N < P.

    Parameters
    ----------
    jacobian : array, shape (N, P)
        J: per-case gradients for the empirical Fisher matrix; derivatives of outputs times a root of the Fisher matrix
        of the outputs, for the Fisher (Gauss-Newton) matrix. For o rows a case, multiply by the root of o first.

    Returns
    -------
    float64 array, shape (P,)
        Ascending, none negative; NaN where J holds NaN or Inf, Inf where a value overflows.

    Raises
    ------
    ValueError
        A jacobian without two axes, or without rows.
    TypeError
        An array of a device, or of no real numbers.

    Notes
    -----
    By `curvblas.gram` and `curvblas.eigenbasis`: k (k + 1) max(N, P) + 6 k^3 flops, k = min(N, P). Values below about
    k eps times the largest one are rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import spectrum
    >>> spectrum.gram_spectrum(np.array([[3.0, 0.0, 4.0]]))
    array([ 0.,  0., 25.])
    """
    J = float64("gram_spectrum", "jacobian", jacobian, ("N", "P"))
    N, P = J.shape
    if not N or not P:
        raise ValueError(f"gram_spectrum: jacobian must have rows and columns, got shape {J.shape}")
    scale = magnitude(J)
    J = J / scale
    values = eigenbasis(gram(np.ascontiguousarray(J if N <= P else J.T)) / N).values
    padded = np.zeros(P) if np.isfinite(values).all() else np.full(P, np.nan)
    padded[P - len(values) :] = np.maximum(values, 0)
    with np.errstate(over="ignore", under="ignore"):
        return in_kind(padded * scale * scale, jacobian)


def hessian_product(gradient: Callable[[np.ndarray], Array], x: Array, *, step: float | None = None) -> Function:
    """Return the product ``v -> H v`` by central differences of gradients.

    ``(gradient(x + e v) - gradient(x - e v)) / (2 e)`` with ``e = step (1 + |x|) / |v|``.

    Parameters
    ----------
    gradient : callable
        ``gradient(x)`` of a float64 array of shape (P,) gives another one.
    x : array, shape (P,)
        Where the Hessian is wanted; copied.
    step : float > 0, optional
        Relative to ``1 + |x|``. By default the cube root of eps, 6e-6, which balances truncation and rounding; for a
        gradient that is computed in float32 take 1e-3.

    Returns
    -------
    callable
        Gives float64 arrays; 0 for v = 0.

    Raises
    ------
    ValueError
        A shape that does not fit, or a step that is not positive.
    TypeError
        An array of a device, or a number of another type.

    Notes
    -----
    A product costs two gradients. About two thirds of the digits of the gradient are right.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import spectrum
    >>> product = spectrum.hessian_product(lambda x: x**3, np.array([1.0, 2.0]))
    >>> product(np.array([1.0, 1.0])).round(6)
    array([ 3., 12.])
    """
    name = "hessian_product"
    centre = float64(name, "x", x, ("P",)).copy()
    relative = np.cbrt(np.finfo(np.float64).eps) if step is None else step
    size = positive(name, "step", relative) * (1 + np.linalg.norm(centre))

    def product(v: np.ndarray) -> np.ndarray:
        v = float64(name, "v", v, centre.shape)
        scale = magnitude(v)  # squares of v may vanish or overflow
        v = v / scale
        length = np.linalg.norm(v)
        if length == 0:
            return np.zeros_like(centre)
        e = size / length
        after, before = (float64(name, "gradient(x)", gradient(centre + d * v), centre.shape).copy() for d in (e, -e))
        difference: np.ndarray = (after - before) / (2 * e) * scale
        return difference

    return product


@dataclass(frozen=True, slots=True)
class Bulk:
    """A spectrum in a few numbers.

    Attributes
    ----------
    near_zero : dict of float to float
        For each tau, the share of eigenvalues with ``|value| <= tau max |value|``: what it is depends on tau.
    outliers : int
        Eigenvalues above the widest gap.
    lowest, highest : float
        The edges.
    negative : int
        Eigenvalues below ``-tau max |value|``, for the largest tau.
    """

    near_zero: dict[float, float]
    outliers: int
    lowest: float
    highest: float
    negative: int


def bulk_and_edges(values: Array, *, taus: Sequence[float] = (1e-3, 1e-5, 1e-8)) -> Bulk:
    """Tell the bulk of a spectrum at zero from what stands out.

    Parameters
    ----------
    values : array, shape (P,)
        All eigenvalues, in any order.
    taus : sequence of float in (0, 1)
        What is near zero, relative to the largest magnitude.

    Returns
    -------
    Bulk
        Of NaN values, all NaN and no outliers.

    Raises
    ------
    ValueError
        No eigenvalues or no taus, or a tau out of range.
    TypeError
        An array of a device, or a number of another type.

    Notes
    -----
    Outliers are those above the largest ratio of neighbours in the list of eigenvalues that exceed the largest tau; the
    first one below that level counts with the level itself. This is a rule for counting, not a test: bulks without a
    gap have a widest ratio as well. Source: Sagun, Bottou and LeCun 2016 (arXiv 1611.07476) for the bulk at zero and
    outliers, as many as classes.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import spectrum
    >>> found = spectrum.bulk_and_edges(np.array([0.0, 1e-4, 0.03, 0.02, 9.0, 10.0]), taus=(1e-3,))
    >>> found.outliers, round(found.near_zero[1e-3], 3)
    (2, 0.333)
    """
    name = "bulk_and_edges"
    v = np.sort(float64(name, "values", values, ("P",)))
    if not isinstance(taus, Sequence | np.ndarray) or isinstance(taus, str):
        raise TypeError(f"{name}: taus must be a sequence of numbers in (0, 1), got {type(taus).__name__}")
    levels = [number(name, f"taus[{k}]", tau, lambda x: 0 < x < 1, "a number in (0, 1)") for k, tau in enumerate(taus)]
    if not len(v) or not levels:
        raise ValueError(f"{name}: values and taus must not be empty, got {len(v)} values and {len(levels)} taus")
    if not np.isfinite(v).all():
        return Bulk(dict.fromkeys(levels, math.nan), 0, math.nan, math.nan, 0)
    largest = np.abs(v).max()
    floor = max(levels) * largest
    shares = {tau: float(np.mean(np.abs(v) <= tau * largest)) for tau in levels}
    return Bulk(shares, _above_widest_gap(v, floor), float(v[0]), float(v[-1]), int(np.sum(v < -floor)))


def _above_widest_gap(ascending: np.ndarray, floor: float) -> int:
    large = ascending[ascending > floor][::-1]
    if not len(large):
        return 0
    return int(np.argmax(large / np.append(large[1:], floor))) + 1


def plot_density(spectrum: Quadrature | Array, *, axes: Any = None, width: float | None = None, **line: Any) -> Any:
    """Draw a density of eigenvalues on a logarithmic scale, on which outliers are seen.

    Parameters
    ----------
    spectrum : Quadrature or array, shape (P,)
        An estimate, or all eigenvalues.
    axes : matplotlib axes, optional
        Where; new ones if left out.
    width : float > 0, optional
        Of the smoothing, in the unit of eigenvalues; by default 0.3 % of their range.
    **line
        For ``axes.plot``: a colour, a label.

    Returns
    -------
    matplotlib axes
        With the line.

    Raises
    ------
    ModuleNotFoundError
        matplotlib is not installed.
    ValueError
        There are no eigenvalues that are finite.
    """
    nodes = (
        spectrum.nodes if isinstance(spectrum, Quadrature) else float64("plot_density", "spectrum", spectrum, ("P",))
    )
    if not len(nodes) or not np.isfinite(nodes).all():
        raise ValueError(f"plot_density: spectrum must have eigenvalues, all finite, got {len(nodes)} values")
    status = np.zeros(1, np.int8)
    if not isinstance(spectrum, Quadrature):
        spectrum = Quadrature(nodes, np.full(len(nodes), 1 / len(nodes)), len(nodes), status)
    extent = float(np.ptp(nodes)) or max(abs(float(nodes[0])), 1.0)
    sigma = 3e-3 * extent if width is None else width
    grid = np.linspace(nodes.min() - 4 * sigma, nodes.max() + 4 * sigma, 4000)
    if axes is None:
        axes = _new_axes()
    floor = 0.1 / (spectrum.dim * extent)  # a tenth of one eigenvalue, spread over the range
    axes.plot(grid, np.maximum(spectrum.density(grid, sigma), floor), **line)
    axes.set(yscale="log", ylim=(floor, None), xlabel="eigenvalue", ylabel="density")
    return axes


def _new_axes() -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ModuleNotFoundError("plot_density: drawing needs matplotlib: pip install 'curvblas[demo]'") from None
    return Figure(figsize=(7.0, 4.0), layout="constrained").subplots()
