"""Stochastic Lanczos quadrature: densities of spectra, and traces of functions, by products alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .._arrays import Array
from .._numbers import count, positive
from ..errors import Status
from ._float64 import float64
from ._lanczos import Curvature, as_product, lanczos

Function: TypeAlias = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Quadrature:
    """Nodes and weights of a spectrum, as if every draw were a sample of it.

    Attributes
    ----------
    nodes, weights : float64 arrays, shape (nodes,)
        Of all draws one after the other; the weights are positive and add up to 1.
    dim : int
        P.
    status : int8 array, shape (draws,)
        See `Status`: ``OK``, or ``NOT_FINITE`` where a product was; such a draw has no nodes.
    """

    nodes: np.ndarray
    weights: np.ndarray
    dim: int
    status: np.ndarray

    @property
    def ok(self) -> np.ndarray:
        """True where a draw is part of the estimate."""
        is_ok: np.ndarray = self.status == Status.OK
        return is_ok

    def trace(self, function: Function) -> float:
        """Estimate ``tr f(H)``.

        Parameters
        ----------
        function : callable
            f, of an array of eigenvalues.

        Returns
        -------
        float
            ``P sum_i weights_i f(nodes_i)``; NaN if no draw is ok. Exact for each start vector where f is a
            polynomial of degree less than twice the steps.
        """
        return float(self.dim * np.dot(self.weights, function(self.nodes))) if len(self.nodes) else math.nan

    def density(self, grid: Array, width: float) -> np.ndarray:
        """Evaluate the density of eigenvalues, smoothed.

        Parameters
        ----------
        grid : array, shape (points,)
            Where, in the unit of eigenvalues.
        width : float > 0
            Standard deviation of the Gaussian that stands for a node.

        Returns
        -------
        float64 array, shape (points,)
            ``sum_i weights_i N(grid; nodes_i, width^2)``; its integral is 1. NaN if no draw is ok.
        """
        sigma = positive("Quadrature.density", "width", width)
        t = float64("Quadrature.density", "grid", grid, ("points",))
        if not len(self.nodes):
            return np.full(len(t), np.nan)
        bells = np.exp(-0.5 * np.square((t[:, None] - self.nodes) / sigma)) / (sigma * math.sqrt(2 * math.pi))
        density: np.ndarray = bells @ self.weights
        return density


def quadrature(curvature: Curvature, dim: int, *, steps: int = 100, draws: int = 1, seed: int = 0) -> Quadrature:
    """Estimate a spectrum by stochastic Lanczos quadrature, from random signs.

    Parameters
    ----------
    curvature : callable or array, shape (N, dim)
        The product ``v -> H v`` of float64 arrays of shape (dim,), or J of ``J^T J / N``.
    dim : int >= 1
        P.
    steps : int >= 1
        Products a draw; no more than ``dim`` are taken.
    draws : int >= 1
        Start vectors; errors of traces fall as the root of their number.
    seed : int >= 0
        Of the signs.

    Returns
    -------
    Quadrature
        Nodes and weights, with a status a draw.

    Raises
    ------
    ValueError
        A shape that does not fit, or a number out of range.
    TypeError
        An array of a device, or a number of another type.

    Notes
    -----
    A start vector ``q = signs / sqrt(P)`` makes ``q^T f(H) q`` an unbiased estimate of ``tr f(H) / P``, and m Lanczos
    steps are its Gauss quadrature, exact for polynomials of degree 2 m - 1. Cost a draw: m products, 4 P m^2 flops,
    m P words. Source: Ghorbani, Krishnan and Xiao 2019 (arXiv 1901.10159); Golub and Meurant 2010, chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import spectrum
    >>> found = spectrum.quadrature(lambda v: np.array([1.0, 1.0, 1.0, 5.0]) * v, 4)
    >>> found.nodes.round(12), found.weights.round(12), round(found.trace(np.square), 9)
    (array([1., 5.]), array([0.75, 0.25]), 28.0)
    """
    P, draws = count("quadrature", "dim", dim), count("quadrature", "draws", draws)
    count("quadrature", "seed", seed, least=0)
    product, rng = as_product("quadrature", curvature, P), np.random.default_rng(seed)
    runs = [lanczos(product, rng.choice([-1.0, 1.0], P), steps) for _ in range(draws)]
    status = np.array([run.status for run in runs], np.int8)
    good = [run for run in runs if run.status == Status.OK]
    if not good:
        return Quadrature(np.empty(0), np.empty(0), P, status)
    nodes, weights = (np.concatenate([getattr(run, name) for run in good]) for name in ("values", "weights"))
    return Quadrature(nodes, weights / len(good), P, status)
