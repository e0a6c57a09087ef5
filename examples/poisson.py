"""Poisson's equation by a small network: its residuals, with their gradient and exact Jacobian.

``-Laplace u = f`` on the unit square and u = 0 on its boundary, with f such that ``u = sin(pi x) sin(pi y)``. The
network ``u(x) = a . tanh(W x + b) + c`` minimises ``|r|^2 / 2``: a row of r for each point, the residual times the root
of the weight that a quadrature rule gives to the point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvblas.examples.network import Array

HIDDEN = 64
POINTS = 12  # in each direction, and on each side


def solution(x: Array) -> Array:
    """Evaluate what the network is to find.

    Parameters
    ----------
    x : array, shape (N, 2)

    Returns
    -------
    array, shape (N,)
    """
    return np.asarray(np.sin(np.pi * x[:, 0]) * np.sin(np.pi * x[:, 1]))


def square(count: int) -> tuple[Array, Array]:
    """Make the points and weights of the product of two Gauss-Legendre rules on the unit square.

    Parameters
    ----------
    count : int

    Returns
    -------
    points : array, shape (count^2, 2)
    weights : array, shape (count^2,)
    """
    nodes, weights = np.polynomial.legendre.leggauss(count)
    x, y = np.meshgrid((nodes + 1) / 2, (nodes + 1) / 2)
    return np.column_stack([x.ravel(), y.ravel()]), np.outer(weights, weights).ravel() / 4


def boundary(count: int) -> tuple[Array, Array]:
    """Make the points and weights of a Gauss-Legendre rule on each side of the unit square.

    Parameters
    ----------
    count : int

    Returns
    -------
    points : array, shape (4 count, 2)
    weights : array, shape (4 count,)
    """
    nodes, weights = np.polynomial.legendre.leggauss(count)
    along = (nodes + 1) / 2
    sides = [np.column_stack([along, np.full(count, end)]) for end in (0.0, 1.0)]
    return np.concatenate([*sides, *(side[:, ::-1] for side in sides)]), np.tile(weights / 2, 4)


@dataclass(frozen=True)
class Rows:
    """Some of the rows at some parameters: ``root * (sum_j a_j q_j phi(z_j) + c_weight c - target)``.

    On the boundary phi = tanh and q = 1; inside phi = tanh'' and ``q_j = |w_j|^2``, the Laplacian of tanh(w . x + b).
    """

    x: Array
    root: Array
    target: Array
    phi: Array
    slope: Array
    q: Array
    q_slopes: Array
    c_weight: float


class Poisson:
    """The residuals of the network at fixed points; parameters are W row by row, b, a and c in one vector."""

    def __init__(self) -> None:
        inside, weights = square(POINTS)
        self._inside = inside, np.sqrt(weights), -2 * np.pi**2 * solution(inside)
        edge, weights = boundary(POINTS)
        self._edge = edge, np.sqrt(weights), np.zeros(len(edge))
        self._watched, self._weights = square(2 * POINTS)

    @staticmethod
    def _unpack(theta: Array) -> tuple[Array, Array, Array, float]:
        W, b, a, c = np.split(theta, [2 * HIDDEN, 3 * HIDDEN, 4 * HIDDEN])
        return W.reshape(HIDDEN, 2), b, a, float(c[0])

    def _rows(self, theta: Array) -> Iterator[Rows]:
        W, b, _, _ = self._unpack(theta)
        x, root, target = self._inside
        t = np.tanh(x @ W.T + b)
        s = 1 - t * t
        yield Rows(x, root, target, -2 * t * s, s * (6 * t * t - 2), (W * W).sum(axis=1), 2 * W, 0.0)
        x, root, target = self._edge
        t = np.tanh(x @ W.T + b)
        yield Rows(x, root, target, t, 1 - t * t, np.ones(HIDDEN), np.zeros_like(W), 1.0)

    def residuals(self, theta: Array) -> Array:
        """Evaluate r.

        Parameters
        ----------
        theta : array, shape (P,)

        Returns
        -------
        array, shape (N,)
        """
        _, _, a, c = self._unpack(theta)
        return np.concatenate([p.root * (p.phi @ (a * p.q) + p.c_weight * c - p.target) for p in self._rows(theta)])

    def jacobian(self, theta: Array) -> Array:
        """Differentiate r by every parameter.

        Parameters
        ----------
        theta : array, shape (P,)

        Returns
        -------
        array, shape (N, P)
        """
        a = self._unpack(theta)[2]
        blocks = []
        for p in self._rows(theta):
            by_z = a * p.q * p.slope
            by_W = (a * p.phi)[:, :, None] * p.q_slopes + by_z[:, :, None] * p.x[:, None, :]
            by_c = np.full((len(p.x), 1), p.c_weight)
            block = np.hstack([by_W.reshape(len(p.x), -1), by_z, p.q * p.phi, by_c])
            blocks.append(p.root[:, None] * block)
        return np.concatenate(blocks)

    def gradient(self, theta: Array) -> Array:
        """Differentiate ``|r|^2 / 2`` without the Jacobian, as backpropagation does.

        Parameters
        ----------
        theta : array, shape (P,)

        Returns
        -------
        array, shape (P,)
        """
        _, _, a, c = self._unpack(theta)
        total = np.zeros_like(theta)
        for p in self._rows(theta):
            v = p.root**2 * (p.phi @ (a * p.q) + p.c_weight * c - p.target)
            by_phi, by_slope = v @ p.phi, v[:, None] * p.slope
            by_W = a[:, None] * (p.q_slopes * by_phi[:, None] + p.q[:, None] * (by_slope.T @ p.x))
            parts = [by_W.ravel(), a * p.q * by_slope.sum(axis=0), p.q * by_phi, [p.c_weight * v.sum()]]
            total += np.concatenate(parts)
        return total

    def error(self, theta: Array) -> float:
        """Evaluate the relative L2 error of u, by a quadrature rule twice as fine.

        Parameters
        ----------
        theta : array, shape (P,)

        Returns
        -------
        float
        """
        W, b, a, c = self._unpack(theta)
        truth = solution(self._watched)
        off = np.tanh(self._watched @ W.T + b) @ a + c - truth
        return float(np.sqrt(self._weights @ off**2 / (self._weights @ truth**2)))


def initial_parameters(rng: np.random.Generator) -> Array:
    """Draw weights with unit gain for tanh and biases that spread the units over the square.

    Parameters
    ----------
    rng : numpy.random.Generator

    Returns
    -------
    array, shape (P,)
    """
    W, b = rng.standard_normal((HIDDEN, 2)), rng.uniform(-1, 1, HIDDEN)
    return np.concatenate([W.ravel(), b, rng.standard_normal(HIDDEN) / np.sqrt(HIDDEN), [0.0]])
